"""Who plays: buyers, sellers, couriers, each by the routes that such a client uses."""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from marketplace.core.clock import wire_time
from marketplace.simulation.world import Person, Refused, World

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
CITY = (40.75, -73.98)
METRE = 1 / 111_195  # degrees of latitude
CITY_RADIUS_M = 2_500
SIGMA_M = 15
PACE_MPS = 6.0
FIX_EVERY = timedelta(seconds=5)
HANDOVER = timedelta(minutes=2)
FIXES_AT_ONCE = 12
GOODS = (
    ("Brass lamp", "89.00", 12), ("Desk lamp", "49.00", 25), ("Paper globe", "24.50", 40),
    ("Wall light", "31.00", 18), ("Night light", "9.90", 60), ("Floor lamp", "129.00", 8),
)  # fmt: skip
QUESTIONS = ("Is it still there?", "Can it be here today?", "Does it come with a bulb?")
ANSWERS = ("Yes, it is.", "If you order before noon.", "No, but any E27 fits.")


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere in the city, in metres from its middle."""

    east: float
    north: float

    @property
    def degrees(self) -> dict[str, float]:
        """As every wire tells it."""
        wide = math.cos(math.radians(CITY[0]))
        return {
            "latitude": round(CITY[0] + self.north * METRE, 6),
            "longitude": round(CITY[1] + self.east * METRE / wide, 6),
        }

    def towards(self, goal: "Place", metres: float) -> "Place":
        """So far on the way; the goal where that is nearer."""
        east, north = goal.east - self.east, goal.north - self.north
        left = math.hypot(east, north)
        if left <= metres:
            return goal
        return Place(self.east + east * metres / left, self.north + north * metres / left)


def somewhere(person: Person) -> Place:
    """A place of his."""
    chance = person.chance
    return Place(*(chance.uniform(-CITY_RADIUS_M, CITY_RADIUS_M) for _ in range(2)))


class Seller:
    """Opens a shop, answers, accepts, sends couriers, takes the cash."""

    def __init__(self, world: World, number: int) -> None:
        self.person = world.sign_up(f"seller{number}", role="seller")
        name = f"Shop {number} of {world.ends_at:%Y%m%d%H%M%S%f}"
        self.shop: dict[str, Any] = self.person.call(
            "POST", "/shops",
            {"shop_name": name, "location": "New York", "category": "lamps", "country_code": "US"},
        )  # fmt: skip
        self.stock: dict[str, int] = {}
        for title, price, pieces in self.person.chance.sample(GOODS, 3):
            product = self.person.call(
                "POST", f"/shops/{self.shop['id']}/products",
                {"name": title, "price": price, "stock_quantity": pieces},
            )  # fmt: skip
            self.stock[product["id"]] = pieces
        world.plan(self.act, after=self.person.between(MINUTE, 5 * MINUTE))

    def act(self) -> timedelta:
        """Look after the shop."""
        self._answer()
        for order in self.person.call("GET", f"/shops/{self.shop['id']}/orders?limit=50")["items"]:
            self._serve(order)
        return self.person.between(4 * MINUTE, 15 * MINUTE)

    def _answer(self) -> None:
        for room in self.person.call("GET", "/chat/rooms?limit=50")["items"]:
            if room["unread_count"]:
                path = f"/chat/rooms/{room['id']}"
                said = self.person.chance.choice(ANSWERS)
                self.person.call("POST", f"{path}/messages", {"content": said})
                self.person.call("POST", f"{path}/read", {})

    def _serve(self, order: dict[str, Any]) -> None:
        call, key = self.person.call, order["id"]
        if order["status"] == "pending":
            call("POST", f"/orders/{key}/status", {"status": "processing"})
        elif order["status"] == "processing" and order["delivery_id"] is None:
            listed = call("GET", "/couriers?duty=on&limit=100")["items"]
            couriers = [one for one in listed if one["user_id"] in self.person.world.couriers]
            if couriers:
                chosen = min(couriers, key=lambda one: (one["load"], one["user"]["name"]))
                wanted = {"order_id": key, "courier_id": chosen["user_id"]}
                call("POST", "/deliveries", wanted)
        elif order["status"] == "delivered" and order["payment_status"] == "unpaid":
            call("POST", f"/orders/{key}/pay", {"method": "cash"})


class Buyer:
    """Looks around, asks, orders to his door, now and then thinks better of it."""

    def __init__(self, world: World, number: int, *, sellers: list[Seller]) -> None:
        self.person = world.sign_up(f"buyer{number}", role="buyer")
        self.sellers = sellers
        home = somewhere(self.person)
        self.person.call(
            "POST", "/users/me/addresses",
            {"line1": f"{number} Market Street", "city": "New York", "state": "NY",
             "postal_code": "10001", "country": "US", **home.degrees},
        )  # fmt: skip
        world.plan(self.act, after=self.person.between(5 * MINUTE, 2 * HOUR))

    def act(self) -> timedelta:
        """Want something."""
        chance = self.person.chance
        seller = chance.choice(self.sellers)
        if chance.random() < 0.4:
            room = self.person.call(
                "POST", "/chat/rooms", {"kind": "shop", "shop_id": seller.shop["id"]}
            )
            said = chance.choice(QUESTIONS)
            self.person.call("POST", f"/chat/rooms/{room['id']}/messages", {"content": said})
        products = sorted(seller.stock, key=list(seller.stock).index)
        wanted = {"product_id": chance.choice(products), "quantity": chance.randint(1, 3)}
        try:
            order = self.person.call(
                "POST", "/orders", {"items": [wanted], "payment_flow": "on_delivery"}
            )
            if chance.random() < 0.1:
                self.person.call("POST", f"/orders/{order['id']}/cancel", {"reason": "Too much."})
        except Refused as refused:
            if refused.code != "out_of_stock":
                raise
        return self.person.between(HOUR, 5 * HOUR)


class Courier:
    """Drives what he is given, with a receiver that is 15 m off, and hands it over."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.person = world.hire(f"courier{number}", number=number)
        self.place = somewhere(self.person)
        self.arrived_at: Any = None
        self.person.call("PUT", "/couriers/me", {"duty": "on", "capacity": 3})
        world.plan(self.act, after=self.person.between(MINUTE, 3 * MINUTE))

    def act(self) -> timedelta:
        """Go on with what he carries."""
        mine = self.person.call("GET", "/deliveries?limit=50")["items"]
        under_way = [one for one in mine if one["status"] in ("in_transit", "arrived")]
        waiting = [one for one in mine if one["status"] == "assigned"]
        if under_way:
            return self._drive(under_way[-1])
        if waiting:
            self._move(waiting[-1], "in_transit")
            return timedelta(seconds=1)
        return self.person.between(2 * MINUTE, 4 * MINUTE)

    def _drive(self, delivery: dict[str, Any]) -> timedelta:
        goal = _place(delivery["destination"])
        if self.place == goal:
            if self.arrived_at is None:
                self.arrived_at = self.world.now
            elif self.world.now - self.arrived_at >= HANDOVER:
                self.arrived_at = None
                self._move(delivery, "delivered")
                return timedelta(seconds=30)
        points = []
        for step in range(FIXES_AT_ONCE):
            self.place = self.place.towards(goal, PACE_MPS * FIX_EVERY.total_seconds())
            seen = Place(
                self.place.east + self.person.chance.gauss(0, SIGMA_M),
                self.place.north + self.person.chance.gauss(0, SIGMA_M),
            )
            at = self.world.now - FIX_EVERY * (FIXES_AT_ONCE - 1 - step)
            points.append({**seen.degrees, "accuracy": 12, "recorded_at": wire_time(at)})
        self.person.call("POST", f"/deliveries/{delivery['id']}/locations", {"points": points})
        return FIX_EVERY * FIXES_AT_ONCE

    def _move(self, delivery: dict[str, Any], status: str) -> None:
        self.person.call("POST", f"/deliveries/{delivery['id']}/status", {"status": status})


def _place(destination: dict[str, Any]) -> Place:
    wide = math.cos(math.radians(CITY[0]))
    return Place(
        east=(destination["longitude"] - CITY[1]) * wide / METRE,
        north=(destination["latitude"] - CITY[0]) / METRE,
    )
