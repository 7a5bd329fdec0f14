"""The cast, the sockets, and one room for all tests of this app."""

import pytest

from accounts.models import User
from chat.models import Room
from chat.tests.factories import make_group
from marketplace.tests.cast import admin, buyer, courier, employee, guest, seller, stranger
from marketplace.tests.sockets import sockets

__all__ = ["admin", "buyer", "courier", "employee", "guest", "seller", "sockets", "stranger"]


@pytest.fixture
def room(buyer: User, seller: User) -> Room:
    """A group of Asha and Bruno."""
    return make_group(buyer, seller)
