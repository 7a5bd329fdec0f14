"""One order moves to another status: one conditional UPDATE, its stock, one event.

Whoever moves an order has its row first (`locked`), so two moves at once come one after the other,
and the second one finds what the first has left.
"""

from uuid import UUID

from django.db.models import QuerySet

from marketplace.core.clock import now
from marketplace.core.errors import IllegalTransition
from marketplace.events.record import NewEvent
from orders import selectors
from orders.enums import MOVES, PROGRESS, OrderStatus, ReservationStatus
from orders.errors import OrderNotFound
from orders.events import STATUS_CHANGED
from orders.models import Order, Reservation, ShopOrder
from orders.payloads import status_event
from orders.services.announcing import told
from shops.services import inventory
from shops.services.inventory import StockLine

Move = tuple[str, str]

SELLS: frozenset[Move] = frozenset({(OrderStatus.PENDING, OrderStatus.PROCESSING)})
RELEASES: frozenset[Move] = frozenset(
    {(OrderStatus.PENDING, OrderStatus.CANCELLED), (OrderStatus.PENDING, OrderStatus.FAILED)}
)
RESTOCKS: frozenset[Move] = frozenset({(OrderStatus.PROCESSING, OrderStatus.CANCELLED)})


def locked(order_id: UUID) -> Order:
    """The order as nobody else can change it until the commit. Raises OrderNotFound."""
    Order.objects.filter(id=order_id).update(updated_at=now())
    order = selectors.find_order(key=order_id)
    if order is None:
        raise OrderNotFound
    return order


def move(
    order: Order, to: OrderStatus, *, actor_id: str | None, reason: str | None = None
) -> list[NewEvent]:
    """The order, all its parts and its stock stand at `to`; the events are the caller's to record.

    order: a locked one. Raises IllegalTransition where no such move is.
    """
    before, at = order.status, now()
    if to not in MOVES[before]:
        raise IllegalTransition(f"An order that is {before} cannot become {to.value}.")
    rows = Order.objects.filter(id=order.id, status=before)
    if not rows.update(status=to, updated_at=at):
        raise IllegalTransition
    order.status, order.updated_at = to.value, at
    _parts_before(order, to).update(status=to, updated_at=at)
    order.forget()
    payload = status_event(order, previous=before, reason=reason)
    return [
        *_stock_moved(order, (before, to)),
        *told(order, STATUS_CHANGED, payload, actor_id=actor_id),
    ]


def _parts_before(order: Order, to: OrderStatus) -> QuerySet[ShopOrder]:
    """Its parts that have not come as far; a part may be ahead of the order, never behind it."""
    parts = ShopOrder.objects.filter(order=order)
    if to in PROGRESS:
        return parts.filter(status__in=[*PROGRESS[: PROGRESS.index(to)], OrderStatus.FAILED])
    return parts


def _stock_moved(order: Order, step: Move) -> list[NewEvent]:
    """What this step does to what was held or sold for the order."""
    lines = [
        StockLine(line.sku_id, line.quantity) for line in order.all_lines if line.sku_id is not None
    ]
    if not lines:
        return []
    if step in SELLS and _settle(order, ReservationStatus.TAKEN):
        return inventory.sell_held(lines=lines)
    if step in RELEASES and _settle(order, ReservationStatus.RELEASED):
        return inventory.release_held(lines=lines)
    if step in RESTOCKS:
        return inventory.put_back(lines=lines)
    return []


def _settle(order: Order, status: ReservationStatus) -> bool:
    """Whether something was held for it until now; from here on nothing is."""
    held = Reservation.objects.filter(order=order, status=ReservationStatus.HELD)
    return held.update(status=status, updated_at=now()) > 0
