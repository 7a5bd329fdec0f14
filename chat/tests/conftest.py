"""The cast and the sockets, and the ways of storing a message, for the tests of this app."""

import pytest
from django.conf import settings

from chat.services import messages_postgres
from marketplace.tests.cast import admin, buyer, courier, employee, guest, seller, stranger
from marketplace.tests.sockets import sockets

__all__ = ["admin", "buyer", "courier", "employee", "guest", "seller", "sockets", "stranger"]

WAYS = ["portable", "one statement"]
# The short way is PostgreSQL's alone.
WAYS_HERE = WAYS if settings.DATABASE_ENGINE == "postgresql" else WAYS[:1]


@pytest.fixture(params=WAYS_HERE)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, db: None) -> str:
    """Every rule holds on every way to store that this database has."""
    if request.param == "portable":
        monkeypatch.setattr(messages_postgres, "applies", lambda commands: False)
    return str(request.param)
