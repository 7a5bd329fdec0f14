"""Products by the fast path: the words that Django would have said, whatever was asked."""

from decimal import Decimal

import pytest
from pytest_django import Settings

from marketplace.core.limits import reset_limits
from marketplace.fastpath.tests.asking import Asker
from marketplace.tests.sockets import in_thread
from shops.enums import ProductStatus
from shops.models import Product, Shop, Sku
from shops.tests.factories import COLORS, SIZES, make_product

pytestmark = pytest.mark.django_db(transaction=True)

UNKNOWN = "019ab0c4-7d10-7cc1-8f6e-0a8d6d3e1b52"


@pytest.fixture
def lamps(shop: Shop) -> list[Product]:
    """Twelve lamps: the first with options, one archived, one of another category."""
    kind = {"category": "Lamps", "brand": "Corner"}
    made = [make_product(shop, name="Tall lamp", category="Lamps", variances=[COLORS, SIZES])]
    made += [
        make_product(shop, name=f"Lamp {n}", price=Decimal(10 * n), **kind) for n in range(1, 12)
    ]
    Product.objects.filter(id=made[3].id).update(status=ProductStatus.ARCHIVED)
    Product.objects.filter(id=made[4].id).update(category="Desks", category_key="desks")
    return made


class TestList:
    @pytest.mark.parametrize(
        "query",
        [
            "category=lamps",
            "category=LAMPS&limit=3",
            "category=lamps&limit=3&page=2&price_min=20&price_max=90",
            "category=lamps&page=99",
            "category=lamps&offset=4&limit=2",
            "category=lamps&sort=price",
            "category=lamps&sort=-price&limit=4",
            "brand=corner&limit=500",
            "brand=corner&category=lamps&category=desks",
            "category=nothing",
            "category=l%C3%A4mps",
        ],
    )
    async def test_says_what_django_says(
        self, asker: Asker, lamps: list[Product], query: str
    ) -> None:
        answer = await asker.both("GET", f"/api/products?{query}")

        assert answer.status == 200

    @pytest.mark.parametrize(
        "query",
        ["category=lamps&page=0", "category=lamps&price_min=many", "category=lamps&limit=-1"],
    )
    async def test_refuses_as_django_refuses(self, asker: Asker, shop: Shop, query: str) -> None:
        answer = await asker.fast("GET", f"/api/products?{query}")

        assert (answer.status, answer.json["code"]) == (422, "validation_failed")

    @pytest.mark.parametrize("query", ["", "q=lamp", "category=lamps&in_stock=true"])
    async def test_leaves_to_django_what_can_be_slow(
        self, asker: Asker, lamps: list[Product], query: str
    ) -> None:
        answer = await asker.fast("GET", f"/api/products?{query}")

        assert (answer.status, asker.left_to_django) == (200, 1)

    async def test_tells_a_change_at_once(self, asker: Asker, lamps: list[Product]) -> None:
        target = "/api/products?category=lamps&limit=2"
        before = (await asker.both("GET", target)).json

        await in_thread(Product.objects.filter(id=lamps[-1].id).update, name="Renamed")
        await in_thread(Sku.objects.filter(product_id=lamps[-2].id).update, available=3)

        after = (await asker.both("GET", target)).json
        assert [one["name"] for one in before] == ["Lamp 11", "Lamp 10"]
        assert [one["name"] for one in after] == ["Renamed", "Lamp 10"]
        assert [one["stock"] for one in after] == [before[0]["stock"], 3]

    async def test_counts_the_callers_requests(
        self, asker: Asker, lamps: list[Product], settings: Settings
    ) -> None:
        settings.LIMITS = {**settings.LIMITS, "api": [(2, 3600)]}
        reset_limits()

        answers = [await asker.fast("GET", "/api/products?category=lamps") for _ in range(3)]

        assert [one.status for one in answers] == [200, 200, 429]
        assert [one.headers["ratelimit-remaining"] for one in answers] == ["1", "0", "0"]
        assert answers[2].json["code"] == "rate_limited"
        assert int(answers[2].headers["retry-after"]) > 0


class TestDetail:
    async def test_says_what_django_says(self, asker: Asker, lamps: list[Product]) -> None:
        for lamp in (lamps[0], lamps[1]):
            answer = await asker.both("GET", f"/api/products/{lamp.id}")
            assert answer.json["name"] == lamp.name

    @pytest.mark.parametrize("key", [UNKNOWN, "nope", UNKNOWN.replace("-", ""), "a%20b"])
    async def test_refuses_what_is_none(self, asker: Asker, shop: Shop, key: str) -> None:
        answer = await asker.both("GET", f"/api/products/{key}")

        assert (answer.status, answer.json["code"]) == (404, "product_not_found")

    async def test_hides_what_is_not_published(self, asker: Asker, lamps: list[Product]) -> None:
        answer = await asker.both("GET", f"/api/products/{lamps[3].id}")

        assert answer.status == 404

    async def test_forgets_what_is_withdrawn(self, asker: Asker, lamps: list[Product]) -> None:
        target = f"/api/products/{lamps[1].id}"
        assert (await asker.both("GET", target)).status == 200

        await in_thread(
            Product.objects.filter(id=lamps[1].id).update, status=ProductStatus.ARCHIVED
        )

        assert (await asker.both("GET", target)).status == 404

    async def test_knows_an_id_in_capitals(self, asker: Asker, lamps: list[Product]) -> None:
        answer = await asker.both("GET", f"/api/products/{str(lamps[1].id).upper()}")

        assert answer.json["id"] == str(lamps[1].id)

    async def test_leaves_the_search_to_its_own_route(
        self, asker: Asker, lamps: list[Product]
    ) -> None:
        answer = await asker.fast("GET", "/api/products/search?q=tall")

        assert ([one["name"] for one in answer.json], asker.left_to_django) == (["Tall lamp"], 1)
