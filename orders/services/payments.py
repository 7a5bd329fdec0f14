"""Money comes in and goes back. Whatever way a payment comes by, `settle` is its one effect."""

from decimal import Decimal

from accounts.models import User
from marketplace.core.clock import now
from marketplace.core.errors import IllegalTransition
from marketplace.events.audit import record_audit
from marketplace.events.record import NewEvent
from orders.enums import (
    Gateway,
    OrderStatus,
    PaymentState,
    PaymentStatus,
    RefundState,
)
from orders.events import PAYMENT_REFUNDED, PAYMENT_SUCCEEDED
from orders.models import Order, Payment, Refund
from orders.payloads import payment_event, refund_payload
from orders.services.announcing import told
from orders.services.transitions import move

OPEN_PAYMENTS = (PaymentState.PENDING, PaymentState.REQUIRES_ACTION, PaymentState.AUTHORIZED)
OWED = (PaymentStatus.UNPAID, PaymentStatus.AUTHORIZED, PaymentStatus.FAILED)
# An order whose goods are still due, or are there.
PAYABLE = (
    OrderStatus.PENDING,
    OrderStatus.PROCESSING,
    OrderStatus.SHIPPED,
    OrderStatus.DELIVERED,
)


def check_owed(order: Order) -> None:
    """Raises IllegalTransition where the order is paid already, or its goods are not due."""
    if order.payment_status not in OWED or order.status not in PAYABLE:
        raise IllegalTransition("This order is not to be paid any more.")


def cash_payment(order: Order) -> Payment:
    """The one payment in cash that this order can have; made now if it is not there yet."""
    key = f"cash:{order.id}"
    known = Payment.objects.filter(key=key).order_by("id").first()
    if known is not None:
        return known
    return Payment.objects.create(
        order=order,
        key=key,
        gateway=Gateway.MANUAL,
        method="cash",
        amount=order.total,
        currency=order.currency,
    )


def settle(*, order: Order, payment: Payment, actor_id: str | None) -> list[NewEvent]:
    """The payment is captured and the order paid, once; a pending order moves to `processing`.

    order: a locked one. The events are the caller's to record. Raises IllegalTransition where the
    order is paid already or nothing is owed for it any more.
    """
    at = now()
    owing = Order.objects.filter(id=order.id, payment_status__in=OWED, status__in=PAYABLE)
    paid = {"payment_status": PaymentStatus.PAID, "payment_method": payment.method}
    if not owing.update(**paid, updated_at=at):
        raise IllegalTransition("This order is not to be paid any more.")
    unsettled = Payment.objects.filter(id=payment.id, status__in=OPEN_PAYMENTS)
    if not unsettled.update(status=PaymentState.CAPTURED, updated_at=at):
        raise IllegalTransition("This payment is settled already.")
    payment.status, payment.updated_at = PaymentState.CAPTURED, at
    order.payment_status, order.payment_method = PaymentStatus.PAID, payment.method
    order.updated_at = at
    events = told(order, PAYMENT_SUCCEEDED, payment_event(payment), actor_id=actor_id)
    if order.status == OrderStatus.PENDING:
        events += move(order, OrderStatus.PROCESSING, actor_id=actor_id)
    return events


def give_back(order: Order, *, actor: User, reason: str) -> list[NewEvent]:
    """What was paid by hand for a cancelled order goes back by hand; nothing where none was paid.

    order: a locked one. The events are the caller's to record.
    """
    at = now()
    paid = Order.objects.filter(id=order.id, payment_status=PaymentStatus.PAID)
    if not paid.update(payment_status=PaymentStatus.REFUNDED, updated_at=at):
        return []
    order.payment_status, order.updated_at = PaymentStatus.REFUNDED, at
    events: list[NewEvent] = []
    for payment in list(_captured(order)):
        refund = _refund(order, payment, payment.amount - payment.refunded_amount, reason=reason)
        record_audit(
            actor_id=actor.public_id,
            action="payment.refunded",
            target=order.topic,
            details={"payment_id": str(payment.id), "refund_id": str(refund.id)},
        )
        events += told(order, PAYMENT_REFUNDED, refund_payload(refund), actor_id=actor.public_id)
    return events


def _captured(order: Order) -> list[Payment]:
    found = Payment.objects.filter(order=order, status=PaymentState.CAPTURED)
    return list(found.order_by("id"))


def _refund(order: Order, payment: Payment, amount: Decimal, *, reason: str) -> Refund:
    """All that is left of the payment: no more than was captured ever goes back."""
    left = Payment.objects.filter(id=payment.id, refunded_amount=payment.refunded_amount)
    if not left.update(refunded_amount=payment.amount, updated_at=now()):
        raise IllegalTransition("This payment is being given back already.")
    return Refund.objects.create(
        payment=payment,
        order=order,
        key=f"cancel:{payment.id}",
        amount=amount,
        currency=payment.currency,
        status=RefundState.SUCCEEDED,
        reason=reason,
    )
