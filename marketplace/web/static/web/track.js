// The customer's page: where the parcel is, without a sign-in. The link's token is all it has.

import { LiveMap, distanceText } from "./map.js";

const byId = (id) => document.getElementById(id);
const { token, tiles } = JSON.parse(byId("track-settings").textContent);
const LONGEST_WAIT_MS = 15000;
const SILENCE_MS = 45000;
const ENDED = new Set(["delivered", "cancelled"]);
const STEPS = ["assigned", "in_transit", "arrived", "delivered"];
const WORDS = {
  pending: ["Being prepared", "A courier will be chosen soon."],
  assigned: ["Waiting for pick-up", "Your courier will set off soon."],
  in_transit: ["On the way", "Your parcel is moving."],
  arrived: ["The courier is here", "Please meet your courier."],
  delivered: ["Delivered", "Your parcel has arrived."],
  cancelled: ["Cancelled", "This delivery will not come."],
};

const map = new LiveMap(byId("map"), { tiles });
let view = null; // what the server says of the delivery
let socket = null;
let failures = 0;
let timer = null;
let heard = 0;
let isOver = false;
// For each question that is under way: what has been told since it was asked.
const meanwhile = new Set();

// ---------------------------------------------------------------- what is known

// What is told while the answer is on its way is newer than the answer: it is taken again.
async function load() {
  const told = [];
  meanwhile.add(told);
  try {
    const answer = await fetch(`/api/v1/track/${encodeURIComponent(token)}`, { headers: { Accept: "application/json" } });
    if (answer.status === 404) return gone();
    if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
    take(await answer.json());
    told.forEach(apply);
  } finally {
    meanwhile.delete(told);
  }
}

function gone() {
  isOver = true;
  socket?.close();
  byId("tracking").hidden = true;
  byId("gone").hidden = false;
}

function take(told) {
  view = { ...view, ...told };
  showAll();
}

function showAll() {
  const [title, lead] = WORDS[view.status] ?? [view.status, ""];
  const name = view.courier_name;
  setText("status", view.is_nearby && view.status === "in_transit" ? "Almost there" : title);
  setText("lead", name ? lead.replace("Your courier", name).replace("your courier", name) : lead);
  byId("status").dataset.status = view.status;
  showSteps();
  showArrival();
  if (view.location) map.show({ courier: view.location });
  byId("map-box").hidden = !view.location || ENDED.has(view.status);
  byId("no-map").hidden = !byId("map-box").hidden || ENDED.has(view.status);
  tick();
  if (ENDED.has(view.status)) finish();
}

function showSteps() {
  const reached = STEPS.indexOf(view.status);
  byId("steps").hidden = view.status === "cancelled";
  for (const step of byId("steps").children) {
    const place = STEPS.indexOf(step.dataset.step);
    step.dataset.state = place < reached || view.status === "delivered" ? "done" : place === reached ? "now" : "later";
    if (place === reached) step.setAttribute("aria-current", "step");
    else step.removeAttribute("aria-current");
  }
}

function showArrival() {
  const eta = view.eta;
  const known = eta?.eta_at && view.status === "in_transit";
  byId("arrival").hidden = !known;
  if (!known) return;
  const at = (seconds) => new Date(Date.parse(eta.eta_at) + (seconds - eta.eta_seconds) * 1000).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
  setText("eta", `${at(eta.low_seconds ?? eta.eta_seconds)} – ${at(eta.high_seconds ?? eta.eta_seconds)}`);
  const minutes = Math.max(1, Math.round(eta.eta_seconds / 60));
  setText("eta-note", `in about ${minutes} ${minutes === 1 ? "minute" : "minutes"}${eta.distance_m ? `, ${distanceText(eta.distance_m)} away` : ""}`);
}

// Written only when it changed, so that a screen reader does not say it again.
function setText(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

function tick() {
  const at = view?.location?.recorded_at;
  if (!at) return;
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(at)) / 1000));
  let age = "just now";
  if (seconds >= 3600) age = `at ${new Date(at).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" })}`;
  else if (seconds >= 60) age = `${Math.round(seconds / 60)} min ago`;
  else if (seconds >= 10) age = `${seconds - (seconds % 10)} s ago`;
  byId("fix").textContent = `Last position ${age}`;
}

function finish() {
  isOver = true;
  byId("connection").hidden = true;
  socket?.close(1000);
}

// ---------------------------------------------------------------- live

function connect() {
  window.clearTimeout(timer);
  if (isOver || socket) return;
  showState("warn", failures ? "reconnecting …" : "connecting …");
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/ws/track/${encodeURIComponent(token)}/`);
  const own = socket;
  heard = Date.now();
  own.addEventListener("message", (message) => receive(JSON.parse(message.data)));
  own.addEventListener("close", (event) => {
    if (socket === own) closed(event.code);
  });
}

function closed(code) {
  socket = null;
  if (isOver) return;
  failures += 1;
  let delay = Math.min(LONGEST_WAIT_MS, 500 * 2 ** Math.min(failures, 6)) * (0.5 + Math.random() / 2);
  if (code === 4029) delay = 60000;
  showState("bad", delay > 3000 ? `offline, next try in ${Math.round(delay / 1000)} s` : "offline, reconnecting …");
  timer = window.setTimeout(again, delay);
}

// What happened meanwhile is in the view of now: read it, then listen again.
async function again() {
  try {
    await load();
    connect();
  } catch {
    closed(1006);
  }
}

function receive(frame) {
  heard = Date.now();
  if (frame.type === "reply" && frame.status === "ok") joined(frame.response);
  else if (frame.type === "error") again();
  else if (frame.event) {
    for (const told of meanwhile) told.push(frame);
    apply(frame);
    if (frame.event === "status_changed" || frame.event === "removed") refresh();
  }
}

function apply({ event, payload: told = {} }) {
  if (event === "location_updated") moved(told);
  else if (event === "eta_updated") take({ eta: told });
  else if (event === "status_changed") take({ status: told.status, delivered_at: told.delivered_at, is_nearby: false });
  else if (event === "delivery_event") take({ is_nearby: told.milestone === "nearby" });
}

// The view of now, for what an event does not say. Where it fails the events alone have to do.
function refresh() {
  load().catch(() => {});
}

function joined(answer) {
  failures = 0;
  showState("good", "live");
  const { delivery = {}, location: place, eta } = answer;
  take({ ...delivery, ...(place && { location: place }), ...(eta && { eta }) });
}

function moved(told) {
  const eta = told.eta_seconds === undefined || told.eta_seconds === null ? view.eta : { ...view.eta, ...aroundEta(told) };
  take({ location: { latitude: told.latitude, longitude: told.longitude, recorded_at: told.recorded_at }, eta });
}

// A position carries the new time alone: its interval is as wide as that of the last full answer.
function aroundEta({ eta_seconds, distance_m }) {
  return { eta_seconds, distance_m, eta_at: new Date(Date.now() + eta_seconds * 1000).toISOString(), low_seconds: eta_seconds * 0.75, high_seconds: eta_seconds * 1.25 };
}

function showState(kind, text) {
  byId("connection").dataset.state = kind;
  setText("connection", text);
}

// ---------------------------------------------------------------- the page

byId("closer").addEventListener("click", () => map.zoomBy(1));
byId("farther").addEventListener("click", () => map.zoomBy(-1));
byId("home").addEventListener("click", () => map.home());
window.addEventListener("online", () => socket || again());
document.addEventListener("visibilitychange", () => document.hidden || socket || isOver || again());
window.setInterval(() => {
  tick();
  // A heartbeat comes every 30 s: silence is a dead line.
  if (socket && Date.now() - heard > SILENCE_MS) socket.close();
}, 5000);
again();
