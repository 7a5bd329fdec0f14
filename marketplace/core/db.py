"""The only door to transactions, the same on SQLite, PostgreSQL and MongoDB.

`atomic()` opens a transaction (a null context on a MongoDB without transactions), `on_commit()`
runs a function after the outermost one has committed, `run()` repeats a function whose transaction
lost a race that the database settles by failing one side. On SQLite the threads of a process write
in the order in which they came (`write_queue.py`).
"""

import functools
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ParamSpec, TypeVar, cast

from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, connection
from django.db import transaction as django_transaction

from marketplace.core.errors import Unavailable
from marketplace.core.planned import is_dedicated
from marketplace.core.vendor import is_mongodb, is_postgresql, is_sqlite
from marketplace.core.write_queue import write_turn

P = ParamSpec("P")
T = TypeVar("T")

RETRY_LIMIT_S = 5.0
# Serialization failure, deadlock, and a lock that was waited for too long.
RETRYABLE_SQLSTATES = frozenset({"40001", "40P01", "55P03"})
# MongoDB's WriteConflict, and those same three from a MongoDB-wire server that stands on
# PostgreSQL: it packs the five characters of a sqlstate into a number, six bits each.
RETRYABLE_CODES = frozenset({112}) | {
    sum((ord(character) - ord("0")) << 6 * place for place, character in enumerate(state))
    for state in RETRYABLE_SQLSTATES
}

_state = threading.local()
_mongo_transactions: dict[str, bool] = {}


def has_transactions() -> bool:
    """Whether this database can roll back: always on SQL; on MongoDB with a replica set or mongos.

    The server is asked once per process and address.
    """
    if not is_mongodb():
        return True
    key = str(connection.settings_dict["HOST"])
    if key not in _mongo_transactions:
        # The backend's own attribute: the PyMongo database behind the connection.
        hello = cast(Any, connection).database.client.admin.command("hello")
        _mongo_transactions[key] = "setName" in hello or hello.get("msg") == "isdbgrid"
    return _mongo_transactions[key]


def in_transaction() -> bool:
    """Whether the caller stands inside `atomic()`."""
    return getattr(_state, "depth", 0) > 0


def ends_transaction() -> bool:
    """Whether the block in which the caller stands is the whole transaction of the connection."""
    return getattr(_state, "depth", 0) == 1 and len(connection.atomic_blocks) == 1


@contextmanager
def atomic() -> Iterator[None]:
    """All or nothing. An inner block is part of the outermost one, never a savepoint.

    So an IntegrityError inside must end the outermost block: do not catch it within and go on.
    Raises Unavailable on SQLite where a turn to write does not come in time.
    """
    depth = getattr(_state, "depth", 0)
    with _transaction(outermost=depth == 0):
        _state.depth = depth + 1
        try:
            yield
        finally:
            _state.depth = depth


def _transaction(*, outermost: bool) -> AbstractContextManager[Any]:
    if not is_mongodb():
        if outermost and is_sqlite() and not connection.in_atomic_block:
            return _transaction_in_turn()
        # The outermost of ours may still stand inside a test's transaction, as a savepoint.
        return django_transaction.atomic(savepoint=outermost)
    if not has_transactions():
        return _collected_on_commit(outermost=outermost)
    return _mongo_transaction(outermost=outermost)


@contextmanager
def _transaction_in_turn() -> Iterator[None]:
    """One writer after another, as they came; what waits for the commit no longer keeps the turn.

    It may write too, or wait for a thread that does.
    """
    with write_turn() as leave, django_transaction.atomic():
        django_transaction.on_commit(leave)
        yield


@contextmanager
def _mongo_transaction(*, outermost: bool) -> Iterator[None]:
    from django_mongodb_backend import transaction as mongo_transaction
    from pymongo.errors import PyMongoError

    if not outermost:
        with mongo_transaction.atomic():
            yield
        return
    try:
        with mongo_transaction.atomic():
            yield
    except PyMongoError as error:
        raise OperationalError(str(error)) from error
    finally:
        # A failed commit leaves its dead session on this thread's connection: the next block needs
        # a new one. Only the session ends: the client behind it is shared by all threads.
        backend = cast(Any, connection)
        session, backend.session = backend.session, None
        if session is not None:
            backend.run_on_commit = []
            session.end_session()


@contextmanager
def _collected_on_commit(*, outermost: bool) -> Iterator[None]:
    """Without transactions the effects stand at once; what waits for the commit runs at the end.

    Raises Unavailable for a race lost within: what came before it stands, so `run()` must not
    repeat the block; its caller may, by its key.
    """
    if not outermost:
        yield
        return
    _state.callbacks = []
    try:
        yield
        callbacks, _state.callbacks = _state.callbacks, None
    except Exception as error:
        if is_lost_race(error):
            raise Unavailable from error
        raise
    finally:
        _state.callbacks = None
    for callback in callbacks:
        callback()


def on_commit(callback: Callable[[], Any]) -> None:
    """Run `callback` once the outermost transaction has committed, or now if there is none."""
    waiting = getattr(_state, "callbacks", None)
    if waiting is not None:
        waiting.append(callback)
    elif is_mongodb() and not has_transactions():
        callback()
    else:
        django_transaction.on_commit(callback)


def run(function: Callable[[], T], *, limit_s: float = RETRY_LIMIT_S) -> T:
    """Call `function`; repeat it whole while its transaction loses a race, for `limit_s` seconds.

    Lost races: a busy SQLite, PostgreSQL 40001, 40P01 and 55P03, MongoDB's transient errors and
    write conflicts. Inside a transaction it calls once: only the outermost block can be repeated.
    Raises Unavailable when the time is up, or when the database does not answer.
    """
    if in_transaction():
        return function()
    deadline = time.monotonic() + limit_s
    delay = 0.002
    while True:
        try:
            return function()
        except Unavailable:
            raise
        except Exception as error:  # MongoDB's own errors reach us unwrapped, too
            if not is_lost_race(error):
                raise
            if time.monotonic() + delay > deadline:
                raise Unavailable from error
            time.sleep(delay * (0.5 + random.random()))  # noqa: S311  # jitter, no secret
            delay = min(delay * 2, 0.25)


def transactional(function: Callable[P, T]) -> Callable[P, T]:
    """Decorator of a service: one transaction, repeated whole when it loses a race."""

    @functools.wraps(function)
    def in_one_transaction(*args: P.args, **kwargs: P.kwargs) -> T:
        def attempt() -> T:
            with atomic():
                return function(*args, **kwargs)

        return run(attempt)

    return in_one_transaction


def discard_connection() -> None:
    """Really close this thread's connection, so that no pool hands it on as this thread left it."""
    raw = connection.connection
    if raw is not None and is_postgresql():
        raw.close()
    connection.close()


def hand_back_connection() -> None:
    """Give this thread's connection back to the pool before it waits for another thread.

    Else those who wait would keep from the one whom they wait for what he needs to go on.
    """
    if settings.DATABASE_HAS_POOL and not is_dedicated() and not connection.in_atomic_block:
        connection.close()


def is_lost_race(error: BaseException) -> bool:
    """Whether repeating the same transaction can succeed."""
    seen: BaseException | None = error
    while seen is not None:
        if getattr(seen, "sqlstate", None) in RETRYABLE_SQLSTATES:
            return True
        if isinstance(seen, sqlite3.OperationalError) and _is_busy(seen):
            return True
        has_label = getattr(seen, "has_error_label", None)
        if has_label is not None and (
            has_label("TransientTransactionError") or _mongo_codes(seen) & RETRYABLE_CODES
        ):
            return True
        seen = seen.__cause__
    return False


def _mongo_codes(error: BaseException) -> set[int]:
    """The code of the command's error, and of each of its writes that failed."""
    details = getattr(error, "details", None) or {}
    failed = [details, *details.get("writeErrors", ())]
    return {one["code"] for one in failed if "code" in one}


def _is_busy(error: sqlite3.OperationalError) -> bool:
    text = str(error)
    return "locked" in text or "busy" in text


def is_unreachable(error: BaseException) -> bool:
    """Whether the database did not answer at all, so that 503 and not 500 is the truth."""
    if isinstance(error, InterfaceError):
        return True
    if not isinstance(error, OperationalError):
        return type(error).__module__.startswith("pymongo") and "Transient" not in str(error)
    return True


__all__ = [
    "IntegrityError",
    "atomic",
    "discard_connection",
    "ends_transaction",
    "hand_back_connection",
    "has_transactions",
    "in_transaction",
    "is_lost_race",
    "is_mongodb",
    "is_unreachable",
    "on_commit",
    "run",
    "transactional",
]
