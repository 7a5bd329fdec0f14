"""The admin of deliveries: few queries, found by what people know, changed through the services."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from delivery.models import Courier, Delivery, ShopRules
from delivery.services.assigning import offer_delivery
from delivery.services.couriers import set_duty
from delivery.tests.factories import away, fix, make_delivery, send
from delivery.tokens import token_of
from marketplace.core.clock import now
from marketplace.events.models import Event
from marketplace.tests.cast import make_user
from shops.models import Shop

TABLES = ("delivery_delivery", "delivery_courier", "delivery_offer", "delivery_shoprules")
MOST_QUERIES = 15


@pytest.fixture
def staff(client: Client, admin: User) -> Client:
    client.force_login(admin)
    return client


def listed(client: Client, table: str, **query: str) -> str:
    answer = client.get(reverse(f"admin:{table}_changelist"), query)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def act(client: Client, table: str, action: str, *keys: Any) -> None:
    answer = client.post(
        reverse(f"admin:{table}_changelist"),
        {"action": action, "_selected_action": [str(key) for key in keys]},
    )
    assert answer.status_code == 302, answer.content


@pytest.mark.django_db
class TestLists:
    def test_find_what_people_know(
        self, staff: Client, delivery: Delivery, buyer: User, courier: User, shop: Shop
    ) -> None:
        shown = delivery.id.hex[-12:]
        for query in (
            str(delivery.id),
            str(shop.id),
            "asha@example.com",
            "asha",
            buyer.public_id,
            courier.public_id,
        ):
            assert shown in listed(staff, "delivery_delivery", q=query), query
        assert shown not in listed(staff, "delivery_delivery", q="nobody@example.com")
        assert shown not in listed(staff, "delivery_delivery", status="pending")
        assert shown in listed(staff, "delivery_delivery", status="assigned")
        assert "dmitri" in listed(staff, "delivery_courier", q=courier.public_id)

    def test_show_one_with_its_last_positions(
        self, staff: Client, moving: Delivery, no_limit: None
    ) -> None:
        send(moving, fix(away(900), now()))
        send(moving, fix((0.0, 0.0), now()))

        answer = staff.get(reverse("admin:delivery_delivery_change", args=[moving.id]))

        text = answer.content.decode()
        assert answer.status_code == 200
        assert "static" in text
        assert f"/track/{token_of(moving)}" in text

    def test_cost_the_same_however_long(
        self, staff: Client, shop: Shop, buyer: User, courier: User
    ) -> None:
        def counts() -> dict[str, int]:
            found = {}
            for table in TABLES:
                with CaptureQueriesContext(connection) as captured:
                    listed(staff, table)
                found[table] = len(captured.captured_queries)
            return found

        def one_more(number: int) -> None:
            rider = make_user(f"Rider{number}", number=number, role="courier")
            make_delivery(shop, buyer, rider)
            set_duty(actor=rider, duty="on", capacity=3)
            offer_delivery(delivery_id=make_delivery(shop, buyer).id)

        ShopRules.objects.create(shop=shop)
        one_more(300)
        few = counts()
        for number in range(301, 312):
            one_more(number)
        many = counts()

        assert many == few
        assert max(many.values()) <= MOST_QUERIES


@pytest.mark.django_db
class TestActions:
    def test_give_to_the_nearest_free_courier(
        self, staff: Client, shop: Shop, buyer: User, courier: User, admin: User
    ) -> None:
        set_duty(actor=courier, duty="on")
        waiting = make_delivery(shop, buyer)

        act(staff, "delivery_delivery", "assign_nearest", waiting.id)

        waiting.refresh_from_db()
        assert (waiting.status, waiting.courier_id) == ("assigned", courier.pk)
        event = Event.objects.filter(topic=waiting.topic).order_by("-seq")[0]
        assert event.actor_id == admin.public_id

    def test_say_that_no_courier_is_free(self, staff: Client, shop: Shop, buyer: User) -> None:
        waiting = make_delivery(shop, buyer)

        act(staff, "delivery_delivery", "assign_nearest", waiting.id)

        assert "No courier is free." in listed(staff, "delivery_delivery")
        waiting.refresh_from_db()
        assert waiting.status == "pending"

    def test_cancel(self, staff: Client, delivery: Delivery) -> None:
        act(staff, "delivery_delivery", "cancel_chosen", delivery.id)
        act(staff, "delivery_delivery", "cancel_chosen", delivery.id)

        delivery.refresh_from_db()
        assert delivery.status == "cancelled"
        assert Event.objects.filter(topic=delivery.topic).count() == 2

    def test_take_off_duty(self, staff: Client, courier: User) -> None:
        row = set_duty(actor=courier, duty="on")

        act(staff, "delivery_courier", "take_off_duty", row.id)

        assert Courier.objects.get().duty == "off"

    def test_change_nothing_by_a_form(self, staff: Client, delivery: Delivery) -> None:
        answer = staff.post(
            reverse("admin:delivery_delivery_change", args=[delivery.id]), {"status": "delivered"}
        )

        assert answer.status_code == 403
        assert Delivery.objects.get().status == "assigned"

    def test_set_what_a_shop_asks_for(self, staff: Client, shop: Shop) -> None:
        answer = staff.post(
            reverse("admin:delivery_shoprules_add"), {"shop": str(shop.id), "proof_kind": "photo"}
        )

        assert answer.status_code == 302
        assert ShopRules.objects.get().proof_kind == "photo"
