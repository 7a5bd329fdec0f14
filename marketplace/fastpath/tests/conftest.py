"""The cast, Corner Lamp, and somebody who asks; the runtime ends with the test."""

import pytest

from accounts.models import User
from marketplace.fastpath.tests.asking import Asker
from marketplace.tests.cast import admin, buyer, courier, employee, guest, seller, stranger
from marketplace.tests.sockets import Sockets, sockets
from shops.models import Shop
from shops.tests.factories import make_shop

__all__ = [
    "admin", "buyer", "courier", "employee", "guest", "seller", "sockets", "stranger",
]  # fmt: skip


@pytest.fixture
def shop(seller: User) -> Shop:
    """Corner Lamp, Bruno's."""
    return make_shop(seller)


@pytest.fixture
def asker(sockets: Sockets) -> Asker:
    """Asks both ways."""
    return Asker()
