"""`@listproducts`: what the sender's own shops sell."""

from chat.commands.choosing import LISTED, numbered
from chat.commands.registry import Call, Command, Reply, register
from marketplace.core.money import money_text
from shops.selectors import list_products_of, list_skus

HEAD = "Your products:"
NONE = "You have no products yet. Send @createproduct to add one."


def tell(call: Call) -> Reply:
    """The newest of them, in two queries however many there are."""
    products = list(list_products_of(user=call.actor)[:LISTED])
    if not products:
        return Reply(NONE)
    skus = list_skus(product_ids=[product.id for product in products])
    lines = [
        f"{one.name} - {money_text(one.price, one.currency)} {one.currency}"
        f" - {sum(sku.available for sku in skus[one.id])} in stock (SKU {one.sku})"
        for one in products
    ]
    return Reply(f"{HEAD}\n{numbered(lines)}")


register(Command(word="listproducts", summary="List your products", start=tell))
