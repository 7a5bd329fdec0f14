"""Shops and products as the services make them."""

from decimal import Decimal
from typing import Any

from accounts.models import User
from shops.models import Product, Shop, ShopMember, Sku
from shops.services.members import add_member
from shops.services.products import NewProduct, create_product
from shops.services.shops import create_shop

SIZES = {"name": "Size", "options": ["S", "M", "L"]}
COLORS = {"name": "Color", "options": ["red", "blue"]}


def make_shop(owner: User, name: str = "Corner Lamp", **more: Any) -> Shop:
    """A shop of this person."""
    values = {"location": "New York", "category": "home", **more}
    return create_shop(actor=owner, shop_name=name, **values)


def make_product(shop: Shop, name: str = "Desk lamp", **more: Any) -> Product:
    """A product of this shop, made by its owner."""
    values: dict[str, Any] = {"price": Decimal("49.90"), "stock_quantity": 12, **more}
    wanted = NewProduct(name=name, **values)
    return create_product(actor=shop.owner, key=str(shop.id), wanted=wanted)


def make_staff(shop: Shop, user: User, role: str = "staff") -> ShopMember:
    """Somebody who works for this shop."""
    return add_member(actor=shop.owner, key=str(shop.id), user_id=user.public_id, role=role)


def the_sku(product: Product) -> Sku:
    """The one sku of a product without options."""
    return Sku.objects.get(product=product)
