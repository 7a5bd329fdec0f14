"""What delivery reads. Every list has an order and an index behind it."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F, Q, QuerySet

from accounts.access import is_admin
from accounts.enums import Role
from accounts.models import User
from delivery.enums import MOVING, DeliveryStatus, Duty, OfferStatus, ProofKind
from delivery.geo import (
    NO_DESTINATION,
    NO_LOCATION,
    SPEEDS_WITHIN_S,
    Estimate,
    Point,
    distance_m,
    estimate,
)
from delivery.models import Courier, Delivery, Location, Offer, ShopRules
from delivery.reading import which_are_fresh, which_are_newest, which_deliveries
from delivery.trail import MOST_SPEEDS, TAKEN, Fix, Trail
from marketplace.core.clock import now
from marketplace.core.inputs import read_id
from marketplace.core.questions import ask, ask_all
from shops.selectors import list_shops_of

HISTORY_LENGTH = 50
COURIERS_LOOKED_AT = 500


@dataclass(frozen=True, slots=True)
class CourierOffer:
    """A courier who could take a delivery; distance_m: how far off he is, where that is known."""

    user: User
    distance_m: float | None


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a delivery is now: its last good position, and when it arrives or why nobody knows."""

    location: Location | None
    eta: Estimate | str


def all_deliveries() -> QuerySet[Delivery]:
    """Deliveries with their people."""
    return Delivery.objects.select_related("customer", "courier")


def find_delivery(key: str | UUID) -> Delivery | None:
    """The delivery with this id."""
    delivery_id = key if isinstance(key, UUID) else read_id(key)
    return None if delivery_id is None else find_deliveries([delivery_id]).get(delivery_id)


def find_deliveries(delivery_ids: Collection[UUID]) -> dict[UUID, Delivery]:
    """Those of these deliveries that there are, by id."""
    return ask(which_deliveries(delivery_ids)) if delivery_ids else {}


def find_by_token_hash(token_hash: str) -> Delivery | None:
    """The delivery whose token has this hash, ended or not."""
    return all_deliveries().filter(token_hash=token_hash).first()


def staffed_shops(user: User) -> list[UUID]:
    """The shops for which this user works."""
    return list(list_shops_of(user=user).values_list("id", flat=True))


def deliveries_of(user: User, *, status: str = "") -> QuerySet[Delivery]:
    """What this user sends, carries or waits for, newest first; for admins everything."""
    found = all_deliveries()
    if not is_admin(user):
        own = Q(customer=user) | Q(courier=user)
        shops = staffed_shops(user)
        found = found.filter(own | Q(shop_id__in=shops) if shops else own)
    if status:
        found = found.filter(status=status)
    return found.order_by("-id")


def deliveries_offered_to(user: User) -> QuerySet[Delivery]:
    """What this courier may take at this moment, newest first."""
    offers = Offer.objects.filter(courier=user, status=OfferStatus.OPEN, expires_at__gt=now())
    ids = list(offers.order_by("-id").values_list("delivery_id", flat=True))
    return all_deliveries().filter(id__in=ids).order_by("-id")


def deliveries_of_order(order_id: UUID) -> list[Delivery]:
    """One per part of the order, the first one made comes first; cancelled ones too."""
    return list(all_deliveries().filter(order_id=order_id).order_by("id"))


def orders_with_courier(*, order_ids: Collection[UUID]) -> set[UUID]:
    """Those of these orders for which a courier has been found, for one part at least."""
    if not order_ids:
        return set()
    carried = Delivery.objects.filter(order_id__in=list(order_ids), courier__isnull=False)
    rows = carried.exclude(status=DeliveryStatus.CANCELLED).order_by("id")
    return {found for found in rows.values_list("order_id", flat=True) if found is not None}


def waiting_deliveries() -> QuerySet[Delivery]:
    """Deliveries that nobody carries yet, oldest first."""
    return Delivery.objects.filter(status=DeliveryStatus.PENDING).order_by("id")


def find_open_offer(*, delivery_id: UUID) -> Offer | None:
    """The offer of this delivery that somebody may still answer."""
    return Offer.objects.filter(open_key=str(delivery_id)).select_related("courier").first()


def proof_kind_of(shop_id: UUID | None) -> str:
    """What this shop asks for at the door."""
    rules = None if shop_id is None else ShopRules.objects.filter(shop_id=shop_id).first()
    return ProofKind.NONE.value if rules is None else rules.proof_kind


# --- positions ------------------------------------------------------------------------------


def locations_of(delivery: Delivery, *, rejected: bool = False) -> QuerySet[Location]:
    """The trail, oldest first; `rejected` adds what was kept and not used."""
    found = Location.objects.filter(delivery=delivery)
    if not rejected:
        found = found.filter(rejected=TAKEN)
    return found.order_by("recorded_at", "id")


def newest_locations(
    delivery_ids: Collection[UUID], *, count: int = HISTORY_LENGTH
) -> dict[UUID, list[Location]]:
    """The newest good positions of each of these deliveries, oldest first."""
    return ask(which_are_newest(delivery_ids, count=count)) if delivery_ids else {}


def attempt_began(*, attempts: int, attempt_at: datetime | None) -> datetime | None:
    """From when on positions belong to this attempt; None: all of them do."""
    return attempt_at if attempts else None


def whereabouts(delivery: Delivery) -> Whereabouts:
    """Where it is now. Positions are shown while it is on its way, and of this attempt alone."""
    return whereabouts_of([delivery])[delivery.id]


def whereabouts_of(deliveries: Collection[Delivery]) -> dict[UUID, Whereabouts]:
    """`whereabouts` of each of these, by id."""
    found = {one.id: Whereabouts(None, NO_LOCATION) for one in deliveries}
    moving = {one.id: one for one in deliveries if one.status in MOVING}
    if not moving:
        return found
    instant = now()
    newest, fresh = ask_all(
        which_are_newest(moving, count=1),
        which_are_fresh(
            moving, since=instant - timedelta(seconds=SPEEDS_WITHIN_S), count=MOST_SPEEDS
        ),
    )
    for key, delivery in moving.items():
        since = attempt_began(attempts=delivery.attempts, attempt_at=delivery.attempt_at)
        last = newest[key][-1] if newest[key] else None
        if last is not None and (since is None or last.recorded_at >= since):
            fixes = fresh[key] if since is None else _from(since, fresh[key])
            found[key] = Whereabouts(last, _eta(delivery, last, fixes, at=instant))
    return found


def _from(since: datetime, fixes: list[Fix]) -> list[Fix]:
    return [fix for fix in fixes if fix.at >= since.timestamp()]


def _eta(
    delivery: Delivery, last: Location, fixes: Iterable[Fix], *, at: datetime
) -> Estimate | str:
    """fixes: good ones of the last minutes, oldest first, for the speeds."""
    if delivery.destination is None:
        return NO_DESTINATION
    trail = Trail(destination=None)
    for fix in fixes:
        trail.trust(fix, rejected=TAKEN)
    position = (last.latitude, last.longitude)
    speeds = trail.speeds(now=at.timestamp())
    return estimate(position, delivery.destination, speeds=speeds, now=at)


def eta_of(delivery: Delivery) -> Estimate | str:
    """When it arrives, or the word for why nobody knows: `no_location`, `no_destination`."""
    return whereabouts(delivery).eta


def fix_of(row: Location) -> Fix:
    """A stored position as the trail takes it."""
    return Fix(row.recorded_at.timestamp(), row.latitude, row.longitude, row.speed_mps)


# --- couriers -------------------------------------------------------------------------------


def find_courier(public_id: str) -> User | None:
    """The active courier with this id for the outside."""
    return (
        User.objects.filter(public_id=public_id, role=Role.COURIER, is_active=True)
        .order_by("pk")
        .first()
    )


def list_couriers(*, duty: str = "") -> QuerySet[Courier]:
    """Couriers who have ever been on duty or carried something, newest first."""
    found = Courier.objects.filter(user__role=Role.COURIER, user__is_active=True)
    if duty:
        found = found.filter(duty=duty)
    return found.select_related("user").order_by("-id")


def couriers_near(
    place: Point, *, duty: str = "", count: int
) -> list[tuple[Courier, float | None]]:
    """So many couriers, the nearest to a place first, those of unknown place last; and how far off
    each is, to a hundred metres.

    Whoever asks from several places shall not learn where somebody stands, so the distance is told
    no more exactly than that.
    """
    rows = list_couriers(duty=duty)[:COURIERS_LOOKED_AT]
    found = [(row, _distance(row, place)) for row in rows]
    found.sort(key=lambda one: float("inf") if one[1] is None else one[1])
    return [
        (row, None if distance is None else float(round(distance, -2)))
        for row, distance in found[:count]
    ]


def free_couriers(*, near: Point | None) -> list[CourierOffer]:
    """Couriers on duty with a free place, the nearest first, those of unknown place last."""
    rows = (
        Courier.objects.filter(
            duty=Duty.ON, load__lt=F("capacity"), user__role=Role.COURIER, user__is_active=True
        )
        .select_related("user")
        .order_by("id")[:COURIERS_LOOKED_AT]
    )
    found = [CourierOffer(row.user, _distance(row, near)) for row in rows]
    return sorted(found, key=lambda one: float("inf") if one.distance_m is None else one.distance_m)


def _distance(courier: Courier, near: Point | None) -> float | None:
    if near is None or courier.position is None:
        return None
    return round(distance_m(courier.position, near), 1)
