"""What the log and every wire say of deliveries: canonical shapes, JSON types only."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings

from accounts.models import User
from accounts.serializers import public_user_to_wire
from delivery.access import Standing
from delivery.enums import MILESTONES, DeliveryStatus, Milestone, ProofKind
from delivery.geo import KMH_PER_MPS, Estimate, rough
from delivery.models import Courier, Delivery, Location, Offer
from delivery.selectors import Whereabouts
from delivery.tokens import pin_of, token_of
from marketplace.core.clock import wire_time, wire_time_or_none

if TYPE_CHECKING:
    from delivery.services.fixes import NewFix

NOT_KNOWN: dict[str, Any] = {
    "eta_seconds": None,
    "eta_at": None,
    "low_seconds": None,
    "high_seconds": None,
    "distance_m": None,
    "speed_mps": None,
    "reason": None,
}
MESSAGES = {
    Milestone.NEARBY: "Driver is nearby!",
    Milestone.ATTEMPT_FAILED: "Delivery attempt failed",
}
ASSIGNED_MESSAGE = "Delivery assigned to driver"


def public_id_of(user: User | None) -> str | None:
    """The id of a person for the outside."""
    return None if user is None else user.public_id


def delivery_payload(
    delivery: Delivery, *, standing: Standing, place: Whereabouts | None = None
) -> dict[str, Any]:
    """Delivery as this reader sees it; lists tell no place."""
    place = place or Whereabouts(None, "")
    return {
        "id": str(delivery.id),
        "order_id": None if delivery.order_id is None else str(delivery.order_id),
        "shop_id": None if delivery.shop_id is None else str(delivery.shop_id),
        "customer_id": delivery.customer.public_id,
        "courier_id": public_id_of(delivery.courier),
        "status": delivery.status,
        "tracking_token": token_of(delivery) if standing.sees_token else None,
        "destination": {
            "latitude": delivery.destination_latitude,
            "longitude": delivery.destination_longitude,
            "text": delivery.destination_text or None,
        },
        "location": None if place.location is None else location_payload(place.location),
        "eta": eta_payload(place.eta) if place.eta else None,
        "attempts": delivery.attempts,
        "proof_kind": delivery.proof_kind,
        "proof": proof_payload(delivery),
        "pin": pin_of(delivery) if _is_told_pin(delivery, standing) else None,
        "rating": delivery.rating,
        "assigned_at": wire_time_or_none(delivery.assigned_at),
        "delivered_at": wire_time_or_none(delivery.delivered_at),
        "created_at": wire_time(delivery.created_at),
        "updated_at": wire_time(delivery.updated_at),
    }


def _is_told_pin(delivery: Delivery, standing: Standing) -> bool:
    """The customer alone, and not where he would prove his own parcel's arrival by carrying it."""
    asked = delivery.proof_kind == ProofKind.PIN
    return asked and standing.customer and not standing.courier


def proof_payload(delivery: Delivery) -> dict[str, Any] | None:
    """What shows that it has been handed over."""
    if not (delivery.photo_url or delivery.pin_ok or delivery.signed_by):
        return None
    return {
        "photo_url": delivery.photo_url or None,
        "pin_ok": delivery.pin_ok or None,
        "signed_by": delivery.signed_by or None,
    }


def location_payload(row: Location) -> dict[str, Any]:
    """Location."""
    return {
        "id": str(row.id),
        "delivery_id": str(row.delivery_id),
        "latitude": row.latitude,
        "longitude": row.longitude,
        "accuracy": row.accuracy,
        "speed_mps": row.speed_mps,
        "heading": row.heading,
        "recorded_at": wire_time(row.recorded_at),
        "rejected": row.rejected or None,
        "late": row.late,
        "created_at": wire_time(row.created_at),
        "updated_at": wire_time(row.updated_at),
    }


def eta_payload(eta: Estimate | str) -> dict[str, Any]:
    """Eta; every field null and a `reason` where it is not known."""
    if isinstance(eta, str):
        return NOT_KNOWN | {"reason": eta}
    return {
        "eta_seconds": eta.eta_seconds,
        "eta_at": wire_time(eta.eta_at),
        "low_seconds": eta.low_seconds,
        "high_seconds": eta.high_seconds,
        "distance_m": eta.distance_m,
        "speed_mps": eta.speed_mps,
        "reason": None,
    }


def status_event(
    delivery: Delivery,
    *,
    previous: str | None,
    at: datetime,
    reason: str = "",
    is_failure: bool = False,
) -> dict[str, Any]:
    """`delivery.status_changed`; the delivery stands at its new status already.

    is_failure: it came back to `assigned` by a failed attempt, which is no assignment.
    """
    status = DeliveryStatus(delivery.status)
    is_assignment = status == DeliveryStatus.ASSIGNED and not is_failure
    milestone = None if is_failure else MILESTONES.get(status)
    return {
        "delivery_id": str(delivery.id),
        "order_id": None if delivery.order_id is None else str(delivery.order_id),
        "status": status.value,
        "previous_status": previous,
        "milestone": None if milestone is None else milestone.value,
        "message": ASSIGNED_MESSAGE if is_assignment else f"Status changed to {status.value}",
        "at": wire_time(at),
        "updated_at": wire_time(at),
        "delivered_at": wire_time_or_none(delivery.delivered_at),
        "reason": reason or None,
    }


def milestone_event(delivery_id: object, milestone: Milestone, *, at: datetime) -> dict[str, Any]:
    """`delivery.milestone`."""
    return {
        "delivery_id": str(delivery_id),
        "milestone": milestone.value,
        "message": MESSAGES[milestone],
        "at": wire_time(at),
    }


def offer_event(offer: Offer, delivery: Delivery) -> dict[str, Any]:
    """`delivery.offered`."""
    return {
        "delivery_id": str(delivery.id),
        "courier_id": offer.courier.public_id,
        "shop_id": None if delivery.shop_id is None else str(delivery.shop_id),
        "distance_m": offer.distance_m,
        "expires_at": wire_time(offer.expires_at),
    }


def position_signal(
    delivery_id: object, row: "Location | NewFix", *, eta: Estimate | str
) -> dict[str, Any]:
    """The signal `location`."""
    known = None if isinstance(eta, str) else eta
    speed = row.speed_mps
    return {
        "delivery_id": str(delivery_id),
        "latitude": row.latitude,
        "longitude": row.longitude,
        "recorded_at": wire_time(row.recorded_at),
        "speed": None if speed is None else round(speed * KMH_PER_MPS, 1),
        "speed_mps": speed,
        "accuracy": row.accuracy,
        "heading": row.heading,
        "eta_seconds": None if known is None else known.eta_seconds,
        "distance_m": None if known is None else known.distance_m,
    }


# --- what the holder of a link sees: these keys and no other ------------------------------------


def first_name_of(user: User | None) -> str | None:
    """The first word of a person's name, where he has given one."""
    words = [] if user is None else user.name.split()
    return words[0] if words else None


def track_payload(delivery: Delivery, *, place: Whereabouts) -> dict[str, Any]:
    """What anybody may know who has the link: no person's id, no address, no trail."""
    return {
        "status": delivery.status,
        "courier_name": first_name_of(delivery.courier),
        "location": None if place.location is None else rough_location(place.location),
        "eta": track_eta(eta_payload(place.eta)),
        "delivered_at": wire_time_or_none(delivery.delivered_at),
        "created_at": wire_time(delivery.created_at),
        "updated_at": wire_time(delivery.updated_at),
    }


def rough_location(row: Location) -> dict[str, Any]:
    """A position to about eleven metres."""
    return {
        "latitude": rough(row.latitude),
        "longitude": rough(row.longitude),
        "recorded_at": wire_time(row.recorded_at),
    }


def track_eta(eta: dict[str, Any]) -> dict[str, Any]:
    """Eta without what would tell the position more exactly than it is shown."""
    distance = eta["distance_m"]
    kept = ("eta_seconds", "eta_at", "low_seconds", "high_seconds", "reason")
    return {name: eta[name] for name in kept} | {
        "distance_m": None if distance is None else int(round(distance, -1))
    }


# --- couriers -----------------------------------------------------------------------------------


def courier_payload(courier: Courier, *, distance_m: float | None = None) -> dict[str, Any]:
    """Courier, for people who send things: no phone number, no position."""
    user = courier.user
    return {
        "user_id": user.public_id,
        "user": public_user_to_wire(user),
        "duty": courier.duty,
        "capacity": courier.capacity,
        "load": courier.load,
        "distance_m": distance_m,
        "positioned_at": wire_time_or_none(courier.positioned_at),
        "created_at": wire_time(courier.created_at),
        "updated_at": wire_time(courier.updated_at),
    }


def tracking_url(token: str) -> str:
    """The page of this link."""
    return f"{settings.PUBLIC_URL}/track/{token}"
