"""The commands that the shop's benchmarks ask (benchmarks/README.md)."""

import io
import json
from collections import Counter as Tally
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from marketplace.events.models import Event
from marketplace.management.benchmarking import HOT, price_of, product_id, sku_id
from orders.models import Order, OrderLine
from shops.models import Product, Sku

PRODUCTS = 1_000


def printed(name: str, *arguments: str) -> list[str]:
    out = io.StringIO()
    call_command(name, *arguments, stdout=out)
    return out.getvalue().splitlines()


def fill(stock: int = 1_000_000) -> None:
    assert printed("bench_shop", "--products", str(PRODUCTS), "--stock", str(stock)) == []


def requests(kind: str) -> list[list[str]]:
    return [
        line.split("\t") for line in printed("bench_requests", kind, "--products", str(PRODUCTS))
    ]


def verified(stock: int) -> dict[str, Any]:
    [line] = printed("bench_verify", "--stock", str(stock))
    return dict(json.loads(line))


def send_order(client: Client, line: list[str], number: int) -> Any:
    _, path, token, body, key = line
    headers = {
        "Authorization": f"Bearer {token}",
        "Idempotency-Key": key.replace("{n}", str(number)),
    }
    return client.post(path, body, content_type="application/json", headers=headers)


def test_prices_are_spread_over_their_whole_range_in_every_category() -> None:
    for place in range(20):
        prices = [price_of(n) for n in range(1 + place, 10_001, 20)]
        assert 1 <= min(prices) < 30
        assert 970 < max(prices) <= 1000
        assert len(set(prices)) == 500


@pytest.mark.django_db
class TestShop:
    def test_is_made_once_and_answers_what_is_asked(self, client: Client) -> None:
        fill()
        fill(stock=300)

        assert Product.objects.count() == PRODUCTS
        assert Tally(Product.objects.values_list("category", flat=True)) == {
            "cat0": 500, "cat1": 500,
        }  # fmt: skip
        assert Product.objects.values("shop").distinct().count() == 100
        assert {sku.available for sku in Sku.objects.filter(id__in=map(sku_id, HOT))} == {300}
        assert Sku.objects.get(id=sku_id(11)).available == 1_000_000

        method, path = requests("list")[0]
        answer = client.get(path)
        assert (method, len(answer.json())) == ("GET", 20)
        assert int(answer["X-Total-Count"]) >= 60
        assert all(400 + 100 >= product["price"] >= 100 for product in answer.json())
        found = client.get(requests("detail")[0][1]).json()
        assert found["id"] == str(product_id(1))
        assert len(found["description"]) == 200
        assert (len(found["images"]), found["sizes"], found["colors"]) == (2, ["M"], ["red"])

    def test_a_database_holds_a_shop_of_one_size(self) -> None:
        call_command("bench_shop", "--products", "1500")

        with pytest.raises(CommandError, match="another size"):
            fill()

    def test_lists_and_details_are_many_and_different(self) -> None:
        fill()

        assert len(requests("list")) == 600
        assert len({path for _, path in requests("detail")}) == PRODUCTS
        orders = requests("order")
        assert (len(orders), len({line[2] for line in orders})) == (5_000, 200)
        # Tokens are signed anew; what is ordered, and in which order, stays.
        again = requests("order")
        assert [line[3:] for line in orders] == [line[3:] for line in again]
        wanted = [json.loads(line[3])["items"] for line in orders]
        assert all(len({item["product_id"] for item in items}) == 3 for items in wanted)

    def test_is_refused_in_production(self, settings: Settings) -> None:
        settings.PROFILE = "production"

        for arguments in (
            ("bench_shop", "--products", "1000"),
            ("bench_requests", "list", "--products", "1000"),
            ("bench_verify", "--stock", "1"),
        ):
            with pytest.raises(CommandError, match="production"):
                call_command(*arguments)

    @pytest.mark.parametrize("products", ["0", "500", "1001"])
    def test_says_which_sizes_there_are(self, products: str) -> None:
        with pytest.raises(CommandError, match="multiple of 500"):
            call_command("bench_shop", "--products", products)


@pytest.mark.django_db
class TestVerify:
    @pytest.fixture
    def orders(self, client: Client) -> list[Order]:
        fill(stock=20)
        for number, line in enumerate(requests("order")[:12]):
            answer = send_order(client, line, number)
            assert answer.status_code == 201, answer.json()
        return list(Order.objects.order_by("number"))

    def test_is_content_with_what_was_really_ordered(self, orders: list[Order]) -> None:
        assert verified(20) == {"ok": True, "orders": 12}

    def test_sees_another_stock(self, orders: list[Order]) -> None:
        told = verified(21)
        assert (told["ok"], len(told["stock"])) == (False, 5)

    def test_sees_a_piece_that_was_sold_twice(self, orders: list[Order]) -> None:
        sku = Sku.objects.get(id=sku_id(1))
        Sku.objects.filter(id=sku.id).update(available=sku.available + 1)

        assert (verified(20)["ok"], len(verified(20)["stock"])) == (False, 1)

    def test_sees_a_line_that_is_missing(self, orders: list[Order]) -> None:
        OrderLine.objects.filter(order=orders[3]).order_by("id")[0].delete()

        told = verified(20)
        assert told["ok"] is False
        assert {"lines", "totals", "stock"} <= set(told)
        assert told["lines"] == [f"{orders[3].number}: 2"]

    def test_sees_an_event_that_is_missing(self, orders: list[Order]) -> None:
        Event.objects.filter(topic=orders[5].topic, name="order.created").delete()

        assert verified(20)["events"] == [f"{orders[5].number}: 0"]

    def test_counts_no_orders_of_an_earlier_run(self, orders: list[Order]) -> None:
        fill(stock=7)

        assert verified(7) == {"ok": True, "orders": 0}
        assert not Order.objects.exclude(status="cancelled").exists()
        assert {sku.reserved for sku in Sku.objects.filter(id__in=map(sku_id, HOT))} == {0}
