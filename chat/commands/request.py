"""`@request [shop]`: a buyer's wish to a shop, which becomes an order to be paid on delivery."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings

from accounts.selectors import default_address
from chat.commands.choosing import is_same, numbered, read_number
from chat.commands.places import place_at, place_of, read_place
from chat.commands.registry import Call, Command, Reply, ask_again, register
from chat.enums import RoomKind
from marketplace.core.money import money_text
from orders.enums import Fulfilment, PaymentFlow
from orders.services.placing import place_order
from orders.wanted import NewOrder, ShippingAddress, WantedLine
from shops.models import Shop
from shops.search import ProductQuery
from shops.selectors import (
    Offer,
    find_shop,
    find_shop_by_name,
    list_offers,
    list_products,
    list_skus,
)

LISTED = 50
# What one line of an order can hold.
MOST = 1_000
NO_SHOP = "Could not find shop information."
NO_PRODUCTS = "This shop has no products yet."
ASK_PRODUCT = "Reply with the product name you want."
NO_SUCH_PRODUCT = "Product not found. Please type the exact product name."
ASK_CHOICE = "Which one would you like?"
ASK_QUANTITY = "How many would you like?"
ASK_DELIVERY = "Do you need delivery? (yes/no)"
ASK_PLACE = (
    "Please share your delivery location (address or coordinates).\n"
    "Or type 'use_current' to use your current location."
)
CURRENT = "use_current"
ARRANGED = "Delivery will be arranged once the shop confirms your order."
ANSWERS = {"yes": True, "y": True, "no": False, "n": False}


def begin(call: Call) -> Reply:
    """The shop of the room, else the one that is named; and what it sells."""
    shop = _shop_of(call)
    if shop is None:
        return Reply(NO_SHOP)
    products = list(list_products(ProductQuery(shop_id=str(shop.id)))[:LISTED])
    if not products:
        return Reply(NO_PRODUCTS)
    skus = list_skus(product_ids=[product.id for product in products])
    lines = [
        f"• {one.name} - {money_text(one.price, one.currency)}"
        f" (Stock: {sum(sku.available for sku in skus[one.id])})"
        for one in products
    ]
    head = f"Available products from {shop.name}:"
    text = "\n".join([head, *lines, "", ASK_PRODUCT])
    return Reply(text, step="product", data={"shop": str(shop.id)})


def _shop_of(call: Call) -> Shop | None:
    if call.room.kind == RoomKind.SHOP:
        return find_shop(call.room.subject_id)
    if not call.text:
        return None
    number = read_number(call.text)
    handle = call.text if number is None else f"shop_{number}"
    return find_shop(handle) or find_shop_by_name(call.text)


def take_product(call: Call) -> Reply:
    """One of the shop's products, by its whole name."""
    asked = ProductQuery(shop_id=call.data["shop"], q=call.text)
    found: Iterable[Any] = list_products(asked)[:LISTED] if call.text else ()
    product = next((one for one in found if is_same(call.text, one.name)), None)
    offers = [] if product is None else list_offers(product_ids=[product.id])
    if not offers:
        return Reply(NO_SUCH_PRODUCT, step=call.step, data=call.data)
    if len(offers) == 1:
        return _selected(call, offers[0])
    data = call.data | {"skus": [str(offer.sku_id) for offer in offers]}
    return Reply(_choices(offers), step="choice", data=data)


def take_choice(call: Call) -> Reply:
    """One of its options: by its place in the list, or in words."""
    keys = [UUID(key) for key in call.data["skus"]]
    offers = list_offers(sku_ids=keys)
    place = read_number(call.text)
    for offer in offers:
        is_meant = (
            is_same(call.text, _options(offer))
            if place is None
            else 1 <= place <= len(keys) and offer.sku_id == keys[place - 1]
        )
        if is_meant:
            return _selected(call, offer)
    return ask_again(call, _choices(offers))


def _choices(offers: list[Offer]) -> str:
    lines = numbered(
        f"{_options(one)} - {money_text(one.price, one.currency)} (Stock: {one.available})"
        for one in offers
    )
    return f"{ASK_CHOICE}\n{lines}"


def _options(offer: Offer) -> str:
    return ", ".join(offer.options.values())


def _selected(call: Call, offer: Offer) -> Reply:
    name = f"{offer.title} ({_options(offer)})" if offer.options else offer.title
    price = money_text(offer.price, offer.currency)
    data = {"shop": call.data["shop"], "sku": str(offer.sku_id)}
    return Reply(f"Selected: {name} - {price}\n{ASK_QUANTITY}", step="quantity", data=data)


def take_quantity(call: Call) -> Reply:
    """So many as there are, at the price of now."""
    offer = _offer(call)
    if offer is None:
        return Reply(NO_SUCH_PRODUCT, step="product", data={"shop": call.data["shop"]})
    quantity = read_number(call.text)
    if not quantity:
        return ask_again(call, ASK_QUANTITY)
    most = min(offer.available, MOST)
    if quantity > most:
        text = f"Only {most} available. Please enter a smaller quantity."
        return Reply(text, step=call.step, data=call.data)
    total = money_text(offer.price * Decimal(quantity), offer.currency)
    data = call.data | {"quantity": quantity}
    return Reply(f"Total: {total}\n{ASK_DELIVERY}", step="delivery", data=data)


def _offer(call: Call) -> Offer | None:
    return next(iter(list_offers(sku_ids=[UUID(call.data["sku"])])), None)


def take_delivery(call: Call) -> Reply:
    """Brought or fetched."""
    wants_delivery = ANSWERS.get(call.text.casefold())
    if wants_delivery is None:
        return ask_again(call, ASK_DELIVERY)
    if wants_delivery:
        return Reply(ASK_PLACE, step="place", data=call.data)
    return _order(call, place=None)


def take_place(call: Call) -> Reply:
    """Where to: in words, by coordinates, or where the sender is."""
    is_here = call.text.casefold() == CURRENT
    place = _current_place(call) if is_here else read_place(call.text)
    return ask_again(call, ASK_PLACE) if place is None else _order(call, place=place)


def _current_place(call: Call) -> ShippingAddress | None:
    """Where the message was sent from, else the default address."""
    at = call.message.data or {}
    here = place_at(at.get("latitude"), at.get("longitude"))
    if here is not None:
        return here
    address = default_address(user=call.actor)
    return None if address is None else place_of(address)


def _order(call: Call, *, place: ShippingAddress | None) -> Reply:
    """Place it, by the service that REST calls."""
    flow = PaymentFlow.ON_DELIVERY if settings.ALLOW_PAY_ON_DELIVERY else PaymentFlow.REGULAR
    wanted = NewOrder(
        lines=[WantedLine(sku_id=UUID(call.data["sku"]), quantity=call.data["quantity"])],
        payment_flow=flow.value,
        fulfilment=(Fulfilment.PICKUP if place is None else Fulfilment.DELIVERY).value,
        address=place,
    )
    order = place_order(actor=call.actor, wanted=wanted, key=f"message:{call.message.id}")
    lines = [
        "✅ Purchase request created!",
        f"Request ID: #{order.number}",
        f"Status: {order.status}",
        f"Total: {money_text(order.total, order.currency)}",
        ARRANGED if place is not None else _where_to_fetch(call),
    ]
    return Reply("\n".join(lines))


def _where_to_fetch(call: Call) -> str:
    shop = find_shop(call.data["shop"])
    return f"You can pick up from: {'' if shop is None else shop.location}"


register(
    Command(
        word="request",
        summary="Ask a shop for a product: @request <shop>, in the shop's own room @request",
        start=begin,
        steps={
            "product": take_product,
            "choice": take_choice,
            "quantity": take_quantity,
            "delivery": take_delivery,
            "place": take_place,
        },
        failure="❌ Failed to create request",
    )
)
