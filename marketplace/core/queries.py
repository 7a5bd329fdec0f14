"""How many database calls a request made, and how long they took, on each of the databases.

The count stands in a context variable, which Django carries into the thread of a view; a wrapper
on every connection adds to it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created


class QueryCount:
    """The sum of one request."""

    __slots__ = ("number", "seconds")

    def __init__(self) -> None:
        self.number = 0
        self.seconds = 0.0


counted_queries: ContextVar[QueryCount | None] = ContextVar("counted_queries", default=None)


@contextmanager
def counted() -> Iterator[None]:
    """Count what happens in the block as one call: for those that pass Django's cursors by."""
    count = counted_queries.get()
    started = time.perf_counter()
    try:
        yield
    finally:
        if count is not None:
            count.number += 1
            count.seconds += time.perf_counter() - started


def _count(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    with counted():
        return execute(sql, params, many, context)


def _watch(connection: BaseDatabaseWrapper, **_: object) -> None:
    if _count not in connection.execute_wrappers:
        connection.execute_wrappers.append(_count)


def watch_queries() -> None:
    """Count on every connection from now on; called once, when the app is ready."""
    if "mongodb" in settings.DATABASES["default"]["ENGINE"]:
        _watch_mongodb()
    else:
        connection_created.connect(_watch, dispatch_uid="core.queries")


def _watch_mongodb() -> None:
    from pymongo import monitoring

    class Listener(monitoring.CommandListener):
        """Called in the thread that sent the command."""

        def started(self, event: monitoring.CommandStartedEvent) -> None:
            """Nothing yet: the time comes with the end."""

        def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
            """Add one call."""
            _add(event.duration_micros)

        def failed(self, event: monitoring.CommandFailedEvent) -> None:
            """Add one call."""
            _add(event.duration_micros)

    monitoring.register(Listener())


def _add(duration_us: int) -> None:
    count = counted_queries.get()
    if count is not None:
        count.number += 1
        count.seconds += duration_us / 1_000_000
