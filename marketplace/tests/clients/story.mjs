// One person's evening: sign up, talk to a friend, lose the server, and lose nothing else.
//
// node story.mjs <phoenix17|phoenix18|raw> <url> <sms sink> [<url of the friend's server>]
// Asks its runner for "outage" (kill the server, or restart Redis, and say when it is back).
import { ask, equal, assert, open, openRoom, rest, say, signUp, until } from "./clients.mjs";

const [kind, url, smsSink, friendUrl = url] = process.argv.slice(2);
// Who lost his connection comes back on his own time; the servers find each other again in 5 s.
const RETURN_MS = 40_000;
const FAN_OUT_MS = 5_000;
const messages = (room) => room.durable.filter((one) => one.content !== undefined);

async function story() {
  const asha = await signUp(url, smsSink, "asha");
  const bruno = await signUp(friendUrl, smsSink, "bruno");
  say({ secrets: [asha.token, bruno.token] });
  const roomId = await openRoom(url, asha, bruno);

  // join: history, the own arrival, who is there, in this order
  const one = open(kind, url, asha.token);
  const mine = await one.join(roomId);
  await mine.until((room) => room.heard.length >= 3, "the pushes after the join");
  equal(
    mine.heard.slice(0, 3).map(([event]) => event),
    ["messages_history", "user_joined", "presence_state"],
    "pushes after the join",
  );
  equal(mine.heard[0][1], { messages: [] }, "history of a new room");
  equal(mine.heard[1][1].user_id, asha.id, "the own arrival");
  equal(Object.keys(mine.heard[2][1]), [asha.id], "who is there");

  // presence of a second user
  const other = open(kind, friendUrl, bruno.token);
  const his = await other.join(roomId);
  await mine.until(
    (room) => room.named("user_joined").some((one) => one.user_id === bruno.id),
    "the friend's arrival",
  );
  await mine.until(
    (room) => room.named("presence_diff").some((diff) => bruno.id in diff.joins),
    "the friend in a presence_diff",
  );
  await his.until((room) => room.named("presence_state").length, "the friend's presence_state");
  equal(
    Object.keys(his.named("presence_state")[0]).sort(),
    [asha.id, bruno.id].sort(),
    "who is there, for the friend",
  );

  // message: acked with id and seq, heard by both
  const ack = await mine.push("message", { content: "Hello world!", client_id: "first" });
  equal(ack.duplicate, false, "a first send");
  for (const room of [mine, his]) {
    await room.until((room) => messages(room).length === 1, "the message");
    const [heard] = messages(room);
    equal([heard.id, heard.seq, heard.content], [ack.id, ack.seq, "Hello world!"], "the message");
    equal(heard.event_seq, ack.seq, "a message's seq is its event's");
  }
  const again = await mine.push("message", { content: "Hello world!", client_id: "first" });
  equal([again.id, again.seq, again.duplicate], [ack.id, ack.seq, true], "a resend");

  // typing skips its sender; a receipt reaches both
  await mine.push("typing", { is_typing: true });
  await his.until((room) => room.named("user_typing").length, "typing");
  equal(his.named("user_typing")[0].user_id, asha.id, "who types");
  const read = await his.push("mark_read", {});
  equal(read, { last_read_seq: ack.seq, unread_count: 0 }, "the read cursor");
  for (const room of [mine, his]) {
    await room.until((room) => room.named("message_read").length, "the receipt");
    equal(room.named("message_read")[0].user_id, bruno.id, "who has read");
  }
  equal(mine.named("user_typing"), [], "typing skips its sender");

  // history
  const history = await rest(url, "GET", `/api/v1/chat/rooms/${roomId}/messages`, { token: asha.token });
  equal(history.body.items.map((one) => one.id), [ack.id], "history by REST");

  // the outage: one message goes out into it, one is written to the room meanwhile or after
  const before = [mine.joins.length, his.joins.length];
  const outage = ask("outage");
  const sent = [];
  for (let number = 0; number < 20; number++) {
    const push = mine.push("message", { content: `through ${number}`, client_id: `through-${number}` });
    // Caught at once: a client gives up after 10 s, and the outage may be longer.
    sent.push(push.catch(() => null));
    await new Promise((done) => setTimeout(done, 25));
  }
  const { reconnects } = await outage;
  const acks = await Promise.all(sent.map(async (one, number) => (await one) ?? resend(mine, number)));
  const byRest = await rest(friendUrl, "POST", `/api/v1/chat/rooms/${roomId}/messages`, {
    token: bruno.token,
    body: { content: "I am back" },
  });
  equal(byRest.status, 201, "a message by REST after the outage");

  // resumed by itself: nothing lost, nothing repeated, everything in order
  for (const room of [mine, his]) {
    await until(() => messages(room).length === 22, "everything after the outage", reconnects ? RETURN_MS : FAN_OUT_MS);
  }
  if (reconnects) {
    assert(mine.joins.length > before[0] && his.joins.length > before[1], "both came back");
    assert(mine.joins.at(-1).recovered && his.joins.at(-1).recovered, "both were told what they missed");
  }
  equal(mine.faults.concat(his.faults), [], "order of the seqs");
  equal(mine.durable.map((e) => e.event_id), his.durable.map((e) => e.event_id), "both heard the same");
  const kept = await rest(url, "GET", `/api/v1/chat/rooms/${roomId}/messages?limit=100`, { token: asha.token });
  equal(kept.body.items.map((one) => one.id), messages(mine).map((one) => one.id), "history and live");
  equal(kept.body.items.map((one) => one.number), [...Array(22).keys()].map((n) => n + 1), "numbers");
  equal(acks.map((one) => one.id).sort(), kept.body.items.slice(1, 21).map((one) => one.id).sort(), "acks");

  one.close();
  other.close();
}

// What a Phoenix client was not told about in time is sent again under the same client_id.
function resend(room, number) {
  return room.push("message", { content: `through ${number}`, client_id: `through-${number}` });
}

try {
  await story();
  say({ done: true });
  process.exit(0);
} catch (error) {
  say({ failed: error.stack });
  process.exit(1);
}
