"""What happens elsewhere and concerns deliveries."""

from delivery.services import moves
from marketplace.core.inputs import read_id
from marketplace.events.models import Event
from marketplace.events.subscribe import subscribes
from orders.enums import OrderStatus


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
