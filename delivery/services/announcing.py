"""What people are told of a delivery: facts in the log, positions and times of arrival as signals.

A fact stands on the delivery's own topic, and with the same id on that of its order.
"""

import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from accounts.models import User
from delivery.enums import Milestone
from delivery.events import MILESTONE, STATUS_CHANGED
from delivery.geo import (
    NO_DESTINATION,
    Estimate,
    estimate,
    has_moved,
)
from delivery.models import Delivery
from delivery.pacing import Pacer
from delivery.payloads import eta_payload, milestone_event, position_signal, status_event
from delivery.trail import Trail
from marketplace.core.clock import now
from marketplace.core.ids import uuid7
from marketplace.events.live import Signal, publish_signal
from marketplace.events.record import NewEvent

if TYPE_CHECKING:
    from delivery.services.fixes import NewFix

POSITIONS_EVERY_S = 1.0
ETA_EVERY_S = 10.0
REMEMBERED = 10_000


def tell_status(
    delivery: Delivery,
    *,
    previous: str | None,
    actor: User | None,
    at: datetime,
    reason: str = "",
    is_failure: bool = False,
) -> list[NewEvent]:
    """`delivery.status_changed` of the delivery as it stands now, and the order's copy."""
    payload = status_event(delivery, previous=previous, at=at, reason=reason, is_failure=is_failure)
    return _both(delivery, STATUS_CHANGED, payload, actor=actor, at=at)


def tell_milestone(
    delivery: Delivery, milestone: Milestone, *, actor: User | None, at: datetime
) -> list[NewEvent]:
    """`delivery.milestone`, and the order's copy."""
    payload = milestone_event(delivery.id, milestone, at=at)
    return _both(delivery, MILESTONE, payload, actor=actor, at=at)


def _both(
    delivery: Delivery, name: str, payload: dict[str, Any], *, actor: User | None, at: datetime
) -> list[NewEvent]:
    topics = [delivery.topic]
    if delivery.order_id is not None:
        topics.append(f"order:{delivery.order_id}")
    event_id = uuid7()
    return [
        NewEvent(
            topic=topic,
            name=name,
            payload=payload,
            actor_id=None if actor is None else actor.public_id,
            event_id=event_id,
            at=at,
        )
        for topic in topics
    ]


# --- signals --------------------------------------------------------------------------------


class Place(NamedTuple):
    """The newest good position of a delivery, and the trail that its speeds come from."""

    delivery_id: UUID
    one: "NewFix"
    trail: Trail


def tell_positions(places: Sequence[Place]) -> None:
    """Show these to whoever watches, each delivery's at most once a second.

    Called after the commit that stored them. The time of arrival is worked out when it is told, not
    for every position.
    """
    _positions.offer_all({place.delivery_id.int: place for place in places})


def forget_position(delivery_id: UUID) -> None:
    """Nothing of this delivery's way is told any more: it has ended, or a new attempt begins."""
    _positions.forget(delivery_id.int)
    _told.forget(delivery_id)


def _tell(_: int, place: Place) -> None:
    delivery_id = place.delivery_id
    instant = now()
    eta: Estimate | str = NO_DESTINATION
    if place.trail.destination is not None:
        eta = estimate(
            (place.one.latitude, place.one.longitude),
            place.trail.destination,
            speeds=place.trail.speeds(now=instant.timestamp()),
            now=instant,
        )
    topic = f"delivery:{delivery_id}"
    signal = position_signal(delivery_id, place.one, eta=eta)
    publish_signal(Signal(topic=topic, name="location", payload=signal))
    if isinstance(eta, Estimate) and _told.is_worth_telling(delivery_id, eta, now=instant):
        payload = {"delivery_id": str(delivery_id)} | eta_payload(eta)
        publish_signal(Signal(topic=topic, name="eta", payload=payload))


class EtaMemory:
    """What this process has told of arrivals: another where it differs, at most one in 10 s."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[UUID, tuple[float, Estimate]] = {}

    def is_worth_telling(self, delivery_id: UUID, eta: Estimate, *, now: datetime) -> bool:
        """Whether to tell this one; then it is remembered as told."""
        instant = time.monotonic()
        with self._lock:
            before = self._told.get(delivery_id)
            if before is not None and (
                instant - before[0] < ETA_EVERY_S or not has_moved(before[1], eta, now=now)
            ):
                return False
            if len(self._told) >= REMEMBERED:
                self._told.clear()
            self._told[delivery_id] = (instant, eta)
            return True

    def forget(self, delivery_id: UUID) -> None:
        """The next one is told whatever it is."""
        with self._lock:
            self._told.pop(delivery_id, None)


_told = EtaMemory()
# By `UUID.int`.
_positions: Pacer[int, Place] = Pacer(POSITIONS_EVERY_S, _tell)
