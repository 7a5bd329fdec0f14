"""The cast and the sockets, a shop that the seller owns, and something on its way to the buyer."""

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import TypeVar

import pytest
from django.db import connection
from pytest_django import Settings

from accounts.models import User
from delivery.models import Delivery
from delivery.tests.factories import make_delivery, set_off
from marketplace.core import limits
from marketplace.tests.cast import (
    admin,
    buyer,
    courier,
    employee,
    guest,
    make_user,
    seller,
    stranger,
)
from marketplace.tests.sockets import sockets
from shops.models import Shop
from shops.tests.factories import make_shop

__all__ = ["admin", "buyer", "courier", "employee", "guest", "seller", "sockets", "stranger"]

T = TypeVar("T")


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


@pytest.fixture
def one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the limits it is one instant, so that nothing is forgotten between two requests."""
    instant = time.time()
    clock = SimpleNamespace(time=lambda: instant, monotonic=time.monotonic)
    monkeypatch.setattr(limits, "time", clock)


def together(*functions: Callable[[], T]) -> list[T]:
    """Run these in threads that start at one barrier; what they gave, in their order."""
    barrier = threading.Barrier(len(functions))
    outcomes: dict[int, T] = {}
    errors: list[BaseException] = []

    def in_thread(place: int, function: Callable[[], T]) -> None:
        try:
            barrier.wait(timeout=10)
            outcomes[place] = function()
        except BaseException as error:  # noqa: BLE001  # told to the test
            errors.append(error)
        finally:
            connection.close()

    threads = [
        threading.Thread(target=in_thread, args=[place, function])
        for place, function in enumerate(functions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert not errors, errors
    return [outcomes[place] for place in range(len(functions))]
