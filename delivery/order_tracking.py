"""Where an order is: its history from the log, and the deliveries of its parts."""

from datetime import timedelta
from typing import Any

from django.conf import settings

from accounts.models import User
from delivery import selectors
from delivery.access import standing_in
from delivery.enums import DeliveryStatus
from delivery.events import MILESTONE, STATUS_CHANGED
from delivery.models import Delivery
from delivery.payloads import eta_payload, tracking_url
from delivery.selectors import Whereabouts
from delivery.tokens import token_of
from marketplace.core.clock import wire_time, wire_time_or_none
from marketplace.events.models import Event
from orders.events import ORDER_CREATED
from orders.events import STATUS_CHANGED as ORDER_STATUS_CHANGED
from orders.models import Order
from orders.payloads import tracking_number
from orders.selectors import list_timeline

TOLD = (ORDER_CREATED, ORDER_STATUS_CHANGED, STATUS_CHANGED, MILESTONE)
NOWHERE: dict[str, Any] = {
    "delivery_status": None,
    "tracking_token": None,
    "tracking_url": None,
    "eta_seconds": None,
    "eta_at": None,
    "distance_m": None,
    "location": None,
}


def order_tracking(order: Order, *, actor: User) -> dict[str, Any]:
    """Where this order is, as one who may see it sees it.

    The links of the deliveries are told to their customer and to the shops that send them. Of
    several deliveries the first one that goes on stands at the top.
    """
    staffed = selectors.staffed_shops(actor)
    deliveries = selectors.deliveries_of_order(order.id)
    places = selectors.whereabouts_of(deliveries)
    parts = [
        _part(one, places[one.id], sees_token=standing_in(actor, one, staffed=staffed).sees_token)
        for one in deliveries
    ]
    going_on = [one for one in parts if one["status"] != DeliveryStatus.CANCELLED] or parts
    first = going_on[0] if going_on else None
    return {
        "order_id": str(order.id),
        "order_number": order.handle,
        "status": order.status,
        "tracking_number": tracking_number(order.delivery_id),
        "estimated_delivery": _estimated(order, first),
        "history": [_step(event) for event in list_timeline(order=order).filter(name__in=TOLD)],
        **(NOWHERE if first is None else _lifted(first)),
        "deliveries": parts,
    }


def _part(delivery: Delivery, place: Whereabouts, *, sees_token: bool) -> dict[str, Any]:
    eta = eta_payload(place.eta)
    token = token_of(delivery) if sees_token else None
    return {
        "delivery_id": str(delivery.id),
        "shop_id": None if delivery.shop_id is None else str(delivery.shop_id),
        "status": delivery.status,
        "tracking_token": token,
        "tracking_url": None if token is None else tracking_url(token),
        "eta_seconds": eta["eta_seconds"],
        "eta_at": eta["eta_at"],
        "distance_m": eta["distance_m"],
        "location": None
        if place.location is None
        else {
            "latitude": place.location.latitude,
            "longitude": place.location.longitude,
            "recorded_at": wire_time(place.location.recorded_at),
        },
        "delivered_at": wire_time_or_none(delivery.delivered_at),
    }


def _lifted(part: dict[str, Any]) -> dict[str, Any]:
    return {name: part["status" if name == "delivery_status" else name] for name in NOWHERE}


def _estimated(order: Order, first: dict[str, Any] | None) -> str:
    """The arrival where it is known, else so many days after the order."""
    if first is not None:
        known: str | None = first["delivered_at"] or first["eta_at"]
        if known is not None:
            return known
    return wire_time(order.created_at + timedelta(days=settings.DELIVERY_ESTIMATE_DAYS))


def _step(event: Event) -> dict[str, Any]:
    payload = event.payload
    return {
        "status": payload.get("status") or payload.get("milestone"),
        "timestamp": wire_time(event.created_at),
        "location": None,
        "description": payload.get("message") or _words(event.name, str(payload.get("status"))),
    }


def _words(name: str, status: str) -> str:
    return "Order placed" if name == ORDER_CREATED else f"Order is {status}"
