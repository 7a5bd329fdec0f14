// The demo: sign in by phone code, see the rooms, talk in them live.

import { call, forgetSignIn, freshToken, keepSignIn, open as openCall, signIn } from "./api.js";
import { Connection } from "./connection.js";
import { Market } from "./market.js";

const byId = (id) => document.getElementById(id);
const PEOPLE = JSON.parse(byId("demo-people").textContent);
const PAGE_LENGTH = 50;
const FRAMES_KEPT = 60;
const TYPING_LASTS_MS = 6000;
const TYPING_EVERY_MS = 2500;
const MINE = "user:me";

const rooms = new Map(); // id -> what the server says of it
const talks = new Map(); // id -> what was loaded of a room that was opened
const names = new Map(PEOPLE.filter((person) => person.id).map((person) => [person.id, person.name]));
let me = null;
let connection = null;
let market = null;
let current = null;
let lastTyping = 0;
let phone = "";
let isAtEnd = true;

// ---------------------------------------------------------------- signing in

function problem(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = !text;
}

function showSignIn(text = "") {
  byId("talk").hidden = true;
  byId("sign-in").hidden = false;
  showPhoneForm();
  problem(text);
}

function showPhoneForm() {
  byId("phone-form").hidden = false;
  byId("code-form").hidden = true;
  problem("");
}

async function askForCode(event) {
  event.preventDefault();
  const isNew = byId("is-new").checked;
  phone = byId("phone").value.trim();
  try {
    if (isNew) await openCall("POST", "/auth/register", { phone_number: phone, name: byId("name").value.trim() || null });
    else await openCall("POST", "/auth/otp/request", { phone_number: phone });
  } catch (error) {
    // A code that was asked for a moment ago is still good.
    if (error.code !== "otp_too_soon") return problem(error.message);
  }
  problem("");
  byId("code-sent").textContent = `A code was sent to ${phone}.`;
  byId("phone-form").hidden = true;
  byId("code-form").hidden = false;
  byId("code").value = "";
  byId("code").focus();
}

async function proveCode(event) {
  event.preventDefault();
  try {
    const code = byId("code").value.replace(/\s/g, "");
    const answer = await openCall("POST", "/auth/otp/verify", { phone_number: phone, code });
    keepSignIn(answer);
    problem("");
    await begin();
  } catch (error) {
    problem(error.message);
    byId("code").select();
  }
}

async function signOut() {
  await call("POST", "/auth/logout", {}).catch(() => {});
  end("");
}

function end(text) {
  connection?.stop();
  connection = null;
  market?.stop();
  market = null;
  showPart("talk");
  forgetSignIn();
  rooms.clear();
  talks.clear();
  current = null;
  history.replaceState(null, "", location.pathname);
  showSignIn(text);
}

// ---------------------------------------------------------------- after signing in

async function begin() {
  me = signIn().user;
  names.set(me.id, me.name || me.username || "You");
  byId("my-name").textContent = me.name || me.username || me.phone_number;
  byId("sign-in").hidden = true;
  byId("talk").hidden = false;
  showNewTalk();
  market = new Market({ me, talk: showRoomOf, problem: marketProblem });
  try {
    await loadRooms();
  } catch (error) {
    if (error.status === 401) return end("Your session has ended. Please sign in again.");
  }
  connection = new Connection({
    token: freshToken,
    on: { state: showState, event: heard, joined, reset, sent, refused, removed, ended: end, frame: showFrame },
  });
  connection.join(MINE);
  new Set(connection.outbox.map((entry) => entry.topic)).forEach((topic) => connection.join(topic));
  connection.start();
  openFromAddress();
}

// Rooms stay known while the list is loaded again: they are clicked, and hear messages, meanwhile.
async function loadRooms() {
  const gone = new Set(rooms.keys());
  let cursor = "";
  do {
    const page = await call("GET", `/chat/rooms?limit=100${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    for (const room of page.items) {
      gone.delete(room.id);
      // A message that came meanwhile is newer than the page.
      const known = rooms.get(room.id)?.last_message;
      keepRoom(known?.number > (room.last_message?.number ?? 0) ? { ...room, last_message: known, last_message_at: known.created_at } : room);
    }
    cursor = page.next_cursor ?? "";
  } while (cursor);
  gone.forEach((id) => rooms.delete(id));
  showRooms();
}

// ---------------------------------------------------------------- talk or market

function showPart(part) {
  for (const name of ["talk", "market"]) byId(`part-${name}`).setAttribute("aria-pressed", String(name === part));
  byId("talk-body").hidden = part !== "talk";
  if (market) market.show(part === "market");
  else byId("market").hidden = true;
}

function showRoomOf(room) {
  keepRoom(room);
  showRooms();
  showPart("talk");
  location.hash = room.id;
}

function marketProblem(text) {
  byId("market-problem").textContent = text;
  byId("market-problem").hidden = !text;
}

function keepRoom(room) {
  rooms.set(room.id, { ...rooms.get(room.id), ...room });
  (room.members ?? []).forEach((member) => member.user && learn(member.user));
}

function learn(user) {
  names.set(user.id, user.name || user.username || names.get(user.id) || "Somebody");
}

function nameOf(id) {
  if (id === "ai_system") return "Assistant";
  return names.get(id) ?? "Somebody";
}

function titleOf(room) {
  if (room.title) return room.title;
  if (room.kind === "assistant") return "Assistant";
  const others = (room.members ?? []).filter((member) => member.user_id !== me.id);
  return others.map((member) => nameOf(member.user_id)).join(", ") || "Room";
}

function showState(kind, text) {
  byId("connection").dataset.state = kind;
  byId("connection").textContent = text;
}

// ---------------------------------------------------------------- list of rooms

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function avatar(text, online) {
  const made = element("span", "avatar", [...text][0]?.toUpperCase() ?? "?");
  made.setAttribute("aria-hidden", "true");
  if (online) made.dataset.online = "true";
  return made;
}

function snippet(room) {
  const last = room.last_message;
  const text = typeof last === "string" ? last : last?.content;
  if (!text) return "No messages yet";
  const sender = typeof last === "object" && last.sender_id === me.id ? "You: " : "";
  return sender + text;
}

function showRooms() {
  const newest = [...rooms.values()].sort((a, b) => (b.last_message_at ?? b.created_at).localeCompare(a.last_message_at ?? a.created_at));
  const focused = document.activeElement?.dataset?.room;
  byId("rooms").replaceChildren(...newest.map(roomRow));
  byId("no-rooms").hidden = newest.length > 0;
  if (focused) byId("rooms").querySelector(`[data-room="${focused}"]`)?.focus();
}

function roomRow(room) {
  const item = element("li");
  const button = element("button", "room");
  button.type = "button";
  button.dataset.room = room.id;
  if (room.id === current) button.setAttribute("aria-current", "true");
  const text = element("span", "room-text");
  text.append(element("strong", "", titleOf(room)), element("small", "", snippet(room)));
  button.append(avatar(titleOf(room)), text);
  if (room.unread_count > 0) {
    const badge = element("span", "badge", room.unread_count > 99 ? "99+" : String(room.unread_count));
    badge.setAttribute("aria-label", `${room.unread_count} unread`);
    button.append(badge);
  }
  button.addEventListener("click", () => {
    location.hash = room.id;
  });
  item.append(button);
  return item;
}

function showNewTalk() {
  const offers = PEOPLE.filter((person) => person.id && person.id !== me.id).map((person) => ({
    label: person.name,
    note: person.part,
    body: { kind: "direct", member_ids: [person.id] },
  }));
  offers.push({ label: "Assistant", note: "keeps your notes", body: { kind: "assistant" } });
  byId("new-talk").replaceChildren(
    ...offers.map(({ label, note, body }) => {
      const item = element("li");
      const button = element("button", "person");
      button.type = "button";
      const text = element("span");
      text.append(element("strong", "", label), element("small", "", note));
      button.append(avatar(label), text);
      button.addEventListener("click", () => startTalk(body));
      item.append(button);
      return item;
    }),
  );
}

async function startTalk(body) {
  try {
    const room = await call("POST", "/chat/rooms", body);
    keepRoom(room);
    showRooms();
    location.hash = room.id;
  } catch (error) {
    showState("bad", error.message);
  }
}

// ---------------------------------------------------------------- one room

const topicOf = (id) => `room:${id}`;
const isWide = () => window.matchMedia("(min-width: 720px)").matches;

function openFromAddress() {
  const id = location.hash.slice(1);
  if (rooms.has(id)) openRoom(id);
  else showList();
}

function showList() {
  current = null;
  byId("talk").dataset.view = "list";
  for (const part of ["room-head", "messages-scroll", "composer"]) byId(part).hidden = true;
  byId("nothing").hidden = false;
  showTyping();
  showRooms();
}

async function openRoom(id) {
  current = id;
  byId("talk").dataset.view = "room";
  byId("nothing").hidden = true;
  for (const part of ["room-head", "messages-scroll", "composer"]) byId(part).hidden = false;
  byId("messages").replaceChildren();
  showHead();
  showRooms();
  (isWide() ? byId("text") : byId("room-title")).focus();
  if (!talks.has(id)) await loadTalk(id);
  if (current !== id) return;
  isAtEnd = true;
  showMessages({ toEnd: true });
  markRead();
}

async function loadTalk(id) {
  const talk = { messages: new Map(), facts: [], reads: new Map(), online: new Set(), typing: new Map(), hasMore: false };
  for (const member of rooms.get(id).members ?? []) talk.reads.set(member.user_id, member.last_read_seq ?? 0);
  talks.set(id, talk);
  try {
    const page = await call("GET", `/chat/rooms/${id}/messages?limit=${PAGE_LENGTH}`);
    page.items.forEach((message) => keepMessage(talk, message));
    talk.hasMore = page.has_more;
    // Joined from the place where this page ends: nothing falls between the page and the live events.
    connection?.join(topicOf(id), page.latest_seq);
  } catch (error) {
    talks.delete(id);
    showState("bad", error.message);
  }
}

function keepMessage(talk, message) {
  talk.messages.set(message.id, message);
  if (message.sender) learn(message.sender);
}

async function showEarlier() {
  const id = current;
  const talk = talks.get(id);
  const first = ordered(talk)[0];
  const page = await call("GET", `/chat/rooms/${id}/messages?limit=${PAGE_LENGTH}&before_seq=${first.seq}`);
  page.items.forEach((message) => keepMessage(talk, message));
  talk.hasMore = page.has_more;
  if (current === id) showMessages({ keepPlace: true });
}

const ordered = (talk) => [...talk.messages.values()].sort((a, b) => a.number - b.number);

function showHead() {
  const room = rooms.get(current);
  if (!room) return;
  const online = [...(talks.get(current)?.online ?? [])].filter((id) => id !== me.id);
  byId("room-title").textContent = titleOf(room);
  let people = `${room.member_count} people`;
  if (room.kind === "assistant") people = "Only you can read this";
  else if (room.kind === "direct") people = online.length ? "online" : "not here just now";
  else if (online.length) people += ` · here now: ${online.map(nameOf).join(", ")}`;
  byId("room-people").textContent = people;
}

// Nodes are kept by key, so that a screen reader hears the new message and not the whole room again.
function showMessages({ toEnd = false, keepPlace = false } = {}) {
  const talk = talks.get(current);
  if (!talk) return;
  const scroll = byId("messages-scroll");
  const heightBefore = scroll.scrollHeight;
  const list = byId("messages");
  const kept = new Map([...list.children].map((node) => [node.dataset.key, node]));
  const wanted = rows(talk).map((row) => {
    const node = kept.get(row.key) ?? element("li");
    if (node.dataset.shown !== row.shown) {
      node.dataset.key = row.key;
      node.dataset.shown = row.shown;
      row.fill(node);
    }
    return node;
  });
  wanted.forEach((node, place) => {
    if (list.children[place] !== node) list.insertBefore(node, list.children[place] ?? null);
  });
  while (list.children.length > wanted.length) list.lastChild.remove();
  byId("earlier").hidden = !talk.hasMore;
  if (keepPlace) scroll.scrollTop += scroll.scrollHeight - heightBefore;
  else if (toEnd || isAtEnd) scroll.scrollTop = scroll.scrollHeight;
}

// Who reads the newest message goes on reading the newest, also when the place gets smaller.
function followEnd() {
  const scroll = byId("messages-scroll");
  let height = 0;
  scroll.addEventListener("scroll", () => {
    if (scroll.clientHeight === height) isAtEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
  });
  new ResizeObserver(() => {
    height = scroll.clientHeight;
    if (isAtEnd) scroll.scrollTop = scroll.scrollHeight;
  }).observe(scroll);
}

function rows(talk) {
  const found = [];
  const messages = ordered(talk);
  const known = new Set(messages.filter((one) => one.sender_id === me.id).map((one) => one.client_id));
  const waiting = (connection?.outbox ?? [])
    .filter((entry) => entry.topic === topicOf(current) && !known.has(entry.client_id))
    .map((entry) => ({ ...entry, sender_id: me.id, waiting: true }));
  const failed = (talk.failed ?? []).map((entry) => ({ ...entry, sender_id: me.id, failed: entry.reason }));
  const lastOwn = messages.findLast?.((one) => one.sender_id === me.id);
  let before = null;
  for (const message of [...messages, ...failed, ...waiting]) {
    const day = new Date(message.created_at).toLocaleDateString(undefined, { weekday: "long", day: "numeric", month: "long" });
    if (day !== before?.day) {
      found.push({ key: `day-${day}`, shown: day, fill: (node) => fillNote(node, "day", day) });
      before = null;
    }
    const follows = before?.sender === message.sender_id && new Date(message.created_at) - before.at < 300000;
    found.push(messageRow(message, follows, message === lastOwn ? seenText(talk, message) : ""));
    before = { day, sender: message.sender_id, at: new Date(message.created_at) };
  }
  talk.facts.forEach((text, place) => found.push({ key: `fact-${place}`, shown: text, fill: (node) => fillNote(node, "fact", text) }));
  return found;
}

function fillNote(node, className, text) {
  node.className = className;
  node.textContent = text;
}

function messageRow(message, follows, seen) {
  const own = message.sender_id === me.id;
  const time = new Date(message.created_at).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
  const text = message.deleted_at ? "This message was deleted." : message.content;
  let state = "";
  if (message.waiting) state = "sending …";
  else if (message.failed) state = `not sent: ${message.failed}`;
  else state = [time, message.edited_at && "edited", seen].filter(Boolean).join(" · ");
  const className = ["message", own && "own", follows && "follows", message.waiting && "waiting", message.failed && "failed"].filter(Boolean).join(" ");
  return {
    key: own && message.client_id ? `own-${message.client_id}` : message.id,
    shown: JSON.stringify([className, text, state]),
    fill(node) {
      node.className = className;
      node.replaceChildren(
        element("span", "author", own ? "You" : nameOf(message.sender_id)),
        element("span", "bubble", text),
        element("span", "state", state),
      );
    },
  };
}

function seenText(talk, message) {
  const readers = [...talk.reads].filter(([id, seq]) => id !== me.id && seq >= message.seq).map(([id]) => nameOf(id));
  if (!readers.length) return "";
  return rooms.get(current)?.kind === "direct" ? "seen" : `seen by ${readers.join(", ")}`;
}

function markRead() {
  const room = rooms.get(current);
  if (!room || document.hidden || !connection?.ready) return;
  const newest = ordered(talks.get(current) ?? { messages: new Map() }).at(-1);
  if (!newest || !connection.topics.get(topicOf(current))?.joined) return;
  if (Math.max(room.my_last_read_seq ?? 0, room.marked ?? 0) >= newest.seq) return;
  room.marked = newest.seq;
  connection
    .command(topicOf(room.id), "mark_read", { seq: newest.seq })
    .then((answer) => {
      keepRoom({ id: room.id, my_last_read_seq: answer.last_read_seq, unread_count: answer.unread_count });
      showRooms();
    })
    .catch(() => {
      keepRoom({ id: room.id, marked: 0 });
    });
}

function showTyping() {
  const typing = [...(talks.get(current)?.typing.keys() ?? [])].map(nameOf);
  let text = "";
  if (typing.length === 1) text = `${typing[0]} is typing …`;
  else if (typing.length) text = `${typing.join(", ")} are typing …`;
  if (byId("typing").textContent !== text) byId("typing").textContent = text;
}

// ---------------------------------------------------------------- what the connection tells

function joined(topic, answer) {
  const id = topic.replace(/^room:/, "");
  const talk = talks.get(id);
  if (answer.room) keepRoom(answer.room);
  if (talk) {
    talk.online = new Set(answer.online ?? []);
    for (const member of answer.room?.members ?? []) talk.reads.set(member.user_id, member.last_read_seq ?? 0);
  }
  if (topic === MINE) catchUp(answer.recovered);
  if (id === current) {
    showHead();
    showMessages();
    markRead();
  }
}

// What could not be loaded while the server was away is loaded now.
async function catchUp(recovered) {
  try {
    if (!recovered || !rooms.size) await loadRooms();
  } catch {
    return;
  }
  const id = location.hash.slice(1);
  if (rooms.has(id) && (current !== id || !talks.has(id))) openRoom(id);
}

async function reset(topic) {
  const id = topic.replace(/^room:/, "");
  if (!talks.has(id)) return;
  const page = await call("GET", `/chat/rooms/${id}/messages?limit=${PAGE_LENGTH}`);
  const talk = talks.get(id);
  talk.messages.clear();
  page.items.forEach((message) => keepMessage(talk, message));
  talk.hasMore = page.has_more;
  if (id === current) showMessages({ toEnd: true });
}

function removed(topic, reason) {
  const id = topic.replace(/^room:/, "");
  rooms.delete(id);
  talks.delete(id);
  if (id === current) {
    location.hash = "";
    showList();
  }
  showRooms();
  if (topic !== MINE) showState("warn", `You are no longer in that room (${reason ?? "removed"}).`);
}

function sent(topic, _entry, message) {
  heard(topic, "new_message", message);
}

function refused(topic, entry, error) {
  const talk = talks.get(topic.replace(/^room:/, ""));
  if (talk) (talk.failed ??= []).push({ ...entry, reason: error.message });
  if (topic === topicOf(current)) showMessages();
}

function heard(topic, event, payload) {
  if (topic === MINE) return heardForMe(event, payload);
  const id = topic.replace(/^room:/, "");
  const talk = talks.get(id);
  const room = rooms.get(id);
  if (!room) return;
  const isShown = id === current;
  if (event === "new_message" || event === "message_edited" || event === "message_deleted") {
    if (talk) keepMessage(talk, payload);
    if (talk && payload.sender_id) talk.typing.delete(payload.sender_id);
    if (event === "new_message" && payload.number > (room.last_number ?? 0)) {
      keepRoom({ id, last_message: payload, last_message_at: payload.created_at, last_number: payload.number });
    }
    showRooms();
  } else if (event === "message_read") talk?.reads.set(payload.user_id, payload.last_read_seq);
  else if (event === "user_joined") talk?.online.add(payload.user_id);
  else if (event === "user_left") {
    talk?.online.delete(payload.user_id);
    talk?.typing.delete(payload.user_id);
  } else if (event === "user_typing" && talk) noteTyping(talk, payload);
  else if (event.startsWith("member_") && talk) noteMember(talk, room, event, payload);
  if (isShown) {
    showHead();
    showTyping();
    showMessages();
    markRead();
  }
}

function noteTyping(talk, { user_id: id, is_typing: isTyping }) {
  window.clearTimeout(talk.typing.get(id));
  talk.typing.delete(id);
  if (!isTyping || id === me.id) return;
  talk.typing.set(
    id,
    window.setTimeout(() => {
      talk.typing.delete(id);
      showTyping();
    }, TYPING_LASTS_MS),
  );
}

function noteMember(talk, room, event, payload) {
  if (payload.user) learn(payload.user);
  const did = { member_joined: "came in", member_left: "has left", member_removed: "was taken out" }[event];
  if (!did) return;
  talk.facts.push(`${nameOf(payload.user_id)} ${did}.`);
  keepRoom({ id: room.id, member_count: room.member_count + (event === "member_joined" ? 1 : -1) });
}

function heardForMe(event, payload) {
  market?.heard(event);
  if (event !== "unread_changed") return;
  const unknown = Object.keys(payload.rooms ?? {}).some((id) => !rooms.has(id));
  for (const [id, count] of Object.entries(payload.rooms ?? {})) {
    if (rooms.has(id)) keepRoom({ id, unread_count: id === current && !document.hidden ? 0 : count });
  }
  // The snippet of an opened room comes with the message itself.
  if (rooms.has(payload.room_id) && !talks.has(payload.room_id)) {
    keepRoom({ id: payload.room_id, last_message: payload.last_message, last_message_at: payload.last_message_at });
  }
  if (unknown) loadRooms().catch(() => {});
  else showRooms();
}

function showFrame(way, frame) {
  const list = byId("frames");
  const shown = "token" in frame ? { ...frame, token: "…" } : frame;
  const item = element("li", "", `${way === "in" ? "←" : "→"} ${JSON.stringify(shown).slice(0, 600)}`);
  item.dataset.way = way;
  list.prepend(item);
  while (list.children.length > FRAMES_KEPT) list.lastChild.remove();
}

// ---------------------------------------------------------------- writing

function send(event) {
  event?.preventDefault();
  const text = byId("text").value.trim();
  if (!text || !current) return;
  byId("text").value = "";
  grow();
  lastTyping = 0;
  connection.post(topicOf(current), text);
  showMessages({ toEnd: true });
}

function grow() {
  const area = byId("text");
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight + 2, 160)}px`;
}

function typed() {
  grow();
  const isTyping = byId("text").value.trim() !== "";
  const due = isTyping ? Date.now() - lastTyping > TYPING_EVERY_MS : lastTyping > 0;
  if (!due || !connection?.ready) return;
  lastTyping = isTyping ? Date.now() : 0;
  connection.command(topicOf(current), "typing", { is_typing: isTyping }).catch(() => {});
}

// ---------------------------------------------------------------- start

byId("phone-form").addEventListener("submit", askForCode);
byId("code-form").addEventListener("submit", proveCode);
byId("other-phone").addEventListener("click", showPhoneForm);
byId("is-new").addEventListener("change", () => {
  byId("name-field").hidden = !byId("is-new").checked;
});
document.querySelectorAll(".person[data-phone]").forEach((button) =>
  button.addEventListener("click", () => {
    byId("phone").value = button.dataset.phone;
    byId("is-new").checked = false;
    byId("name-field").hidden = true;
    byId("phone-form").requestSubmit();
  }),
);
byId("sign-out").addEventListener("click", signOut);
byId("part-talk").addEventListener("click", () => showPart("talk"));
byId("part-market").addEventListener("click", () => showPart("market"));
byId("back").addEventListener("click", () => {
  location.hash = "";
});
byId("earlier").addEventListener("click", () => showEarlier().catch((error) => showState("bad", error.message)));
byId("composer").addEventListener("submit", send);
byId("text").addEventListener("input", typed);
byId("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
});
followEnd();
window.addEventListener("hashchange", () => me && connection && openFromAddress());
document.addEventListener("visibilitychange", markRead);

if (signIn()) begin();
else showSignIn();
