"""The closed sets of orders, and the moves that an order can make."""

from django.db import models


class OrderStatus(models.TextChoices):
    """Where an order stands."""

    PENDING = "pending"
    PROCESSING = "processing"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    RETURNED = "returned"
    CANCELLED = "cancelled"
    FAILED = "failed"


class PaymentStatus(models.TextChoices):
    """Whether an order has been paid."""

    UNPAID = "unpaid"
    AUTHORIZED = "authorized"
    PAID = "paid"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    FAILED = "failed"


class PaymentFlow(models.TextChoices):
    """Who brings the payment about: the client, the server, or somebody at the door."""

    REGULAR = "regular"
    BACKEND = "backend"
    ON_DELIVERY = "on_delivery"


class Fulfilment(models.TextChoices):
    """How the goods reach the buyer."""

    DELIVERY = "delivery"
    PICKUP = "pickup"


class Gateway(models.TextChoices):
    """Through whom a payment goes; `manual` = through people."""

    MOCK = "mock"
    STRIPE = "stripe"
    PAYPAL = "paypal"
    MANUAL = "manual"


class PaymentState(models.TextChoices):
    """Where one payment stands."""

    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REVIEW = "review"


class RefundState(models.TextChoices):
    """Where one refund stands."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class ReservationStatus(models.TextChoices):
    """What has become of the pieces that an order held."""

    HELD = "held"
    TAKEN = "taken"
    RELEASED = "released"


MOVES: dict[str, frozenset[str]] = {
    OrderStatus.PENDING: frozenset(
        {OrderStatus.PROCESSING, OrderStatus.FAILED, OrderStatus.CANCELLED}
    ),
    OrderStatus.FAILED: frozenset({OrderStatus.PENDING, OrderStatus.CANCELLED}),
    OrderStatus.PROCESSING: frozenset({OrderStatus.SHIPPED, OrderStatus.CANCELLED}),
    OrderStatus.SHIPPED: frozenset({OrderStatus.DELIVERED}),
    OrderStatus.DELIVERED: frozenset({OrderStatus.RETURNED}),
    OrderStatus.RETURNED: frozenset(),
    OrderStatus.CANCELLED: frozenset(),
}
"""From each status, where an order can go. Any other move is refused."""

PROGRESS: tuple[str, ...] = (
    OrderStatus.PENDING,
    OrderStatus.PROCESSING,
    OrderStatus.SHIPPED,
    OrderStatus.DELIVERED,
)
"""The way of an order to its buyer, in order."""
