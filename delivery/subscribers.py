"""What happens elsewhere and concerns deliveries."""

from uuid import UUID

from accounts.selectors import find_users
from delivery import selectors
from delivery.access import standing_in
from delivery.services import moves
from marketplace.core.db import on_commit
from marketplace.core.inputs import read_id
from marketplace.events.live import publish_removal
from marketplace.events.models import Event
from marketplace.events.subscribe import subscribes
from orders.enums import OrderStatus
from shops.selectors import who_works_where


@subscribes(
    subscriber="cancelled_orders", names=("order.status_changed",), topics="order:", from_now=True
)
def cancel_with_the_order(events: list[Event]) -> None:
    """What was to be delivered of an order that is cancelled is not."""
    cancelled = [one.payload for one in events if one.payload["status"] == OrderStatus.CANCELLED]
    keys = {read_id(payload["order_id"]) for payload in cancelled}
    order_ids = {key for key in keys if key is not None}
    if order_ids:
        moves.cancel_of_orders(order_ids=order_ids, reason="The order was cancelled.")


@subscribes(
    subscriber="delivery_staff", names=("shop.member_removed",), topics="shop:", from_now=True
)
def take_staff_out(events: list[Event]) -> None:
    """Who works for a shop no more hears of its deliveries no more."""
    leavers = {(read_id(one.payload["shop_id"]), one.payload["user_id"]) for one in events}
    shop_ids = {key for key, _ in leavers if key is not None}
    users = find_users({user_id for _, user_id in leavers})
    works = who_works_where(shop_ids=shop_ids, users=users.values())
    for delivery in selectors.deliveries_under_way(shop_ids=shop_ids):
        for shop_id, user_id in leavers:
            user = users.get(user_id)
            if user is None or shop_id is None or shop_id != delivery.shop_id:
                continue
            staffed = {shop_id} if (shop_id, user.pk) in works else set[UUID]()
            if not standing_in(user, delivery, staffed=staffed).sees:
                _take_out(delivery.topic, user_id)


def _take_out(topic: str, user_id: str) -> None:
    on_commit(lambda: publish_removal(topic=topic, user_id=user_id, reason="removed"))
