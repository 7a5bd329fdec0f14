"""The people of the suite, their clients, and assertions about events and queries.

An app's `tests/conftest.py` imports the fixtures that it wants:
`from marketplace.tests.cast import admin, buyer, courier, employee, guest, seller, stranger`.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts.enums import Issuer, MarketSide, Role
from accounts.models import User
from marketplace.core import limits
from marketplace.core.queries import QueryCount, counted_queries
from marketplace.events.models import Event, TopicHead
from marketplace.events.record import open_topic

PASSWORD = "Password123!"
TRANSACTION_WORDS = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "session.")


def make_user(name: str, *, number: int, **fields: Any) -> User:
    """A user with every way to sign in: `<name>@example.com`, `+1555010<number>`, PASSWORD."""
    user = User(
        username=name.lower(),
        name=name,
        email=f"{name.lower()}@example.com",
        phone_number=f"+1555010{number:04d}",
        **fields,
    )
    user.set_password(PASSWORD)
    user.save(force_insert=True)
    open_topic(f"user:{user.public_id}")
    return user


@pytest.fixture
def buyer(db: None) -> User:
    """Asha, who buys."""
    return make_user("Asha", number=1, side=MarketSide.BUYER)


@pytest.fixture
def seller(db: None) -> User:
    """Bruno, who owns *Corner Lamp*."""
    return make_user("Bruno", number=2, side=MarketSide.SELLER)


@pytest.fixture
def employee(db: None) -> User:
    """Chiara, of support."""
    return make_user("Chiara", number=3, role=Role.EMPLOYEE)


@pytest.fixture
def courier(db: None) -> User:
    """Dmitri, who delivers."""
    return make_user("Dmitri", number=4, role=Role.COURIER)


@pytest.fixture
def admin(db: None) -> User:
    """Edith, who may enter the admin."""
    return make_user("Edith", number=5, role=Role.ADMIN, is_staff=True, is_superuser=True)


@pytest.fixture
def stranger(db: None) -> User:
    """Farid: signed in, related to nothing. Every access test asks him."""
    return make_user("Farid", number=6)


@pytest.fixture
def guest() -> APIClient:
    """Nobody: a client without a token."""
    return APIClient()


def access_token(user: User) -> str:
    """A token of a real session of this user, as `Authorization: Bearer` and sockets take it."""
    from accounts.services.sessions import start_session

    return start_session(user=user, issuer=Issuer.MARKETPLACE).access_token


def signed_in(user: User) -> APIClient:
    """A client with a real session of this user."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {access_token(user)}")
    return client


@contextmanager
def assert_events(*expected: tuple[str, str]) -> Iterator[list[Event]]:
    """Exactly these events, as (topic, name), were recorded inside, in order per topic, gapless.

    Gives a list that holds the recorded events after the block. Without arguments: none at all.
    """
    before = dict(TopicHead.objects.order_by("topic").values_list("topic", "last_seq"))
    recorded: list[Event] = []
    yield recorded
    rows = Event.objects.order_by("topic", "seq")
    recorded += [row for row in rows if row.seq > before.get(row.topic, 0)]
    # In order per topic; between topics there is none.
    assert [(row.topic, row.name) for row in recorded] == sorted(expected, key=lambda pair: pair[0])
    after = dict(TopicHead.objects.order_by("topic").values_list("topic", "last_seq"))
    moved = sum(last_seq - before.get(topic, 0) for topic, last_seq in after.items())
    assert moved == len(recorded), "a seq was taken for which there is no event"


@contextmanager
def assert_queries(most: int) -> Iterator[None]:
    """At most so many queries ran inside, transaction marks not counted; a failure lists them."""
    with CaptureQueriesContext(connection) as captured:
        yield
    every = [str(query["sql"]) for query in captured.captured_queries]
    texts = [text for text in every if not text.startswith(TRANSACTION_WORDS)]
    assert len(texts) <= most, f"{len(texts)} queries, at most {most}:\n" + "\n".join(texts)


def queries_of(function: Callable[..., object], *arguments: Any) -> int:
    """How often this asks the database, one journey of several statements counted as one."""
    count = QueryCount()
    token = counted_queries.set(count)
    try:
        function(*arguments)
    finally:
        counted_queries.reset(token)
    return count.number


@pytest.fixture
def one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the limits it is one instant, so that nothing is forgotten between two requests."""
    instant = time.time()
    clock = SimpleNamespace(time=lambda: instant, monotonic=time.monotonic)
    monkeypatch.setattr(limits, "time", clock)
