"""Goods go their way: each shop's part of an order, and the order when all its parts have.

Delivery calls the first three inside its own transaction and records the events that come back
together with its own. All of them may be called again: what has happened happens once.
"""

from collections.abc import Collection
from uuid import UUID

from marketplace.core.clock import now
from marketplace.core.db import in_transaction
from marketplace.core.errors import IllegalTransition
from marketplace.events.record import NewEvent
from orders.enums import PROGRESS, OrderStatus, PaymentFlow
from orders.models import Order, ShopOrder
from orders.services.transitions import locked, move


def order_shipped(*, order_id: UUID, shop_id: UUID | None, actor_id: str | None) -> list[NewEvent]:
    """This shop's part is on its way; without a shop all parts are.

    An order that is paid on delivery and waits to be accepted is accepted by that.
    Raises OrderNotFound, IllegalTransition for one that is unpaid, failed or cancelled.
    """
    return _delivery_moves(order_id, shop_id, OrderStatus.SHIPPED, actor_id)


def order_delivered(
    *, order_id: UUID, shop_id: UUID | None, actor_id: str | None
) -> list[NewEvent]:
    """This shop's part has arrived; without a shop all parts have. Raises as `order_shipped`."""
    return _delivery_moves(order_id, shop_id, OrderStatus.DELIVERED, actor_id)


def attach_delivery(*, order_id: UUID, delivery_id: UUID) -> list[NewEvent]:
    """The order names its delivery; of several the first one that was made. No event comes of it.

    Raises OrderNotFound.
    """
    _in_transaction()
    unnamed = Order.objects.filter(id=order_id, delivery_id__isnull=True)
    if not unnamed.update(delivery_id=delivery_id, updated_at=now()):
        locked(order_id)
    return []


def _delivery_moves(
    order_id: UUID, shop_id: UUID | None, to: OrderStatus, actor_id: str | None
) -> list[NewEvent]:
    _in_transaction()
    order = locked(order_id)
    shops = {part.shop_id for part in order.all_shop_orders if shop_id in (None, part.shop_id)}
    return advanced(order, shops, to, actor_id=actor_id, repeats=True)


def _in_transaction() -> None:
    if not in_transaction():
        raise RuntimeError("An order moves inside atomic(), with the delivery that moves it.")


def accepted(order: Order, shop_ids: Collection[UUID], actor_id: str | None) -> list[NewEvent]:
    """These shops will fulfil their parts; the order moves when all of them will.

    order: a locked one, paid on delivery. Raises IllegalTransition.
    """
    if order.payment_flow != PaymentFlow.ON_DELIVERY:
        raise IllegalTransition("This order waits for its payment.")
    if order.status != OrderStatus.PENDING or not _step(order, shop_ids, OrderStatus.PROCESSING):
        raise IllegalTransition("There is nothing to accept.")
    if _all_reached(order, OrderStatus.PROCESSING):
        return move(order, OrderStatus.PROCESSING, actor_id=actor_id)
    return []


def advanced(
    order: Order,
    shop_ids: Collection[UUID],
    to: OrderStatus,
    *,
    actor_id: str | None,
    repeats: bool,
) -> list[NewEvent]:
    """The parts of these shops have come to `to`, and the order as far as all its parts have.

    order: a locked one. repeats: parts that are there already are no fault.
    Raises IllegalTransition.
    """
    if order.status not in PROGRESS:
        raise IllegalTransition(f"An order that is {order.status} cannot become {to.value}.")
    events: list[NewEvent] = []
    if order.status == OrderStatus.PENDING:
        if not repeats or order.payment_flow != PaymentFlow.ON_DELIVERY:
            raise IllegalTransition(f"An order that is pending cannot become {to.value}.")
        _step(order, shop_ids, OrderStatus.PROCESSING)
        if not _all_reached(order, OrderStatus.PROCESSING):
            raise IllegalTransition("Another shop has not accepted its part yet.")
        events += move(order, OrderStatus.PROCESSING, actor_id=actor_id)
    if not repeats:
        _check_next(order, shop_ids, to)
    if not _step(order, shop_ids, to):
        return events
    while order.status != to:
        following = OrderStatus(PROGRESS[PROGRESS.index(order.status) + 1])
        if not _all_reached(order, following):
            break
        events += move(order, following, actor_id=actor_id)
    return events


def _check_next(order: Order, shop_ids: Collection[UUID], to: OrderStatus) -> None:
    """By hand nothing is skipped and nothing is done twice."""
    before = PROGRESS[PROGRESS.index(to) - 1]
    parts = [part for part in order.all_shop_orders if part.shop_id in shop_ids]
    if any(part.status != before for part in parts):
        raise IllegalTransition(f"Only what is {before} can become {to.value}.")


def _step(order: Order, shop_ids: Collection[UUID], to: OrderStatus) -> int:
    """How many parts of these shops came to `to` just now."""
    earlier = PROGRESS[: PROGRESS.index(to)]
    rows = ShopOrder.objects.filter(
        order=order, shop_id__in=list(shop_ids), status__in=list(earlier)
    )
    moved = rows.update(status=to, updated_at=now())
    order.forget()
    return moved


def _all_reached(order: Order, to: OrderStatus) -> bool:
    reached = PROGRESS[PROGRESS.index(to) :]
    return all(part.status in reached for part in order.all_shop_orders)
