"""The API document keeps its word about deliveries."""

from typing import Any

import pytest

from accounts.models import User
from delivery.models import Delivery
from delivery.services.couriers import set_duty
from delivery.tests.factories import away, bring, fix, make_delivery, send
from delivery.tokens import token_of
from marketplace.core.clock import now
from marketplace.core.ids import uuid7
from marketplace.tests.cast import signed_in
from marketplace.web.tests.test_documented_answers import faults
from orders.services.moves import accept_order
from orders.tests.factories import make_order
from shops.models import Shop
from shops.tests.factories import make_product

pytestmark = pytest.mark.django_db

API = "/api/v1"
ONE = f"{API}/deliveries/{{delivery_id}}"
RULES = f"{API}/shops/{{shop_id}}/delivery-rules"


def told(*asked: tuple[str, Any]) -> list[str]:
    return [fault for path, answer in asked for fault in faults(path, answer)]


def test_on_the_way(moving: Delivery, buyer: User, courier: User, no_limit: None) -> None:
    where = f"{API}/deliveries/{moving.id}"
    customer, carrier = signed_in(buyer), signed_in(courier)
    here = {"latitude": away(900)[0], "longitude": away(900)[1]}
    asked = [
        (ONE, customer.get(where)),
        (f"{ONE}/eta", customer.get(f"{where}/eta")),
        (f"{ONE}/locations", carrier.post(f"{where}/locations", here, format="json")),
        (
            f"{ONE}/locations",
            carrier.post(f"{where}/locations", {"points": [here, here]}, format="json"),
        ),
        (f"{ONE}/locations", carrier.post(f"{where}/locations", {}, format="json")),
        (f"{ONE}/locations", customer.post(f"{where}/locations", here, format="json")),
        (f"{ONE}/locations", customer.get(f"{where}/locations?rejected=true")),
        (ONE, customer.get(where)),
        (f"{ONE}/eta", customer.get(f"{where}/eta")),
        (f"{API}/track/{{token}}", customer.get(f"{API}/track/{token_of(moving)}")),
        (f"{API}/track/{{token}}", customer.get(f"{API}/track/nothing")),
        (
            f"{ONE}/proof",
            carrier.post(f"{where}/proof", {"signed_by": "Asha"}, format="json"),
        ),
        (f"{ONE}/status", carrier.post(f"{where}/status", {"status": "arrived"}, format="json")),
        (f"{ONE}/status", carrier.post(f"{where}/status", {"status": "pending"}, format="json")),
        (f"{ONE}/status", customer.post(f"{where}/status", {"status": "arrived"}, format="json")),
        (f"{ONE}/attempts", carrier.post(f"{where}/attempts", {}, format="json")),
        (f"{ONE}/rating", customer.post(f"{where}/rating", {"score": 5}, format="json")),
        (ONE, customer.get(f"{API}/deliveries/{uuid7()}")),
    ]

    assert told(*asked) == []


def test_made_listed_and_given(
    shop: Shop, buyer: User, seller: User, courier: User, delivery: Delivery
) -> None:
    set_duty(actor=courier, duty="on", capacity=3)
    waiting = make_delivery(shop, buyer)
    where = f"{API}/deliveries/{waiting.id}"
    rules = f"{API}/shops/{shop.id}/delivery-rules"
    owner, carrier = signed_in(seller), signed_in(courier)
    body = {
        "shop_id": str(shop.id), "customer_id": buyer.public_id, "destination": {"text": "Door"},
    }  # fmt: skip
    all_of_them = f"{API}/deliveries"
    asked = [
        (all_of_them, owner.get(all_of_them)),
        (all_of_them, owner.post(all_of_them, body, format="json")),
        (all_of_them, owner.post(all_of_them, {}, format="json")),
        (all_of_them, owner.post(all_of_them, {"order_id": str(uuid7())}, format="json")),
        (all_of_them, carrier.post(all_of_them, body, format="json")),
        (
            f"{ONE}/assign",
            owner.post(f"{where}/assign", {"courier_id": courier.public_id}, format="json"),
        ),
        (
            f"{ONE}/assign",
            owner.post(f"{where}/assign", {"courier_id": courier.public_id}, format="json"),
        ),
        (f"{ONE}/accept", carrier.post(f"{where}/accept")),
        (f"{ONE}/decline", carrier.post(f"{where}/decline")),
        (f"{API}/couriers", owner.get(f"{API}/couriers")),
        (f"{API}/couriers", owner.get(f"{API}/couriers?delivery_id={waiting.id}")),
        (f"{API}/couriers", owner.get(f"{API}/couriers?delivery_id={uuid7()}")),
        (f"{API}/couriers", owner.get(f"{API}/couriers?latitude=1")),
        (RULES, owner.get(rules)),
        (RULES, owner.put(rules, {"proof_kind": "pin"}, format="json")),
        (RULES, owner.put(rules, {"proof_kind": "x"}, format="json")),
        (RULES, carrier.get(rules)),
        (RULES, owner.get(f"{API}/shops/shop_9/delivery-rules")),
        (f"{ONE}/tracking-link", owner.post(f"{where}/tracking-link")),
        (f"{ONE}/tracking-link", carrier.post(f"{where}/tracking-link")),
        (f"{API}/couriers", carrier.get(f"{API}/couriers")),
        (f"{API}/couriers/me", carrier.put(f"{API}/couriers/me", {"duty": "on"}, format="json")),
        (f"{API}/couriers/me", owner.put(f"{API}/couriers/me", {"duty": "on"}, format="json")),
        (
            f"{API}/couriers/me/location",
            carrier.post(
                f"{API}/couriers/me/location", {"latitude": 1, "longitude": 2}, format="json"
            ),
        ),
    ]

    assert told(*asked) == []


def test_tracked_by_its_order(
    shop: Shop, buyer: User, seller: User, courier: User, no_limit: None
) -> None:
    order = make_order(buyer, (make_product(shop), 1))
    accept_order(actor=seller, order_id=order.id)
    client, path = signed_in(buyer), f"/orders/{order.id}/tracking"
    before = [client.get(f"{base}{path}") for base in (API, "/api")]
    body = {
        "order_id": str(order.id),
        "courier_id": courier.public_id,
        "destination": {"latitude": away(0)[0], "longitude": away(0)[1]},
    }
    signed_in(seller).post(f"{API}/deliveries", body, format="json")
    sent = Delivery.objects.select_related("courier").get()
    bring(sent, "in_transit")
    send(sent, fix(away(900), now()))
    after = [client.get(f"{base}{path}") for base in (API, "/api")]
    missing = [client.get(f"{base}/orders/{uuid7()}/tracking") for base in (API, "/api")]

    for canonical, storefront in (before, after, missing):
        assert (
            told(
                (f"{API}/orders/{{order_id}}/tracking", canonical),
                ("/api/orders/{order_id}/tracking", storefront),
            )
            == []
        )
