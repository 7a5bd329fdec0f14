"""`@createproduct`: step by step to a product of one of the sender's shops."""

import re
from decimal import Decimal
from typing import Any

from chat.commands.choosing import choose_shop, listed_shops
from chat.commands.registry import NOT_UNDERSTOOD, Call, Command, Reply, ask_again, register
from marketplace.core.errors import ValidationFailed
from shops.models import PRODUCT_NAME_CHARACTERS, Shop
from shops.selectors import list_shops_of
from shops.services.media import checked_links
from shops.services.options import checked_variances
from shops.services.products import LARGEST_STOCK, NewProduct, check_price, create_product

ASK_SHOP = "Let's create a product! First, what's your shop name?"
ASK_NAME = "What is the product called?"
ASK_DESCRIPTION = "How would you describe it?"
ASK_PRICE = "What is the price?"
ASK_STOCK = "How many are in stock?"
ASK_OPTIONS = 'Any options? (e.g., Size: S, M, L; Color: red, blue) Send "none" to skip.'
ASK_MEDIA = 'Any pictures or videos? Send a link or attach a file, or send "none".'
NO_SHOP = "You need a shop first. Send @createshop to create one."
UNKNOWN_SHOP = "You have no shop of that name."
LINKS_ALONE = f"{NOT_UNDERSTOOD}\nFiles cannot be attached yet: please send links."

NOTHING = frozenset({"none", "no", "skip"})
AMOUNT = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,3})?")
SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹"}
WHOLE = re.compile(r"[0-9]{1,10}")


def begin(call: Call) -> Reply:
    """Ask for the shop, if there is one."""
    if not list_shops_of(user=call.actor).exists():
        return Reply(NO_SHOP)
    return Reply(ASK_SHOP, step="shop")


def take_shop(call: Call) -> Reply:
    """One of the sender's own."""
    shops: list[Shop] = list(list_shops_of(user=call.actor))
    if not shops:
        return Reply(NO_SHOP)
    shop = choose_shop(shops, call.text)
    if shop is None:
        return Reply(f"{UNKNOWN_SHOP}\n{listed_shops(shops)}", step="shop")
    return Reply(ASK_NAME, step="name", data={"shop": str(shop.id), "currency": shop.currency})


def take_name(call: Call) -> Reply:
    """What it is called."""
    name = " ".join(call.text.split())
    if not 1 <= len(name) <= PRODUCT_NAME_CHARACTERS:
        return ask_again(call, ASK_NAME)
    return Reply(ASK_DESCRIPTION, step="description", data=call.data | {"name": name})


def take_description(call: Call) -> Reply:
    """What can be said of it."""
    if not call.text:
        return ask_again(call, ASK_DESCRIPTION)
    return Reply(ASK_PRICE, step="price", data=call.data | {"description": call.text})


def take_price(call: Call) -> Reply:
    """What one costs, in the shop's currency."""
    price = read_amount(call.text, currency=call.data["currency"])
    try:
        check_price(price, currency=call.data["currency"])
    except ValidationFailed:
        price = None
    if price is None:
        return ask_again(call, ASK_PRICE)
    return Reply(ASK_STOCK, step="stock", data=call.data | {"price": str(price)})


def take_stock(call: Call) -> Reply:
    """How many there are."""
    if not WHOLE.fullmatch(call.text) or int(call.text) > LARGEST_STOCK:
        return ask_again(call, ASK_STOCK)
    return Reply(ASK_OPTIONS, step="options", data=call.data | {"stock_quantity": int(call.text)})


def take_options(call: Call) -> Reply:
    """What a buyer chooses."""
    try:
        variances = checked_variances(read_options(call.text))
    except ValidationFailed:
        return ask_again(call, ASK_OPTIONS)
    return Reply(ASK_MEDIA, step="media", data=call.data | {"variances": variances})


def take_media(call: Call) -> Reply:
    """What it shows; then it is sold, by the service that REST calls."""
    try:
        media = checked_links(read_links(call.text))
    except ValidationFailed:
        return ask_again(call, ASK_MEDIA, because=LINKS_ALONE)
    wanted = NewProduct(
        name=call.data["name"],
        price=Decimal(call.data["price"]),
        description=call.data["description"],
        stock_quantity=call.data["stock_quantity"],
        variances=call.data["variances"],
        media=media,
    )
    product = create_product(actor=call.actor, key=call.data["shop"], wanted=wanted)
    return Reply(f"✅ Product created successfully! SKU: {product.sku}")


def read_amount(text: str, *, currency: str) -> Decimal | None:
    """`49.90`, with or without the code or sign of the shop's own currency; None for all else."""
    for mark in (currency, SIGNS.get(currency, currency)):
        for bare in (text.removeprefix(mark), text.removesuffix(mark)):
            if AMOUNT.fullmatch(bare.strip()):
                return Decimal(bare.strip())
    return None


def read_options(text: str) -> list[dict[str, Any]]:
    """`Size: S, M; Color: red` as `[{name, options[]}]`. Raises ValidationFailed."""
    if text.casefold() in NOTHING:
        return []
    variances = []
    for part in text.strip().rstrip(";").split(";"):
        name, colon, options = part.partition(":")
        if not colon:
            raise ValidationFailed.for_fields({"variances": ["Write a name, a colon, options."]})
        variances.append({"name": name, "options": options.split(",")})
    return variances


def read_links(text: str) -> list[dict[str, str]]:
    """Every link of the answer as `[{url}]`. Raises ValidationFailed for an empty answer."""
    if text.casefold() in NOTHING:
        return []
    links = text.replace(",", " ").split()
    if not links:
        raise ValidationFailed.for_fields({"media": ["Send a link."]})
    return [{"url": link} for link in links]


register(
    Command(
        word="createproduct",
        summary="Start product creation wizard",
        start=begin,
        steps={
            "shop": take_shop,
            "name": take_name,
            "description": take_description,
            "price": take_price,
            "stock": take_stock,
            "options": take_options,
            "media": take_media,
        },
        failure="❌ Failed to create product",
    )
)
