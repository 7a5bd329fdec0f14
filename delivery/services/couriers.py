"""Couriers: on duty or not, where they are, how many deliveries they can take at a time."""

from uuid import UUID

from django.db.models import F

from accounts.enums import Role
from accounts.models import User
from delivery.enums import Duty
from delivery.errors import NotCourier
from delivery.models import Courier
from marketplace.core.clock import now
from marketplace.core.db import IntegrityError, run, transactional
from marketplace.core.errors import IllegalTransition, ValidationFailed
from marketplace.core.ids import uuid7
from marketplace.core.jobs import enqueue

MOST_CAPACITY = 20


def set_duty(*, actor: User, duty: str | None = None, capacity: int | None = None) -> Courier:
    """The courier works like this from now on; what is not named stays.

    Off duty his position is forgotten; what he carries he goes on carrying.
    capacity: 1-20 deliveries at a time. Raises NotCourier, ValidationFailed.
    """
    if capacity is not None and not 1 <= capacity <= MOST_CAPACITY:
        raise ValidationFailed.for_fields(
            {"capacity": [f"This is a number from 1 to {MOST_CAPACITY}."]}
        )
    courier_row(actor)
    return _set_duty(actor=actor, duty=duty, capacity=capacity)


@transactional
def _set_duty(*, actor: User, duty: str | None, capacity: int | None) -> Courier:
    changes: dict[str, object] = {"updated_at": now()}
    if duty is not None:
        changes["duty"] = duty
    if capacity is not None:
        changes["capacity"] = capacity
    if duty == Duty.OFF:
        changes |= {"latitude": None, "longitude": None, "positioned_at": None}
    rows = Courier.objects.filter(user=actor)
    rows.update(**changes)
    courier = rows.select_related("user").get()
    if courier.duty == Duty.ON:
        ask_for_work()
    return courier


def report_position(*, actor: User, latitude: float, longitude: float) -> Courier:
    """The courier is here, for offers of what is near. Raises NotCourier.

    Raises IllegalTransition off duty: nobody is followed then.
    """
    courier_row(actor)
    at = now()

    def attempt() -> bool:
        on_duty = Courier.objects.filter(user=actor, duty=Duty.ON)
        return bool(
            on_duty.update(latitude=latitude, longitude=longitude, positioned_at=at, updated_at=at)
        )

    if not run(attempt):
        raise IllegalTransition("You are off duty.")
    return Courier.objects.select_related("user").get(user=actor)


def courier_row(user: User) -> Courier:
    """The row of this courier, made where there is none. Raises NotCourier.

    Called before a transaction begins: two who make it at once are told apart by the unique user.
    """
    if user.role != Role.COURIER:
        raise NotCourier
    found = Courier.objects.filter(user=user).first()
    if found is not None:
        return found
    try:
        return run(lambda: Courier.objects.create(user=user))
    except IntegrityError:
        return Courier.objects.get(user=user)


def take_place(*, courier_id: UUID, within_capacity: bool) -> bool:
    """One more delivery or offer for him; False where he is off duty or has no place left.

    within_capacity: an offer. An assignment counts too, and is bounded by nothing.
    """
    rows = Courier.objects.filter(user_id=courier_id)
    if within_capacity:
        rows = rows.filter(duty=Duty.ON, load__lt=F("capacity"))
    return rows.update(load=F("load") + 1) == 1


def free_place(*, courier_id: UUID) -> None:
    """One delivery or offer less for him: he may be offered another one."""
    Courier.objects.filter(user_id=courier_id, load__gt=0).update(load=F("load") - 1)
    ask_for_work()


def ask_for_work() -> None:
    """After this commit, what waits for a courier is offered again."""
    enqueue("offer_waiting", key=f"offer_waiting:{uuid7()}")
