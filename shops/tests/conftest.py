"""The cast and the sockets, and a shop that the seller owns."""

import pytest

from accounts.models import User
from marketplace.tests.cast import admin, buyer, courier, employee, guest, seller, stranger
from marketplace.tests.sockets import sockets
from shops.models import Shop
from shops.tests.factories import make_shop

__all__ = ["admin", "buyer", "courier", "employee", "guest", "seller", "sockets", "stranger"]


@pytest.fixture
def shop(seller: User) -> Shop:
    """Corner Lamp, Bruno's."""
    return make_shop(seller)
