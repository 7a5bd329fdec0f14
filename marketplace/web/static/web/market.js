// The market of the demo: what is for sale, who ordered what, who drives it. One list per part that
// the person plays; everything by the public routes, so the wire can be read in the network panel.

import { call } from "./api.js";

const byId = (id) => document.getElementById(id);
const REFRESH_AFTER_MS = 300;
const DRIVE_STEP_MS = 1000;
const DRIVE_STEPS = 45;
const NOISE_DEGREES = 0.00008;
// Where the demo delivers to, for who has no address of his own: a place with coordinates.
const DEMO_ADDRESS = { name: "Demo", line1: "350 5th Avenue", city: "New York", state: "NY", postal_code: "10118", country: "United States", latitude: 40.74844, longitude: -73.98566 };
const START = { latitude: 0.011, longitude: -0.006 };
const ORDER_WORDS = { pending: "waiting for the shop", processing: "accepted", shipped: "on its way", delivered: "delivered", cancelled: "cancelled", failed: "payment failed", returned: "returned" };
const DELIVERY_WORDS = { pending: "no courier yet", assigned: "to be picked up", in_transit: "on the way", arrived: "at the door", delivered: "delivered", cancelled: "cancelled" };
const CHANGES = new Set(["order_created", "order_updated", "payment_succeeded", "notification", "status_changed", "delivery_event"]);

export class Market {
  // me: the signed-in user. talk(room): show this room. problem(text): tell what went wrong.
  constructor({ me, talk, problem }) {
    this.me = me;
    this.talk = talk;
    this.problem = problem;
    this.drives = new Map();
    this.asked = 0;
    this.shown = false;
  }

  show(shown) {
    this.shown = shown;
    byId("market").hidden = !shown;
    if (shown) this.refresh();
  }

  // Something happened that concerns this person: his lists are old.
  heard(event) {
    if (this.shown && CHANGES.has(event)) this.soon();
  }

  soon() {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.refresh(), REFRESH_AFTER_MS);
  }

  stop() {
    window.clearTimeout(this.timer);
    this.drives.forEach((timer) => window.clearInterval(timer));
    this.drives.clear();
  }

  async refresh() {
    this.asked += 1;
    const own = this.asked;
    try {
      const [products, orders, shops] = await Promise.all([
        call("GET", "/products?in_stock=true&limit=24"),
        call("GET", "/orders?limit=10"),
        call("GET", "/shops?mine=true&limit=10"),
      ]);
      const isCourier = this.me.role === "courier";
      const sold = await Promise.all(shops.items.map((shop) => call("GET", `/shops/${shop.id}/orders?limit=10`)));
      const duty = isCourier ? await call("PUT", "/couriers/me", {}) : null;
      const deliveries = isCourier ? (await call("GET", "/deliveries?limit=10")).items : [];
      const mine = await Promise.all(orders.items.map((order) => this.orderCard(order)));
      // Who has asked later knows more, even if his answers came earlier.
      if (own !== this.asked) return;
      fill("sale", products.items.map((product) => this.productCard(product)), "Nothing is for sale yet. A seller makes a shop by writing @createshop in a talk.");
      fill("my-orders", mine, "You have ordered nothing yet.");
      byId("sold-part").hidden = !shops.items.length;
      fill("sold", sold.flatMap((page) => page.items).map((order) => this.soldCard(order)), "Nobody has ordered anything yet.");
      byId("drive-part").hidden = !isCourier;
      if (isCourier) this.showDuty(duty);
      fill("drives", deliveries.map((delivery) => this.driveCard(delivery)), "There is nothing to deliver.");
    } catch (error) {
      this.problem(error.message);
    }
  }

  // An action of a button: while it runs it cannot be pressed again, then the lists are read anew.
  button(text, action, { quiet = false } = {}) {
    const button = element("button", quiet ? "button quiet small" : "button small", text);
    button.type = "button";
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        await action();
        this.problem("");
      } catch (error) {
        this.problem(error.message);
      } finally {
        button.disabled = false;
        this.soon();
      }
    });
    return button;
  }

  // -- Buying

  productCard(product) {
    const card = element("li", "card offer");
    const picture = product.media.find((one) => one.media_type === "image");
    // Pictures of other hosts are not loaded here: the page's policy allows its own alone.
    if (picture && new URL(picture.url, location).origin === location.origin) {
      const image = element("img");
      image.src = picture.url;
      image.alt = "";
      card.append(image);
    }
    const skus = product.skus.filter((sku) => sku.available > 0);
    const choice = element("select");
    choice.setAttribute("aria-label", `Which ${product.name}`);
    for (const sku of skus) {
      const option = element("option", "", Object.values(sku.options).join(", ") || "one kind");
      option.value = sku.id;
      choice.append(option);
    }
    choice.hidden = skus.length < 2;
    const buy = this.button("Order, pay on delivery", () => this.order(product, choice.value));
    const ask = this.button("Ask the shop", async () => this.talk(await call("POST", "/chat/rooms", { kind: "shop", shop_id: product.shop_id })), { quiet: true });
    const buttons = element("p", "actions");
    buttons.append(choice, buy, ask);
    card.append(element("h3", "", product.name), element("p", "price", `${product.price} ${product.currency}`), element("p", "note", `${product.stock_quantity} in stock`), buttons);
    return card;
  }

  async order(product, skuId) {
    const own = (await call("GET", "/users/me/addresses?limit=1")).items.length > 0;
    const wanted = { items: [{ product_id: product.id, sku_id: skuId, quantity: 1 }], payment_flow: "on_delivery", fulfilment: "delivery" };
    await call("POST", "/orders", own ? wanted : { ...wanted, shipping_address: DEMO_ADDRESS });
  }

  async orderCard(order) {
    const card = orderHead(order);
    const buttons = element("p", "actions");
    if (order.delivery_id) {
      const told = await call("GET", `/orders/${order.id}/tracking`);
      if (told.tracking_token) {
        const link = element("a", "button small", order.status === "delivered" ? "How it came" : "Follow it live");
        link.href = `/track/${told.tracking_token}`;
        link.target = "_blank";
        link.rel = "noopener";
        buttons.append(link);
      }
    }
    if (["pending", "processing"].includes(order.status)) buttons.append(this.button("Cancel", () => call("POST", `/orders/${order.id}/cancel`, {}), { quiet: true }));
    if (buttons.children.length) card.append(buttons);
    return card;
  }

  // -- Selling

  soldCard(order) {
    const card = orderHead(order);
    const buttons = element("p", "actions");
    if (order.status === "pending" && order.payment_flow === "on_delivery") buttons.append(this.button("Accept", () => call("POST", `/orders/${order.id}/status`, { status: "processing" })));
    if (order.payment_status === "unpaid" && order.payment_flow === "on_delivery" && !["cancelled", "failed"].includes(order.status)) buttons.append(this.button("Cash received", () => call("POST", `/orders/${order.id}/pay`, { method: "cash" }), { quiet: true }));
    if (order.status === "processing" && order.fulfilment === "delivery" && !order.delivery_id) buttons.append(this.button("Send a courier", () => this.send(order)));
    if (buttons.children.length) card.append(buttons);
    return card;
  }

  async send(order) {
    const couriers = await call("GET", "/couriers?duty=on");
    const delivery = await call("POST", "/deliveries", { order_id: order.id });
    const courier = couriers.items[0];
    if (!courier) throw new Error("The delivery is set up, but no courier is on duty: sign in as Dmitri in another browser.");
    await call("POST", `/deliveries/${delivery.id}/assign`, { courier_id: courier.user_id });
  }

  // -- Driving

  showDuty(courier) {
    const isOn = courier.duty === "on";
    byId("duty").replaceChildren(
      element("span", "", isOn ? "You are on duty." : "You are off duty."),
      this.button(isOn ? "Go off duty" : "Go on duty", () => call("PUT", "/couriers/me", { duty: isOn ? "off" : "on" }), { quiet: isOn }),
    );
  }

  driveCard(delivery) {
    const card = element("li", "card");
    const place = delivery.destination?.text || "to the customer";
    card.append(element("h3", "", place), pill(DELIVERY_WORDS[delivery.status] ?? delivery.status, delivery.status));
    const buttons = element("p", "actions");
    const move = (status) => () => call("POST", `/deliveries/${delivery.id}/status`, { status });
    if (delivery.status === "assigned") buttons.append(this.button("Set off", move("in_transit")));
    if (delivery.status === "in_transit" && !this.drives.has(delivery.id)) buttons.append(this.button("Drive there", async () => this.drive(delivery)));
    if (this.drives.has(delivery.id)) buttons.append(element("span", "note", "driving …"));
    if (["in_transit", "arrived"].includes(delivery.status)) buttons.append(this.button("Handed over", move("delivered"), { quiet: delivery.status === "in_transit" }));
    if (buttons.children.length) card.append(buttons);
    return card;
  }

  // A short ride with a noisy receiver, a position a second, until it stands at the door.
  drive(delivery) {
    const goal = { latitude: delivery.destination?.latitude ?? DEMO_ADDRESS.latitude, longitude: delivery.destination?.longitude ?? DEMO_ADDRESS.longitude };
    let step = 0;
    const timer = window.setInterval(async () => {
      step += 1;
      const left = Math.max(0, 1 - step / DRIVE_STEPS);
      const noise = () => (Math.random() - 0.5) * NOISE_DEGREES;
      const fix = { latitude: goal.latitude + START.latitude * left + noise(), longitude: goal.longitude + START.longitude * left + noise(), accuracy: 8 };
      try {
        await call("POST", `/deliveries/${delivery.id}/locations`, fix);
      } catch (error) {
        if (error.code !== "rate_limited") step = Infinity;
      }
      if (step > DRIVE_STEPS + 15) {
        window.clearInterval(timer);
        this.drives.delete(delivery.id);
        this.soon();
      }
    }, DRIVE_STEP_MS);
    this.drives.set(delivery.id, timer);
  }
}

function orderHead(order) {
  const card = element("li", "card");
  const goods = order.lines.map((line) => `${line.quantity} × ${line.title}`).join(", ");
  const paid = order.payment_status === "paid" ? "paid" : "pay on delivery";
  card.append(element("h3", "", goods), pill(ORDER_WORDS[order.status] ?? order.status, order.status), element("p", "note", `Order #${order.number} · ${order.totals.total} ${order.currency} with tax and shipping · ${paid}`));
  return card;
}

function pill(text, status) {
  const made = element("p", "pill", text);
  made.dataset.state = { delivered: "good", cancelled: "bad", failed: "bad", pending: "warn" }[status] ?? "unknown";
  return made;
}

function fill(id, cards, otherwise) {
  byId(id).replaceChildren(...(cards.length ? cards : [element("li", "empty", otherwise)]));
}

function element(tag, className = "", text = undefined) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}
