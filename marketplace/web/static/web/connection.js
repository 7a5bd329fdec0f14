// One WebSocket that forgets nothing: it joins with the last seq it saw, asks for what it missed,
// and sends every message again, under the same client_id, until the server has acknowledged it.

const OUTBOX = "marketplace.outbox";
const LONGEST_WAIT_MS = 15000;
const PING_EVERY_MS = 25000;
const ANSWER_WITHIN_MS = 10000;
// Refusals that say nothing about this person's rights: the same again has a chance.
const PASSING = new Set(["rate_limited", "unavailable", "internal_error"]);

export class Connection {
  // token(): promise of a fresh token. on: {state, event, joined, reset, sent, refused, removed, ended, frame}
  constructor({ token, on }) {
    this.token = token;
    this.on = on;
    this.topics = new Map();
    this.replies = new Map();
    this.outbox = JSON.parse(sessionStorage.getItem(OUTBOX) ?? "[]");
    this.inFlight = new Set();
    this.nextRef = 1;
    this.failures = 0;
    this.wanted = false;
    this.ready = false;
    window.addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
  }

  start() {
    this.wanted = true;
    this.connect();
  }

  stop() {
    this.wanted = false;
    this.topics.clear();
    this.keepOutbox([]);
    window.clearTimeout(this.timer);
    this.socket?.close(1000);
  }

  // -- Topics

  join(topic, since) {
    if (!this.topics.has(topic)) this.topics.set(topic, { since, epoch: undefined, joined: false, syncing: false });
    if (this.ready) this.sendJoin(topic);
  }

  leave(topic) {
    if (this.topics.delete(topic) && this.ready) this.request({ type: "leave", topic }).catch(() => {});
  }

  command(topic, event, payload) {
    return this.request({ type: "event", topic, event, payload });
  }

  // -- Messages

  post(topic, content) {
    const entry = { topic, content, client_id: newId(), created_at: new Date().toISOString() };
    this.keepOutbox([...this.outbox, entry]);
    this.flush(topic);
    return entry;
  }

  keepOutbox(entries) {
    this.outbox = entries;
    sessionStorage.setItem(OUTBOX, JSON.stringify(entries));
  }

  // One at a time and in order, so that the room shows them as they were written.
  async flush(topic) {
    if (this.inFlight.has(topic) || !this.topics.get(topic)?.joined) return;
    const entry = this.outbox.find((one) => one.topic === topic);
    if (!entry) return;
    this.inFlight.add(topic);
    try {
      const message = await this.command(topic, "message", { content: entry.content, client_id: entry.client_id });
      this.keepOutbox(this.outbox.filter((one) => one !== entry));
      this.on.sent(topic, entry, message);
    } catch (error) {
      if (error.code === "rate_limited") await wait((error.details?.retry_after ?? 5) * 1000);
      else if (PASSING.has(error.code)) await wait(2000);
      else if (error.code !== "offline") {
        this.keepOutbox(this.outbox.filter((one) => one !== entry));
        this.on.refused(topic, entry, error);
      }
    } finally {
      this.inFlight.delete(topic);
    }
    if (this.ready) this.flush(topic);
  }

  // -- The socket

  async connect() {
    window.clearTimeout(this.timer);
    if (!this.wanted || this.connecting || this.socket) return;
    this.connecting = true;
    this.on.state("warn", this.failures ? "reconnecting …" : "connecting …");
    let token;
    try {
      // A handshake that was refused tells no reason in a browser: a new token is the likely cure.
      token = await this.token(this.suspectToken ? Infinity : 60);
    } catch (error) {
      this.connecting = false;
      if (error.status === 401 || error.status === 403) return this.on.ended("Your session has ended. Please sign in again.");
      return this.later();
    }
    this.connecting = false;
    if (!this.wanted) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws/?token=${encodeURIComponent(token)}`);
    this.socket = socket;
    this.heard = Date.now();
    socket.addEventListener("message", (message) => this.receive(message.data));
    socket.addEventListener("close", (event) => this.closed(socket, event));
    this.watch = window.setInterval(() => this.check(), ANSWER_WITHIN_MS / 2);
  }

  hurry() {
    if (this.wanted && !this.socket) this.connect();
    else if (this.ready) this.ping();
  }

  ping() {
    this.pinged = Date.now();
    this.write({ type: "ping", ref: String(this.nextRef++) });
  }

  // A dead line says nothing by itself: ask, and take silence for the answer.
  check() {
    const silent = Date.now() - this.heard;
    if (!this.ready && silent > ANSWER_WITHIN_MS) this.drop();
    else if (this.pinged && Date.now() - this.pinged > ANSWER_WITHIN_MS) this.drop();
    else if ([...this.replies.values()].some(({ asked }) => Date.now() - asked > 2 * ANSWER_WITHIN_MS)) this.drop();
    else if (this.ready && silent > PING_EVERY_MS && !this.pinged) this.ping();
  }

  drop() {
    const socket = this.socket;
    socket?.close();
    if (socket) this.closed(socket, { code: 1006 });
  }

  closed(socket, event) {
    if (socket !== this.socket) return;
    const wasReady = this.ready;
    window.clearInterval(this.watch);
    this.socket = null;
    this.ready = false;
    this.pinged = 0;
    this.topics.forEach((topic) => {
      topic.joined = false;
      topic.syncing = false;
    });
    this.replies.forEach(({ reject }) => reject({ code: "offline", message: "The connection was lost." }));
    this.replies.clear();
    if (!this.wanted) return this.on.state("unknown", "not connected");
    if (event.code === 4403 || event.code === 4003) return this.on.ended("The server has closed this connection.");
    this.suspectToken = event.code === 4401 || (!wasReady && this.failures >= 1 && event.code === 1006);
    if (event.code === 4029) return this.later(60000);
    if (event.code === 1012) return this.later(Math.random() * 2000);
    return this.later();
  }

  later(ms) {
    this.failures += 1;
    const longest = Math.min(LONGEST_WAIT_MS, 400 * 2 ** Math.min(this.failures, 8));
    const delay = ms ?? longest * (0.5 + Math.random() / 2);
    this.on.state("bad", delay > 3000 ? `offline, next try in ${Math.round(delay / 1000)} s` : "offline, reconnecting …");
    this.timer = window.setTimeout(() => this.connect(), delay);
  }

  write(frame) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(frame));
    this.on.frame("out", frame);
    return true;
  }

  request(frame) {
    return new Promise((resolve, reject) => {
      const ref = String(this.nextRef++);
      this.replies.set(ref, { resolve, reject, asked: Date.now() });
      if (!this.write({ ...frame, ref })) {
        this.replies.delete(ref);
        reject({ code: "offline", message: "Not connected." });
      }
    });
  }

  async renewToken() {
    try {
      this.write({ type: "access_token", token: await this.token(300), ref: String(this.nextRef++) });
    } catch {
      // The server closes with 4401 at the end, and then there is a sign-in to make.
    }
  }

  receive(text) {
    this.heard = Date.now();
    this.pinged = 0;
    const frame = JSON.parse(text);
    this.on.frame("in", frame);
    if (frame.type === "ready") this.opened();
    else if (frame.type === "reply") this.replied(frame);
    else if (frame.type === "heartbeat") this.compare(frame.latest ?? {});
    else if (frame.event === "token_expiring" || frame.type === "token_expiring") this.renewToken();
    else if (frame.event === "removed" || frame.type === "removed") this.taken(frame.payload?.topic ?? frame.topic, frame.payload?.reason ?? frame.reason);
    else if (frame.event === "reset") this.reset(frame.topic, frame.payload ?? {});
    else if (frame.type === "event") this.arrived(frame.topic, frame.event, frame.payload);
  }

  opened() {
    this.ready = true;
    this.failures = 0;
    this.suspectToken = false;
    this.on.state("good", "connected");
    this.topics.forEach((_, topic) => this.sendJoin(topic));
  }

  replied(frame) {
    const waiting = this.replies.get(frame.ref);
    this.replies.delete(frame.ref);
    if (!waiting) return;
    if (frame.status === "ok") waiting.resolve(frame.response);
    else waiting.reject(frame.response);
  }

  // -- Catching up

  async sendJoin(topic) {
    const state = this.topics.get(topic);
    const frame = { type: "join", topic };
    if (state.since !== undefined) frame.since = state.since;
    if (state.epoch !== undefined) frame.epoch = state.epoch;
    try {
      const answer = await this.request(frame);
      if (this.topics.get(topic) !== state) return;
      state.joined = true;
      this.caughtUp(topic, state, answer);
      this.on.joined(topic, answer);
      this.flush(topic);
    } catch (error) {
      if (error.code === "offline" || this.topics.get(topic) !== state) return;
      if (!PASSING.has(error.code)) return this.taken(topic, error.code);
      const socket = this.socket;
      await wait((error.details?.retry_after ?? 1) * 1000);
      if (this.socket === socket && this.ready && this.topics.get(topic) === state) this.sendJoin(topic);
    }
  }

  async sync(topic) {
    const state = this.topics.get(topic);
    if (!state?.joined || state.syncing) return;
    state.syncing = true;
    try {
      const answer = await this.command(topic, "sync", { since: state.since, epoch: state.epoch });
      state.syncing = false;
      this.caughtUp(topic, state, answer);
    } catch {
      state.syncing = false;
    }
  }

  caughtUp(topic, state, answer) {
    state.epoch = answer.epoch;
    if (answer.reset) return this.reset(topic, answer);
    for (const missed of answer.missed ?? []) {
      const { event, ...payload } = missed;
      this.take(topic, state, event, payload);
    }
    if (answer.has_more) this.sync(topic);
    else state.since = Math.max(state.since ?? 0, answer.latest_seq ?? 0);
  }

  reset(topic, answer) {
    const state = this.topics.get(topic);
    if (!state) return;
    state.epoch = answer.epoch ?? state.epoch;
    state.since = answer.latest_seq;
    this.on.reset(topic, answer);
  }

  arrived(topic, event, payload) {
    const state = this.topics.get(topic);
    if (!state) return;
    const seq = payload?.event_seq;
    if (seq === undefined) this.on.event(topic, event, payload);
    else if (state.since !== undefined && seq > state.since + 1) this.sync(topic);
    else this.take(topic, state, event, payload);
  }

  take(topic, state, event, payload) {
    const seq = payload.event_seq;
    if (state.since !== undefined && seq <= state.since) return;
    state.since = seq;
    this.on.event(topic, event, payload);
  }

  compare(latest) {
    for (const [topic, seq] of Object.entries(latest)) {
      if (seq > (this.topics.get(topic)?.since ?? seq)) this.sync(topic);
    }
  }

  taken(topic, reason) {
    this.topics.delete(topic);
    this.keepOutbox(this.outbox.filter((entry) => entry.topic !== topic));
    this.on.removed(topic, reason);
  }
}

// crypto.randomUUID exists on secure origins only, and a phone in the same network has none.
function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function wait(ms) {
  return new Promise((resolve) => window.setTimeout(resolve, ms));
}
