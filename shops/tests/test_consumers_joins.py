"""Many who join shops at one moment are read for together."""

import pytest

from accounts.models import User
from marketplace.core.ids import uuid7
from marketplace.realtime.joining import Answer, Wish, read_topics
from marketplace.realtime.topic import parse_topic
from marketplace.tests.cast import queries_of
from shops.models import Shop
from shops.services.shops import close_shop
from shops.tests.factories import make_shop, make_staff

pytestmark = pytest.mark.django_db


def wish(user: User | None, shop_id: object) -> Wish:
    ref = parse_topic(f"shop:{shop_id}", dialect="plain", own=None)
    assert ref is not None
    return Wish(user, ref, "plain", None, None)


def test_cost_the_same_for_any_number(seller: User, admin: User) -> None:
    shops = [make_shop(seller, f"Shop {number}") for number in range(20)]
    wishes = [wish(one, shop.id) for one, shop in zip([seller, admin] * 10, shops, strict=True)]

    assert {queries_of(read_topics, wishes[:size]) for size in (1, 2, 20)} == {3}


def test_tell_each_of_his_own_shop(
    shop: Shop, buyer: User, seller: User, stranger: User, employee: User, admin: User
) -> None:
    make_staff(shop, employee)
    other, closed = make_shop(stranger, "Rugs"), make_shop(stranger, "Old")
    close_shop(actor=stranger, key=str(closed.id))

    found = read_topics(
        [
            wish(seller, shop.id), wish(employee, shop.id), wish(admin, other.id),
            wish(stranger, other.id), wish(stranger, shop.id), wish(seller, other.id),
            wish(buyer, shop.id), wish(None, shop.id), wish(admin, uuid7()), wish(admin, "x"),
            wish(stranger, closed.id), wish(admin, closed.id), wish(seller, shop.id),
        ]
    )  # fmt: skip

    told = [
        one.state["shop"]["shop_name"] if isinstance(one, Answer) else one.code for one in found
    ]
    assert told == [
        "Corner Lamp", "Corner Lamp", "Rugs", "Rugs",
        "shop_not_found", "shop_not_found", "shop_not_found", "unauthorized",
        "shop_not_found", "shop_not_found", "shop_not_found", "shop_not_found", "Corner Lamp",
    ]  # fmt: skip
