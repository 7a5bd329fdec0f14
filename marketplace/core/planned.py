"""PostgreSQL's statements that are worth being planned once, sent by libpq itself.

A cursor of the driver takes longer than most of these statements. Here values are text, which
PostgreSQL reads by the types that it infers; several statements are one journey, with the BEGIN
before them and, where they end a transaction, its COMMIT behind them.
"""

import select
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from django.db import DatabaseError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from marketplace.core.arrays import Binary, nul_byte, plain_array, text_array
from marketplace.core.queries import counted

Statement = tuple[str, Sequence[Any]]
Rows = list[tuple[Any, ...]]
AS_TEXT, AS_BINARY = 0, 1
COMMIT = b"COMMIT"
# Nobody waits until the end of such a transaction is on the disk: whoever uses what it gave ends
# his own after it, and when that is on the disk this is, too.
UNHURRIED = "SELECT set_config('synchronous_commit', 'off', true)"
# Where the server has it: its other way takes ten times as long for a text of some kilobytes.
QUICK_COMPRESSION = """
    SELECT set_config(name, 'lz4', false) FROM pg_settings
    WHERE name = 'default_toast_compression' AND 'lz4' = ANY(enumvals)
"""

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

    One that fails fails all. ahead: where a transaction begins with these, the first of them has
    one of its own before. Raises what Django raises.
    """
    session = _session()
    first = 1 if ahead else 0
    waiting = _take_waiting()
    with counted(), connection.wrap_database_errors:
        results = session.send([*statements[:first], *waiting, *statements[first:]], ahead=ahead)
        del results[first : first + len(waiting)]
        return [session.rows(result) for result in results]


class Coming:
    """The rows of a statement that is under way in a transaction of its own.

    Whoever uses the connection waits for them first.
    """

    def __init__(self, session: "_Session") -> None:
        self._session = session
        self._rows: Rows | None = None
        self._failure: DatabaseError | None = None

    def rows(self) -> Rows:
        """Wait for them. Raises what Django raises."""
        self.collect()
        if self._failure is not None:
            raise self._failure
        if self._rows is None:
            raise RuntimeError("The connection was given up before.")
        return self._rows

    def collect(self) -> None:
        """Wait until the connection is free again, if it still is that one."""
        if getattr(_state, "coming", None) is not self:
            return
        _state.coming = None
        if connection.connection is not self._session.raw:
            return
        try:
            with counted(), connection.wrap_database_errors:
                self._rows = self._session.end_alone()
        except DatabaseError as error:
            self._failure = error


def begin_planned(statement: str, parameters: Sequence[Any]) -> Coming:
    """Send this outside of a transaction, and do something else until its rows are needed.

    It has a transaction of its own, whose end waits for no disk. Whatever else is asked waits for
    it first; only a transaction must not begin before the rows have come.
    """
    session = _session()
    with connection.wrap_database_errors:
        session.begin_alone((statement, parameters))
    coming = _state.coming = Coming(session)
    return coming


def run_planned(statements: Sequence[Statement]) -> None:
    """Run these, which give no rows."""
    session = _session()
    with counted(), connection.wrap_database_errors:
        session.send([*_take_waiting(), *statements])


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
        session = _session()
        with counted(), connection.wrap_database_errors:
            results = session.send(statements, commit=commit)
            rows = [] if self.last is None else session.rows(results[len(statements) - 1])
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
        session = _session()
        with connection.wrap_database_errors:
            session.send_on(statements)


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
    _collect_coming()
    if _is_under_way():
        with counted(), connection.wrap_database_errors:
            _session().send([])


def _is_under_way() -> bool:
    """Whether `send_on` has sent what nobody has waited for yet."""
    session: _Session | None = getattr(_state, "session", None)
    return session is not None and session.is_under_way and session.raw is connection.connection


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


def _collect_coming() -> None:
    coming: Coming | None = getattr(_state, "coming", None)
    if coming is not None:
        coming.collect()


def _session() -> "_Session":
    """This thread's connection, as it is used here."""
    _collect_coming()
    # As before each of Django's own statements: a connection that has died is opened again.
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    raw: Any = connection.connection
    session: _Session | None = getattr(_state, "session", None)
    if session is None or session.raw is not raw or session.prepares is not is_dedicated():
        with connection.wrap_database_errors:
            session = _state.session = _Session(raw, prepares=is_dedicated())
    return session


class _Session:
    """One connection of the driver. prepares: whether it keeps the plans of its statements."""

    def __init__(self, raw: Any, *, prepares: bool) -> None:
        from psycopg import OperationalError
        from psycopg.adapt import Transformer
        from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus

        self.raw = raw
        self._idle, self._lost = TransactionStatus.IDLE, ConnStatus.BAD
        self._synced = ExecStatus.PIPELINE_SYNC
        self._good = frozenset({ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK})
        self._no_connection = OperationalError
        self.prepares = prepares
        self._server: Any = raw.pgconn
        self._names: dict[str, bytes] = {}
        # Results that are to come of what was sent and not waited for; the BEGIN has one, too.
        self._under_way = 0
        self._transformer: Any = Transformer(_context_of(raw))
        self._poll = select.poll()
        self._send = self._server.send_query_prepared if prepares else self._send_unprepared
        if prepares:
            raw.execute("SET plan_cache_mode = force_generic_plan")
            for way in ("seqscan", "hashjoin", "mergejoin"):
                raw.execute(f"SET enable_{way} = off")
            raw.execute(QUICK_COMPRESSION)

    def rows(self, result: Any) -> Rows:
        """What a statement has read, in the types of Python."""
        transformer = self._transformer
        transformer.set_pgresult(result)
        rows: Rows = transformer.load_rows(0, result.ntuples, tuple)
        return rows

    def send(
        self, statements: Sequence[Statement], *, ahead: bool = False, commit: bool = False
    ) -> list[Any]:
        """The results of these. Raises the driver's error of the first that fails.

        Also of what `send_on` has sent: the results of that are not given.
        """
        server = self._server
        ready = self._all_ready(statements)
        begins = self._begins()
        alone = [self._ready(UNHURRIED, []), ready.pop(0)] if ahead and begins else []
        before: list[Any] = []
        with self._closing_where_it_fails():
            if not self._under_way:
                server.enter_pipeline_mode()
            if alone:
                self._send_alone(alone)
            if begins:
                self._send_begin()
            for one in ready:
                self._send(*one)
            if commit:
                server.send_query_params(COMMIT, None)
            server.pipeline_sync()
            if alone:
                before = self._receive()
            results = self._receive()
            server.exit_pipeline_mode()
        passed_over, self._under_way = self._under_way, 0
        self._raise_failure([*before, *results])
        return before[1:] + results[passed_over:]

    def send_on(self, statements: Sequence[Statement]) -> None:
        """Send these without waiting for what becomes of them; `send` waits for them, too."""
        ready = self._all_ready(statements)
        begins = self._begins()
        with self._closing_where_it_fails():
            if not self._under_way:
                self._server.enter_pipeline_mode()
            if begins:
                self._send_begin()
            for one in ready:
                self._send(*one)
            self._under_way += len(ready)
            self._flush()

    @property
    def is_under_way(self) -> bool:
        """Whether results are to come that nobody has waited for."""
        return self._under_way > 0

    def _begins(self) -> bool:
        """Whether what is sent now begins a transaction."""
        is_idle = self._server.transaction_status == self._idle
        return is_idle and not self._under_way and not self.raw.autocommit

    def _send_begin(self) -> None:
        # The driver's own words, with the isolation that the settings ask for.
        self._server.send_query_params(self.raw._get_tx_start_command(), None)  # noqa: SLF001
        self._under_way += 1

    @contextmanager
    def _closing_where_it_fails(self) -> Iterator[None]:
        """Answers may be under way that nobody will read: no other statement may meet them."""
        try:
            yield
        except BaseException:
            self._under_way = 0
            self.raw.close()
            raise

    def begin_alone(self, statement: Statement) -> None:
        """Send this in a transaction of its own; until `end_alone` nothing else may be sent."""
        ready = [self._ready(UNHURRIED, []), self._ready(*statement)]
        with self._closing_where_it_fails():
            self._server.enter_pipeline_mode()
            self._send_alone(ready)
            self._flush()

    def end_alone(self) -> Rows:
        """What `begin_alone` has read. Raises the driver's error if it failed."""
        with self._closing_where_it_fails():
            results = self._receive()
            self._server.exit_pipeline_mode()
        self._raise_failure(results)
        return self.rows(results[1])

    def _send_alone(self, ready: Sequence[Any]) -> None:
        for one in ready:
            self._send(*one)
        self._server.pipeline_sync()

    def _all_ready(self, statements: Sequence[Statement]) -> list[Any]:
        is_new = self.prepares and any(one not in self._names for one, _ in statements)
        if self._under_way and is_new:
            # To be planned it has to travel by itself.
            self.send([])
        return [self._ready(*statement) for statement in statements]

    def _ready(
        self, statement: str, values: Sequence[Any]
    ) -> tuple[bytes, list[bytes | None], list[int] | None]:
        """A statement as it is sent: what the server knows it by, its values and their forms."""
        return self._known(statement), *_written(values)

    def _known(self, statement: str) -> bytes:
        """What the server knows the statement by: the name of its plan, or its text."""
        if not self.prepares:
            return _numbered(statement)
        name = self._names.get(statement)
        if name is None:
            name = b"planned_%d" % len(self._names)
            self._raise_failure([self._server.prepare(name, _numbered(statement))])
            self._names[statement] = name
        return name

    def _send_unprepared(
        self, statement: bytes, values: list[bytes | None], formats: list[int] | None
    ) -> None:
        self._server.send_query_params(statement, values, param_formats=formats)

    def _receive(self) -> list[Any]:
        """One result for each statement, up to the end of the journey."""
        server, poll = self._server, self._poll
        self._flush()
        poll.register(server.socket, select.POLLIN)
        results: list[Any] = []
        while True:
            while server.is_busy():
                poll.poll()
                server.consume_input()
            result = server.get_result()
            if result is None:
                if server.status == self._lost:
                    raise self._no_connection(server.get_error_message())
            elif result.status == self._synced:
                return results
            else:
                results.append(result)

    def _flush(self) -> None:
        """Send all, and read meanwhile: else both sides could wait for each other."""
        server, poll = self._server, self._poll
        poll.register(server.socket, select.POLLIN | select.POLLOUT)
        while server.flush():
            poll.poll()
            server.consume_input()

    def _raise_failure(self, results: list[Any]) -> None:
        """Raise the error of the first that failed; what came after it was not tried."""
        from psycopg.errors import error_from_result

        for result in results:
            if result.status not in self._good:
                if self._server.status == self._lost:
                    raise self._no_connection(self._server.get_error_message())
                raise error_from_result(result)


def _context_of(raw: Any) -> Any:
    """The driver's way to read values on this connection, but for times, which it reads slowly."""
    from psycopg.adapt import AdaptersMap, Loader

    class TimeLoader(Loader):
        """`2026-01-10 12:00:00.005+00`: Django's connections are in UTC."""

        def load(self, data: Any) -> datetime:
            return datetime.fromisoformat(str(data, "ascii"))

    adapters = AdaptersMap(raw.adapters)
    adapters.register_loader("timestamptz", TimeLoader)
    return SimpleNamespace(adapters=adapters, connection=raw)


@lru_cache(maxsize=1024)
def _numbered(statement: str) -> bytes:
    """`$1, $2` for `%s, %s`, which PostgreSQL itself calls parameters."""
    first, *others = statement.split("%s")
    parts = [first, *(f"${place}{text}" for place, text in enumerate(others, start=1))]
    return "".join(parts).replace("%%", "%").encode()


def _written(values: Sequence[Any]) -> tuple[list[bytes | None], list[int] | None]:
    """The values as they travel, and their forms; None where all are text."""
    texts: list[bytes | None] = []
    formats: list[int] | None = None
    for place, value in enumerate(values):
        kind = type(value)
        if kind is bytes:
            texts.append(value)
            continue
        texts.append((_WRITERS.get(kind) or _writer_of(value))(value))
        if kind is Binary:
            formats = formats or [AS_TEXT] * len(values)
            formats[place] = AS_BINARY
    return texts, formats


def _text(value: str) -> bytes:
    if "\0" in value:
        raise nul_byte()
    return value.encode()


def _array(values: Sequence[Any]) -> bytes:
    return (
        text_array(values) if any(isinstance(one, str) for one in values) else plain_array(values)
    )


_WRITERS: dict[type, Callable[[Any], bytes | None]] = {
    type(None): lambda value: None,
    str: _text,
    bytes: bytes,
    Binary: lambda value: value,
    bool: lambda value: b"t" if value else b"f",
    int: b"%d".__mod__,
    float: lambda value: repr(value).encode(),
    Decimal: lambda value: str(value).encode(),
    UUID: lambda value: str(value).encode(),
    datetime: lambda value: value.isoformat().encode(),
    list: _array,
    tuple: _array,
}


def _writer_of(value: Any) -> Callable[[Any], bytes | None]:
    """For a value of a derived type, such as a word of an enumeration. Raises TypeError."""
    for kind in type(value).__mro__:
        if kind in _WRITERS:
            return _WRITERS[kind]
    raise TypeError(f"A {type(value).__name__} has no form in PostgreSQL here.")
