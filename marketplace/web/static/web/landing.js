// The landing page's live health: asks /readyz every few seconds and shows each part.

const state = document.getElementById("health");
const list = document.getElementById("checks");
const NAMES = { database: "Database", channel_layer: "Channel layer", broker: "Job broker", bus: "Event bus" };

function show(kind, text, checks) {
  if (state.dataset.state !== kind || state.textContent !== text) {
    state.dataset.state = kind;
    state.textContent = text;
  }
  const items = Object.entries(checks).map(([name, value]) => {
    const item = document.createElement("li");
    const told = typeof value === "string" ? value : value?.status ?? JSON.stringify(value);
    item.dataset.state = told === "ok" ? "good" : told === "down" ? "bad" : "unknown";
    const label = document.createElement("span");
    label.textContent = NAMES[name] ?? name;
    const answer = document.createElement("strong");
    answer.textContent = told;
    item.append(label, answer);
    return item;
  });
  list.replaceChildren(...items);
}

async function check() {
  try {
    const answer = await fetch("/readyz", { headers: { Accept: "application/json" } });
    const body = await answer.json();
    show(answer.ok ? "good" : "bad", answer.ok ? "all well" : `not ready (${answer.status})`, body.checks ?? body.details?.checks ?? {});
  } catch {
    show("bad", "the server does not answer", {});
  }
  window.setTimeout(check, document.hidden ? 30000 : 5000);
}

check();
