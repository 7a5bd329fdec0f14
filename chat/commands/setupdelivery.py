"""`@setupdelivery`: a paid order of the sender's, or of his shops, gets its delivery."""

from uuid import UUID

from django.conf import settings

from accounts.selectors import default_address
from chat.commands.choosing import numbered, read_number
from chat.commands.places import destination_of, place_of, read_place
from chat.commands.registry import Call, Command, Reply, ask_again, register
from chat.enums import RoomKind
from delivery.services.creating import NewDelivery, create_delivery
from delivery.services.tracking import token_of
from marketplace.core.money import money_text
from orders.models import Order
from orders.selectors import deliverable_orders, shop_ids_of
from shops.selectors import list_shops_of

ASK_ORDER = "Which order should be delivered?"
ASK_PLACE = 'Where should it go? Send an address, or "saved" for your default address.'
NONE = "You have no paid order that needs a delivery."
OFF = "@setupdelivery is coming soon."
SAVED = "saved"


def begin(call: Call) -> Reply:
    """List what can be delivered."""
    if not settings.ENABLE_SETUP_DELIVERY:
        return Reply(OFF)
    orders = deliverable_orders(user=call.actor, paid_only=True)
    if not orders:
        return Reply(NONE)
    data = {"orders": [str(order.id) for order in orders]}
    return Reply(_question(orders), step="order", data=data)


def _question(orders: list[Order]) -> str:
    lines = numbered(
        f"#{order.number} - {money_text(order.total, order.currency)} {order.currency}"
        for order in orders
    )
    return f"{ASK_ORDER}\n{lines}"


def take_order(call: Call) -> Reply:
    """One of the list, by its place there or its own number."""
    orders = deliverable_orders(user=call.actor, paid_only=True)
    if not orders:
        return Reply(NONE)
    number = read_number(call.text)
    listed = call.data["orders"]
    chosen = listed[number - 1] if number is not None and 1 <= number <= len(listed) else None
    for order in orders:
        if chosen == str(order.id) or number == order.number:
            data = {"order": str(order.id), "shop": _shop_of(order, call)}
            return Reply(ASK_PLACE, step="place", data=data)
    return ask_again(call, _question(orders))


def _shop_of(order: Order, call: Call) -> str:
    """Whose part of it: the sender's own shop, else the first."""
    shops = shop_ids_of(order)
    own: set[UUID] = set(list_shops_of(user=call.actor).values_list("id", flat=True))
    return str(next((shop for shop in shops if shop in own), shops[0]))


def take_place(call: Call) -> Reply:
    """Where to; then it is made, by the service that REST calls."""
    if call.text.casefold() == SAVED:
        address = default_address(user=call.actor)
        place = None if address is None else place_of(address)
    else:
        place = read_place(call.text)
    if place is None:
        return ask_again(call, ASK_PLACE)
    wanted = NewDelivery(
        order_id=call.data["order"], shop_id=call.data["shop"], destination=destination_of(place)
    )
    delivery = create_delivery(actor=call.actor, wanted=wanted, key=f"message:{call.message.id}")
    if call.room.kind != RoomKind.ASSISTANT:
        # Whoever has the link sees the delivery, and here are others.
        return Reply("✅ Delivery created! Others read along here: its link is in your orders.")
    return Reply(
        f"✅ Delivery created! Track it here: {settings.PUBLIC_URL}/track/{token_of(delivery)}"
    )


register(
    Command(
        word="setupdelivery",
        summary="Setup delivery",
        start=begin,
        steps={"order": take_order, "place": take_place},
        failure="❌ Failed to set up the delivery",
    )
)
