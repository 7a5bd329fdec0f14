"""Shops and administrators hear of orders by copies, each once, in order."""

import pytest

from accounts.models import User
from marketplace.core.db import atomic
from marketplace.events.models import Event
from marketplace.events.subscribe import run_subscribers
from marketplace.tests.cast import assert_queries
from orders.services.moves import pay_order
from orders.subscribers import tell_shops_and_admins
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

    def test_of_many_orders_are_told_together(
        self, buyer: User, stranger: User, lamp: Product
    ) -> None:
        rug = make_product(make_shop(stranger, "Rugs"), "Rug")
        run_subscribers()
        orders = [
            make_order(buyer, *lines)
            for lines in ([(lamp, 1)], [(rug, 1)], [(lamp, 1), (rug, 1)], [(lamp, 2)])
        ]
        created = [event for order in orders for event in heard(order.topic)]

        with assert_queries(10), atomic():
            tell_shops_and_admins(created)

        def ids_of(topic: str) -> list[str]:
            return [event.payload["order_id"] for event in heard(topic)]

        ids = [str(order.id) for order in orders]
        assert ids_of(f"shop:{lamp.shop_id}") == [ids[0], ids[2], ids[3]]
        assert ids_of(f"shop:{rug.shop_id}") == [ids[1], ids[2]]
        assert ids_of("admins") == ids

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
