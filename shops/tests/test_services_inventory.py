"""Stock moves by conditional updates: nothing is sold twice, nothing is lost."""

import random
from collections.abc import Callable, Sequence

import pytest
from django.db import connection, transaction

from accounts.models import User
from marketplace.core.db import transactional
from marketplace.core.errors import ValidationFailed
from marketplace.core.ids import uuid7
from marketplace.core.questions import ask
from marketplace.core.rows import inserting_along
from marketplace.events.models import Event
from marketplace.events.record import NewEvent, record_all
from marketplace.events.record_along import record_along
from marketplace.tests.cast import assert_events, assert_queries
from marketplace.tests.threads import together
from shops.errors import OutOfStock
from shops.models import Shop, Sku
from shops.services.inventory import (
    StockLine,
    holding,
    holding_along,
    merged,
    put_back,
    release_held,
    sell_held,
    set_quantity,
    take_stock,
)
from shops.tests.factories import make_product, the_sku

Mover = Callable[..., list[NewEvent]]


def hold_stock(*, lines: Sequence[StockLine]) -> list[NewEvent]:
    """Alone, as nobody but these tests does it."""
    return ask(holding(lines=lines))


@transactional
def move(mover: Mover, *lines: StockLine) -> list[NewEvent]:
    """As an order does it: in its transaction, with the events recorded last."""
    events = mover(lines=lines)
    record_all(events)
    return events


def numbers(sku: Sku) -> tuple[int, int]:
    sku.refresh_from_db()
    return sku.available, sku.reserved


@pytest.fixture
def sku(shop: Shop) -> Sku:
    return the_sku(make_product(shop, stock_quantity=10))


@pytest.mark.django_db
class TestMoves:
    @pytest.mark.parametrize(
        ("movers", "left"),
        [
            ([take_stock], (6, 0)),
            ([take_stock, put_back], (10, 0)),
            ([hold_stock], (6, 4)),
            ([hold_stock, sell_held], (6, 0)),
            ([hold_stock, release_held], (10, 0)),
        ],
    )
    def test_change_both_columns(
        self, sku: Sku, movers: Sequence[Mover], left: tuple[int, int]
    ) -> None:
        for mover in movers:
            move(mover, StockLine(sku.id, 4))

        assert numbers(sku) == left

    @pytest.mark.parametrize("mover", [take_stock, hold_stock])
    def test_refuse_more_than_there_is(self, sku: Sku, mover: Mover) -> None:
        with assert_events(), pytest.raises(OutOfStock) as refused:
            move(mover, StockLine(sku.id, 11))

        assert refused.value.details["items"] == [
            {
                "sku_id": str(sku.id),
                "product_id": str(sku.product_id),
                "requested": 11,
                "available": 10,
            }
        ]
        assert numbers(sku) == (10, 0)

    @pytest.mark.parametrize("mover", [sell_held, release_held])
    def test_refuse_more_than_is_held(self, sku: Sku, mover: Mover) -> None:
        move(hold_stock, StockLine(sku.id, 2))

        with assert_events(), pytest.raises(OutOfStock):
            move(mover, StockLine(sku.id, 3))

        assert numbers(sku) == (8, 2)

    def test_merge_lines_before_they_look(self, sku: Sku) -> None:
        with assert_events(), pytest.raises(OutOfStock) as refused:
            move(take_stock, StockLine(sku.id, 6), StockLine(sku.id, 6))

        assert refused.value.details["items"][0]["requested"] == 12
        assert numbers(sku) == (10, 0)

    @pytest.mark.transactions
    def test_take_all_lines_or_none(self, shop: Shop, sku: Sku) -> None:
        other = the_sku(make_product(shop, stock_quantity=1))

        with assert_events(), pytest.raises(OutOfStock) as refused:
            move(take_stock, StockLine(sku.id, 2), StockLine(other.id, 2), StockLine(uuid7(), 1))

        assert [one["available"] for one in refused.value.details["items"]] == [1, 0]
        assert (numbers(sku), numbers(other)) == ((10, 0), (1, 0))

    def test_give_the_events_to_record(self, shop: Shop, sku: Sku) -> None:
        with assert_events((sku.product.topic, "stock.changed")):
            [event] = move(take_stock, StockLine(sku.id, 4))

        assert event.payload == {
            "product_id": str(sku.product_id),
            "sku_id": str(sku.id),
            "sku": 1,
            "warehouse_id": None,
            "quantity": 6,
            "available": 6,
            "stock_status": "low_stock",
        }

    @pytest.mark.skipif(connection.vendor != "postgresql", reason="about PostgreSQL alone")
    def test_tell_the_same_by_one_statement(self, shop: Shop) -> None:
        skus = [the_sku(make_product(shop, stock_quantity=n)) for n in (1, 9, 10, 11, 12)]
        lines = [StockLine(sku.id, 1) for sku in skus]

        @transactional
        def hold_and_undo() -> None:
            told.extend((one.topic, one.name, one.payload) for one in hold_stock(lines=lines))
            transaction.set_rollback(True)

        told: list[tuple[str, str, object]] = []
        hold_and_undo()
        with inserting_along():
            products = {sku.id: sku.product_id for sku in skus}
            record_along(holding_along(lines=lines, products=products), [], opening=[])

        rows = Event.objects.filter(name="stock.changed").order_by("topic")
        assert sorted(told) == list(rows.values_list("topic", "name", "payload"))
        assert {row.payload["stock_status"] for row in rows} == {
            "out_of_stock", "low_stock", "in_stock",
        }  # fmt: skip

    def test_cost_one_statement_per_sku_and_one_reading(self, shop: Shop) -> None:
        skus = [the_sku(make_product(shop)) for _ in range(3)]
        lines = [StockLine(sku.id, 1) for sku in skus]

        @transactional
        def take() -> None:
            with assert_queries(4):
                take_stock(lines=lines)

        take()

    def test_demand_a_transaction(self, sku: Sku) -> None:
        with pytest.raises(RuntimeError):
            take_stock(lines=[StockLine(sku.id, 1)])

    @pytest.mark.parametrize("quantity", [0, -1])
    def test_know_no_line_of_nothing(self, sku: Sku, quantity: int) -> None:
        with pytest.raises(ValueError, match="at least one"):
            move(take_stock, StockLine(sku.id, quantity))

    def test_take_the_rows_in_one_order(self) -> None:
        first, second = sorted([uuid7(), uuid7()])

        lines = [StockLine(second, 1), StockLine(first, 2), StockLine(second, 3)]

        assert merged(lines) == [StockLine(first, 2), StockLine(second, 4)]


@pytest.mark.django_db
class TestSetQuantity:
    def test_leaves_alone_what_is_held(self, sku: Sku) -> None:
        move(hold_stock, StockLine(sku.id, 4))

        set_quantity(sku_id=sku.id, quantity=5)

        assert numbers(sku) == (1, 4)

    def test_refuses_fewer_than_are_held(self, sku: Sku) -> None:
        move(hold_stock, StockLine(sku.id, 4))

        with pytest.raises(ValidationFailed) as refused:
            set_quantity(sku_id=sku.id, quantity=3)

        assert list(refused.value.details["fields"]) == ["stock_quantity"]
        assert numbers(sku) == (6, 4)


@pytest.mark.transactions
@pytest.mark.django_db(transaction=True)
class TestRaces:
    def test_forty_buyers_of_ten_pieces_get_ten(self, sku: Sku) -> None:
        def buy() -> int:
            bought = 0
            for _ in range(4):
                try:
                    move(take_stock, StockLine(sku.id, 1))
                    bought += 1
                except OutOfStock:
                    pass
            return bought

        assert sum(together(*[buy] * 10)) == 10
        assert numbers(sku) == (0, 0)

    def test_crossed_lines_harm_nobody(self, shop: Shop, sku: Sku) -> None:
        other = the_sku(make_product(shop, stock_quantity=40))
        set_quantity(sku_id=sku.id, quantity=40)
        lines = [StockLine(sku.id, 1), StockLine(other.id, 1)]

        def buy(place: int) -> None:
            for _ in range(5):
                move(take_stock, *(lines if place % 2 else lines[::-1]))

        together(*[lambda place=place: buy(place) for place in range(6)])

        assert (numbers(sku), numbers(other)) == ((10, 0), (10, 0))


@pytest.mark.django_db
class TestSum:
    def test_is_kept_over_many_random_moves(self, sku: Sku, seller: User) -> None:
        chance = random.Random(7)  # the same moves every time
        sold = 0
        for _ in range(150):
            mover, gain = chance.choice(
                [(take_stock, 1), (hold_stock, 0), (sell_held, 1), (release_held, 0)]
            )
            pieces = chance.randint(1, 3)
            try:
                move(mover, StockLine(sku.id, pieces))
            except OutOfStock:
                continue
            sold += gain * pieces
            if sold and chance.random() < 0.3:
                move(put_back, StockLine(sku.id, 1))
                sold -= 1
            available, reserved = numbers(sku)
            assert available + reserved + sold == 10
