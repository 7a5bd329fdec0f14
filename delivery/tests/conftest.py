"""The cast and the sockets, a shop that the seller owns, and something on its way to the buyer."""

import pytest
from pytest_django import Settings

from accounts.models import User
from delivery.models import Delivery
from delivery.tests.factories import make_delivery, set_off
from marketplace.tests.cast import (
    admin,
    buyer,
    courier,
    employee,
    guest,
    make_user,
    one_window,
    seller,
    stranger,
)
from marketplace.tests.sockets import sockets
from shops.models import Shop
from shops.tests.factories import make_shop

__all__ = [
    "admin",
    "buyer",
    "courier",
    "employee",
    "guest",
    "one_window",
    "seller",
    "sockets",
    "stranger",
]


@pytest.fixture
def shop(seller: User) -> Shop:
    """Corner Lamp, Bruno's."""
    return make_shop(seller)


@pytest.fixture
def other_courier(db: None) -> User:
    """Gita, who delivers too."""
    return make_user("Gita", number=7, role="courier")


@pytest.fixture
def delivery(shop: Shop, buyer: User, courier: User) -> Delivery:
    """From Corner Lamp to Asha, with Dmitri, who has not set off."""
    return make_delivery(shop, buyer, courier)


@pytest.fixture
def moving(delivery: Delivery) -> Delivery:
    """The same ten minutes after Dmitri set off."""
    return set_off(delivery, ago_s=600)


@pytest.fixture
def no_limit(settings: Settings) -> None:
    """Couriers may send as often as they like."""
    settings.LIMITS = settings.LIMITS | {"location": []}
