"""The cast and the sockets, a shop of the seller's and something to buy in it."""

from decimal import Decimal

import pytest

from accounts.models import User
from marketplace.tests.cast import admin, buyer, courier, employee, guest, seller, stranger
from marketplace.tests.sockets import sockets
from shops.models import Product, Shop, Sku
from shops.tests.factories import make_product, make_shop, the_sku

__all__ = ["admin", "buyer", "courier", "employee", "guest", "seller", "sockets", "stranger"]


@pytest.fixture
def shop(seller: User) -> Shop:
    """Corner Lamp, Bruno's."""
    return make_shop(seller)


@pytest.fixture
def lamp(shop: Shop) -> Product:
    """Ten lamps at 20.00."""
    return make_product(shop, price=Decimal("20.00"), stock_quantity=10)


@pytest.fixture
def sku(lamp: Product) -> Sku:
    """The one sku of the lamp."""
    return the_sku(lamp)
