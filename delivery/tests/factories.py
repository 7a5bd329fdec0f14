"""Deliveries, positions and tracks as the services make them."""

import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from math import cos, pi, radians
from typing import Any

from accounts.models import User
from delivery.geo import EARTH_RADIUS_M, Point
from delivery.models import Delivery, Location
from delivery.services.creating import Destination, NewDelivery, create_delivery
from delivery.services.fixes import (
    FixCommand,
    NewFix,
    RecordedFixes,
    Verdict,
    record_fixes,
)
from delivery.services.moves import move_delivery
from marketplace.core.clock import now
from shops.models import Shop

DOOR: Point = (40.7128, -74.006)
METRES_PER_DEGREE = pi * EARTH_RADIUS_M / 180


def make_delivery(
    shop: Shop,
    customer: User,
    courier: User | None = None,
    *,
    destination: Point | None = DOOR,
    **more: Any,
) -> Delivery:
    """A delivery of this shop to this person, made by the shop's owner."""
    latitude, longitude = destination or (None, None)
    wanted = NewDelivery(
        shop_id=str(shop.id),
        customer_id=customer.public_id,
        courier_id=None if courier is None else courier.public_id,
        destination=Destination(latitude, longitude, "5 Lamp Street"),
        **more,
    )
    return create_delivery(actor=shop.owner, wanted=wanted)


def set_off(delivery: Delivery, *, ago_s: float = 0) -> Delivery:
    """Its courier set off so many seconds ago."""
    assert delivery.courier is not None
    moved = move_delivery(actor=delivery.courier, delivery_id=delivery.id, status="in_transit")
    at = now() - timedelta(seconds=ago_s)
    Delivery.objects.filter(id=moved.id).update(started_at=at, attempt_at=at)
    return Delivery.objects.select_related("customer", "courier").get(id=moved.id)


def bring(delivery: Delivery, *statuses: str, actor: User | None = None) -> Delivery:
    """Move it through these statuses, by its courier unless told otherwise."""
    for status in statuses:
        who = actor or delivery.courier
        assert who is not None
        delivery = move_delivery(actor=who, delivery_id=delivery.id, status=status)
    return delivery


def away(metres: float, *, east_m: float = 0, of: Point = DOOR) -> Point:
    """So many metres north (and east) of a point."""
    latitude = of[0] + metres / METRES_PER_DEGREE
    return (latitude, of[1] + east_m / (METRES_PER_DEGREE * cos(radians(of[0]))))


def fix(place: Point, at: datetime, **more: Any) -> NewFix:
    """A position at this instant."""
    return NewFix(latitude=place[0], longitude=place[1], recorded_at=at, **more)


def command(delivery: Delivery, actor: User, fixes: Sequence[NewFix], **more: Any) -> FixCommand:
    """What a courier sends at one time."""
    return FixCommand(
        actor=actor,
        delivery_id=delivery.id,
        fixes=list(fixes),
        received_at=more.pop("received_at", now()),
        as_list=len(fixes) != 1,
        **more,
    )


def send(delivery: Delivery, *fixes: NewFix, actor: User | None = None) -> list[Verdict]:
    """The courier sends these at one time; what became of each."""
    who = actor or delivery.courier
    assert who is not None
    [outcome] = record_fixes([command(delivery, who, fixes)])
    assert isinstance(outcome, RecordedFixes), outcome
    return outcome.verdicts


def noisy_track(seed: int, *, begin: datetime, sigma_m: float = 15.0) -> list[NewFix]:
    """From 1,200 m off at 8 m/s to the door, a minute there; once a second, with scatter and jumps.

    Every 50th position jumps five kilometres away.
    """
    chance = random.Random(seed)
    track = []
    for second in range(210):
        metres = max(0.0, 1200.0 - 8.0 * second)
        north, east = chance.gauss(metres, sigma_m), chance.gauss(0, sigma_m)
        if second % 50 == 49:
            east += 5_000
        at = begin + timedelta(seconds=second)
        track.append(fix(away(north, east_m=east), at, accuracy=sigma_m))
    return track


def trail_of(delivery: Delivery, rejected: str = "") -> list[datetime]:
    """When the good positions of a delivery were taken, in order; or those with this rejection."""
    rows = Location.objects.filter(delivery=delivery, rejected=rejected)
    return list(rows.order_by("recorded_at", "id").values_list("recorded_at", flat=True))


def cut(track: Sequence[NewFix], chance: random.Random) -> Iterable[list[NewFix]]:
    """The track in pieces of 1 to 40."""
    left = list(track)
    while left:
        size = chance.randint(1, 40)
        yield left[:size]
        left = left[size:]
