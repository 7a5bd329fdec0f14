"""The admin of shops: few queries, found by what people know, changed through the services."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from marketplace.events.models import AuditEntry, Event
from marketplace.tests.cast import make_user
from shops.models import Product, Shop
from shops.tests.factories import SIZES, make_product, make_shop, make_staff, the_sku

TABLES = ("shops_shop", "shops_shopmember", "shops_product")
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
    def test_find_what_people_know(self, staff: Client, shop: Shop, seller: User) -> None:
        product = make_product(shop, brand="Tall", variances=[SIZES])
        sku = product.skus.order_by("number")[0]
        make_shop(seller, "Another")

        for table, query, found in [
            ("shops_shop", "corner", "Corner Lamp"),
            ("shops_shop", "10001", "Corner Lamp"),
            ("shops_shop", "shop_10001", "Corner Lamp"),
            ("shops_shop", str(shop.id), "Corner Lamp"),
            ("shops_shop", "bruno@example.com", "Another"),
            ("shops_shopmember", "corner", "owner"),
            ("shops_shopmember", seller.public_id, "owner"),
            ("shops_product", "desk", "Desk lamp"),
            ("shops_product", "tall", "Desk lamp"),
            ("shops_product", str(shop.id), "Desk lamp"),
            ("shops_product", str(sku.id), "Desk lamp"),
        ]:
            assert found in listed(staff, table, q=query), (table, query)
        assert "Another" not in listed(staff, "shops_shop", q="10001").replace("Another shop", "")
        assert "Desk lamp" not in listed(staff, "shops_product", q="nothing")

    def test_filter(self, staff: Client, shop: Shop) -> None:
        make_product(shop, "Rough lamp", status="draft")

        assert "Rough lamp" in listed(staff, "shops_product", status__exact="draft")
        assert "Rough lamp" not in listed(staff, "shops_product", status__exact="published")
        assert "Corner Lamp" not in listed(staff, "shops_shop", state="closed")

    def test_show_one_of_each(self, staff: Client, shop: Shop) -> None:
        product = make_product(shop, variances=[SIZES])
        for table, key in [
            ("shops_shop", shop.id),
            ("shops_product", product.id),
            ("shops_shopmember", shop.members.get().id),
        ]:
            assert staff.get(reverse(f"admin:{table}_change", args=[key])).status_code == 200

    def test_cost_the_same_however_long(self, staff: Client, shop: Shop) -> None:
        def counts() -> dict[str, int]:
            found = {}
            for table in TABLES:
                with CaptureQueriesContext(connection) as captured:
                    listed(staff, table)
                found[table] = len(captured.captured_queries)
            return found

        make_product(shop)
        few = counts()
        for number in range(100, 112):
            person = make_user(f"Person{number}", number=number)
            make_product(make_shop(person, f"Shop {number}"), variances=[SIZES])
            make_staff(shop, person)
        many = counts()

        assert many == few
        assert max(many.values()) <= MOST_QUERIES


@pytest.mark.django_db
class TestActions:
    def test_archive_and_publish_through_the_service(
        self, staff: Client, shop: Shop, admin: User
    ) -> None:
        product = make_product(shop)

        act(staff, "shops_product", "archive_chosen", product.id)
        assert Product.objects.get().status == "archived"
        act(staff, "shops_product", "publish_chosen", product.id)
        act(staff, "shops_product", "withdraw_chosen", product.id)

        assert Product.objects.get().status == "draft"
        events = Event.objects.filter(topic=product.topic).order_by("seq")
        assert [event.name for event in events] == [
            "product.created",
            "product.archived",
            "product.updated",
            "product.updated",
        ]
        assert events[3].actor_id == admin.public_id

    def test_close_a_shop_and_tell_what_cannot_be_sold(
        self, staff: Client, shop: Shop, admin: User
    ) -> None:
        product = make_product(shop)

        act(staff, "shops_shop", "close_chosen", shop.id)
        act(staff, "shops_product", "publish_chosen", product.id)

        assert Shop.objects.get().closed_at is not None
        assert Product.objects.get().status == "archived"
        assert AuditEntry.objects.get(action="shop.deleted").actor_id == admin.public_id

    def test_change_nothing_by_a_form(self, staff: Client, shop: Shop) -> None:
        sku = the_sku(make_product(shop))

        answer = staff.post(
            reverse("admin:shops_product_change", args=[sku.product_id]), {"name": "Mine"}
        )

        assert answer.status_code == 403
        assert Product.objects.get().name == "Desk lamp"
