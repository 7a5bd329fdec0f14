"""The calls that the pages for authors of clients show, word for word, in the order shown."""

import re
import shlex
from collections.abc import Iterator
from string import Template

import pytest
from django.conf import settings
from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts.models import User
from marketplace.tests.cast import signed_in
from shops.models import Shop
from shops.tests.factories import make_product, make_shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(seller: User) -> Shop:
    """Corner Lamp, Bruno's: shop_10001."""
    return make_shop(seller)


class Page:
    """The first block of calls of a page. people: who stands behind each name of a token."""

    def __init__(self, name: str, **people: User) -> None:
        text = (settings.BASE_DIR / "docs" / name).read_text()
        [block] = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)[:1]
        first, *self._lines = block.replace("\\\n", " ").strip().split("\ncurl ")
        assert first == "API=http://localhost:8000/api/v1"
        self._people = people
        self.words: dict[str, str] = {}

    def calls(self) -> Iterator[Response]:
        """Each answer in turn; `words` may be added to between two."""
        for line in self._lines:
            yield self._call(line)

    def _call(self, line: str) -> Response:
        method, url, body, sent, client = "get", "", None, {}, APIClient()
        words = iter(shlex.split(line))
        for word in words:
            if word == "-s":
                continue
            if word == "-X":
                method = next(words).lower()
            elif word == "--json":
                body = Template(next(words)).substitute(self.words)
                method = "post" if method == "get" else method
            elif word == "-H":
                name, _, value = next(words).partition(": ")
                if name == "Authorization":
                    client = signed_in(self._people[value.removeprefix("Bearer $")])
                else:
                    sent[f"HTTP_{name.upper().replace('-', '_')}"] = value
            else:
                url = Template(word).substitute(self.words, API="/api/v1")
        asked = {} if body is None else {"data": body, "content_type": "application/json"}
        answer: Response = getattr(client, method)(url, **asked, **sent)
        return answer


class TestShops:
    def test_three_calls(self, seller: User) -> None:
        shop, product, found = Page("shops.md", TOKEN=seller).calls()

        assert (shop.status_code, shop.data["number"]) == (201, 10001)
        assert product.status_code == 201
        assert [sku["stock_quantity"] for sku in product.data["skus"]] == [10] * 6
        assert [one["name"] for one in found.data["items"]] == ["T-shirt"]


class TestOrders:
    def test_four_calls(self, shop: Shop, buyer: User, seller: User) -> None:
        page = Page("orders.md", BUYER=buyer, SELLER=seller)
        page.words["PRODUCT"] = str(make_product(shop).id)

        ordered, accepted, paid, timeline = page.calls()

        assert (ordered.status_code, ordered.data["number"]) == (201, 10001)
        assert (accepted.status_code, accepted.data["status"]) == (200, "processing")
        assert (paid.status_code, paid.data["order"]["payment_status"]) == (200, "paid")
        assert [one["event"] for one in timeline.data["items"]] == [
            "order.created", "order.status_changed", "payment.succeeded",
        ]  # fmt: skip


class TestDelivery:
    def test_seven_calls(self, shop: Shop, buyer: User, seller: User, courier: User) -> None:
        page = Page("delivery.md", COURIER=courier, SELLER=seller)
        page.words |= {"CUSTOMER_ID": buyer.public_id, "COURIER_ID": courier.public_id}
        calls = page.calls()

        duty, made = next(calls), next(calls)
        page.words |= {"ID": made.data["id"], "TOKEN": made.data["tracking_token"]}
        moved, located, tracked, arrived, delivered = calls

        assert (duty.status_code, duty.data["duty"]) == (200, "on")
        assert (made.status_code, made.data["status"]) == (201, "assigned")
        assert (moved.status_code, moved.data["status"]) == (200, "in_transit")
        assert located.data == {"accepted": True, "rejected": None, "late": False}
        assert (tracked.data["courier_name"], tracked.data["location"]["latitude"]) == (
            "Dmitri", 40.72,
        )  # fmt: skip
        assert (arrived.data["status"], delivered.data["status"]) == ("arrived", "delivered")
