"""Deliveries are made: for a shop's part of an order, or by a shop without one."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.models import User
from accounts.selectors import get_user
from delivery import selectors
from delivery.access import Standing, standing_in
from delivery.enums import DeliveryStatus
from delivery.errors import AlreadyAssigned, CourierNotFound
from delivery.models import TEXT_CHARACTERS, Delivery
from delivery.services import couriers
from delivery.services.announcing import tell_status
from delivery.tokens import hash_of, new_token
from marketplace.core.clock import now
from marketplace.core.db import IntegrityError, in_transaction, transactional
from marketplace.core.errors import Forbidden, IllegalTransition, ValidationFailed
from marketplace.core.inputs import read_id
from marketplace.core.jobs import enqueue
from marketplace.core.text import clean_text
from marketplace.events.record import open_topic, record_all
from orders.access import order_to_see
from orders.enums import Fulfilment, OrderStatus
from orders.models import Order
from orders.services.fulfilment import attach_delivery
from shops.access import shop_to_serve


@dataclass(frozen=True, slots=True)
class Destination:
    """Where something goes: a point, words, or both."""

    latitude: float | None = None
    longitude: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A wish for a delivery.

    order_id: id or number of the order, which tells shop, customer and destination; shop_id: which
    of its shops, where there are several. Without an order shop, customer and destination are
    named. People are named by their public ids.
    """

    order_id: str | None = None
    shop_id: str | None = None
    customer_id: str | None = None
    destination: Destination | None = None
    courier_id: str | None = None


def create_delivery(*, actor: User, wanted: NewDelivery, key: str | None = None) -> Delivery:
    """A new delivery: `pending`, with a courier `assigned`.

    For staff of the shop and admins; of an order also for its owner, who names no courier.
    key: a repeat under it gives the first one. Raises OrderNotFound, ShopNotFound, Forbidden,
    CourierNotFound, ValidationFailed; IllegalTransition for an order that is not to be delivered
    now; AlreadyAssigned where this part of the order has a delivery.
    """
    wish_key = None if key is None else _wish_key(actor, key)
    courier = _courier(wanted.courier_id)
    if courier is not None:
        couriers.courier_row(courier)
    try:
        return _create(actor=actor, wanted=wanted, courier=courier, wish_key=wish_key)
    except IntegrityError:
        if in_transaction():
            raise
        # Somebody made it at the same moment: now it is found, or refused.
        return _create(actor=actor, wanted=wanted, courier=courier, wish_key=wish_key)


def _wish_key(actor: User, key: str) -> str:
    return hashlib.sha256(f"{actor.pk}\n{key}".encode()).hexdigest()


def _courier(public_id: str | None) -> User | None:
    if public_id is None:
        return None
    courier = selectors.find_courier(public_id)
    if courier is None:
        raise CourierNotFound
    return courier


@transactional
def _create(
    *, actor: User, wanted: NewDelivery, courier: User | None, wish_key: str | None
) -> Delivery:
    if wish_key is not None:
        known = selectors.all_deliveries().filter(wish_key=wish_key).first()
        if known is not None:
            return known
    at = now()
    if wanted.order_id is not None:
        order = order_to_see(actor=actor, key=wanted.order_id)
        delivery = _of_order(order, wanted)
    else:
        order = None
        delivery = _of_shop(actor, wanted)
    standing = standing_in(actor, delivery)
    _check_right(standing, courier)
    delivery.wish_key = wish_key
    delivery.created_at = delivery.updated_at = at
    _assign_at_once(delivery, courier, at=at)
    delivery.proof_kind = selectors.proof_kind_of(delivery.shop_id)
    delivery.token_hash = hash_of(new_token(delivery))
    delivery.save(force_insert=True)
    open_topic(delivery.topic)
    events = tell_status(delivery, previous=None, actor=actor, at=at)
    if order is not None:
        events += attach_delivery(order_id=order.id, delivery_id=delivery.id)
    if courier is None:
        enqueue("offer_delivery", key=f"offer_delivery:{delivery.id}", delivery_id=delivery.id)
    record_all(events)
    return delivery


def _check_right(standing: Standing, courier: User | None) -> None:
    if standing.staff:
        return
    if not standing.customer or courier is not None:
        raise Forbidden


def _assign_at_once(delivery: Delivery, courier: User | None, *, at: datetime) -> None:
    if courier is None:
        return
    delivery.courier = courier
    delivery.status = DeliveryStatus.ASSIGNED
    delivery.assigned_at = at
    couriers.take_place(courier_id=courier.pk, within_capacity=False)


def _of_order(order: Order, wanted: NewDelivery) -> Delivery:
    shop_id = _shop_of(order, wanted.shop_id)
    if order.status != OrderStatus.PROCESSING or order.fulfilment != Fulfilment.DELIVERY:
        raise IllegalTransition("This order is not to be delivered now.", status=order.status)
    part_key = f"{order.id}:{shop_id}"
    if Delivery.objects.filter(part_key=part_key).exists():
        raise AlreadyAssigned("This order has a delivery already.")
    place = wanted.destination or _shipping_place(order.shipping_address or {})
    return Delivery(
        order_id=order.id,
        shop_id=shop_id,
        customer=order.user,
        part_key=part_key,
        **_destination(place),
    )


def _shop_of(order: Order, named: str | None) -> UUID | None:
    """The shop whose part is delivered; None for an order of no shop."""
    shops = [part.shop_id for part in order.all_shop_orders]
    if named is not None:
        found = read_id(named)
        if found not in shops:
            raise _wrong("shop_id", "This order has no part of that shop.")
        return found
    if len(shops) > 1:
        raise _wrong("shop_id", "Name the shop: this order has several.")
    return shops[0] if shops else None


def _shipping_place(address: dict[str, Any]) -> Destination:
    """A shipping address as a destination: its lines in one text."""
    region = " ".join(str(address.get(name) or "") for name in ("postal_code", "city")).strip()
    lines = [
        address.get("line1"),
        address.get("line2"),
        region,
        address.get("state"),
        address.get("country"),
    ]
    return Destination(
        latitude=address.get("latitude"),
        longitude=address.get("longitude"),
        text=", ".join(str(line) for line in lines if line)[:TEXT_CHARACTERS],
    )


def _of_shop(actor: User, wanted: NewDelivery) -> Delivery:
    missing = [name for name in ("shop_id", "customer_id") if getattr(wanted, name) is None]
    if wanted.destination is None:
        missing.append("destination")
    if wanted.shop_id is None or wanted.customer_id is None or wanted.destination is None:
        raise ValidationFailed.for_fields({name: ["This field is required."] for name in missing})
    shop = shop_to_serve(actor=actor, key=wanted.shop_id)
    customer = get_user(wanted.customer_id)
    return Delivery(shop=shop, customer=customer, **_destination(wanted.destination))


def _destination(place: Destination) -> dict[str, Any]:
    text = " ".join(clean_text(place.text, field="destination.text").split())
    if len(text) > TEXT_CHARACTERS:
        raise _wrong("destination.text", f"This has at most {TEXT_CHARACTERS} characters.")
    if (place.latitude is None) != (place.longitude is None):
        raise _wrong("destination", "A point has latitude and longitude.")
    if place.latitude is None and not text:
        raise _wrong("destination", "Name a point or an address.")
    return {
        "destination_latitude": place.latitude,
        "destination_longitude": place.longitude,
        "destination_text": text,
    }


def _wrong(field: str, text: str) -> ValidationFailed:
    return ValidationFailed.for_fields({field: [text]})
