"""One connection of the driver, used by libpq itself: many statements are one journey.

A cursor of the driver takes longer than most of these statements. Here values are text, which
PostgreSQL reads by the types that it infers.
"""

import select
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from marketplace.core.arrays import Binary, nul_byte, plain_array, text_array

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


class PipelinedConnection:
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
        alone = [self._ready(UNHURRIED, []), ready.pop(0)] if ahead and self._is_idle() else []
        before: list[Any] = []
        with self._closing_where_it_fails():
            if not self._under_way:
                server.enter_pipeline_mode()
            for one in alone:
                self._send(*one)
            if alone:
                server.pipeline_sync()
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
        return self._is_idle() and not self.raw.autocommit

    def _is_idle(self) -> bool:
        return not self._under_way and self._server.transaction_status == self._idle

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
    # What is stored together has mostly one time.
    datetime: lru_cache(maxsize=256)(lambda value: value.isoformat().encode()),
    list: _array,
    tuple: _array,
}


def _writer_of(value: Any) -> Callable[[Any], bytes | None]:
    """For a value of a derived type, such as a word of an enumeration. Raises TypeError."""
    for kind in type(value).__mro__:
        if kind in _WRITERS:
            return _WRITERS[kind]
    raise TypeError(f"A {type(value).__name__} has no form in PostgreSQL here.")
