"""Orders as the services make them."""

from typing import Any
from uuid import UUID

from accounts.models import User
from orders.models import Order
from orders.services.placing import NewOrder, WantedLine, place_order
from shops.models import Product, Sku


def wish(*items: tuple[Product, int], **more: Any) -> NewOrder:
    """So many pieces of each of these products."""
    lines = [WantedLine(product_id=product.id, quantity=pieces) for product, pieces in items]
    return NewOrder(lines=lines, **more)


def make_order(
    buyer: User, *items: tuple[Product, int], flow: str = "on_delivery", **more: Any
) -> Order:
    """An order of this person, paid on delivery unless told otherwise."""
    return place_order(actor=buyer, wanted=wish(*items, payment_flow=flow, **more))


def stock_of(*sku_ids: UUID) -> list[tuple[int, int]]:
    """What can be bought, and what is held, of each of these skus."""
    rows = {sku.id: sku for sku in Sku.objects.filter(id__in=sku_ids).order_by("id")}
    return [(rows[key].available, rows[key].reserved) for key in sku_ids]
