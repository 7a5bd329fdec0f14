// A client as docs/realtime.md shows it, run word for word through a restart of the server.
//
// node snippet.mjs <phoenix17|phoenix18|browser> <url> <room id> <token> <code>
// Asks its runner for "say <n>" (a message of somebody else) and for "restart".
import WebSocket from "ws";

// What a browser has: `self`, and a WebSocket that nobody has to hear the errors of.
globalThis.self = globalThis;
class BrowserSocket extends WebSocket {
  constructor(...given) {
    super(...given);
    this.on("error", () => {});
  }
}
const { ask, say, until } = await import("./clients.mjs");

const [kind, url, roomId, token, code] = process.argv.slice(2);
const shown = [];
const IMPORT = 'import { Socket } from "phoenix";\n';

// And an EventSource, which comes back by itself with the last id it saw.
class EventSource {
  constructor(path) {
    this.listeners = {};
    this.closed = false;
    this.lastId = "";
    this.retry = 1000;
    this.url = new URL(path, url);
    this.read();
  }
  addEventListener(name, listener) {
    this.listeners[name] = listener;
  }
  close() {
    this.closed = true;
  }
  async read() {
    while (!this.closed) {
      const headers = { Accept: "text/event-stream" };
      if (this.lastId) headers["Last-Event-ID"] = this.lastId;
      try {
        const answer = await fetch(this.url, { headers });
        let rest = "";
        for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
          const blocks = (rest + part).split("\n\n");
          rest = blocks.pop();
          blocks.forEach((block) => this.take(block));
        }
      } catch {
        // The server is away: as a browser does, try again.
      }
      await new Promise((done) => setTimeout(done, this.retry));
    }
  }
  take(block) {
    const fields = {};
    for (const line of block.split("\n")) {
      const at = line.indexOf(": ");
      if (at > 0) fields[line.slice(0, at)] = line.slice(at + 2);
    }
    if (fields.retry) this.retry = Number(fields.retry);
    if (fields.id) this.lastId = fields.id;
    if (fields.event) this.listeners[fields.event]?.({ data: fields.data });
  }
}

Object.assign(globalThis, {
  WebSocket: BrowserSocket,
  EventSource,
  roomId,
  getToken: () => token,
  show: (event) => event.content !== undefined && shown.push(event.content),
});
console.log = () => {};

try {
  let text = code.replaceAll("ws://localhost:8000", url.replace("http", "ws"));
  if (kind !== "browser") {
    globalThis.Socket = (await import(kind)).Socket;
    if (!text.startsWith(IMPORT)) throw new Error(`the first line is not ${IMPORT}`);
    text = text.slice(IMPORT.length);
  }
  // `connect` is what a page calls to begin.
  new Function(`${text}\nif (typeof connect === "function") connect();`)();
  for (let number = 1; !shown.some((one) => one.startsWith("said")); number++) {
    await ask(`say ${number}`);
    await new Promise((done) => setTimeout(done, 200));
    if (number > 50) throw new Error("nothing was ever shown");
  }
  await ask("restart");
  await ask("say 100");
  await until(() => shown.includes("said 100"), "what was said after the restart", 30_000);
  await ask("say 101");
  await until(() => shown.includes("said 101"), "what was said live");
  say({ shown });
  process.exit(0);
} catch (error) {
  say({ failed: error.stack });
  process.exit(1);
}
