"""Storefront's product routes (SF6, SF7, SF9), as its clients know them."""

from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from marketplace.core.ids import uuid7
from marketplace.tests.cast import assert_queries
from shops.models import Product, Shop
from shops.services.media import add_link
from shops.tests.factories import COLORS, SIZES, make_product, make_shop

PRODUCTS = "/api/products"
FIELDS = {
    "id", "sku", "shop_id", "name", "description", "brand", "category", "price", "currency",
    "stock_quantity", "stock_status", "media", "variances", "skus", "status", "created_at",
    "updated_at", "images", "colors", "sizes", "stock", "rating", "reviews_count",
}  # fmt: skip


@pytest.fixture
def shop(seller: User) -> Shop:
    return make_shop(seller)


@pytest.fixture
def lamps(shop: Shop) -> list[Product]:
    """Lamp 0 to lamp 24, each one dearer than the one before."""
    return [make_product(shop, f"Lamp {number}", price=10 + number) for number in range(25)]


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [one["name"] for one in answer.json()]


@pytest.mark.django_db
class TestDetail:
    def test_has_the_fields_of_its_clients(
        self, guest: APIClient, shop: Shop, seller: User
    ) -> None:
        product = make_product(
            shop, variances=[SIZES, COLORS], price=Decimal("99.50"), stock_quantity=60
        )
        for url in ("https://example.com/a.jpg", "https://example.com/b.mp4"):
            add_link(actor=seller, key=str(product.id), link={"url": url})

        body = guest.get(f"{PRODUCTS}/{product.id}").json()

        assert set(body) == FIELDS
        assert (body["price"], body["skus"][0]["price"]) == (99.5, 99.5)
        assert (body["images"], body["rating"], body["reviews_count"]) == (
            ["https://example.com/a.jpg"], 0, 0,
        )  # fmt: skip
        assert (body["colors"], body["sizes"]) == (["red", "blue"], ["S", "M", "L"])
        assert (body["stock"], body["stock_quantity"]) == (60, 60)

    def test_sends_whole_amounts_as_whole_numbers(self, guest: APIClient, shop: Shop) -> None:
        product = make_product(shop, price=100)

        answer = guest.get(f"{PRODUCTS}/{product.id}")

        assert b'"price":100,' in answer.content

    @pytest.mark.parametrize("key", ["x", "019ab0c4-7d10-7cc1-8f6e-0a8d6d3e1b52", "1"])
    def test_is_not_found_in_its_words(self, guest: APIClient, key: str) -> None:
        answer = guest.get(f"{PRODUCTS}/{key}")

        assert answer.status_code == 404
        body = answer.json()
        assert (body["error"], body["detail"], body["message"]) == ("Product not found",) * 3
        assert (body["status_code"], body["code"]) == (404, "product_not_found")

    def test_hides_drafts(self, guest: APIClient, shop: Shop) -> None:
        draft = make_product(shop, status="draft")

        assert guest.get(f"{PRODUCTS}/{draft.id}").status_code == 404
        assert names(guest.get(PRODUCTS)) == []

    def test_costs_two_queries(self, guest: APIClient, lamps: list[Product]) -> None:
        with assert_queries(2):
            guest.get(f"{PRODUCTS}/{lamps[0].id}")


@pytest.mark.django_db
class TestList:
    def test_is_a_bare_array_with_its_figures_in_headers(
        self, guest: APIClient, lamps: list[Product]
    ) -> None:
        answer = guest.get(f"{PRODUCTS}?sort=price&page=2&limit=10")

        assert names(answer) == [f"Lamp {number}" for number in range(10, 20)]
        assert set(answer.json()[0]) == FIELDS
        headers = answer.headers
        assert (headers["X-Total-Count"], headers["X-Page"], headers["X-Limit"]) == (
            "25", "2", "10",
        )  # fmt: skip
        base = f"http://testserver{PRODUCTS}?sort=price&limit=10"
        assert headers["Link"] == ", ".join(
            f'<{base}&page={page}>; rel="{name}"'
            for name, page in [("first", 1), ("prev", 1), ("next", 3), ("last", 3)]
        )

    def test_goes_by_offset_too(self, guest: APIClient, lamps: list[Product]) -> None:
        answer = guest.get(f"{PRODUCTS}?sort=price&offset=20&per_page=3")

        assert names(answer) == ["Lamp 20", "Lamp 21", "Lamp 22"]
        base = f"http://testserver{PRODUCTS}?sort=price&limit=3"
        assert f'<{base}&offset=23>; rel="next"' in answer.headers["Link"]

    def test_is_empty_behind_the_end(self, guest: APIClient, lamps: list[Product]) -> None:
        answer = guest.get(f"{PRODUCTS}?page=9")

        assert names(answer) == []
        assert answer.headers["X-Total-Count"] == "25"
        assert 'rel="next"' not in answer.headers["Link"]

    def test_has_20_unless_asked_and_100_at_most(
        self, guest: APIClient, lamps: list[Product]
    ) -> None:
        assert len(names(guest.get(PRODUCTS))) == 20
        assert guest.get(f"{PRODUCTS}?limit=1000").headers["X-Limit"] == "100"

    def test_filters(self, guest: APIClient, shop: Shop) -> None:
        make_product(shop, "Rug", price=80, category="Floor", brand="Wool", stock_quantity=0)
        make_product(shop, "Lamp", price=50, category="Light", brand="Corner")

        for query, expected in [
            ("category=floor", ["Rug"]),
            ("brand=corner", ["Lamp"]),
            ("min_price=60", ["Rug"]),
            ("price_max=60", ["Lamp"]),
            ("search=rug", ["Rug"]),
            ("q=lamp", ["Lamp"]),
            ("in_stock=true", ["Lamp"]),
            (f"shop_id={shop.id}&sort=price", ["Lamp", "Rug"]),
            (f"shop_id={uuid7()}", []),
        ]:
            answer = guest.get(f"{PRODUCTS}?{query}")
            assert names(answer) == expected, query
            assert answer.headers["X-Total-Count"] == str(len(expected))

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("min_price=x", "min_price"), ("price_max=NaN", "max_price"), ("limit=0", "limit"),
            ("page=x", "page"), ("page=0", "page"), ("offset=-1", "offset"),
            ("sort=best", "sort"), ("offset=" + "9" * 30, "offset"),
        ],
    )  # fmt: skip
    def test_answers_a_bad_value_with_422(self, guest: APIClient, query: str, field: str) -> None:
        answer = guest.get(f"{PRODUCTS}?{query}")

        assert answer.status_code == 422
        body = answer.json()
        assert (body["error"], body["code"]) == ("Validation failed", "validation_failed")
        assert body["details"][0]["field"] == f"body.{field}"
        assert body["detail"][0]["loc"] == ["body", field]
        assert set(body["detail"][0]) == {"loc", "msg", "type"}

    def test_searches_best_first(self, guest: APIClient, shop: Shop) -> None:
        make_product(shop, "Shade", description="For a desk lamp.")
        make_product(shop, "Desk lamp")

        assert names(guest.get(f"{PRODUCTS}/search?query=desk+LAMP")) == ["Desk lamp", "Shade"]
        answer = guest.get(f"{PRODUCTS}/search")
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "q"])

    def test_costs_three_queries_however_long(self, guest: APIClient, lamps: list[Product]) -> None:
        with assert_queries(3):
            guest.get(f"{PRODUCTS}?limit=25&category=&min_price=1")

    def test_takes_a_path_with_a_slash(self, guest: APIClient, lamps: list[Product]) -> None:
        assert len(names(guest.get(f"{PRODUCTS}/"))) == 20
