"""A delivery goes its way: one conditional update and one event for every move.

Who moves it where: the courier forward and back to the start of an attempt, the shop's staff
anywhere that there is a way, the customer out of it until it is on its way and over its end, and
the fence around the destination to `arrived`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.models import User
from delivery import access
from delivery.access import Standing
from delivery.enums import (
    ENDED,
    MOVES,
    MOVING,
    UNDER_WAY,
    DeliveryStatus,
    Milestone,
)
from delivery.errors import DeliveryNotFound, ProofRequired
from delivery.models import REASON_CHARACTERS, Delivery
from delivery.services import assigning, couriers, proofs
from delivery.services.announcing import forget_position, tell_milestone, tell_status
from delivery.services.proofs import Proof
from marketplace.core.clock import now
from marketplace.core.db import on_commit, transactional
from marketplace.core.errors import Forbidden, IllegalTransition, ValidationFailed
from marketplace.core.text import clean_text
from marketplace.events.record import NewEvent, record_all
from orders.services.fulfilment import order_delivered, order_shipped

COURIERS_WAY = frozenset(
    {
        DeliveryStatus.IN_TRANSIT,
        DeliveryStatus.ARRIVED,
        DeliveryStatus.DELIVERED,
        DeliveryStatus.ASSIGNED,
    }
)
CUSTOMERS_WAY = frozenset({DeliveryStatus.DELIVERED, DeliveryStatus.CANCELLED})


@dataclass(frozen=True, slots=True)
class Move:
    """Where somebody wants a delivery, and why."""

    actor: User | None
    to: DeliveryStatus
    at: datetime
    reason: str = ""
    # The customer's own word that he has it stands for the proof.
    needs_proof: bool = True


def move_delivery(
    *,
    actor: User,
    delivery_id: str | UUID,
    status: str,
    reason: str | None = None,
    proof: Proof | None = None,
) -> Delivery:
    """The delivery stands at this status; `assigned` says that an attempt has failed.

    reason: up to 200 characters. proof: what comes with `delivered`.
    Raises DeliveryNotFound, Forbidden, IllegalTransition, ProofRequired, ValidationFailed.
    """
    to = DeliveryStatus(status)
    why = checked_reason(reason)
    delivery, standing = access.delivery_with_standing(actor=actor, key=delivery_id)
    _check(standing, delivery, to)
    if proof is not None and to == DeliveryStatus.DELIVERED:
        # Its own transaction: a wrong PIN is counted, whatever becomes of the move.
        proofs.add_proof(actor=actor, delivery_id=delivery.id, proof=proof)
    return _move_by(actor=actor, delivery_id=delivery.id, to=to, reason=why)


def fail_attempt(*, actor: User, delivery_id: str | UUID, reason: str | None = None) -> Delivery:
    """Nobody was there, or the like: the delivery is with its courier again, for another attempt.

    Raises as `move_delivery`.
    """
    return move_delivery(
        actor=actor,
        delivery_id=delivery_id,
        status=DeliveryStatus.ASSIGNED.value,
        reason=reason,
    )


def checked_reason(reason: str | None) -> str:
    """The reason as it is kept. Raises ValidationFailed."""
    text = " ".join(clean_text(reason or "", field="reason").split())
    if len(text) > REASON_CHARACTERS:
        raise ValidationFailed.for_fields(
            {"reason": [f"This has at most {REASON_CHARACTERS} characters."]}
        )
    return text


def _check(standing: Standing, delivery: Delivery, to: DeliveryStatus) -> None:
    """Raises Forbidden where this person never does that, IllegalTransition where not from here."""
    by_courier = standing.courier and to in COURIERS_WAY
    by_customer = standing.customer and to in CUSTOMERS_WAY
    if not (standing.staff or by_courier or by_customer):
        raise Forbidden
    current = delivery.status
    may_go = to in MOVES[current]
    if to == DeliveryStatus.CANCELLED and current in MOVING and not standing.staff:
        may_go = False
    if not may_go:
        raise IllegalTransition(
            f"A delivery that is {current} cannot become {to.value}.", status=current
        )


@transactional
def _move_by(*, actor: User, delivery_id: UUID, to: DeliveryStatus, reason: str) -> Delivery:
    delivery, standing = access.delivery_with_standing(actor=actor, key=delivery_id)
    _check(standing, delivery, to)
    own_word = standing.customer and not standing.courier
    move = Move(actor, to, now(), reason, needs_proof=not own_word)
    record_all(moved(delivery, move))
    return delivery


def moved(delivery: Delivery, move: Move) -> list[NewEvent]:
    """The delivery after this move, with the events to be recorded; inside a transaction.

    The move itself is one conditional update: from the status, and by the courier, that were read.
    Raises IllegalTransition where somebody else was quicker, ProofRequired.
    """
    previous = delivery.status
    if move.to == DeliveryStatus.DELIVERED and move.needs_proof and not delivery.has_proof:
        raise ProofRequired(proof=delivery.proof_kind)
    is_failure = move.to == DeliveryStatus.ASSIGNED
    changes = _changes(delivery, move)
    here = Delivery.objects.filter(
        id=delivery.id, status=previous, courier_id=delivery.courier_id, attempts=delivery.attempts
    )
    if not here.update(**changes):
        raise IllegalTransition("The delivery has just moved.", status=previous)
    for name, value in changes.items():
        setattr(delivery, name, value)
    if is_failure or move.to in ENDED:
        on_commit(lambda: forget_position(delivery.id))
    events = tell_status(
        delivery,
        previous=previous,
        actor=move.actor,
        at=move.at,
        reason=move.reason,
        is_failure=is_failure,
    )
    if is_failure:
        events += tell_milestone(delivery, Milestone.ATTEMPT_FAILED, actor=move.actor, at=move.at)
    return events + _elsewhere(delivery, move, previous=previous)


def _changes(delivery: Delivery, move: Move) -> Mapping[str, Any]:
    """The columns that this move sets."""
    changes: dict[str, Any] = {"status": move.to.value, "updated_at": move.at}
    if move.to == DeliveryStatus.IN_TRANSIT:
        changes |= {
            "started_at": delivery.started_at or move.at,
            "attempt_at": move.at,
            "nearby_at": None,
            "arrived_at": None,
        }
    elif move.to == DeliveryStatus.ARRIVED:
        changes["arrived_at"] = move.at
    elif move.to == DeliveryStatus.ASSIGNED:
        changes["attempts"] = delivery.attempts + 1
    elif move.to == DeliveryStatus.DELIVERED:
        changes |= {"delivered_at": move.at, "ended_at": move.at}
    elif move.to == DeliveryStatus.CANCELLED:
        # Its part of the order may be delivered by another one.
        changes |= {"ended_at": move.at, "part_key": None}
    return changes


def _elsewhere(delivery: Delivery, move: Move, *, previous: str) -> list[NewEvent]:
    """What the move means for the order and the courier."""
    actor_id = None if move.actor is None else move.actor.public_id
    events: list[NewEvent] = []
    if delivery.order_id is not None:
        way: dict[str, Any] = {
            "order_id": delivery.order_id,
            "shop_id": delivery.shop_id,
            "actor_id": actor_id,
        }
        if move.to == DeliveryStatus.IN_TRANSIT:
            events += order_shipped(**way)
        elif move.to == DeliveryStatus.DELIVERED:
            events += order_delivered(**way)
    if move.to in ENDED:
        assigning.withdraw_offer(delivery_id=delivery.id)
        if previous in UNDER_WAY and delivery.courier_id is not None:
            couriers.free_place(courier_id=delivery.courier_id)
    return events


# --- what positions bring about -----------------------------------------------------------------


def pass_by(delivery_id: UUID, *, actor: User, attempts: int) -> list[NewEvent]:
    """The courier is near: told once in each attempt, while he is on his way."""
    at = now()
    first = Delivery.objects.filter(
        id=delivery_id,
        status=DeliveryStatus.IN_TRANSIT,
        attempts=attempts,
        nearby_at__isnull=True,
    )
    if not first.update(nearby_at=at, updated_at=at):
        return []
    delivery = _loaded(delivery_id)
    return tell_milestone(delivery, Milestone.NEARBY, actor=actor, at=at)


def arrive(delivery_id: UUID, *, actor: User, attempts: int) -> list[NewEvent]:
    """The courier is there: in_transit → arrived, unless somebody has said so already."""
    return _fenced(delivery_id, actor, attempts, DeliveryStatus.ARRIVED)


def hand_over(delivery_id: UUID, *, actor: User, attempts: int) -> list[NewEvent]:
    """The courier has been at the door long enough: arrived → delivered, with the shop's proof."""
    return _fenced(delivery_id, actor, attempts, DeliveryStatus.DELIVERED)


def _fenced(delivery_id: UUID, actor: User, attempts: int, to: DeliveryStatus) -> list[NewEvent]:
    delivery = _loaded(delivery_id)
    here = delivery.attempts == attempts and delivery.courier_id == actor.pk
    if not here or to not in MOVES[delivery.status]:
        return []
    if to == DeliveryStatus.DELIVERED and not delivery.has_proof:
        return []
    return moved(delivery, Move(actor, to, now()))


def _loaded(delivery_id: UUID) -> Delivery:
    delivery = Delivery.objects.filter(id=delivery_id).first()
    if delivery is None:
        raise DeliveryNotFound
    return delivery


@transactional
def cancel_of_orders(
    *, order_ids: Collection[UUID], actor: User | None = None, reason: str = ""
) -> int:
    """What was to be delivered of cancelled orders is not; how many deliveries that were."""
    waiting = Delivery.objects.filter(
        order_id__in=list(order_ids), status__in=(DeliveryStatus.PENDING, DeliveryStatus.ASSIGNED)
    )
    events: list[NewEvent] = []
    found = list(waiting.order_by("id"))
    for delivery in found:
        events += moved(delivery, Move(actor, DeliveryStatus.CANCELLED, now(), reason))
    if events:
        record_all(events)
    return len(found)
