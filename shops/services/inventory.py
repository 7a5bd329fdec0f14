"""Stock moves. Every move is one conditional UPDATE of the sku's row, so nothing is sold twice.

Orders call these inside their own transaction and record the events that come back together with
their own, last of all: the row lock of a topic's head is held until the commit.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Case, F, Q, Value, When

from marketplace.core.clock import now
from marketplace.core.db import in_transaction
from marketplace.core.errors import ValidationFailed
from marketplace.core.questions import Question, ask
from marketplace.events.record import NewEvent
from marketplace.events.record_along import Change
from shops.errors import OutOfStock, SkuNotFound
from shops.events import STOCK_CHANGED
from shops.models import Product, Sku
from shops.payloads import STOCK_EVENT_SQL, Stock, stock_event


class StockLine(NamedTuple):
    """So many pieces of one sku; at least one."""

    sku_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True)
class _Move:
    """What one piece does to the two columns: -1, 0 or 1 each."""

    available: int
    reserved: int


HOLD = _Move(available=-1, reserved=1)
SELL_HELD = _Move(available=0, reserved=-1)
RELEASE = _Move(available=1, reserved=-1)
TAKE = _Move(available=-1, reserved=0)
PUT_BACK = _Move(available=1, reserved=0)


def take_stock(*, lines: Sequence[StockLine]) -> list[NewEvent]:
    """The pieces are sold: gone from what can be bought. Raises OutOfStock with `items`."""
    return _move(lines, TAKE)


def holding(*, lines: Sequence[StockLine]) -> Question[list[NewEvent]]:
    """The pieces are held for an order that is not settled yet; to travel with others.

    Raises OutOfStock with `items`; then what travels with it is to be undone too.
    """
    return _moving(lines, HOLD)


def sell_held(*, lines: Sequence[StockLine]) -> list[NewEvent]:
    """Held pieces are sold. Raises OutOfStock where fewer are held: then nothing was."""
    return _move(lines, SELL_HELD)


def release_held(*, lines: Sequence[StockLine]) -> list[NewEvent]:
    """Held pieces can be bought again. Raises OutOfStock where fewer are held."""
    return _move(lines, RELEASE)


def put_back(*, lines: Sequence[StockLine]) -> list[NewEvent]:
    """Sold pieces are there again. Raises OutOfStock for a sku that there is not."""
    return _move(lines, PUT_BACK)


def merged(lines: Sequence[StockLine]) -> list[StockLine]:
    """One line per sku, in the one order in which everybody takes the rows."""
    pieces: dict[UUID, int] = {}
    for line in lines:
        if line.quantity < 1:
            raise ValueError("A line of stock has at least one piece.")
        pieces[line.sku_id] = pieces.get(line.sku_id, 0) + line.quantity
    return [StockLine(sku_id, pieces[sku_id]) for sku_id in sorted(pieces)]


def _move(lines: Sequence[StockLine], move: _Move) -> list[NewEvent]:
    return ask(_moving(lines, move)) if lines else []


def _moving(lines: Sequence[StockLine], move: _Move) -> Question[list[NewEvent]]:
    """Move the lines in one statement, whose condition lets no two buyers take the same piece.

    Where some could be moved and some not, the refusal undoes the caller's transaction.
    """
    if not in_transaction():
        raise RuntimeError("Stock moves inside atomic(), with the order that it moves for.")
    wanted, at = merged(lines), now()

    def told(moved: Sequence[Stock]) -> list[NewEvent]:
        if len(moved) != len(wanted):
            raise OutOfStock(items=_missing(wanted, move, at=at))
        return [_stock_event(stock.product_id, stock_event(stock)) for stock in moved]

    def elsewhere() -> list[NewEvent]:
        columns = {"available": move.available, "reserved": move.reserved}
        possible = Q()
        for line in wanted:
            enough = {f"{name}__gte": line.quantity for name, sign in columns.items() if sign < 0}
            possible |= Q(id=line.sku_id, **enough)
        pieces = _pieces_of(wanted)
        changes = {name: F(name) + sign * pieces for name, sign in columns.items() if sign}
        changed = Sku.objects.filter(possible).update(**changes, updated_at=at)
        return told(_stocks([one.sku_id for one in wanted]) if changed == len(wanted) else [])

    return Question(
        MOVED,
        _move_values(wanted, move, at=at),
        read=lambda rows: told([Stock(*row) for row in rows]),
        elsewhere=elsewhere,
    )


def holding_along(*, lines: Sequence[StockLine], products: Mapping[UUID, UUID]) -> Change:
    """`holding` for PostgreSQL, to be made and told by one statement with `record_along`.

    products: those of the skus.
    """
    wanted = merged(lines)
    return Change(
        f"{MOVE} RETURNING 'product:' || p.id AS topic, {STOCK_EVENT_SQL} AS payload",
        _move_values(wanted, HOLD, at=now()),
        topics=[f"product:{products[line.sku_id]}" for line in wanted],
        name=STOCK_CHANGED,
    )


# The pieces are parameters here, not conditions; the rows are taken in the order of the lines.
MOVE = f"""
    UPDATE {Sku._meta.db_table} AS sku SET
        available = available + %s * line.pieces,
        reserved = reserved + %s * line.pieces,
        updated_at = %s
    FROM unnest(%s::uuid[], %s::integer[]) AS line(sku_id, pieces), {Product._meta.db_table} AS p
    WHERE sku.id = line.sku_id AND p.id = sku.product_id
        AND available + least(%s * line.pieces, 0) >= 0
        AND reserved + least(%s * line.pieces, 0) >= 0
"""  # noqa: S608  # the names of tables
MOVED = f"{MOVE} RETURNING sku.id, sku.product_id, available, reserved, p.sku"


def _move_values(lines: Sequence[StockLine], move: _Move, *, at: datetime) -> list[Any]:
    """The parameters of `MOVE`."""
    keys, pieces = [line.sku_id for line in lines], [line.quantity for line in lines]
    signs = [move.available, move.reserved]
    return [*signs, at, keys, pieces, *signs]


def _pieces_of(lines: Sequence[StockLine]) -> Any:
    """How many pieces go, by sku."""
    if len({line.quantity for line in lines}) == 1:
        return Value(lines[0].quantity)
    return Case(*(When(id=line.sku_id, then=Value(line.quantity)) for line in lines))


def _missing(lines: Sequence[StockLine], move: _Move, *, at: datetime) -> list[dict[str, object]]:
    """Those of the lines that were not moved at this instant, with what is there of them."""
    skus = {
        sku.id: sku
        for sku in Sku.objects.filter(id__in=[line.sku_id for line in lines]).order_by("id")
    }

    def is_short(line: StockLine) -> bool:
        sku = skus.get(line.sku_id)
        if sku is None:
            return True
        taken_from = sku.available if move.available < 0 else sku.reserved
        return taken_from < line.quantity and sku.updated_at != at

    return [
        {
            "sku_id": str(line.sku_id),
            "product_id": str(skus[line.sku_id].product_id) if line.sku_id in skus else None,
            "requested": line.quantity,
            "available": skus[line.sku_id].available if line.sku_id in skus else 0,
        }
        for line in lines
        if is_short(line)
    ]


def stock_events(sku_ids: Sequence[UUID], *, actor_id: str | None = None) -> list[NewEvent]:
    """`stock.changed` for each of these skus as they stand now, to be recorded by the caller."""
    return [
        _stock_event(stock.product_id, stock_event(stock), actor_id=actor_id)
        for stock in _stocks(sku_ids)
    ]


def changes_to_come(products: Iterable[UUID]) -> list[NewEvent]:
    """What a move will tell, as far as that is known before: one event for each sku of these."""
    return [_stock_event(product_id, {}) for product_id in products]


def _stocks(sku_ids: Sequence[UUID]) -> list[Stock]:
    skus = Sku.objects.filter(id__in=list(sku_ids)).order_by("id")
    rows = skus.values_list("id", "product_id", "available", "reserved", "product__sku")
    return [Stock(*row) for row in rows]


def _stock_event(
    product_id: UUID, payload: dict[str, Any], *, actor_id: str | None = None
) -> NewEvent:
    return NewEvent(
        topic=f"product:{product_id}", name=STOCK_CHANGED, payload=payload, actor_id=actor_id
    )


def set_quantity(*, sku_id: UUID, quantity: int) -> None:
    """So many pieces lie there; those that are held stay held.

    Raises SkuNotFound, ValidationFailed under `stock_quantity` where more are held than that.
    """
    rows = Sku.objects.filter(id=sku_id)
    fits = rows.filter(reserved__lte=quantity)
    if fits.update(available=Value(quantity) - F("reserved"), updated_at=now()):
        return
    sku = rows.first()
    if sku is None:
        raise SkuNotFound
    raise ValidationFailed.for_fields(
        {"stock_quantity": [f"{sku.reserved} pieces are held for orders; there cannot be fewer."]}
    )
