"""What people do with an order: accept, move on, pay in cash, cancel; and what the clock does."""

from uuid import UUID

import structlog

from accounts.models import User
from marketplace.core.clock import now
from marketplace.core.db import IntegrityError, in_transaction, transactional
from marketplace.core.errors import AppError, IllegalTransition
from marketplace.events.audit import record_audit
from marketplace.events.record import record_all
from orders import access, selectors
from orders.enums import OrderStatus, PaymentFlow, ReservationStatus
from orders.errors import UnsupportedPaymentFlow
from orders.models import Order, Payment, Reservation
from orders.services import fulfilment
from orders.services.payments import cash_payment, check_owed, give_back, settle
from orders.services.transitions import locked, move

logger = structlog.get_logger(__name__)

CASH = "cash"
EXPIRED = "expired"
REASON_CHARACTERS = 200
PAGE = 200


@transactional
def cancel_order(*, actor: User, order_id: UUID | str, reason: str = "") -> Order:
    """The order is cancelled: what was held or sold for it can be bought again.

    For its buyer, all of its shops, admins; until it is shipped. What was paid by hand goes back by
    hand. Raises OrderNotFound, Forbidden, IllegalTransition.
    """
    seen = access.order_to_see(actor, order_id)
    if seen.user_id != actor.pk:
        access.check_runs_all(actor, seen)
    order = locked(seen.id)
    said = " ".join(reason.split())[:REASON_CHARACTERS]
    events = move(order, OrderStatus.CANCELLED, actor_id=actor.public_id, reason=said or None)
    events += give_back(order, actor=actor, reason=said)
    _witness(actor, order)
    record_all(events)
    return order


@transactional
def accept_order(*, actor: User, order_id: UUID | str) -> Order:
    """The shop will fulfil an order that is paid on delivery: `pending` → `processing`.

    With several shops the order moves when the last one has accepted its part.
    Raises OrderNotFound, Forbidden, IllegalTransition.
    """
    order = locked(access.order_to_run(actor, order_id).id)
    events = fulfilment.accepted(order, access.shops_to_run(actor, order), actor.public_id)
    _witness(actor, order)
    record_all(events)
    return order


@transactional
def move_order(*, actor: User, order_id: UUID | str, status: str) -> Order:
    """The order, or the actor's part of it, stands at this status. For staff of its shops, admins.

    status: `processing`, `shipped`, `delivered` or `cancelled`. Money and returns move an order to
    the others. Raises OrderNotFound, Forbidden, IllegalTransition.
    """
    seen = access.order_to_run(actor, order_id)
    if status == OrderStatus.CANCELLED:
        return cancel_order(actor=actor, order_id=seen.id)
    if status == OrderStatus.PROCESSING:
        return accept_order(actor=actor, order_id=seen.id)
    if status not in (OrderStatus.SHIPPED, OrderStatus.DELIVERED):
        raise IllegalTransition(f"Nobody moves an order to {status} by hand.")
    order = locked(seen.id)
    shops = access.shops_to_run(actor, order)
    events = fulfilment.advanced(
        order, shops, OrderStatus(status), actor_id=actor.public_id, repeats=False
    )
    _witness(actor, order)
    record_all(events)
    return order


def pay_order(*, actor: User, order_id: UUID | str, method: str = CASH) -> tuple[Order, Payment]:
    """An order that is paid on delivery has been paid in cash, once, in full.

    For staff of all of its shops, and admins. A pending one moves to `processing`.
    Raises OrderNotFound, Forbidden, UnsupportedPaymentFlow, IllegalTransition.
    """
    try:
        return _pay(actor=actor, order_id=order_id, method=method)
    except IntegrityError as error:
        if in_transaction():
            raise
        raise IllegalTransition("This order has been paid.") from error


@transactional
def _pay(*, actor: User, order_id: UUID | str, method: str) -> tuple[Order, Payment]:
    if method.strip().lower() != CASH:
        raise UnsupportedPaymentFlow("Orders are paid in cash only, by `method` `cash`.")
    seen = access.order_to_run(actor, order_id)
    access.check_runs_all(actor, seen)
    if seen.payment_flow != PaymentFlow.ON_DELIVERY:
        raise UnsupportedPaymentFlow("This order is not paid on delivery.")
    order = locked(seen.id)
    check_owed(order)
    payment = cash_payment(order)
    events = settle(order=order, payment=payment, actor_id=actor.public_id)
    record_audit(
        actor_id=actor.public_id,
        action="order.paid",
        target=order.topic,
        details={"payment_id": str(payment.id), "method": payment.method},
    )
    record_all(events)
    return order, payment


def release_expired() -> int:
    """Cancel the orders whose reservation has had its time; how many there were."""
    released = 0
    while due := selectors.due_reservations(now(), limit=PAGE):
        count = sum(_expire_one(order_id) for order_id in due)
        released += count
        if not count:
            break
    return released


def _expire_one(order_id: UUID) -> bool:
    try:
        return expire_order(order_id=order_id)
    except AppError as error:
        logger.warning("reservation_not_released", order_id=str(order_id), code=error.code)
        return False


@transactional
def expire_order(*, order_id: UUID) -> bool:
    """Cancel this order if its time is over and it still waits; whether it did."""
    order = locked(order_id)
    due = Reservation.objects.filter(
        order=order, status=ReservationStatus.HELD, expires_at__lte=now()
    )
    if order.status != OrderStatus.PENDING or not due.exists():
        return False
    record_all(move(order, OrderStatus.CANCELLED, actor_id=None, reason=EXPIRED))
    return True


def _witness(actor: User, order: Order) -> None:
    """Who moves an order that is not his own leaves an audit entry."""
    if order.user_id != actor.pk:
        record_audit(
            actor_id=actor.public_id,
            action="order.moved",
            target=order.topic,
            details={"status": order.status},
        )
