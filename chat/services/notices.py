"""What people are told of their orders and deliveries: words for events, each event once.

Nobody is told what he has done himself, nor twice of one thing: what a delivery tells
of an order on its way, the order does not tell again.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

from chat.enums import NotificationType
from chat.services.notifications import NewNotification
from delivery.enums import Milestone
from delivery.models import Delivery
from delivery.selectors import find_deliveries
from marketplace.core.inputs import read_id
from marketplace.events.models import Event
from orders.enums import OrderStatus
from orders.selectors import numbers_and_deliveries, shop_ids_by_order
from shops.selectors import staff_ids

TO_CUSTOMER = {
    Milestone.ASSIGNED: "A courier has been assigned to your delivery.",
    Milestone.MOVING: "Your delivery is on its way.",
    Milestone.NEARBY: "Your courier is nearby.",
    Milestone.ARRIVED: "Your courier has arrived.",
    Milestone.DELIVERED: "Your delivery has been handed over.",
    Milestone.CANCELLED: "Your delivery has been cancelled.",
    Milestone.ATTEMPT_FAILED: "Your delivery could not be handed over. There will be another try.",
}
TO_COURIER = {
    Milestone.ASSIGNED: "You have a new delivery.",
    Milestone.CANCELLED: "A delivery of yours has been cancelled.",
}
TO_BUYER = {
    OrderStatus.PROCESSING: "is being prepared",
    OrderStatus.SHIPPED: "has been shipped",
    OrderStatus.DELIVERED: "has been delivered",
    OrderStatus.RETURNED: "has been returned",
    OrderStatus.CANCELLED: "has been cancelled",
    OrderStatus.FAILED: "could not be paid",
}
TOLD_BY_DELIVERY = frozenset({OrderStatus.SHIPPED, OrderStatus.DELIVERED})


def notices_of_delivery(events: Sequence[Event]) -> list[NewNotification]:
    """For customer and courier: `delivery.status_changed`, `delivery.milestone`."""
    told = [
        (read_id(event.payload["delivery_id"]), event)
        for event in events
        if event.payload["milestone"]
    ]
    deliveries = find_deliveries({key for key, _ in told if key is not None})
    return [
        notice
        for key, event in told
        if key in deliveries
        for notice in _of_milestone(deliveries[key], event, event.payload["milestone"])
    ]


def _of_milestone(delivery: Delivery, event: Event, milestone: str) -> list[NewNotification]:
    told = [(delivery.customer.public_id, "Delivery", TO_CUSTOMER.get(Milestone(milestone)))]
    if delivery.courier is not None:
        told.append((delivery.courier.public_id, "Delivery", TO_COURIER.get(Milestone(milestone))))
    return [
        NewNotification(
            user_id=user_id,
            type=NotificationType.DELIVERY_UPDATED,
            title=title,
            body=body,
            key=f"event:{event.event_id}",
            data={
                "delivery_id": str(delivery.id),
                "order_id": None if delivery.order_id is None else str(delivery.order_id),
                "milestone": milestone,
            },
        )
        for user_id, title, body in told
        if body is not None and user_id != event.actor_id
    ]


def notices_of_order(events: Sequence[Event]) -> list[NewNotification]:
    """For the people of its shops `order.created`, for its buyer `order.status_changed`."""
    told = [(read_id(event.payload["order_id"]), event) for event in events]
    orders = numbers_and_deliveries({key for key, _ in told if key is not None})
    sellers = _sellers({key for key, event in told if key in orders and _is_new(event)})
    notices = []
    for key, event in told:
        if key not in orders:
            continue
        number, delivery_id = orders[key]
        if _is_new(event):
            notices += _of_new_order(number, event, sellers[key])
        elif delivery_id is None or event.payload["status"] not in TOLD_BY_DELIVERY:
            notices += _of_move(number, event)
    return notices


def _is_new(event: Event) -> bool:
    return event.name == "order.created"


def _sellers(order_ids: Collection[UUID]) -> dict[UUID, set[str]]:
    """The people of the shops of each of these orders."""
    shops = shop_ids_by_order(order_ids)
    people = staff_ids(shop_ids={shop_id for those in shops.values() for shop_id in those})
    return {
        order_id: {user_id for shop_id in those for user_id in people[shop_id]}
        for order_id, those in shops.items()
    }


def _of_new_order(number: int, event: Event, sellers: set[str]) -> list[NewNotification]:
    return [
        _notice(number, event, user_id, "New order", f"Order #{number} waits for your shop.")
        for user_id in sorted(sellers - {event.actor_id})
    ]


def _of_move(number: int, event: Event) -> list[NewNotification]:
    status, buyer_id = OrderStatus(event.payload["status"]), event.payload["user_id"]
    if status not in TO_BUYER or buyer_id == event.actor_id:
        return []
    return [_notice(number, event, buyer_id, "Order", f"Your order #{number} {TO_BUYER[status]}.")]


def _notice(number: int, event: Event, user_id: str, title: str, body: str) -> NewNotification:
    return NewNotification(
        user_id=user_id,
        type=NotificationType.ORDER_UPDATED,
        title=title,
        body=body,
        key=f"event:{event.event_id}",
        data={
            "order_id": event.payload["order_id"],
            "number": number,
            "status": event.payload["status"],
        },
    )
