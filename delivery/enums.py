"""The closed sets of delivery, and the moves that a delivery can make."""

from django.db import models


class DeliveryStatus(models.TextChoices):
    """Where a delivery stands."""

    PENDING = "pending"
    ASSIGNED = "assigned"
    IN_TRANSIT = "in_transit"
    ARRIVED = "arrived"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


class Milestone(models.TextChoices):
    """What people are told of the way: Realtime Market's delivery events, and a failed attempt."""

    ASSIGNED = "assigned"
    MOVING = "moving"
    NEARBY = "nearby"
    ARRIVED = "arrived"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    ATTEMPT_FAILED = "attempt_failed"


class Rejection(models.TextChoices):
    """Why a position is kept and not used."""

    STATIC = "static"
    ACCURACY = "accuracy"
    FUTURE = "future"
    BEFORE_START = "before_start"
    DUPLICATE = "duplicate"
    SPEED = "speed"


class ProofKind(models.TextChoices):
    """What a shop asks for before a delivery counts as delivered."""

    NONE = "none"
    PHOTO = "photo"
    PIN = "pin"


class Duty(models.TextChoices):
    """Whether a courier takes offers."""

    ON = "on"
    OFF = "off"


class OfferStatus(models.TextChoices):
    """What became of an offer to a courier."""

    OPEN = "open"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


MOVES: dict[str, frozenset[str]] = {
    DeliveryStatus.PENDING: frozenset({DeliveryStatus.CANCELLED}),
    DeliveryStatus.ASSIGNED: frozenset({DeliveryStatus.IN_TRANSIT, DeliveryStatus.CANCELLED}),
    DeliveryStatus.IN_TRANSIT: frozenset(
        {DeliveryStatus.ARRIVED, DeliveryStatus.ASSIGNED, DeliveryStatus.CANCELLED}
    ),
    DeliveryStatus.ARRIVED: frozenset(
        {DeliveryStatus.DELIVERED, DeliveryStatus.ASSIGNED, DeliveryStatus.CANCELLED}
    ),
    DeliveryStatus.DELIVERED: frozenset(),
    DeliveryStatus.CANCELLED: frozenset(),
}
"""From each status, where a move leads. Back to `assigned` is a failed attempt; from `pending` to
`assigned` leads an assignment alone, which names the courier."""

MOVING = (DeliveryStatus.IN_TRANSIT, DeliveryStatus.ARRIVED)
"""While a courier's positions are taken and shown."""

UNDER_WAY = (DeliveryStatus.ASSIGNED, DeliveryStatus.IN_TRANSIT, DeliveryStatus.ARRIVED)
"""While a delivery takes one of its courier's places."""

ENDED = (DeliveryStatus.DELIVERED, DeliveryStatus.CANCELLED)

MILESTONES: dict[str, Milestone] = {
    DeliveryStatus.ASSIGNED: Milestone.ASSIGNED,
    DeliveryStatus.IN_TRANSIT: Milestone.MOVING,
    DeliveryStatus.ARRIVED: Milestone.ARRIVED,
    DeliveryStatus.DELIVERED: Milestone.DELIVERED,
    DeliveryStatus.CANCELLED: Milestone.CANCELLED,
}
"""The milestone that reaching a status is."""
