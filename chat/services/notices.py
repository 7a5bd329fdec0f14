"""What people are told of their orders and deliveries: words for events, each event once.

Nobody is told what he has done himself, nor twice of one thing: what a delivery tells
of an order on its way, the order does not tell again.
"""

from collections.abc import Sequence

from chat.enums import NotificationType
from chat.services.notifications import NewNotification
from delivery.enums import Milestone
from delivery.models import Delivery
from delivery.selectors import find_delivery
from marketplace.events.models import Event
from orders.enums import OrderStatus
from orders.models import Order
from orders.selectors import find_order, shop_ids_of
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
    """For customer and courier: `delivery.status_changed`, `delivery.milestone` of one delivery."""
    delivery = find_delivery(events[0].payload["delivery_id"])
    if delivery is None:
        return []
    notices = []
    for event in events:
        milestone = event.payload["milestone"]
        notices += _of_milestone(delivery, event, milestone) if milestone else []
    return notices


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
    order = find_order(key=events[0].payload["order_id"])
    if order is None:
        return []
    notices = []
    for event in events:
        if event.name == "order.created":
            notices += _of_new_order(order, event)
        else:
            notices += _of_move(order, event)
    return notices


def _of_new_order(order: Order, event: Event) -> list[NewNotification]:
    people = staff_ids(shop_ids=shop_ids_of(order))
    waiting = {user_id for ids in people.values() for user_id in ids} - {event.actor_id}
    return [
        _notice(order, event, user_id, "New order", f"Order #{order.number} waits for your shop.")
        for user_id in sorted(waiting)
    ]


def _of_move(order: Order, event: Event) -> list[NewNotification]:
    status = OrderStatus(event.payload["status"])
    buyer_id = order.user.public_id
    is_told = order.delivery_id is not None and status in TOLD_BY_DELIVERY
    if status not in TO_BUYER or is_told or buyer_id == event.actor_id:
        return []
    body = f"Your order #{order.number} {TO_BUYER[status]}."
    return [_notice(order, event, buyer_id, "Order", body)]


def _notice(order: Order, event: Event, user_id: str, title: str, body: str) -> NewNotification:
    return NewNotification(
        user_id=user_id,
        type=NotificationType.ORDER_UPDATED,
        title=title,
        body=body,
        key=f"event:{event.event_id}",
        data={
            "order_id": str(order.id),
            "number": order.number,
            "status": event.payload["status"],
        },
    )
