"""What delivery, chat and lists read of orders."""

import pytest

from accounts.models import User
from marketplace.core.db import transactional
from marketplace.core.ids import uuid7
from marketplace.events.record import record_all
from marketplace.tests.cast import assert_queries
from orders import access, selectors
from orders.services.fulfilment import attach_delivery
from orders.services.moves import accept_order, cancel_order, pay_order
from orders.tests.factories import make_order
from shops.models import Product
from shops.tests.factories import make_product, make_shop


class TestOrderNumber:
    @pytest.mark.parametrize(
        ("text", "number"),
        [
            ("10001", 10_001),
            (" #10001 ", 10_001),
            ("ORD-00010001", 10_001),
            ("ord-10001", 10_001),
            ("ORD-", None),
            ("", None),
            ("10001x", None),
            ("-1", None),
            ("\u0661\u0662", None),
            ("9" * 19, None),
        ],
    )
    def test_reads_what_people_write(self, text: str, number: int | None) -> None:
        assert selectors.order_number(text) == number


@pytest.mark.django_db
class TestDeliverableOrders:
    def test_are_those_that_wait_for_a_delivery(
        self, buyer: User, seller: User, lamp: Product
    ) -> None:
        waiting, accepted, paid, attached, gone, picked, unpaid = [
            make_order(buyer, (lamp, 1), **more)
            for more in ({}, {}, {}, {}, {}, {"fulfilment": "pickup"}, {"flow": "regular"})
        ]
        accept_order(actor=seller, order_id=accepted.id)
        for order in (paid, attached, picked):
            pay_order(actor=seller, order_id=order.id)
        cancel_order(actor=buyer, order_id=gone.id)

        @transactional
        def attach() -> None:
            record_all(attach_delivery(order_id=attached.id, delivery_id=uuid7()))

        attach()

        def found(user: User, *, paid_only: bool) -> list[int]:
            orders = selectors.deliverable_orders(user=user, paid_only=paid_only)
            return [order.number for order in orders]

        assert found(seller, paid_only=False) == [paid.number, accepted.number, waiting.number]
        assert found(seller, paid_only=True) == [paid.number]
        assert found(buyer, paid_only=True) == [paid.number]
        assert found(buyer, paid_only=False) == []
        assert unpaid.status == "pending"

    def test_come_once_and_with_their_lines(
        self, seller: User, stranger: User, lamp: Product
    ) -> None:
        rug = make_product(make_shop(seller, "Rugs"), "Rug")
        order = make_order(seller, (lamp, 1), (rug, 1))
        pay_order(actor=seller, order_id=order.id)

        [found] = selectors.deliverable_orders(user=seller, paid_only=True)

        assert [line.title for line in found.all_lines] == ["Desk lamp", "Rug"]
        assert selectors.deliverable_orders(user=stranger, paid_only=True) == []


@pytest.mark.django_db
class TestAccess:
    def test_is_for_buyer_staff_and_admins(
        self, buyer: User, seller: User, admin: User, stranger: User, lamp: Product
    ) -> None:
        order = make_order(buyer, (lamp, 1))

        seen = [access.may_see_order(one, order) for one in (buyer, seller, admin, stranger)]

        assert seen == [True, True, True, False]
        assert access.shops_shown(buyer, order) is None
        assert access.shops_shown(seller, order) == {lamp.shop_id}


@pytest.mark.django_db
class TestLists:
    def test_hold_orders_of_a_person_and_of_a_shop(
        self, buyer: User, stranger: User, lamp: Product
    ) -> None:
        own, foreign = make_order(buyer, (lamp, 1)), make_order(stranger, (lamp, 1))

        assert list(selectors.orders_of(buyer)) == [own]
        assert [part.order for part in selectors.parts_of_shop(lamp.shop)] == [foreign, own]
        with assert_queries(3):
            selectors.with_parts(selectors.orders_of(buyer))
