// Keeps the inbox page fresh, so that a code appears without a reload, and marks the codes.

const list = document.getElementById("inbox");
const empty = document.getElementById("inbox-empty");
const state = document.getElementById("inbox-state");
let shown = "";

function withCodes(body) {
  const paragraph = document.createElement("p");
  paragraph.className = "body";
  body.split(/(\b\d{6}\b)/).forEach((part) => {
    if (/^\d{6}$/.test(part)) {
      const code = document.createElement("strong");
      code.className = "code";
      code.textContent = part;
      paragraph.append(code);
    } else {
      paragraph.append(part);
    }
  });
  return paragraph;
}

function row(message) {
  const item = document.createElement("li");
  item.className = "card";
  const meta = document.createElement("p");
  meta.className = "meta";
  const tag = document.createElement("span");
  tag.className = "tag";
  tag.textContent = message.channel;
  const to = document.createElement("strong");
  to.textContent = message.to;
  const time = document.createElement("time");
  time.dateTime = message.at;
  const at = new Date(message.at);
  time.textContent = Number.isNaN(at.getTime()) ? message.at : at.toLocaleString();
  meta.append(tag, " ", to, " ", time);
  item.append(meta);
  if (message.subject) {
    const subject = document.createElement("p");
    const strong = document.createElement("strong");
    strong.textContent = message.subject;
    subject.append(strong);
    item.append(subject);
  }
  item.append(withCodes(message.body));
  return item;
}

async function refresh() {
  try {
    const answer = await fetch("/demo/inbox", { headers: { Accept: "application/json" } });
    const body = await answer.json();
    const text = JSON.stringify(body.items);
    if (text !== shown) {
      shown = text;
      list.replaceChildren(...body.items.map(row));
      empty.hidden = body.items.length > 0;
    }
    state.dataset.state = "good";
    state.textContent = "live";
  } catch {
    state.dataset.state = "bad";
    state.textContent = "the server does not answer";
  }
  window.setTimeout(refresh, document.hidden ? 10000 : 1500);
}

refresh();
