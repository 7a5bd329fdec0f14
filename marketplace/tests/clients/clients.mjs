// The official Phoenix clients and a raw V1 socket behind one interface, and what a test needs of REST.
//
// `open(kind, url, token)` gives a connection; `connection.join(roomId)` a room that comes back by
// itself with the last seq it saw. A room keeps the durable events it was told, and every fault.
import { readFileSync, existsSync } from "node:fs";
import { createInterface } from "node:readline";
import * as phoenix17 from "phoenix17";
import * as phoenix18 from "phoenix18";
import WebSocket from "ws";

export const KINDS = ["phoenix17", "phoenix18", "raw"];
const LIBRARIES = { phoenix17, phoenix18 };
const PATIENCE_MS = 15_000;

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

export function assert(holds, what) {
  if (!holds) throw new Error(what);
}

export function equal(found, wanted, what) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  assert(a === b, `${what}: ${a}, not ${b}`);
}

export async function until(find, what, ms = PATIENCE_MS) {
  const end = Date.now() + ms;
  for (;;) {
    const found = find();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain: ${what}`);
    await pause(10);
  }
}

// One promise for a Phoenix Push: its ok response, or an error that carries the refusal.
export function settled(push) {
  return new Promise((resolve, reject) => {
    push
      .receive("ok", resolve)
      .receive("error", (response) =>
        reject(Object.assign(new Error(`refused: ${JSON.stringify(response)}`), { response })),
      )
      .receive("timeout", () => reject(new Error("timeout")));
  });
}

export async function refused(promise, what) {
  try {
    await promise;
  } catch (error) {
    if (error.response) return error.response;
    throw error;
  }
  throw new Error(`${what} was not refused`);
}

// What every kind of client keeps of one topic: a room by its id, anything else by its whole name.
class Room {
  constructor(id) {
    this.id = id;
    this.topic = id.includes(":") ? id : `chat:room_${id}`;
    this.heard = []; // [event, payload], everything, in order
    this.durable = []; // payloads with a seq, live or missed, in order
    this.faults = [];
    this.last = undefined;
    this.epoch = undefined;
    this.joins = [];
  }

  params() {
    return this.last === undefined ? {} : { last_seq: this.last, epoch: this.epoch };
  }

  joined(reply) {
    this.joins.push(reply);
    this.epoch = reply.epoch;
    if (reply.reset) this.faults.push(`reset: ${reply.reason}`);
    for (const payload of reply.missed) this.take(payload.event, payload);
    if (this.last === undefined) this.last = reply.latest_seq;
  }

  take(event, payload) {
    if (payload.event_seq === undefined) return;
    if (this.last !== undefined && payload.event_seq !== this.last + 1) {
      this.faults.push(`${payload.event_seq} after ${this.last}`);
    }
    this.last = payload.event_seq;
    this.durable.push(payload);
  }

  told(event, payload) {
    this.heard.push([event, payload]);
    this.take(event, payload);
  }

  named(event) {
    return this.heard.filter(([name]) => name === event).map(([, payload]) => payload);
  }

  contents() {
    return this.durable.filter((one) => one.content !== undefined).map((one) => one.content);
  }

  until(find, what) {
    return until(() => find(this), what);
  }
}

class PhoenixConnection {
  constructor(kind, url, token, options = {}) {
    const { Socket } = LIBRARIES[kind];
    this.token = token;
    this.errors = [];
    this.closes = [];
    this.socket = new Socket(`${url.replace("http", "ws")}/socket`, {
      transport: WebSocket,
      params: () => (this.token ? { token: this.token } : {}),
      ...options,
    });
    this.socket.onError((error) => this.errors.push(error));
    this.socket.onClose((event) => this.closes.push(event.code));
    this.socket.connect();
  }

  channel(topic, params = {}) {
    return this.socket.channel(topic, params);
  }

  async join(id, given = {}) {
    const room = new Room(id);
    const channel = this.socket.channel(room.topic, () => ({ ...given, ...room.params() }));
    const own = new Set(["phx_reply", "phx_close", "phx_error"]);
    channel.onMessage = (event, payload) => {
      if (!own.has(event) && !event.startsWith("chan_reply_")) room.told(event, payload);
      return payload;
    };
    room.push = (event, payload) => settled(channel.push(event, payload));
    room.leave = () => settled(channel.leave());
    room.channel = channel;
    const join = channel.join().receive("ok", (reply) => room.joined(reply));
    await settled(join);
    return room;
  }

  close() {
    this.socket.disconnect();
  }
}

// As a page without a library does it: V1 objects, no `vsn`, no heartbeat, its own way back.
class RawConnection {
  constructor(url, token) {
    this.url = `${url.replace("http", "ws")}/socket/websocket${token ? `?token=${token}` : ""}`;
    this.rooms = new Map();
    this.waiting = new Map();
    this.unsent = [];
    this.next = 0;
    this.wanted = true;
    this.closes = [];
    this.connect();
  }

  connect() {
    this.ws = new WebSocket(this.url);
    this.ws.on("error", () => {});
    this.ws.on("close", (code) => {
      this.closes.push(code);
      if (this.wanted) setTimeout(() => this.wanted && this.connect(), 100);
    });
    this.ws.on("message", (data) => this.understand(JSON.parse(data)));
    this.ws.on("open", () => this.rooms.forEach((room) => this.rejoin(room)));
  }

  understand({ topic, event, payload, ref }) {
    if (event === "phx_reply") {
      const waiting = this.waiting.get(ref);
      this.waiting.delete(ref);
      waiting?.(payload);
    } else {
      this.rooms.get(topic)?.told(event, payload);
    }
  }

  send(topic, event, payload, answered) {
    const ref = String(++this.next);
    this.waiting.set(ref, answered);
    this.ws.send(JSON.stringify({ topic, event, payload, ref }));
  }

  rejoin(room) {
    this.send(room.topic, "phx_join", room.params(), ({ status, response }) => {
      if (status !== "ok") return room.refuse(response);
      room.joined(response);
      room.accept(response);
      // What was not acked before the connection was lost goes out again, as it was.
      for (const again of [...room.open]) again();
    });
  }

  join(id) {
    const room = new Room(id);
    room.open = new Set();
    room.push = (event, payload) =>
      new Promise((resolve, reject) => {
        const give = () => {
          if (this.ws.readyState !== WebSocket.OPEN) return;
          this.send(room.topic, event, payload, ({ status, response }) => {
            room.open.delete(give);
            if (status === "ok") resolve(response);
            else reject(Object.assign(new Error("refused"), { response }));
          });
        };
        room.open.add(give);
        give();
      });
    room.leave = () =>
      new Promise((resolve) => {
        this.rooms.delete(room.topic);
        this.send(room.topic, "phx_leave", {}, ({ response }) => resolve(response));
      });
    this.rooms.set(room.topic, room);
    return new Promise((resolve, reject) => {
      room.accept = () => resolve(room);
      room.refuse = (response) =>
        reject(Object.assign(new Error("join refused"), { response }));
      if (this.ws.readyState === WebSocket.OPEN) this.rejoin(room);
    });
  }

  close() {
    this.wanted = false;
    this.ws.close();
  }
}

export function open(kind, url, token, options) {
  return kind === "raw" ? new RawConnection(url, token) : new PhoenixConnection(kind, url, token, options);
}

// One frame socket without any logic, for what no library would send.
export async function rawSocket(url, query = "") {
  const ws = new WebSocket(`${url.replace("http", "ws")}/socket/websocket${query}`);
  const frames = [];
  const raw = { ws, frames, code: undefined, status: undefined };
  raw.gone = new Promise((done) => {
    ws.on("close", (code) => {
      raw.code = code;
      done(code);
    });
  });
  ws.on("message", (data) => frames.push(JSON.parse(data)));
  ws.on("unexpected-response", (request, response) => {
    raw.status = response.statusCode;
    ws.terminate();
  });
  ws.on("error", () => {});
  raw.send = (frame) =>
    ws.send(typeof frame === "string" || Buffer.isBuffer(frame) ? frame : JSON.stringify(frame));
  raw.until = (find, what) => until(() => frames.find(find), what);
  await new Promise((done) => {
    ws.on("open", done);
    ws.on("close", done);
    ws.on("unexpected-response", done);
  });
  return raw;
}

// -- REST ----------------------------------------------------------------------------------------

export async function rest(url, method, path, { token, body } = {}) {
  const headers = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  const answer = await fetch(url + path, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : null };
}

let people = 0;

// Register by phone, take the code from the SMS sink, trade it for a token.
export async function signUp(url, smsSink, name) {
  people += 1;
  const number = `${process.pid % 100_000}`.padStart(5, "0") + `${Date.now() % 10_000}`.padStart(4, "0");
  const phone = `+2${number}${people % 100}`;
  const username = `${name}_${number}_${people}`;
  const made = await rest(url, "POST", "/api/auth/register", {
    body: { username, phone_number: phone },
  });
  equal(made.status, 201, "register");
  equal(made.body.otp, null, "the code is not in the answer");
  const token = await prove(url, smsSink, phone);
  return { id: made.body.user_id, username, token };
}

// Somebody who is known already, as a courier that the market's staff has made.
export async function signIn(url, smsSink, phone) {
  const asked = await rest(url, "POST", "/api/auth/request-otp", { body: { phone_number: phone } });
  equal(asked.status, 200, "request-otp");
  const token = await prove(url, smsSink, phone);
  const me = await rest(url, "GET", "/api/v1/auth/me", { token });
  return { id: me.body.id, username: me.body.username, token };
}

async function prove(url, smsSink, phone) {
  const code = await until(() => newestCode(smsSink, phone), `a code for ${phone}`);
  const signedIn = await rest(url, "POST", "/api/auth/verify-otp", {
    body: { phone_number: phone, otp: code },
  });
  equal(signedIn.status, 200, "verify-otp");
  return signedIn.body.token;
}

function newestCode(smsSink, phone) {
  if (!existsSync(smsSink)) return null;
  const lines = readFileSync(smsSink, "utf8").split("\n").filter(Boolean);
  const sent = lines.map((line) => JSON.parse(line)).filter((one) => one.to === phone);
  return sent.length ? sent.at(-1).body.match(/\b\d{6}\b/)[0] : null;
}

export async function openRoom(url, one, other) {
  const made = await rest(url, "POST", "/api/v1/chat/rooms", {
    token: one.token,
    body: { kind: "direct", member_ids: [other.id] },
  });
  equal(made.status, 201, "create the room");
  return made.body.id;
}

// -- the one who runs us -------------------------------------------------------------------------

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

export const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

// Have the runner do something to the server; it answers when that is done.
export async function ask(what) {
  say({ ask: what });
  const { value, done } = await lines.next();
  assert(!done, "the runner has gone");
  return JSON.parse(value);
}
