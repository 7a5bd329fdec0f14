"""Shops and administrators hear of orders by copies, each once, in order."""

import pytest

from accounts.models import User
from marketplace.events.models import Event
from marketplace.events.subscribe import run_subscribers
from orders.services.moves import pay_order
from orders.tests.factories import make_order
from shops.models import Product
from shops.tests.factories import make_product, make_shop


def heard(topic: str) -> list[Event]:
    """What stands there of orders and payments, in order."""
    events = Event.objects.filter(topic=topic).order_by("seq")
    return [one for one in events if one.name.startswith(("order.", "payment."))]


@pytest.mark.django_db
class TestCopies:
    def test_reach_its_shops_and_the_administrators_once(
        self, buyer: User, stranger: User, lamp: Product
    ) -> None:
        rug = make_product(make_shop(stranger, "Rugs"), "Rug")
        order = make_order(buyer, (lamp, 1), (rug, 1))

        for _ in range(2):
            run_subscribers()

        [own] = heard(order.topic)
        for topic in (f"shop:{lamp.shop_id}", f"shop:{rug.shop_id}", "admins"):
            [copy] = heard(topic)
            assert (copy.name, copy.event_id, copy.payload) == (
                "order.created", own.event_id, own.payload,
            )  # fmt: skip
            assert (copy.created_at, copy.actor_id) == (own.created_at, buyer.public_id)

    def test_tell_of_money_to_administrators_alone(
        self, buyer: User, seller: User, lamp: Product
    ) -> None:
        order = make_order(buyer, (lamp, 1))
        run_subscribers()
        pay_order(actor=seller, order_id=order.id)

        run_subscribers()

        moved = ["order.created", "order.status_changed"]
        assert [one.name for one in heard(f"shop:{lamp.shop_id}")] == moved
        assert [one.name for one in heard("admins")] == [
            "order.created", "payment.succeeded", "order.status_changed",
        ]  # fmt: skip
        assert heard("admins")[-1].actor_id == seller.public_id
