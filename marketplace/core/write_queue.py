"""SQLite has one writer, and who waits for it is let in by chance: here the threads stand in line.

A write waits for its turn in the order in which it came, and holds it until its commit. Between
processes SQLite's own waiting stays as it is.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from marketplace.core.errors import Unavailable

PATIENCE_S = 5.0
# How statements begin that write by themselves, or begin a transaction that takes the write lock.
WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "BEGIN")


class Line:
    """A lock that is handed on in the order in which it was asked for."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Lock] = deque()

    def acquire(self, *, timeout_s: float) -> bool:
        """Whether it is ours now; False after that many seconds."""
        with self._guard:
            if not self._held:
                self._held = True
                return True
            called = threading.Lock()
            called.acquire()
            self._waiting.append(called)
        if called.acquire(timeout=timeout_s):
            return True
        with self._guard:
            if called not in self._waiting:
                return True  # called at the last moment
            self._waiting.remove(called)
            return False

    def release(self) -> None:
        """The next one's turn: nobody who comes now can be quicker."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False


_line = Line()
_mine = threading.local()


@contextmanager
def write_turn(*, timeout_s: float | None = None) -> Iterator[Callable[[], None]]:
    """Inside, this thread is the only writer of its process; gives what ends the turn earlier.

    A thread that has its turn already goes on. Raises Unavailable after `timeout_s`, else
    PATIENCE_S.
    """
    if has_turn():
        yield _nothing
        return
    if not _line.acquire(timeout_s=PATIENCE_S if timeout_s is None else timeout_s):
        raise Unavailable
    _mine.turn = True

    ended: list[bool] = []

    def leave() -> None:
        if not ended:
            ended.append(True)
            _mine.turn = False
            _line.release()

    try:
        yield leave
    finally:
        leave()


def has_turn() -> bool:
    """Whether this thread is the one that writes."""
    return getattr(_mine, "turn", False)


def _nothing() -> None:
    """The outer turn ends later."""


def _in_turn(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    """A write by itself takes its turn too, and so does who begins a transaction without ours."""
    if context["connection"].in_atomic_block or has_turn() or not sql.startswith(WRITES):
        return execute(sql, params, many, context)
    with write_turn():
        return execute(sql, params, many, context)


def _watch(connection: BaseDatabaseWrapper, **_: object) -> None:
    if connection.vendor == "sqlite" and _in_turn not in connection.execute_wrappers:
        connection.execute_wrappers.append(_in_turn)


def queue_writes() -> None:
    """Let the writes of every SQLite connection stand in line; called once, at the start."""
    connection_created.connect(_watch, dispatch_uid="core.write_queue")
