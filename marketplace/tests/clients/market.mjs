// The whole market, by one kind of client: from a phone code to a parcel at the door.
//
// node market.mjs <phoenix17|phoenix18|raw> <url> <sms sink> <courier's phone> [<url of the others' server>]
import { equal, assert, open, pause, refused, rest, say, signIn, signUp } from "./clients.mjs";

const [kind, url, smsSink, courierPhone, otherUrl = url] = process.argv.slice(2);
const HOME = { latitude: 40.74844, longitude: -73.98566 };
const METRE = 1 / 111_195; // degrees of latitude
const SIGMA_M = 15;
const START_M = 560;
const EVERY_S = 2;
const MOVING_S = 80;
const AT_DOOR_S = 28;
const SHOP = `Lamps ${process.pid} ${Date.now() % 1_000_000}`;

const own = (room) => room.durable.filter((one) => one.sender_type === "ai").map((one) => one.content);

// Say a line, and read what the assistant answers to it.
async function dialogue(room, lines) {
  for (const [said, answer] of lines) {
    const before = own(room).length;
    await room.push("message", { content: said });
    await room.until((one) => own(one).length > before, `an answer to ${said}`);
    const told = own(room)[before];
    if (answer instanceof RegExp) assert(answer.test(told), `answer to ${said}: ${told}`);
    else equal(told, answer, `answer to ${said}`);
  }
  return own(room).at(-1);
}

async function openRoom(actor, body) {
  const made = await rest(url, "POST", "/api/v1/chat/rooms", { token: actor.token, body });
  equal(made.status, 201, `a room of kind ${body.kind}`);
  return made.body.id;
}

async function called(actor, method, path, body, status = 200) {
  const answer = await rest(url, method, `/api/v1${path}`, { token: actor.token, body });
  assert(answer.status === status, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}

// The same noise in every run: a generator with a seed, and Box-Muller.
function noise(seed) {
  let state = seed;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 1) / 4294967297;
  };
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
}

// A ride to the door, a fix every two seconds, with sigma 15 m; now and then a jump of kilometres.
function track(startedAt) {
  const { uniform, normal } = noise(7);
  const fixes = [];
  for (let second = 0; second < MOVING_S + AT_DOOR_S; second += EVERY_S) {
    const left = Math.max(0, START_M * (1 - second / MOVING_S));
    const jump = second % 30 === 18 ? 5_000 : 0;
    const east = 1 / Math.cos((HOME.latitude * Math.PI) / 180);
    fixes.push({
      latitude: HOME.latitude + (left + jump + SIGMA_M * normal()) * METRE,
      longitude: HOME.longitude + SIGMA_M * normal() * METRE * east,
      accuracy: 10,
      recorded_at: new Date(startedAt + second * 1000).toISOString(),
      jump: jump > 0,
    });
  }
  const late = fixes.filter((fix, place) => place > 2 && place < MOVING_S / 4 && place % 4 === 0 && !fix.jump);
  const order = late.map((fix) => [uniform(), fix]).sort(([a], [b]) => a - b).map(([, fix]) => fix);
  return { live: fixes.filter((fix) => !late.includes(fix)), late: order };
}

const wire = ({ jump, ...fix }) => fix;

async function story() {
  const bruno = await signUp(url, smsSink, "bruno");
  const asha = await signUp(otherUrl, smsSink, "asha");
  const dmitri = await signIn(url, smsSink, courierPhone);
  say({ secrets: [bruno.token, asha.token, dmitri.token] });

  // a room with the assistant: a shop, word for word, and something to sell in it
  const seller = open(kind, url, bruno.token);
  const assistant = await seller.join(await openRoom(bruno, { kind: "assistant" }));
  const shopLine = await dialogue(assistant, [
    ["@createshop", "Let's create a shop! What should we name it?"],
    [SHOP, "Great name! Where is the shop located?"],
    ["New York", "What category is your shop? (e.g., food, clothing, electronics)"],
    ["lamps", /^✅ Shop created successfully! ID: shop_[0-9]+$/],
  ]);
  const handle = shopLine.match(/shop_[0-9]+/)[0];
  const productLine = await dialogue(assistant, [
    ["@createproduct", "Let's create a product! First, what's your shop name?"],
    [handle, "What is the product called?"],
    ["Brass lamp", "How would you describe it?"],
    ["Warm light, heavy foot.", "What is the price?"],
    ["20.00", "How many are in stock?"],
    ["10", 'Any options? (e.g., Size: S, M, L; Color: red, blue) Send "none" to skip.'],
    ["none", 'Any pictures or videos? Send a link or attach a file, or send "none".'],
    ["none", /^✅ Product created successfully! SKU: [0-9]+$/],
  ]);
  equal(productLine, "✅ Product created successfully! SKU: 1", "the first sku of a shop");

  // the buyer's room with the shop, from another connection (and process): both ways
  const shop = await called(asha, "GET", `/shops/${handle}`);
  equal(shop.shop_name, SHOP, "the shop's name");
  const shopRoom = await openRoom(asha, { kind: "shop", shop_id: shop.id });
  const buyer = open(kind, otherUrl, asha.token);
  const hers = await buyer.join(shopRoom);
  const his = await seller.join(shopRoom);
  await hers.push("message", { content: "Is the brass lamp there?", client_id: "question" });
  await his.until((room) => room.contents().includes("Is the brass lamp there?"), "the question");
  await his.push("message", { content: "Ten of them.", client_id: "answer" });
  await hers.until((room) => room.contents().includes("Ten of them."), "the answer");

  // an order on delivery, paid in cash; stock is what is left
  const products = await called(asha, "GET", `/shops/${shop.id}/products`);
  const lamp = products.items[0];
  const address = { line1: "350 5th Avenue", city: "New York", state: "NY", postal_code: "10118", country: "US", ...HOME };
  const order = await called(asha, "POST", "/orders", { items: [{ product_id: lamp.id, quantity: 2 }], payment_flow: "on_delivery", shipping_address: address }, 201);
  equal([order.status, order.totals.subtotal, order.totals.total], ["pending", "40.00", "49.19"], "the order");
  const left = await called(asha, "GET", `/products/${lamp.id}`);
  equal(left.stock_quantity - 2, 8, "what lies there less what is held");
  const paid = await called(bruno, "POST", `/orders/${order.id}/pay`, { method: "cash" });
  const now = await called(bruno, "GET", `/orders/${order.id}`);
  equal([now.status, now.payment_status], ["processing", "paid"], `the order after ${JSON.stringify(paid)}`);

  // the delivery by a command, and a courier
  const link = await dialogue(assistant, [
    ["@setupdelivery", new RegExp(`^Which order should be delivered\\?\\n1\\. #${order.number} `)],
    ["1", 'Where should it go? Send an address, or "saved" for your default address.'],
    [`${HOME.latitude}, ${HOME.longitude}`, /^✅ Delivery created! Track it here: .+\/track\/[A-Za-z0-9_-]{32}$/],
  ]);
  const token = link.match(/[A-Za-z0-9_-]{32}$/)[0];
  say({ secrets: [token] });
  const { delivery_id: deliveryId } = await called(asha, "GET", `/orders/${order.id}`);
  await called(bruno, "POST", `/deliveries/${deliveryId}/assign`, { courier_id: dmitri.id });

  // the customer by the link alone, without a sign-in; and by her own connection
  const guest = open(kind, otherUrl, null);
  const seen = await guest.join(`delivery:token_${token}`);
  const customer = await buyer.join(`delivery:delivery_${deliveryId}`);
  const stranger = open(kind, url, (await signUp(url, smsSink, "edgar")).token);
  const no = await refused(stranger.join(`delivery:delivery_${deliveryId}`), "a stranger's join");
  equal(no.reason, "delivery_not_found", "a stranger's join");
  const courier = open(kind, url, dmitri.token);
  const driving = await courier.join(`delivery:delivery_${deliveryId}`);
  await driving.until((room) => room.named("delivery_details").length, "delivery_details");
  const early = await refused(driving.push("location_update", HOME), "a position before it has set off");
  equal(early.reason, "location_update_failed", "a position before it has set off");
  await driving.push("update_status", { status: "in_transit" });
  const spoof = await refused(seen.push("location_update", HOME), "a position by the link's holder");
  equal(spoof.code, "forbidden", "a position by the link's holder");

  // a noisy ride; then what the phone had kept while it was offline, in no order
  const { live, late } = track(Date.now() - 55_000);
  let rejected = 0;
  for (const fix of live) {
    const told = await driving.push("location_update", wire(fix));
    equal(told.accepted, !fix.jump, `a fix at ${fix.recorded_at}: ${JSON.stringify(told)}`);
    if (told.rejected) rejected += 1;
  }
  equal(rejected, live.filter((fix) => fix.jump).length, "jumps");
  const batch = await driving.push("location_update", { points: late.map(wire) });
  equal((batch.results ?? batch.points ?? batch.items ?? batch).length ?? 0, late.length, `the late batch: ${JSON.stringify(batch).slice(0, 200)}`);

  // exactly one of each, for everybody who listens
  for (const room of [seen, customer]) {
    await room.until((one) => one.named("status_changed").some((told) => told.status === "arrived"), "arrived");
    await room.until((one) => one.named("location_updated").length > 0, "positions");
  }
  const eta = await seen.push("get_eta", {});
  assert(eta.eta_seconds !== null && eta.low_seconds <= eta.eta_seconds && eta.eta_seconds <= eta.high_seconds, `eta ${JSON.stringify(eta)}`);
  await driving.push("update_status", { status: "delivered" });
  for (const room of [seen, customer]) {
    await room.until((one) => one.named("status_changed").some((told) => told.status === "delivered"), "delivered");
    await pause(300);
    equal(room.named("delivery_event").map((told) => told.milestone), ["nearby"], "milestones");
    equal(room.named("status_changed").filter((told) => told.status === "arrived").length, 1, "arrived");
    equal(room.faults, [], "order of the seqs");
  }
  assert(seen.named("location_updated").every((told) => told.latitude === Math.round(told.latitude * 1e4) / 1e4), "a link's holder sees rounded positions");

  // the end, by every door
  const page = await rest(otherUrl, "GET", `/api/v1/track/${token}`);
  equal([page.status, page.body.status], [200, "delivered"], "the link's view");
  const done = await called(asha, "GET", `/orders/${order.id}`);
  equal(done.status, "delivered", "the order");
  for (const connection of [seller, buyer, guest, courier, stranger]) connection.close();
}

try {
  await story();
  say({ done: true });
  process.exit(0);
} catch (error) {
  say({ failed: error.stack });
  process.exit(1);
}
