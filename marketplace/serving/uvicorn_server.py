"""uvicorn with our WebSocket connection and our drain: httptools, uvloop, no access log."""

import asyncio
import contextlib
import socket
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, cast
from weakref import ReferenceType, ref

import uvicorn
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.protocols.utils import get_local_addr, get_remote_addr

from marketplace.serving import answers
from marketplace.serving.bounds import (
    BACKLOG,
    KEEP_ALIVE_S,
    MAX_BODY_BYTES,
    STALLED_TICKS,
    TOO_LARGE,
)
from marketplace.serving.drain import ServeOptions, drain, leave, watch_signals
from marketplace.serving.websocket import (
    Address,
    Application,
    WebSocketConnection,
    WebSocketHost,
)


class UvicornWebSocket(WebSocketConnection, asyncio.Protocol):
    """Our connection on an asyncio transport."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The HTTP protocol hands its transport over."""
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """TCP is gone."""
        self.lost()

    def _send(self, data: bytes) -> None:
        self.transport.write(data)

    def buffered(self) -> int:
        """Bytes that wait in the transport."""
        size: int = self.transport.get_write_buffer_size()
        return size

    def abort(self) -> None:
        """Drop TCP at once."""
        self.transport.abort()

    def _finish(self) -> None:
        self.transport.close()

    def _finish_writing(self) -> None:
        self.transport.write_eof()

    def _pause_reading(self) -> None:
        self.transport.pause_reading()

    def _resume_reading(self) -> None:
        self.transport.resume_reading()

    def _addresses(self) -> tuple[Address, Address]:
        local = get_local_addr(self.transport)
        return get_remote_addr(self.transport), (local[0], local[1] or 0) if local else None


def write_answer(
    asked: ReferenceType[RequestResponseCycle],
    status: int,
    headers: Sequence[tuple[bytes, bytes]],
    body: bytes,
) -> bool:
    """`answers.WriteAnswer` on uvicorn: what its `send` does, for an answer that is all there."""
    cycle = asked()
    if cycle is None or cycle.disconnected or cycle.response_started or cycle.flow.write_paused:
        return False
    lines = answers.head_lines([*cycle.default_headers, *headers])
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.message_event.set()
    end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
    cycle.transport.write(b"".join((STATUS_LINE[status], lines, end, body)))
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True


class UvicornHttp(HttpToolsProtocol):
    """uvicorn's HTTP protocol that limits bodies, says `close` in a drain, and is watched."""

    def __init__(self, *, host: WebSocketHost, **options: Any) -> None:
        super().__init__(**options)
        self.host = host
        self.waiting_since: int | None = host.tick
        self.stalled_since: tuple[int, int] | None = None
        self.is_refused = False
        self.body_bytes = 0

    def on_message_begin(self) -> None:
        """A request begins: its head must come in time."""
        super().on_message_begin()
        self.waiting_since = self.host.tick
        self.body_bytes = 0

    def on_headers_complete(self) -> None:
        """The head is there; a body that announces too much is refused before it comes."""
        self.waiting_since = None
        lengths = [value for name, value in self.headers if name == b"content-length"]
        if any(int(length) > MAX_BODY_BYTES for length in lengths):  # httptools lets digits pass
            self._refuse_body()
            return
        super().on_headers_complete()
        if self.is_idle():
            return
        if self.host.draining:
            self.cycle.keep_alive = False
        extensions: dict[str, Any] = self.cycle.scope.setdefault("extensions", {})
        # The request holds its scope: held by it in turn, it would stay until garbage is collected.
        extensions[answers.EXTENSION] = partial(write_answer, ref(self.cycle))

    def on_body(self, body: bytes) -> None:
        """Refuse a body that turns out too long."""
        self.body_bytes += len(body)
        if self.body_bytes > MAX_BODY_BYTES and not self.is_refused:
            self._refuse_body()
        if not self.is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is there."""
        if not self.is_refused:
            super().on_message_complete()

    def _refuse_body(self) -> None:
        self.is_refused = True
        if self.is_idle() or not self.cycle.response_started:
            self.transport.write(TOO_LARGE)
        self.transport.close()

    def is_idle(self) -> bool:
        """Whether nothing is asked at the moment."""
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None until the first request
        return cycle is None or cycle.response_complete

    def check(self, tick: int) -> None:
        """Cut who sends no whole request head in 30 s, or reads nothing of an answer in 30 s."""
        if self.waiting_since is not None and tick - self.waiting_since > STALLED_TICKS:
            self.transport.abort()
        if not self.flow.write_paused:
            self.stalled_since = None
            return
        unsent = self.transport.get_write_buffer_size()
        if self.stalled_since is None or self.stalled_since[1] != unsent:
            self.stalled_since = (tick, unsent)
        elif tick - self.stalled_since[0] > STALLED_TICKS:
            self.transport.abort()


class UvicornServer(uvicorn.Server):
    """uvicorn's server with our signals, our drain and our watch."""

    host: WebSocketHost

    def __init__(self, application: Application, options: ServeOptions) -> None:
        config = uvicorn.Config(
            application,
            http=self._http_protocol,  # type: ignore[arg-type]  # uvicorn only calls it
            ws=self._websocket_protocol,  # type: ignore[arg-type]  # uvicorn only calls it
            loop="uvloop",
            lifespan="auto",
            access_log=False,  # it would write query strings, tokens included
            log_config=None,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        super().__init__(config)
        self.application = application
        self.options = options

    def _http_protocol(self, **options: Any) -> UvicornHttp:
        return UvicornHttp(host=self.host, **options)

    def _websocket_protocol(self, **_: Any) -> UvicornWebSocket:
        return UvicornWebSocket(self.host)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals alone: uvicorn would end every socket at once and exit by the signal."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, watch connections and signals, tell that we are there."""
        loop = asyncio.get_running_loop()
        self.host = WebSocketHost(
            application=self.application, loop=loop, sweep_s=self.options.sweep_s
        )
        if self.options.threads is not None:
            loop.set_default_executor(ThreadPoolExecutor(self.options.threads))
        watch_signals(loop, begin=self._begin_exit, limit_s=self.options.drain_limit_s)
        await super().startup(sockets)
        self.host.start(check_http=self._check_http)
        for part in self.options.parts:
            part.start()
        if self.options.on_ready is not None:
            self.options.on_ready()

    def _begin_exit(self) -> None:
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then tell the application that its life ends."""
        clean = await drain(self, self.options)
        if not clean:
            leave(0)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.lifespan.shutdown(), timeout=1)

    def _http_connections(self) -> list[UvicornHttp]:
        return [one for one in self.server_state.connections if isinstance(one, UvicornHttp)]

    def _check_http(self, tick: int) -> None:
        for connection in self._http_connections():
            connection.check(tick)

    # What a drain asks

    def stop_listening(self) -> None:
        """No new connections."""
        for server in self.servers:
            server.close()

    def requests(self) -> int:
        """Requests in hand."""
        return len(self.server_state.tasks)

    def idle(self) -> int:
        """HTTP connections that wait for a request."""
        return sum(one.is_idle() for one in self._http_connections())

    def close_idle(self) -> None:
        """Close the waiting ones; the others end with their answer."""
        for connection in self._http_connections():
            connection.shutdown()

    def abort_all(self) -> None:
        """Drop everything."""
        for connection in self._http_connections():
            connection.transport.abort()
        for socket_connection in tuple(self.host.connections):
            socket_connection.abort()


def run(application: Application, listening: socket.socket, options: ServeOptions) -> None:
    """Serve until a signal; returns when everything has ended."""
    UvicornServer(application, options).run(sockets=[listening])
