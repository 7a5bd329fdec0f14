"""The admin of orders: few queries, found by what people know, changed through the services."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from marketplace.events.models import AuditEntry
from marketplace.tests.cast import make_user
from orders.models import Order, Payment
from orders.services.moves import cancel_order, pay_order
from orders.tests.factories import make_order, stock_of
from shops.models import Product, Sku

TABLES = ("orders_order", "orders_payment")
MOST_QUERIES = 15


@pytest.fixture
def staff(client: Client, admin: User) -> Client:
    client.force_login(admin)
    return client


@pytest.fixture
def order(buyer: User, lamp: Product) -> Order:
    return make_order(buyer, (lamp, 2))


def listed(client: Client, table: str, **query: str) -> str:
    answer = client.get(reverse(f"admin:{table}_changelist"), query)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def act(client: Client, action: str, *orders: Order) -> str:
    answer = client.post(
        reverse("admin:orders_order_changelist"),
        {"action": action, "_selected_action": [str(order.id) for order in orders]},
        follow=True,
    )
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


@pytest.mark.django_db
class TestLists:
    def test_find_what_people_know(
        self, staff: Client, order: Order, stranger: User, lamp: Product
    ) -> None:
        make_order(stranger, (lamp, 1))

        for query, found in [
            ("10001", True), ("ORD-00010001", True), ("#10001", True), (str(order.id), True),
            ("asha@example.com", True), (str(order.user_id), True), (str(lamp.shop_id), True),
            ("10002", False), ("nobody@example.com", False),
        ]:  # fmt: skip
            assert ("ORD-00010001" in listed(staff, "orders_order", q=query).replace(
                f'value="{query}"', ""
            )) is found, query  # fmt: skip

    def test_filter(self, staff: Client, order: Order) -> None:
        assert "ORD-00010001" in listed(staff, "orders_order", status__exact="pending")
        assert "ORD-00010001" not in listed(staff, "orders_order", payment_status__exact="paid")

    def test_show_one_with_its_lines_payments_and_refunds(
        self, staff: Client, order: Order, seller: User
    ) -> None:
        pay_order(actor=seller, order_id=order.id)
        cancel_order(actor=seller, order_id=order.id)

        page = staff.get(reverse("admin:orders_order_change", args=[order.id]))
        assert page.status_code == 200
        for word in ("Desk lamp", "Corner Lamp", "Manual", "refunded", "49.19"):
            assert word in page.content.decode(), word
        payment = Payment.objects.get()
        shown = staff.get(reverse("admin:orders_payment_change", args=[payment.id]))
        assert shown.status_code == 200

    def test_cost_the_same_however_long(
        self, staff: Client, order: Order, admin: User, lamp: Product
    ) -> None:
        def counts() -> dict[str, int]:
            found = {}
            for table in TABLES:
                with CaptureQueriesContext(connection) as captured:
                    listed(staff, table)
                found[table] = len(captured.captured_queries)
            return found

        pay_order(actor=admin, order_id=order.id)
        few = counts()
        for number in range(100, 108):
            person = make_user(f"Person{number}", number=number)
            pay_order(actor=admin, order_id=make_order(person, (lamp, 1)).id)
        many = counts()

        assert many == few
        assert max(many.values()) <= MOST_QUERIES


@pytest.mark.django_db
class TestActions:
    def test_move_orders_through_the_services(
        self, staff: Client, buyer: User, admin: User, lamp: Product, sku: Sku
    ) -> None:
        orders = [make_order(buyer, (lamp, 2)) for _ in range(3)]

        act(staff, "accept_chosen", orders[0])
        act(staff, "pay_chosen", orders[1])
        act(staff, "cancel_chosen", orders[2])

        stored = Order.objects.order_by("number").values_list("status", "payment_status")
        assert list(stored) == [
            ("processing", "unpaid"), ("processing", "paid"), ("cancelled", "unpaid"),
        ]  # fmt: skip
        assert stock_of(sku.id) == [(6, 0)]
        assert set(AuditEntry.objects.values_list("actor_id", flat=True)) == {admin.public_id}

    def test_tell_what_could_not_be_done(self, staff: Client, order: Order, sku: Sku) -> None:
        act(staff, "cancel_chosen", order)
        page = act(staff, "cancel_chosen", order)

        assert "An order that is cancelled cannot become cancelled." in page
        assert "0 cancelled." in page
        assert stock_of(sku.id) == [(10, 0)]

    def test_change_nothing_by_a_form(self, staff: Client, order: Order) -> None:
        answer: Any = staff.post(
            reverse("admin:orders_order_change", args=[order.id]), {"status": "delivered"}
        )

        assert answer.status_code == 403
        assert Order.objects.get().status == "pending"
