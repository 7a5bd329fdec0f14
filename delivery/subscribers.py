"""What happens elsewhere and concerns deliveries."""

from accounts.models import User
from delivery import selectors
from delivery.access import may_see_delivery
from delivery.services import moves
from marketplace.core.db import on_commit
from marketplace.core.inputs import read_id
from marketplace.events.live import publish_removal
from marketplace.events.models import Event
from marketplace.events.subscribe import subscribes
from orders.enums import OrderStatus


@subscribes(
    subscriber="cancelled_orders", names=("order.status_changed",), topics="order:", from_now=True
)
def cancel_with_the_order(events: list[Event]) -> None:
    """What was to be delivered of an order that is cancelled is not."""
    for event in events:
        if event.payload["status"] == OrderStatus.CANCELLED:
            order_id = read_id(event.payload["order_id"])
            if order_id is not None:
                moves.cancel_of_order(order_id=order_id, reason="The order was cancelled.")


@subscribes(
    subscriber="delivery_staff", names=("shop.member_removed",), topics="shop:", from_now=True
)
def take_staff_out(events: list[Event]) -> None:
    """Who works for a shop no more hears of its deliveries no more."""
    for shop_id, user_id in {(one.payload["shop_id"], one.payload["user_id"]) for one in events}:
        key = read_id(shop_id)
        user = User.objects.filter(public_id=user_id).first()
        if key is None or user is None:
            continue
        for delivery in selectors.deliveries_under_way(shop_id=key):
            if not may_see_delivery(user, delivery):
                _take_out(delivery.topic, user.public_id)


def _take_out(topic: str, user_id: str) -> None:
    on_commit(lambda: publish_removal(topic=topic, user_id=user_id, reason="removed"))
