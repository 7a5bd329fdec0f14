"""What the fast path takes, what it hands on, and that nobody suffers from his neighbour."""

import asyncio
from typing import Any

import pytest
from pytest_django import Settings

from marketplace.core.errors import InternalError
from marketplace.fastpath import products
from marketplace.fastpath.application import MAX_BODY_BYTES
from marketplace.fastpath.tests.asking import Asker
from shops.models import Product, Shop
from shops.tests.factories import make_product

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lamp(shop: Shop) -> Product:
    """One that is asked for."""
    return make_product(shop, name="Desk lamp", category="Lamps")


class TestWhatItTakes:
    @pytest.mark.parametrize(
        ("method", "more"),
        [
            ("HEAD", {}),
            ("OPTIONS", {}),
            ("DELETE", {}),
            ("GET", {"headers": {"origin": "http://localhost"}}),
            ("GET", {"headers": {"cookie": "sessionid=x"}}),
            ("GET", {"headers": {"host": "elsewhere.example"}}),
            ("GET", {"repeated": ((b"accept", b"a"), (b"accept", b"b"))}),
        ],
    )
    async def test_hands_on_what_is_not_plain(
        self, asker: Asker, lamp: Product, method: str, more: dict[str, Any]
    ) -> None:
        await asker.fast(method, f"/api/products/{lamp.id}", **more)

        assert asker.left_to_django == 1

    @pytest.mark.parametrize(
        "path",
        ["/api/products/", "/api/products/a/b", "/api/products/\x00", "/api/productsx", "/livez"],
    )
    async def test_hands_on_other_paths(self, asker: Asker, shop: Shop, path: str) -> None:
        await asker.fast("GET", path)

        assert asker.left_to_django == 1

    async def test_takes_a_browsers_other_cookies(self, asker: Asker, lamp: Product) -> None:
        answer = await asker.both(
            "GET", f"/api/products/{lamp.id}", headers={"cookie": "theme=dark"}
        )

        assert answer.status == 200

    async def test_follows_the_proxy_as_django_does(
        self, asker: Asker, lamp: Product, settings: Settings
    ) -> None:
        settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

        answer = await asker.both(
            "GET", "/api/products?category=lamps", headers={"x-forwarded-proto": "https"}
        )

        assert answer.headers["link"].startswith("<https://localhost/api/products?")

    async def test_leaves_the_way_to_https_to_django(
        self, asker: Asker, lamp: Product, settings: Settings
    ) -> None:
        settings.SECURE_SSL_REDIRECT = True

        await asker.fast("GET", f"/api/products/{lamp.id}")

        assert asker.left_to_django == 1

    async def test_hands_a_large_body_on_whole(self, asker: Asker, shop: Shop) -> None:
        body = b'{"items": "' + b"x" * MAX_BODY_BYTES + b'"}'

        answer = await asker.fast("POST", "/api/orders", body=body)

        assert (answer.status, asker.left_to_django) == (401, 1)


class TestTogether:
    async def test_gives_each_his_own(self, asker: Asker, shop: Shop, lamp: Product) -> None:
        targets = [f"/api/products/{lamp.id}", "/api/products/nope"] * 10

        answers = await asyncio.gather(
            *(asker.fast("GET", target, port=40_000 + n) for n, target in enumerate(targets))
        )

        assert [one.status for one in answers] == [200, 404] * 10

    async def test_lets_nobody_suffer_from_his_neighbour(
        self, asker: Asker, shop: Shop, lamp: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fragile(keys: Any, **more: Any) -> Any:
            if any(str(key).endswith("beef") for key in keys):
                raise RuntimeError("one that breaks all")
            return found(keys, **more)

        found = products.find_texts
        monkeypatch.setattr(products, "find_texts", fragile)
        poison = str(lamp.id)[:-4] + "beef"

        answers = await asyncio.gather(
            *(asker.fast("GET", f"/api/products/{key}") for key in (lamp.id, poison, lamp.id))
        )

        assert [one.status for one in answers] == [200, 500, 200]
        assert answers[1].json["code"] == InternalError.code
