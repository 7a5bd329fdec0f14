"""Orders move by conditional updates: every move once, its stock once, one event."""

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest
from pytest_django import Settings

from accounts.models import User
from marketplace.core.clock import now
from marketplace.core.db import transactional
from marketplace.core.errors import AppError, Forbidden, IllegalTransition
from marketplace.core.ids import uuid7
from marketplace.events.models import AuditEntry, Event
from marketplace.events.record import NewEvent, record_all
from marketplace.tests.cast import assert_events
from marketplace.tests.threads import together
from orders.enums import MOVES, OrderStatus
from orders.errors import OrderNotFound, UnsupportedPaymentFlow
from orders.models import Order, OrderLine, Payment, Refund, Reservation, ShopOrder
from orders.services.fulfilment import attach_delivery, order_delivered, order_shipped
from orders.services.moves import (
    accept_order,
    cancel_order,
    move_order,
    pay_order,
    release_expired,
)
from orders.services.transitions import locked, move
from orders.tasks import release_reservations
from orders.tests.factories import make_order, stock_of
from shops.models import Product, Shop, Sku
from shops.tests.factories import make_product, make_shop, make_staff, the_sku


@pytest.fixture
def order(buyer: User, lamp: Product) -> Order:
    """Four lamps of Asha's, to be paid at the door."""
    return make_order(buyer, (lamp, 4))


@pytest.fixture
def rug(stranger: User) -> Product:
    """A rug of Farid's shop."""
    return make_product(make_shop(stranger, "Rugs"), "Rug", stock_quantity=10)


def stands(order: Order) -> tuple[str, str]:
    stored = Order.objects.get(id=order.id)
    return stored.status, stored.payment_status


def told(order: Order, *names: str) -> list[tuple[str, str]]:
    """These events on the order's own topic and its buyer's."""
    return [(topic, name) for name in names for topic in (order.topic, order.user.topic)]


@transactional
def delivery_does(step: Callable[..., list[NewEvent]], **named: object) -> None:
    """As delivery does it: in its transaction, with the events recorded last."""
    record_all(step(**named))


CHANGED, PAID, STOCK = "order.status_changed", "payment.succeeded", "stock.changed"


@pytest.mark.django_db
class TestAccept:
    def test_sells_what_was_held(self, order: Order, sku: Sku, seller: User) -> None:
        with assert_events(*told(order, CHANGED), (sku.product.topic, STOCK)) as recorded:
            accept_order(actor=seller, order_id=order.id)

        assert stands(order) == ("processing", "unpaid")
        assert stock_of(sku.id) == [(6, 0)]
        assert Reservation.objects.get().status == "taken"
        assert ShopOrder.objects.get().status == "processing"
        [event] = [one for one in recorded if one.topic == order.topic]
        assert event.actor_id == seller.public_id
        assert (event.payload["previous_status"], event.payload["status"]) == (
            "pending", "processing",
        )  # fmt: skip
        assert AuditEntry.objects.get().action == "order.moved"

    def test_happens_once(self, order: Order, seller: User, sku: Sku) -> None:
        accept_order(actor=seller, order_id=order.handle)

        with assert_events(), pytest.raises(IllegalTransition):
            accept_order(actor=seller, order_id=order.id)
        assert stock_of(sku.id) == [(6, 0)]

    def test_is_not_for_orders_that_wait_for_money(
        self, buyer: User, seller: User, lamp: Product
    ) -> None:
        order = make_order(buyer, (lamp, 1), flow="regular")

        with assert_events(), pytest.raises(IllegalTransition):
            accept_order(actor=seller, order_id=order.id)

    def test_is_for_its_shop(
        self, order: Order, buyer: User, stranger: User, courier: User, shop: Shop
    ) -> None:
        for actor, error in [(stranger, OrderNotFound), (buyer, Forbidden)]:
            with assert_events(), pytest.raises(error):
                accept_order(actor=actor, order_id=order.id)
        assert stands(order) == ("pending", "unpaid")

        make_staff(shop, courier)
        accept_order(actor=courier, order_id=order.id)

    def test_waits_for_all_shops(
        self, buyer: User, seller: User, stranger: User, lamp: Product, rug: Product
    ) -> None:
        order = make_order(buyer, (lamp, 1), (rug, 1))

        with assert_events():
            accept_order(actor=seller, order_id=order.id)
        assert stands(order)[0] == "pending"
        with assert_events(), pytest.raises(IllegalTransition):
            accept_order(actor=seller, order_id=order.id)
        accept_order(actor=stranger, order_id=order.id)

        assert stands(order)[0] == "processing"
        assert stock_of(the_sku(lamp).id, the_sku(rug).id) == [(9, 0), (9, 0)]


@pytest.mark.django_db
class TestPay:
    def test_records_cash_in_full_and_once(self, order: Order, sku: Sku, seller: User) -> None:
        with assert_events(*told(order, PAID, CHANGED), (sku.product.topic, STOCK)) as recorded:
            paid, payment = pay_order(actor=seller, order_id=order.id)

        assert (paid.status, paid.payment_status, paid.payment_method) == (
            "processing", "paid", "cash",
        )  # fmt: skip
        assert (payment.gateway, payment.method, payment.status, payment.amount) == (
            "manual", "cash", "captured", order.total,
        )  # fmt: skip
        assert stock_of(sku.id) == [(6, 0)]
        [event] = [one for one in recorded if (one.topic, one.name) == (order.topic, PAID)]
        assert event.payload == {
            "order_id": str(order.id),
            "amount": "86.40",
            "currency": "USD",
            "payment_id": str(payment.id),
        }
        with assert_events(), pytest.raises(IllegalTransition):
            pay_order(actor=seller, order_id=order.id)
        assert Payment.objects.count() == 1

    @pytest.mark.parametrize("steps", [1, 2, 3])
    def test_takes_the_money_at_the_door_too(
        self, order: Order, seller: User, sku: Sku, steps: int
    ) -> None:
        for status in ("processing", "shipped", "delivered")[:steps]:
            move_order(actor=seller, order_id=order.id, status=status)

        with assert_events(*told(order, PAID)):
            pay_order(actor=seller, order_id=order.id)

        assert stands(order) == (("processing", "shipped", "delivered")[steps - 1], "paid")
        assert stock_of(sku.id) == [(6, 0)]

    def test_takes_nothing_for_what_is_cancelled(
        self, order: Order, seller: User, buyer: User, sku: Sku
    ) -> None:
        cancel_order(actor=buyer, order_id=order.id)

        with assert_events(), pytest.raises(IllegalTransition):
            pay_order(actor=seller, order_id=order.id)
        assert stands(order) == ("cancelled", "unpaid")
        assert Payment.objects.count() == 0
        assert stock_of(sku.id) == [(10, 0)]

    def test_is_for_orders_that_are_paid_on_delivery(
        self, buyer: User, seller: User, lamp: Product
    ) -> None:
        order = make_order(buyer, (lamp, 1), flow="regular")

        for method in ("cash", "card"):
            with assert_events(), pytest.raises(UnsupportedPaymentFlow):
                pay_order(actor=seller, order_id=order.id, method=method)
        assert stands(order) == ("pending", "unpaid")

    def test_is_for_its_shops_and_admins(
        self,
        buyer: User,
        seller: User,
        stranger: User,
        employee: User,
        admin: User,
        lamp: Product,
        rug: Product,
    ) -> None:
        order = make_order(buyer, (lamp, 1), (rug, 1))

        for actor, error in [
            (buyer, Forbidden), (employee, OrderNotFound), (seller, Forbidden),
            (stranger, Forbidden),
        ]:  # fmt: skip
            with assert_events(), pytest.raises(error):
                pay_order(actor=actor, order_id=order.id)
        pay_order(actor=admin, order_id=order.id)

        assert stands(order) == ("processing", "paid")
        assert AuditEntry.objects.get().actor_id == admin.public_id


@pytest.mark.django_db
class TestCancel:
    def test_frees_what_was_held(self, order: Order, buyer: User, sku: Sku) -> None:
        with assert_events(*told(order, CHANGED), (sku.product.topic, STOCK)) as recorded:
            cancel_order(actor=buyer, order_id=order.id, reason="  too   late ")

        assert stands(order) == ("cancelled", "unpaid")
        assert stock_of(sku.id) == [(10, 0)]
        assert Reservation.objects.get().status == "released"
        assert ShopOrder.objects.get().status == "cancelled"
        assert {one.payload.get("reason") for one in recorded if one.name == CHANGED} == {
            "too late"
        }
        assert AuditEntry.objects.count() == 0

    def test_happens_once(self, order: Order, buyer: User, seller: User, sku: Sku) -> None:
        cancel_order(actor=buyer, order_id=order.id)

        for actor in (buyer, seller):
            with assert_events(), pytest.raises(IllegalTransition):
                cancel_order(actor=actor, order_id=order.id)
        assert stock_of(sku.id) == [(10, 0)]

    def test_puts_back_what_was_sold(
        self, order: Order, buyer: User, seller: User, sku: Sku
    ) -> None:
        accept_order(actor=seller, order_id=order.id)

        cancel_order(actor=buyer, order_id=order.id)

        assert stands(order) == ("cancelled", "unpaid")
        assert stock_of(sku.id) == [(10, 0)]
        with pytest.raises(IllegalTransition):
            cancel_order(actor=buyer, order_id=order.id)
        assert stock_of(sku.id) == [(10, 0)]

    def test_gives_the_cash_back(self, order: Order, seller: User, sku: Sku) -> None:
        _, payment = pay_order(actor=seller, order_id=order.id)

        with assert_events(*told(order, CHANGED, "payment.refunded"), (sku.product.topic, STOCK)):
            cancel_order(actor=seller, order_id=order.id)

        assert stands(order) == ("cancelled", "refunded")
        payment.refresh_from_db()
        assert payment.refunded_amount == payment.amount == Decimal("86.40")
        assert Refund.objects.get().status == "succeeded"
        assert stock_of(sku.id) == [(10, 0)]

    def test_ends_with_the_shipping(
        self, order: Order, buyer: User, seller: User, admin: User, sku: Sku
    ) -> None:
        for status in ("processing", "shipped"):
            move_order(actor=seller, order_id=order.id, status=status)

        for actor in (buyer, seller, admin):
            with assert_events(), pytest.raises(IllegalTransition):
                cancel_order(actor=actor, order_id=order.id)
        assert stock_of(sku.id) == [(6, 0)]

    def test_is_not_for_strangers_or_one_shop_of_two(
        self, buyer: User, seller: User, employee: User, lamp: Product, rug: Product
    ) -> None:
        order = make_order(buyer, (lamp, 1), (rug, 1))

        for actor, error in [(employee, OrderNotFound), (seller, Forbidden)]:
            with assert_events(), pytest.raises(error):
                cancel_order(actor=actor, order_id=order.id)
        assert stands(order)[0] == "pending"


@pytest.mark.django_db
class TestMove:
    def test_goes_the_whole_way(self, order: Order, seller: User) -> None:
        for status in ("processing", "shipped", "delivered"):
            with assert_events(
                *told(order, CHANGED),
                *([(order.all_lines[0].product.topic, STOCK)] if status == "processing" else []),  # type: ignore[union-attr]
            ):
                move_order(actor=seller, order_id=order.id, status=status)
            assert stands(order)[0] == status
            assert ShopOrder.objects.get().status == status

    @pytest.mark.parametrize(
        ("before", "to"),
        [
            (before, to)
            for before in OrderStatus.values
            for to in OrderStatus.values
            if to not in MOVES[before]
        ],
    )
    def test_makes_no_move_that_is_not_listed(
        self, order: Order, admin: User, sku: Sku, before: str, to: str
    ) -> None:
        Order.objects.update(status=before)
        ShopOrder.objects.update(status=before)

        with assert_events(), pytest.raises(IllegalTransition):
            move_order(actor=admin, order_id=order.id, status=to)

        assert stands(order)[0] == before
        assert stock_of(sku.id) == [(6, 4)]

    @pytest.mark.parametrize("to", ["returned", "failed", "pending"])
    def test_leaves_to_others_what_is_theirs(self, order: Order, admin: User, to: str) -> None:
        for status in ("pending", "delivered", "failed"):
            Order.objects.update(status=status)
            with assert_events(), pytest.raises(IllegalTransition):
                move_order(actor=admin, order_id=order.id, status=to)

    def test_is_not_for_the_buyer(self, order: Order, buyer: User, stranger: User) -> None:
        for actor, error in [(buyer, Forbidden), (stranger, OrderNotFound)]:
            with assert_events(), pytest.raises(error):
                move_order(actor=actor, order_id=order.id, status="shipped")

    def test_frees_the_stock_of_what_fails_and_holds_no_ground(
        self, order: Order, sku: Sku
    ) -> None:
        @transactional
        def fail() -> None:
            record_all(move(locked(order.id), OrderStatus.FAILED, actor_id=None))

        fail()

        assert stock_of(sku.id) == [(10, 0)]
        assert Reservation.objects.get().status == "released"
        assert ShopOrder.objects.get().status == "failed"

    def test_goes_as_far_as_all_parts_have(
        self, buyer: User, seller: User, stranger: User, lamp: Product, rug: Product
    ) -> None:
        order = make_order(buyer, (lamp, 1), (rug, 1))
        for actor in (seller, stranger):
            accept_order(actor=actor, order_id=order.id)

        steps = []
        for actor, status in [
            (seller, "shipped"), (seller, "delivered"), (stranger, "shipped"),
            (stranger, "delivered"),
        ]:  # fmt: skip
            move_order(actor=actor, order_id=order.id, status=status)
            steps.append(stands(order)[0])

        assert steps == ["processing", "processing", "shipped", "delivered"]
        assert set(ShopOrder.objects.values_list("status", flat=True)) == {"delivered"}


@pytest.mark.django_db
class TestDelivery:
    def test_moves_the_order_once(self, order: Order, seller: User, courier: User) -> None:
        accept_order(actor=seller, order_id=order.id)
        whose = {
            "order_id": order.id,
            "shop_id": order.all_lines[0].shop_id,
            "actor_id": courier.public_id,
        }

        for step, status in [(order_shipped, "shipped"), (order_delivered, "delivered")]:
            with assert_events(*told(order, CHANGED)):
                delivery_does(step, **whose)
            with assert_events():
                delivery_does(step, **whose)
            assert stands(order)[0] == status
        with assert_events():
            delivery_does(order_shipped, **whose)

        event = Event.objects.filter(topic=order.topic).order_by("-seq")[0]
        assert event.actor_id == courier.public_id

    def test_accepts_what_it_carries(self, order: Order, sku: Sku) -> None:
        delivery_does(order_shipped, order_id=order.id, shop_id=None, actor_id=None)

        assert stands(order)[0] == "shipped"
        assert stock_of(sku.id) == [(6, 0)]
        names = Event.objects.filter(topic=order.topic).order_by("seq")
        assert [one.payload["status"] for one in names] == ["pending", "processing", "shipped"]

    def test_carries_nothing_that_is_not_paid_or_is_over(
        self, buyer: User, order: Order, lamp: Product
    ) -> None:
        unpaid = make_order(buyer, (lamp, 1), flow="regular")
        cancel_order(actor=buyer, order_id=order.id)

        for one, error in [(unpaid.id, IllegalTransition), (order.id, IllegalTransition),
                           (uuid7(), OrderNotFound)]:  # fmt: skip
            with assert_events(), pytest.raises(error):
                delivery_does(order_shipped, order_id=one, shop_id=None, actor_id=None)

    def test_arrives_without_having_been_on_its_way(self, order: Order, seller: User) -> None:
        pay_order(actor=seller, order_id=order.id)

        with assert_events(*told(order, CHANGED, CHANGED)):
            delivery_does(order_delivered, order_id=order.id, shop_id=None, actor_id=None)

        assert stands(order) == ("delivered", "paid")

    def test_names_itself_first_come(self, order: Order) -> None:
        first, second = uuid7(), uuid7()
        with assert_events():
            for key in (first, second):
                delivery_does(attach_delivery, order_id=order.id, delivery_id=key)

        assert Order.objects.get().delivery_id == first
        with pytest.raises(OrderNotFound):
            delivery_does(attach_delivery, order_id=uuid7(), delivery_id=first)

    def test_demands_a_transaction(self, order: Order) -> None:
        for step in (order_shipped, order_delivered):
            with pytest.raises(RuntimeError):
                step(order_id=order.id, shop_id=None, actor_id=None)
        with pytest.raises(RuntimeError):
            attach_delivery(order_id=order.id, delivery_id=uuid7())


def let_pass(**time: int) -> None:
    """As if everything that is held had been held for so much longer."""
    for one in Reservation.objects.order_by("id"):
        Reservation.objects.filter(id=one.id).update(expires_at=one.expires_at - timedelta(**time))


@pytest.mark.django_db
class TestExpiry:
    def test_cancels_what_was_not_settled_in_time(
        self, order: Order, sku: Sku, buyer: User, lamp: Product
    ) -> None:
        regular = make_order(buyer, (lamp, 3), flow="regular")
        assert release_expired() == 0

        let_pass(seconds=1801)
        release_reservations()

        assert (stands(order)[0], stands(regular)[0]) == ("pending", "cancelled")
        assert stock_of(sku.id) == [(6, 4)]
        event = Event.objects.filter(topic=regular.topic).order_by("-seq")[0]
        assert (event.payload["reason"], event.actor_id) == ("expired", None)

        let_pass(days=1)
        assert release_expired() == 1
        assert stands(order)[0] == "cancelled"
        assert stock_of(sku.id) == [(10, 0)]
        with assert_events():
            assert release_expired() == 0

    def test_takes_its_times_from_the_settings(
        self, buyer: User, lamp: Product, settings: Settings
    ) -> None:
        settings.REQUEST_TTL_S, settings.RESERVATION_TTL_S = 100, 50

        left = [
            Reservation.objects.get(order=make_order(buyer, (lamp, 1), flow=flow)).expires_at
            for flow in ("on_delivery", "regular")
        ]

        assert [round((one - now()).total_seconds(), -1) for one in left] == [100, 50]

    def test_leaves_alone_what_was_accepted_or_paid(
        self, order: Order, buyer: User, seller: User, lamp: Product, sku: Sku
    ) -> None:
        paid = make_order(buyer, (lamp, 1))
        accept_order(actor=seller, order_id=order.id)
        pay_order(actor=seller, order_id=paid.id)
        let_pass(days=2)

        with assert_events():
            assert release_expired() == 0
        assert stock_of(sku.id) == [(5, 0)]


@pytest.mark.transactions
@pytest.mark.django_db(transaction=True)
class TestRaces:
    def outcome(self, do: Callable[[], object]) -> str:
        try:
            do()
        except AppError as error:
            return error.code
        return "done"

    def test_of_many_payments_one_counts(self, order: Order, seller: User, sku: Sku) -> None:
        pay = lambda: self.outcome(lambda: pay_order(actor=seller, order_id=order.id))  # noqa: E731

        outcomes = together(*[pay] * 6)

        assert sorted(outcomes) == ["done", *["illegal_transition"] * 5]
        assert Payment.objects.get().status == "captured"
        assert Event.objects.filter(topic=order.topic, name=PAID).count() == 1
        assert stock_of(sku.id) == [(6, 0)]

    def test_of_many_cancellations_one_frees_the_stock(
        self, order: Order, buyer: User, seller: User, sku: Sku
    ) -> None:
        by = [
            lambda actor=actor: self.outcome(lambda: cancel_order(actor=actor, order_id=order.id))
            for actor in (buyer, seller) * 3
        ]

        assert sorted(together(*by)) == ["done", *["illegal_transition"] * 5]
        assert stock_of(sku.id) == [(10, 0)]

    @pytest.mark.parametrize("turn", range(3))
    def test_expiry_and_payment_never_both_win(
        self, order: Order, seller: User, sku: Sku, turn: int
    ) -> None:
        let_pass(days=2)

        paid, _ = together(
            lambda: self.outcome(lambda: pay_order(actor=seller, order_id=order.id)),
            lambda: self.outcome(release_expired),
        )

        if paid == "done":
            assert stands(order) == ("processing", "paid")
            assert stock_of(sku.id) == [(6, 0)]
        else:
            assert stands(order) == ("cancelled", "unpaid")
            assert stock_of(sku.id) == [(10, 0)]
            assert Payment.objects.count() == 0

    def test_two_shops_at_once_take_the_order_along(
        self, buyer: User, seller: User, stranger: User, lamp: Product, rug: Product
    ) -> None:
        order = make_order(buyer, (lamp, 1), (rug, 1))

        outcomes = together(
            *[
                lambda actor=actor: self.outcome(
                    lambda: accept_order(actor=actor, order_id=order.id)
                )
                for actor in (seller, stranger)
            ]
        )

        assert outcomes == ["done", "done"]
        assert stands(order)[0] == "processing"


@pytest.mark.django_db
class TestSum:
    def test_of_stock_and_orders_is_kept_over_many_random_acts(
        self, buyer: User, seller: User, admin: User, shop: Shop
    ) -> None:
        chance = random.Random(7)  # the same acts every time
        products = [make_product(shop, f"Lamp {n}", stock_quantity=10) for n in range(2)]
        skus = [the_sku(product) for product in products]

        def act() -> None:
            orders = list(Order.objects.exclude(status="cancelled").order_by("id"))
            which = chance.random()
            if not orders or which < 0.3:
                chosen = [(one, chance.randint(1, 3)) for one in products if chance.random() < 0.8]
                flow = chance.choice(["regular", "on_delivery"])
                make_order(buyer, *(chosen or [(products[0], 1)]), flow=flow)
                return
            order = chance.choice(orders)
            if which < 0.42:
                cancel_order(actor=chance.choice([buyer, seller]), order_id=order.id)
            elif which < 0.6:
                pay_order(actor=seller, order_id=order.id)
            elif which < 0.63:
                let_pass(seconds=chance.choice([600, 1900]))
                release_expired()
            else:
                status = chance.choice(["processing", "shipped", "delivered", "returned"])
                move_order(actor=admin, order_id=order.id, status=status)

        for _ in range(120):
            with suppress(AppError):
                act()
            for sku in skus:
                [(available, reserved)] = stock_of(sku.id)
                assert available + reserved + sold(sku) == 10
                assert reserved == pieces(sku, "pending")
        assert len(set(Order.objects.values_list("status", flat=True))) >= 4


def pieces(sku: Sku, *statuses: str) -> int:
    lines = OrderLine.objects.filter(sku=sku, order__status__in=statuses)
    return sum(lines.values_list("quantity", flat=True))


def sold(sku: Sku) -> int:
    return pieces(sku, "processing", "shipped", "delivered")
