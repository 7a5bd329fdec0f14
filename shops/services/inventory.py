"""Stock moves. Every move is one conditional UPDATE of the sku's row, so nothing is sold twice.

Orders call these inside their own transaction and record the events that come back together with
their own, last of all: the row lock of a topic's head is held until the commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import F, Value

from marketplace.core.clock import now
from marketplace.core.db import in_transaction
from marketplace.core.errors import ValidationFailed
from marketplace.events.record import NewEvent
from shops.errors import OutOfStock, SkuNotFound
from shops.models import Sku
from shops.payloads import stock_event


@dataclass(frozen=True, slots=True)
class StockLine:
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


def hold_stock(*, lines: Sequence[StockLine]) -> list[NewEvent]:
    """The pieces are held for an order that is not settled yet. Raises OutOfStock with `items`."""
    return _move(lines, HOLD)


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
    if not in_transaction():
        raise RuntimeError("Stock moves inside atomic(), with the order that it moves for.")
    wanted, at = merged(lines), now()
    short = [line for line in wanted if not _move_one(line, move, at=at)]
    if short:
        raise OutOfStock(items=_missing(short))
    return stock_events([line.sku_id for line in wanted])


def _move_one(line: StockLine, move: _Move, *, at: object) -> bool:
    rows = Sku.objects.filter(id=line.sku_id)
    changes: dict[str, object] = {"updated_at": at}
    for column, sign in (("available", move.available), ("reserved", move.reserved)):
        if sign < 0:
            rows = rows.filter(**{f"{column}__gte": line.quantity})
        if sign:
            changes[column] = F(column) + sign * line.quantity
    return rows.update(**changes) == 1


def _missing(lines: Sequence[StockLine]) -> list[dict[str, object]]:
    skus = {
        sku.id: sku
        for sku in Sku.objects.filter(id__in=[line.sku_id for line in lines]).order_by("id")
    }
    return [
        {
            "sku_id": str(line.sku_id),
            "product_id": str(skus[line.sku_id].product_id) if line.sku_id in skus else None,
            "requested": line.quantity,
            "available": skus[line.sku_id].available if line.sku_id in skus else 0,
        }
        for line in lines
    ]


def stock_events(sku_ids: Sequence[UUID], *, actor_id: str | None = None) -> list[NewEvent]:
    """`stock.changed` for each of these skus as they stand now, to be recorded by the caller."""
    skus = Sku.objects.filter(id__in=list(sku_ids)).select_related("product").order_by("id")
    return [
        NewEvent(
            topic=sku.product.topic,
            name="stock.changed",
            payload=stock_event(sku, number=sku.product.sku),
            actor_id=actor_id,
        )
        for sku in skus
    ]


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
