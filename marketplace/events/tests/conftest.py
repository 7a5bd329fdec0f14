"""Kinds and subscribers of this app's tests alone, and threads that start at the same moment."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection

from marketplace.core.db import transactional
from marketplace.events import catalog, subscribe
from marketplace.events.models import Event
from marketplace.events.record import open_topic, record
from marketplace.tests.cast import admin, buyer, courier, employee, guest, stranger

__all__ = ["admin", "buyer", "courier", "employee", "guest", "stranger"]


@pytest.fixture(autouse=True)
def _own_kinds_and_subscribers(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {
        name: catalog.EventKind(name=name, summary="of a test", fields=("n",))
        for name in ("thing.happened", "thing.ignored", "other.happened")
    }
    monkeypatch.setattr(catalog, "_kinds", kinds)
    monkeypatch.setattr(subscribe, "_subscriptions", {})


@transactional
def happen(topic: str, n: int = 0, *, name: str = "thing.happened") -> Event:
    """Record one event by itself."""
    return record(topic, name, {"n": n})


@transactional
def open_topics(*topics: str) -> None:
    """Make the heads of these topics."""
    for topic in topics:
        open_topic(topic)


def together(*functions: Callable[[], object]) -> list[BaseException]:
    """Run these in threads that start at one barrier; what they raised."""
    barrier = threading.Barrier(len(functions))
    errors: list[BaseException] = []

    def in_thread(function: Callable[[], object]) -> None:
        try:
            barrier.wait(timeout=10)
            function()
        except BaseException as error:  # noqa: BLE001  # told to the test
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=in_thread, args=[one]) for one in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    return errors
