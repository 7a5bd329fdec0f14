"""What orders read. Every list has an order and an index behind it."""

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import User
from marketplace.core.inputs import read_id
from marketplace.core.money import money_text
from marketplace.core.questions import Question, which_are_there
from marketplace.events.models import Event
from orders.enums import (
    Fulfilment,
    OrderStatus,
    PaymentStatus,
    ReservationStatus,
)
from orders.models import Order, OrderLine, Reservation, ShopOrder
from orders.payloads import WriteAmount, order_payload
from shops.models import Shop
from shops.selectors import list_shops_of

NUMBER_FORM = re.compile(r"(?:ORD-)?#?([0-9]{1,18})", re.IGNORECASE)
DELIVERABLE = 50


def order_number(key: str) -> int | None:
    """The number that this text spells: `10001`, `ORD-00010001`, `#10001`."""
    found = NUMBER_FORM.fullmatch(key.strip())
    return int(found[1]) if found else None


def list_orders() -> QuerySet[Order]:
    """Orders of everybody with their buyers, unordered."""
    return Order.objects.select_related("user")


def find_order(*, key: str | UUID) -> Order | None:
    """The order with this id, number or `ORD-<number>`, with its buyer."""
    order_id = key if isinstance(key, UUID) else read_id(key)
    if order_id is not None:
        return list_orders().filter(id=order_id).order_by("id").first()
    number = order_number(str(key))
    if number is None:
        return None
    return list_orders().filter(number=number).order_by("id").first()


def which_keys_are_used(keys: Collection[str]) -> Question[set[str]]:
    """Under which of these digests orders were placed; nearly always there is none."""
    return which_are_there(Order, "key", keys)


def find_by_keys(keys: Collection[str]) -> dict[str, Order]:
    """The orders that were placed under these digests, by digest."""
    found = list_orders().filter(key__in=list(keys)).order_by("id") if keys else ()
    return {str(order.key): order for order in found}


def orders_of(user: User, *, status: str = "") -> QuerySet[Order]:
    """What this user has ordered, newest first."""
    found = list_orders().filter(user=user)
    if status:
        found = found.filter(status=status)
    return found.order_by("-id")


def parts_of_shop(shop: Shop, *, status: str = "") -> QuerySet[ShopOrder]:
    """The parts of orders that this shop fulfils, newest order first."""
    found = ShopOrder.objects.filter(shop=shop)
    if status:
        found = found.filter(status=status)
    return found.order_by("-order_id")


def with_parts(orders: Iterable[Order]) -> list[Order]:
    """These orders with lines and parts by shop read: two queries, however many they are."""
    page = list(orders)
    ids = [order.id for order in page]
    lines: dict[UUID, list[OrderLine]] = {key: [] for key in ids}
    parts: dict[UUID, list[ShopOrder]] = {key: [] for key in ids}
    if ids:
        for line in OrderLine.objects.filter(order_id__in=ids).order_by("order_id", "id"):
            lines[line.order_id].append(line)
        for part in ShopOrder.objects.filter(order_id__in=ids).order_by("order_id", "id"):
            parts[part.order_id].append(part)
    for order in page:
        order.all_lines, order.all_shop_orders = lines[order.id], parts[order.id]
    return page


def find_orders(ids: Sequence[UUID]) -> list[Order]:
    """These orders with their lines and parts, in this order."""
    found = {order.id: order for order in list_orders().filter(id__in=list(ids)).order_by("id")}
    return with_parts(found[key] for key in ids if key in found)


def order_snapshot(
    order: Order, *, shop_ids: Collection[UUID] | None = None, write: WriteAmount = money_text
) -> dict[str, Any]:
    """Order; with shop_ids only the part of these shops. write: the form of its amounts."""
    return order_payload(order, shop_ids=shop_ids, write=write)


def shop_ids_of(order: Order) -> list[UUID]:
    """The shops that fulfil it."""
    return [part.shop_id for part in order.all_shop_orders]


def shop_ids_by_order(order_ids: Collection[UUID]) -> dict[UUID, list[UUID]]:
    """The shops that fulfil each of these orders; one that there is not has none."""
    found: dict[UUID, list[UUID]] = {order_id: [] for order_id in order_ids}
    rows = ShopOrder.objects.filter(order_id__in=list(order_ids)).order_by("order_id", "id")
    for order_id, shop_id in rows.values_list("order_id", "shop_id"):
        found[order_id].append(shop_id)
    return found


def numbers_and_deliveries(order_ids: Collection[UUID]) -> dict[UUID, tuple[int, UUID | None]]:
    """The number of each of these orders, and its delivery if it has one."""
    rows = Order.objects.filter(id__in=list(order_ids)).order_by("id")
    places = rows.values_list("id", "number", "delivery_id")
    return {order_id: (number, delivery_id) for order_id, number, delivery_id in places}


def deliverable_orders(*, user: User, paid_only: bool) -> list[Order]:
    """What this user can have delivered: not yet attached to a delivery, newest first, 50 at most.

    Orders of shops where he is staff; with `paid_only` the paid ones of these and of his own,
    without it also those that wait to be accepted, to be paid on delivery.
    """
    shops = list(list_shops_of(user=user).values_list("id", flat=True))
    waiting = list_orders().filter(
        fulfilment=Fulfilment.DELIVERY, delivery_id__isnull=True, custom=False
    )
    of_shops = waiting.filter(shop_orders__shop_id__in=shops)
    if paid_only:
        paid = {"payment_status": PaymentStatus.PAID, "status": OrderStatus.PROCESSING}
        found = [*of_shops.filter(**paid).order_by("-id")[:DELIVERABLE]]
        found += waiting.filter(user=user, **paid).order_by("-id")[:DELIVERABLE]
    else:
        # A pending one of another flow waits for its payment, not for the shop.
        open_ones = of_shops.filter(status__in=[OrderStatus.PENDING, OrderStatus.PROCESSING])
        found = [
            order
            for order in open_ones.order_by("-id")[: 2 * DELIVERABLE]
            if order.status == OrderStatus.PROCESSING or order.payment_flow == "on_delivery"
        ]
    unique = {order.id: order for order in found}
    newest = sorted(unique.values(), key=lambda order: order.id, reverse=True)
    return with_parts(newest[:DELIVERABLE])


def list_timeline(*, order: Order) -> QuerySet[Event]:
    """What happened to it, oldest first."""
    return Event.objects.filter(topic=order.topic).order_by("seq", "id")


def due_reservations(instant: datetime, *, limit: int) -> list[UUID]:
    """Orders whose reservation has had its time, the longest overdue first."""
    due = Reservation.objects.filter(status=ReservationStatus.HELD, expires_at__lte=instant)
    return list(due.order_by("expires_at", "id").values_list("order_id", flat=True)[:limit])
