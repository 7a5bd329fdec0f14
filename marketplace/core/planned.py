"""PostgreSQL's statements that are worth being planned once, sent by libpq itself (`libpq.py`).

Several statements are one journey, with the BEGIN before them and, where they end a transaction,
its COMMIT behind them. What is kept back, under way or dedicated belongs to a thread.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.db import DatabaseError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from marketplace.core.libpq import PipelinedConnection, Rows, Statement
from marketplace.core.queries import counted

_state = threading.local()


def dedicate_connection() -> None:
    """Say that this thread keeps one connection for one kind of statement, until it discards it."""
    _state.dedicated = True


def is_dedicated() -> bool:
    """Whether this thread keeps its connection."""
    return getattr(_state, "dedicated", False)


def fetch_planned(statement: str, parameters: Sequence[Any]) -> Rows:
    """The rows of PostgreSQL's one statement that is worth being prepared; `%s` for parameters.

    On a dedicated connection it is planned once, by its indexes alone: a plan by the statistics of
    a young database would soon be wrong. Elsewhere it is planned each time, since the settings that
    this takes would concern other statements too.
    """
    return fetch_all_planned([(statement, parameters)])[0]


def fetch_all_planned(statements: Sequence[Statement], *, ahead: bool = False) -> list[Rows]:
    """The rows of each of these, as `fetch_planned`, sent one behind the other without waiting.

    One that fails fails all. ahead: outside of a transaction, and where one begins with these, the
    first of them has one of its own before. Raises what Django raises.
    """
    pipeline = _pipeline()
    first = 1 if ahead else 0
    waiting = _take_waiting()
    with counted(), connection.wrap_database_errors:
        results = pipeline.send([*statements[:first], *waiting, *statements[first:]], ahead=ahead)
        del results[first : first + len(waiting)]
        return [pipeline.rows(result) for result in results]


def run_planned(statements: Sequence[Statement]) -> None:
    """Run these, which give no rows."""
    pipeline = _pipeline()
    with counted(), connection.wrap_database_errors:
        pipeline.send([*_take_waiting(), *statements])


@dataclass(slots=True)
class Later:
    """What is kept back: statements that give no rows, and one that comes last, with its reader."""

    waiting: list[Statement] = field(default_factory=list)
    last: tuple[Statement, Callable[[Rows], object]] | None = None

    def send(self, *, commit: bool) -> None:
        """Send all that is still kept back; commit: and end the transaction, if nothing fails.

        Only what ends the outermost transaction may say so; Django then finds nothing left to
        commit.
        """
        statements = _take_waiting()
        if self.last is not None:
            statements.append(self.last[0])
        if not statements and not _is_under_way():
            return
        pipeline = _pipeline()
        with counted(), connection.wrap_database_errors:
            results = pipeline.send(statements, commit=commit)
            rows = [] if self.last is None else pipeline.rows(results[len(statements) - 1])
        if self.last is not None:
            self.last[1](rows)


@contextmanager
def sending_later() -> Iterator[Later]:
    """Within the block `send_later` and `send_last` keep statements back; gives what they keep."""
    later = _state.later = Later()
    try:
        yield later
    except BaseException:
        # Nobody will ask what became of that which is under way.
        with suppress(DatabaseError):
            settle()
        raise
    finally:
        _state.later = None


def is_sending_later() -> bool:
    """Whether the caller stands inside `sending_later()`."""
    return getattr(_state, "later", None) is not None


def send_later(statements: Sequence[Statement]) -> None:
    """Have these, which give no rows, travel ahead of the next that are sent.

    They travel as one statement, so none of them sees what another one changes.
    """
    _state.later.waiting += statements


def send_on() -> None:
    """Have what is kept back travel now, and do something else while it is done.

    What fails of it is raised by what is asked next, or by the end of the block.
    """
    statements = _take_waiting()
    if statements:
        pipeline = _pipeline()
        with connection.wrap_database_errors:
            pipeline.send_on(statements)


def send_last(statement: Statement, read: Callable[[Rows], object]) -> None:
    """Have this one travel last of all, with the commit; `read` gets its rows after that.

    What depends on its rows is refused by an error of the statement: `read` comes too late for it.
    """
    later: Later = _state.later
    if later.last is not None:
        raise RuntimeError("Only one statement can be the last.")
    later.last = (statement, read)


def _take_waiting() -> list[Statement]:
    later: Later | None = getattr(_state, "later", None)
    if later is None or not later.waiting:
        return []
    taken, later.waiting = later.waiting, []
    values = [value for _, their_values in taken for value in their_values]
    return [(_joined(tuple(text for text, _ in taken)), values)]


@lru_cache(maxsize=1024)
def _joined(statements: tuple[str, ...]) -> str:
    """One statement that does what all of these do, at the price of one."""
    *others, last = statements
    if not others:
        return last
    named = ", ".join(f"step{place} AS ({text})" for place, text in enumerate(others))
    return f"WITH {named} {last}"


def settle() -> None:
    """Wait for all that is under way on this thread's connection. Raises what it met."""
    if _is_under_way():
        with counted(), connection.wrap_database_errors:
            _pipeline().send([])


def _is_under_way() -> bool:
    """Whether `send_on` has sent what nobody has waited for yet."""
    pipeline: PipelinedConnection | None = getattr(_state, "pipeline", None)
    return pipeline is not None and pipeline.is_under_way and pipeline.raw is connection.connection


def watch_connections() -> None:
    """Let Django's own statements wait, too; called once, when the app is ready."""
    connection_created.connect(_watch, dispatch_uid="core.planned")


def _watch(**signal: Any) -> None:
    opened: BaseDatabaseWrapper = signal["connection"]
    wrappers = opened.execute_wrappers
    if opened.vendor == "postgresql" and _after_all_under_way not in wrappers:
        wrappers.append(_after_all_under_way)


def _after_all_under_way(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    settle()
    return execute(sql, params, many, context)


def _pipeline() -> PipelinedConnection:
    """This thread's connection, as it is used here."""
    # As before each of Django's own statements: a connection that has died is opened again.
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    raw: Any = connection.connection
    pipeline: PipelinedConnection | None = getattr(_state, "pipeline", None)
    if pipeline is None or pipeline.raw is not raw or pipeline.prepares is not is_dedicated():
        with connection.wrap_database_errors:
            pipeline = _state.pipeline = PipelinedConnection(raw, prepares=is_dedicated())
    return pipeline
