"""Many who join orders at one moment are read for together, and each is told what he would be
alone.
"""

from collections.abc import Sequence
from typing import Any

import pytest

from accounts.models import User
from marketplace.core.errors import AppError
from marketplace.core.ids import uuid7
from marketplace.realtime.joining import Answer, Wish, read_topics
from marketplace.realtime.topic import TopicRef, parse_topic
from marketplace.tests.cast import queries_of
from orders.models import Order
from orders.tests.factories import make_order
from shops.models import Product
from shops.tests.factories import make_product, make_shop

pytestmark = pytest.mark.django_db


def ref_of(spelled: str) -> TopicRef:
    found = parse_topic(spelled, dialect="plain", own=None)
    assert found is not None
    return found


def wish(user: User | None, order: Order) -> Wish:
    return Wish(user, ref_of(f"order:{order.id}"), "plain", None, None)


def told(found: Sequence[Any]) -> list[str]:
    """The code of each refusal, `joined` for the others."""
    return [one.code if isinstance(one, AppError) else "joined" for one in found]


@pytest.fixture
def rug(stranger: User) -> Product:
    """Of a shop of somebody else's."""
    return make_product(make_shop(stranger, "Rugs"), "Rug")


def test_cost_the_same_for_any_number(
    buyer: User, seller: User, admin: User, lamp: Product
) -> None:
    bulb = make_product(lamp.shop, "Bulb", stock_quantity=20)
    orders = [make_order(buyer, (bulb, 1)) for _ in range(20)]
    watchers = [buyer, seller, admin, buyer] * 5
    wishes = [wish(*one) for one in zip(watchers, orders, strict=True)]

    # A buyer by himself is his order's: nobody asks who works for its shop.
    assert queries_of(read_topics, wishes[:1]) == 4
    assert {queries_of(read_topics, wishes[:size]) for size in (2, 20)} == {5}


def test_tell_each_what_he_is_told_alone(
    buyer: User, seller: User, stranger: User, admin: User, lamp: Product, rug: Product
) -> None:
    both, lamps = make_order(buyer, (lamp, 1), (rug, 2)), make_order(buyer, (lamp, 3))
    wishes = [
        wish(buyer, both), wish(seller, both), wish(stranger, both), wish(admin, lamps),
        wish(seller, lamps), wish(buyer, lamps),
    ]  # fmt: skip

    together = read_topics(wishes)

    assert together == [read_topics([one])[0] for one in wishes]
    found = [one.state["order"] for one in together if isinstance(one, Answer)]
    assert [[line["title"] for line in one["lines"]] for one in found] == [
        ["Desk lamp", "Rug"], ["Desk lamp"], ["Rug"], ["Desk lamp"], ["Desk lamp"], ["Desk lamp"],
    ]  # fmt: skip
    assert [one["_id"] for one in found] == [str(one.id) for one in [both] * 3 + [lamps] * 3]


def test_refuse_each_for_his_own_reason(
    buyer: User, seller: User, stranger: User, courier: User, lamp: Product, rug: Product
) -> None:
    lamps, rugs = make_order(buyer, (lamp, 1)), make_order(courier, (rug, 1))
    unknown = [
        Wish(buyer, ref_of(spelled), "plain", None, None)
        for spelled in (f"order:{uuid7()}", "order:x")
    ]

    found = read_topics(
        [
            wish(buyer, lamps), wish(buyer, rugs), wish(seller, rugs), wish(stranger, lamps),
            wish(None, lamps), wish(courier, rugs), *unknown, wish(stranger, rugs),
        ]
    )  # fmt: skip

    assert told(found) == [
        "joined", "order_not_found", "order_not_found", "order_not_found",
        "unauthorized", "joined", "order_not_found", "order_not_found", "joined",
    ]  # fmt: skip


def test_ask_once_for_all_administrators(admin: User, buyer: User) -> None:
    all_orders = ref_of("admins")
    wishes = [Wish(one, all_orders, "plain", None, None) for one in (admin, buyer, None, admin)]

    found = read_topics(wishes)

    assert told(found) == ["joined", "forbidden", "unauthorized", "joined"]
    assert queries_of(read_topics, wishes) == queries_of(read_topics, wishes[:1])
