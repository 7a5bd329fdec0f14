"""The cast and the sockets, and the ways of storing a message, for the tests of this app."""

import threading
from collections.abc import Callable
from typing import TypeVar

import pytest
from django.conf import settings
from django.db import connection

from chat.services import messages_postgres
from marketplace.tests.cast import admin, buyer, courier, employee, guest, seller, stranger
from marketplace.tests.sockets import sockets

__all__ = ["admin", "buyer", "courier", "employee", "guest", "seller", "sockets", "stranger"]

T = TypeVar("T")

WAYS = ["portable", "one statement"]
# The short way is PostgreSQL's alone.
WAYS_HERE = WAYS if settings.DATABASE_ENGINE == "postgresql" else WAYS[:1]


@pytest.fixture(params=WAYS_HERE)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, db: None) -> str:
    """Every rule holds on every way to store that this database has."""
    if request.param == "portable":
        monkeypatch.setattr(messages_postgres, "applies", lambda commands: False)
    return str(request.param)


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
