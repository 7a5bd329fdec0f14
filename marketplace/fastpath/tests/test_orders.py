"""Orders by the fast path: stored and answered as Django would, once for each key."""

import asyncio
import json
from typing import Any

import pytest
from pytest_django import Settings

from accounts.models import User
from accounts.services.sessions import end_all
from marketplace.core import questions as questions_module
from marketplace.core.db import IntegrityError, has_transactions
from marketplace.core.limits import reset_limits
from marketplace.core.models import IdempotencyKey
from marketplace.core.vendor import is_postgresql
from marketplace.fastpath import orders as fast_orders
from marketplace.fastpath.orders import plain_lines, read_order
from marketplace.fastpath.tests.asking import Answer, Asker
from marketplace.tests.cast import access_token
from marketplace.tests.sockets import in_thread
from orders.models import Order
from orders.serializers import CreateOrderInput, wanted_order
from shops.models import Product, Shop
from shops.tests.factories import COLORS, make_product, the_sku

pytestmark = pytest.mark.django_db(transaction=True)

UNKNOWN = "019ab0c4-7d10-7cc1-8f6e-0a8d6d3e1b52"


@pytest.fixture
def lamp(shop: Shop) -> Product:
    """Twelve lamps at 49.90."""
    return make_product(shop, name="Desk lamp")


@pytest.fixture
def token(buyer: User) -> str:
    """Asha's."""
    return access_token(buyer)


def body_of(product: Product | str, quantity: Any = 1) -> bytes:
    key = product if isinstance(product, str) else str(product.id)
    return json.dumps({"items": [{"product_id": key, "quantity": quantity}]}).encode()


async def ask(asker: Asker, token: str, body: bytes, key: str | None = None, **more: Any) -> Answer:
    headers = {"authorization": f"Bearer {token}"}
    if key is not None:
        headers["idempotency-key"] = key
    return await asker.fast("POST", "/api/orders", headers=headers, body=body, **more)


def still(value: Any) -> Any:
    """An order without what is another for every order."""
    if isinstance(value, list):
        return [still(one) for one in value]
    if not isinstance(value, dict):
        return value
    moving = {"id", "number", "order_number", "created_at", "updated_at"}
    return {name: still(one) for name, one in value.items() if name not in moving}


def orders() -> int:
    return Order.objects.count()


def be_on_its_way() -> None:
    """The order is paid, and its answer is kept no more."""
    Order.objects.update(status="processing")
    IdempotencyKey.objects.all().delete()


def left(product: Product) -> tuple[int, int]:
    sku = the_sku(product)
    return sku.available, sku.reserved


class TestPlace:
    async def test_stores_what_django_would(self, asker: Asker, lamp: Product, token: str) -> None:
        fast = await ask(asker, token, body_of(lamp, 2), "a")
        assert asker.left_to_django == 0
        slow = await asker.slow(
            "POST",
            "/api/orders",
            headers={"authorization": f"Bearer {token}", "idempotency-key": "b"},
            body=body_of(lamp, 2),
        )

        assert (fast.status, slow.status) == (201, 201)
        assert still(fast.json) == still(slow.json)
        assert fast.headers.keys() == slow.headers.keys()
        assert await in_thread(left, lamp) == (8, 4)

    async def test_gives_a_repeated_request_the_same_words(
        self, asker: Asker, lamp: Product, token: str
    ) -> None:
        first = await ask(asker, token, body_of(lamp), "again")
        second = await ask(asker, token, body_of(lamp), "again")

        assert (first.status, second.status) == (201, 201)
        assert second.body == first.body
        assert second.headers["idempotent-replayed"] == "true"
        assert await in_thread(orders) == 1

    async def test_refuses_the_key_of_another_order(
        self, asker: Asker, lamp: Product, token: str
    ) -> None:
        await ask(asker, token, body_of(lamp), "mine")
        answer = await ask(asker, token, body_of(lamp, 3), "mine")

        assert (answer.status, answer.json["code"]) == (422, "idempotency_key_reused")
        assert await in_thread(orders) == 1

    async def test_keeps_a_refusal_under_its_key(
        self, asker: Asker, lamp: Product, token: str
    ) -> None:
        first = await ask(asker, token, body_of(lamp, 13), "much")
        again = await ask(asker, token, body_of(lamp, 13), "much")

        assert (first.status, first.json["code"]) == (400, "out_of_stock")
        assert first.json["details"]["items"][0]["available"] == 12
        assert again.body == first.body
        assert await in_thread(orders) == 0
        assert await in_thread(left, lamp) == (12, 0)

    async def test_needs_no_key(self, asker: Asker, lamp: Product, token: str) -> None:
        answers = [await ask(asker, token, body_of(lamp)) for _ in range(2)]

        assert [one.status for one in answers] == [201, 201]
        assert (await in_thread(orders), asker.left_to_django) == (2, 0)
        assert await in_thread(IdempotencyKey.objects.count) == 0

    async def test_tells_the_buyer_what_is_left_of_his_limit(
        self, asker: Asker, lamp: Product, token: str, settings: Settings
    ) -> None:
        settings.LIMITS = {**settings.LIMITS, "api": [(1, 3600)]}
        reset_limits()

        answers = [await ask(asker, token, body_of(lamp), f"k{n}") for n in range(2)]

        assert [one.status for one in answers] == [201, 429]
        assert await in_thread(orders) == 1


class TestTogether:
    async def test_sells_no_piece_twice(self, asker: Asker, lamp: Product, token: str) -> None:
        answers = await asyncio.gather(
            *(ask(asker, token, body_of(lamp), f"n{n}", port=41_000 + n) for n in range(40))
        )

        codes = sorted(one.status for one in answers)
        assert codes == [201] * 12 + [400] * 28
        assert (await in_thread(orders), await in_thread(left, lamp)) == (12, (0, 12))
        numbers = sorted(one.json["number"] for one in answers if one.status == 201)
        assert len(set(numbers)) == 12
        # On PostgreSQL what is refused takes a number with it: which one depends on who came first.
        assert is_postgresql() or numbers == list(range(numbers[0], numbers[0] + 12))

    async def test_is_one_order_however_often_it_comes_at_once(
        self, asker: Asker, lamp: Product, token: str
    ) -> None:
        answers = await asyncio.gather(
            *(ask(asker, token, body_of(lamp), "once", port=42_000 + n) for n in range(8))
        )

        assert await in_thread(orders) == 1
        done = [one for one in answers if one.status == 201]
        assert len({one.body for one in done}) == 1
        assert {one.json["code"] for one in answers if one.status != 201} <= {
            "idempotency_in_progress"
        }

    async def test_may_lose_the_very_first_number_to_another(
        self, asker: Asker, lamp: Product, token: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun: list[bool] = []

        def ask_all(*questions: Any, **more: Any) -> Any:
            if not begun:
                begun.append(True)
                raise IntegrityError
            return questions_module.ask_all(*questions, **more)

        monkeypatch.setattr(fast_orders, "ask_all", ask_all)
        answer = await ask(asker, token, body_of(lamp), "a")

        assert answer.status == 201
        assert asker.left_to_django == 1
        assert await in_thread(orders) == 1

    async def test_serves_the_others_beside_a_wrong_one(
        self, asker: Asker, lamp: Product, token: str
    ) -> None:
        bodies = [body_of(lamp), body_of(UNKNOWN), body_of(lamp, 0), b'{"items": 5}', body_of(lamp)]

        answers = await asyncio.gather(
            *(ask(asker, token, body, f"w{n}") for n, body in enumerate(bodies))
        )

        assert [one.status for one in answers] == [201, 404, 422, 422, 201]
        assert await in_thread(orders) == 2

    async def test_finds_an_older_order_beside_a_new_one(
        self, asker: Asker, lamp: Product, token: str
    ) -> None:
        first = await ask(asker, token, body_of(lamp), "old")
        await in_thread(be_on_its_way)

        repeated, new = await asyncio.gather(
            ask(asker, token, body_of(lamp), "old"), ask(asker, token, body_of(lamp), "new")
        )

        assert (repeated.status, new.status) == (201, 201)
        assert repeated.json["id"] == first.json["id"]
        assert (repeated.json["status"], new.json["status"]) == ("confirmed", "pending")
        assert asker.left_to_django == 0
        assert await in_thread(left, lamp) == (10, 2)

    async def test_undoes_all_where_the_answer_cannot_be_kept(
        self, asker: Asker, lamp: Product, token: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(answers: Any) -> None:
            raise RuntimeError("no room")

        monkeypatch.setattr(fast_orders, "keep_all", broken)

        answer = await ask(asker, token, body_of(lamp), "lost")

        assert answer.status == 500
        if await in_thread(has_transactions):
            assert (await in_thread(orders), await in_thread(left, lamp)) == (0, (12, 0))


class TestWhoAsks:
    @pytest.mark.parametrize("header", ["", "Bearer", "Bearer nonsense", "Basic abc"])
    async def test_leaves_a_wrong_token_to_django(
        self, asker: Asker, lamp: Product, header: str
    ) -> None:
        answer = await asker.fast(
            "POST", "/api/orders", headers={"authorization": header}, body=body_of(lamp)
        )

        assert (answer.status, asker.left_to_django) == (401, 1)
        assert await in_thread(orders) == 0

    async def test_refuses_who_has_signed_out(
        self, asker: Asker, lamp: Product, buyer: User, token: str
    ) -> None:
        await in_thread(end_all, user=buyer, reason="logout")

        answer = await ask(asker, token, body_of(lamp))

        assert (answer.status, answer.json["code"]) == (401, "token_revoked")
        assert await in_thread(orders) == 0


class TestPlainLines:
    @pytest.mark.parametrize(
        "items",
        [
            [{"product_id": UNKNOWN, "quantity": 1}],
            [{"sku_id": UNKNOWN.upper(), "quantity": 1000}],
            [{"product_id": UNKNOWN, "sku_id": UNKNOWN, "quantity": 2}, {"quantity": 1}],
        ],
    )
    def test_reads_what_the_serializer_reads(self, items: list[Any]) -> None:
        body = {"items": items}

        assert plain_lines(body) is not None
        assert read_order(json.dumps(body).encode()) == wanted_order(CreateOrderInput.read(body))

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"items": []},
            {"items": None},
            {"items": [{"product_id": UNKNOWN, "quantity": True}]},
            {"items": [{"product_id": UNKNOWN, "quantity": "2"}]},
            {"items": [{"product_id": UNKNOWN, "quantity": 1001}]},
            {"items": [{"product_id": None, "quantity": 1}]},
            {"items": [{"productId": UNKNOWN, "quantity": 1}]},
            {"items": [{"product_id": "x", "quantity": 1}]},
            {"items": [{"product_id": UNKNOWN, "quantity": 1, "note": "x"}]},
            {"items": [{"product_id": UNKNOWN, "quantity": 1}] * 101},
            {"items": [{"product_id": UNKNOWN, "quantity": 1}], "coupon_code": "X"},
            [],
        ],
    )
    def test_leaves_all_else_to_the_serializer(self, body: Any) -> None:
        assert plain_lines(body) is None

    async def test_asks_for_a_sku_where_there_are_options(
        self, asker: Asker, shop: Shop, token: str
    ) -> None:
        shade = await in_thread(make_product, shop, name="Shade", variances=[COLORS])

        answer = await ask(asker, token, body_of(shade), "s")

        assert (answer.status, answer.json["code"]) == (422, "validation_failed")
