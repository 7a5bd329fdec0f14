"""`@deliveryto`: a shop's answer to a request; a courier gets it."""

from collections.abc import Iterator

from accounts.models import User
from chat.commands.choosing import is_same, read_number
from chat.commands.registry import Call, Command, Reply, register
from chat.enums import RoomKind
from delivery.selectors import free_couriers
from delivery.services.creating import NewDelivery, create_delivery
from delivery.services.tracking import token_of
from marketplace.core.money import money_text
from orders.enums import OrderStatus
from orders.models import Order
from orders.selectors import deliverable_orders, find_order
from orders.services.moves import accept_order
from shops.models import Shop
from shops.selectors import list_shops_of

NO_SHOPS = "You don't own any shops."
NO_REQUESTS = "No pending delivery requests."
HEAD = "Pending delivery requests:"
ASK_REQUEST = "Reply with the request number to assign delivery."
NO_SUCH_REQUEST = "Invalid request number. Please try again."
NO_COURIERS = "No delivery persons available nearby."
COURIERS = "Available delivery persons:"
ASK_COURIER = "Reply with the delivery person's name to assign."
NO_SUCH_COURIER = "Delivery person not found. Please try again."


def begin(call: Call) -> Reply:
    """List what waits for a courier."""
    shops = list(list_shops_of(user=call.actor))
    if not shops:
        return Reply(NO_SHOPS)
    lines = [
        f"• Request #{order.number} from Shop: {shop.name}"
        f" - Total: {money_text(order.total, order.currency)}"
        for order, shop in _waiting(call.actor, shops)
    ]
    if not lines:
        return Reply(NO_REQUESTS)
    return Reply("\n".join([HEAD, *lines, "", ASK_REQUEST]), step="request")


def _waiting(actor: User, shops: list[Shop]) -> Iterator[tuple[Order, Shop]]:
    """What the sender's shops may send, each with the shop of it that is his."""
    own = {shop.id: shop for shop in shops}
    for order in deliverable_orders(user=actor, paid_only=False):
        shop = next(
            (own[part.shop_id] for part in order.all_shop_orders if part.shop_id in own), None
        )
        if shop is not None:
            yield order, shop


def take_request(call: Call) -> Reply:
    """One of them by its number; then who could carry it, the nearest first."""
    number = read_number(call.text)
    for order, shop in _waiting(call.actor, list(list_shops_of(user=call.actor))):
        if order.number == number:
            couriers = [_name(one.user) for one in free_couriers(near=_place_of(order))]
            if not couriers:
                return Reply(NO_COURIERS)
            text = "\n".join([COURIERS, *(f"• {name}" for name in couriers), "", ASK_COURIER])
            data = {"order": str(order.id), "shop": str(shop.id)}
            return Reply(text, step="courier", data=data)
    return Reply(NO_SUCH_REQUEST, step=call.step, data=call.data)


def _place_of(order: Order) -> tuple[float, float] | None:
    """Where it goes, as a point."""
    address = order.shipping_address or {}
    latitude, longitude = address.get("latitude"), address.get("longitude")
    return None if latitude is None or longitude is None else (latitude, longitude)


def _name(user: User) -> str:
    """What people call a courier; never his phone number."""
    return user.name or user.username or user.public_id


def take_courier(call: Call) -> Reply:
    """The one of this name takes it: accepted, made and assigned by the services of REST."""
    order = find_order(key=call.data["order"])
    couriers = free_couriers(near=None if order is None else _place_of(order))
    courier = next((one.user for one in couriers if is_same(call.text, _name(one.user))), None)
    if courier is None:
        return Reply(NO_SUCH_COURIER, step=call.step, data=call.data)
    if order is not None and order.status == OrderStatus.PENDING:
        accept_order(actor=call.actor, order_id=order.id)
    wanted = NewDelivery(
        order_id=call.data["order"], shop_id=call.data["shop"], courier_id=courier.public_id
    )
    delivery = create_delivery(actor=call.actor, wanted=wanted, key=f"message:{call.message.id}")
    lines = ["✅ Delivery assigned!", f"Delivery Person: {_name(courier)}"]
    if call.room.kind == RoomKind.ASSISTANT:
        # Elsewhere are others, and whoever has the token sees the delivery.
        lines.append(f"Tracking Token: {token_of(delivery)}")
    return Reply("\n".join([*lines, "Notifications sent to both parties."]))


register(
    Command(
        word="deliveryto",
        summary="Assign a courier to a request",
        start=begin,
        steps={"request": take_request, "courier": take_courier},
        failure="❌ Failed to assign the delivery",
    )
)
