"""Daphne with our WebSocket connection and our drain, on Twisted's asyncio reactor over uvloop.

Importing this module installs the reactor of the process: only `manage.py serve` does.
"""

import asyncio
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import structlog
import uvloop
from twisted.internet import asyncioreactor
from twisted.logger import LogLevel, globalLogBeginner

if "twisted.internet.reactor" not in sys.modules:
    asyncioreactor.install(uvloop.new_event_loop())  # type: ignore[no-untyped-call]  # Twisted's

from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.server import Server
from twisted.internet import reactor as installed_reactor

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

logger = structlog.get_logger(__name__)
reactor: Any = installed_reactor  # Twisted declares it as a module of bare interfaces


def unsent_bytes(transport: Any) -> int:
    """What waits in a Twisted transport; it has no public figure for it."""
    size: int = len(transport.dataBuffer) - transport.offset + transport._tempDataLen  # noqa: SLF001  # as said
    return size


class DaphneWebSocket(WebSocketConnection):
    """Our connection on a Twisted transport, where it is protocol and push producer."""

    __slots__ = ("_raw_query_string",)  # Daphne sets it; the request line holds it as well

    # Twisted's names

    def makeConnection(self, transport: Any) -> None:  # noqa: N802  # Twisted's interface
        """Daphne hands the transport of the upgrade request over."""
        self.transport = transport
        transport.unregisterProducer()
        transport.registerProducer(self, True)

    dataReceived = WebSocketConnection.data_received  # noqa: N815  # Twisted's interface
    pauseProducing = WebSocketConnection.pause_writing  # noqa: N815  # Twisted's interface
    resumeProducing = WebSocketConnection.resume_writing  # noqa: N815  # Twisted's interface

    def stopProducing(self) -> None:  # noqa: N802  # Twisted's interface
        """The transport takes nothing more; `connectionLost` follows."""

    def connectionLost(self, reason: Any) -> None:  # noqa: N802  # Twisted's interface
        """TCP is gone."""
        self.lost()

    # What the connection asks of its transport

    def _send(self, data: bytes) -> None:
        """Straight into the socket while nothing waits: no turn of the reactor, no epoll_ctl."""
        transport = self.transport
        if transport.connected and not unsent_bytes(transport):
            try:
                sent = transport.socket.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                transport.abortConnection()
                return
            if sent == len(data):
                return
            data = data[sent:]
        transport.write(data)

    def buffered(self) -> int:
        """Bytes that wait in the transport."""
        return unsent_bytes(self.transport)

    def abort(self) -> None:
        """Drop TCP at once."""
        self.transport.abortConnection()

    def _finish(self) -> None:
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _finish_writing(self) -> None:
        self.transport.loseWriteConnection()

    def _pause_reading(self) -> None:
        self.transport.pauseProducing()

    def _resume_reading(self) -> None:
        self.transport.resumeProducing()

    def _addresses(self) -> tuple[Address, Address]:
        peer, own = self.transport.getPeer(), self.transport.getHost()
        return (peer.host, peer.port), (own.host, own.port)


class WebSockets:
    """Stands where Daphne keeps Autobahn's factory."""

    def __init__(self, host: WebSocketHost) -> None:
        self.host = host

    def buildProtocol(self, _address: Any) -> DaphneWebSocket:  # noqa: N802  # Twisted's interface
        """One connection."""
        return DaphneWebSocket(self.host)


class DaphneRequest(WebRequest):
    """Daphne's request that waits for a slow reader, limits bodies and says `close` in a drain."""

    error_template = "%(title)s"
    stalled_since: tuple[int, int] | None = None
    _received = 0
    _writable: asyncio.Future[None] | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # Bodies are the application's to read: Twisted would parse every form once more, in
        # memory, and answer one that it cannot read with a bare 400.
        self._parsePOSTFormSubmission = False

    def gotLength(self, length: int | None) -> None:  # noqa: N802  # Twisted's interface
        """Refuse a body by its announced length, before it comes."""
        super().gotLength(length)
        if length is not None and length > MAX_BODY_BYTES:
            self._refuse_body()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802  # Twisted's interface
        """Refuse a body that turns out too long: Daphne reads all of it before it asks anybody."""
        self._received += len(data)
        if self._received > MAX_BODY_BYTES:
            self._refuse_body()
            return
        super().handleContentChunk(data)

    def _refuse_body(self) -> None:
        self.transport.write(TOO_LARGE)
        self.channel.loseConnection()

    def handle_reply(self, message: dict[str, Any]) -> None:
        """Pass on what the application answers."""
        if message["type"] == "http.response.start" and self.channel is not None:
            if self.server.host.draining:
                self.channel.persistent = False
                self.responseHeaders.setRawHeaders(b"connection", [b"close"])
        elif message.get("more_body") and self.producer is None and not self._gone():
            self.registerProducer(self, True)
        elif not message.get("more_body") and self.producer is not None and not self._gone():
            self.unregisterProducer()
        super().handle_reply(message)

    def _gone(self) -> bool:
        return self.channel is None or bool(self.finished)

    async def writable(self) -> None:
        """Wait until the peer has taken enough of what was written."""
        if self._writable is not None:
            await asyncio.shield(self._writable)

    def pauseProducing(self) -> None:  # noqa: N802  # Twisted's interface
        """The transport holds enough."""
        if self._writable is None:
            self._writable = asyncio.get_running_loop().create_future()

    def resumeProducing(self) -> None:  # noqa: N802  # Twisted's interface
        """The transport has room again."""
        waiting, self._writable = self._writable, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def stopProducing(self) -> None:  # noqa: N802  # Twisted's interface
        """The transport takes nothing more."""
        self.resumeProducing()

    def connectionLost(self, reason: Any) -> None:  # noqa: N802  # Twisted's interface
        """TCP is gone."""
        self.resumeProducing()
        super().connectionLost(reason)

    def check_timeouts(self) -> None:
        """Daphne's own limits are off: `check` is ours."""

    def check(self, tick: int) -> None:
        """Cut a reader that has taken nothing for 30 s."""
        if self._writable is None or self.channel is None:
            self.stalled_since = None
            return
        unsent = unsent_bytes(self.channel.transport)
        if self.stalled_since is None or self.stalled_since[1] != unsent:
            self.stalled_since = (tick, unsent)
        elif tick - self.stalled_since[0] > STALLED_TICKS:
            self.channel.transport.abortConnection()


class HttpConnections(HTTPFactory):
    """Daphne's factory with our request class."""

    def buildProtocol(self, address: Any) -> Any:  # noqa: N802  # Twisted's interface
        """One HTTP connection."""
        protocol = super().buildProtocol(address)
        protocol.requestFactory = DaphneRequest
        protocol.timeOut = KEEP_ALIVE_S
        return protocol


class DaphneServer(Server):
    """Daphne's server with our signals, our drain and our watch."""

    connections: dict[Any, dict[str, Any]]

    def __init__(self, application: Application, options: ServeOptions) -> None:
        super().__init__(
            application,
            endpoints=["adopted in run()"],
            signal_handlers=False,
            action_logger=None,  # it would write paths, tracking tokens included
            server_name="",
        )
        self.options = options
        self.loop: asyncio.AbstractEventLoop = reactor._asyncioEventloop  # noqa: SLF001  # as Daphne does
        self.host = WebSocketHost(application=application, loop=self.loop, sweep_s=options.sweep_s)
        self.connections = {}
        self.http_factory = HttpConnections(self)
        self.ws_factory = WebSockets(self.host)
        self._port: Any = None
        self._running: set[asyncio.Task[None]] = set()
        self._draining: asyncio.Task[None] | None = None

    def run(self, listening: socket.socket) -> None:
        """Serve until a signal; returns when everything has ended."""
        observers: list[Any] = [log_failure]
        globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False, discardBuffer=True)
        asyncio.set_event_loop(self.loop)
        listening.listen(BACKLOG)
        self._port = reactor.adoptStreamPort(
            listening.fileno(), listening.family, self.http_factory
        )
        listening.close()
        self.loop.call_soon(self._start)
        reactor.run(installSignalHandlers=False)

    def _start(self) -> None:
        if self.options.threads is not None:
            self.loop.set_default_executor(ThreadPoolExecutor(self.options.threads))
        watch_signals(self.loop, begin=self._begin_exit, limit_s=self.options.drain_limit_s)
        self.host.start(check_http=self._check_http)
        for part in self.options.parts:
            part.start()
        if self.options.on_ready is not None:
            self.options.on_ready()

    def _begin_exit(self) -> None:
        self._draining = self.loop.create_task(self._exit())

    async def _exit(self) -> None:
        clean = await drain(self, self.options)
        if not clean:
            leave(0)
        reactor.stop()

    # Requests: Daphne looks once a second for those that ended and frees all of them at one go,
    # which stalls everything else (p99 of 75 to 175 ms); here each goes when it ends.

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> asyncio.Queue[Any]:
        """Start the application for one request."""
        scope.setdefault("asgi", {"version": "3.0"})
        queue: asyncio.Queue[Any] = asyncio.Queue()
        task = self.loop.create_task(self._run_application(protocol, scope, queue))
        self.connections[protocol]["application_instance"] = task
        self._running.add(task)
        task.add_done_callback(partial(self._ended, protocol))
        return queue

    async def _run_application(
        self, protocol: Any, scope: dict[str, Any], queue: asyncio.Queue[Any]
    ) -> None:
        try:
            await self.application(scope, queue.get, partial(self.handle_reply, protocol))
        except Exception as problem:  # the edge of the process: nothing above logs it
            logger.exception("request_failed")
            if not self._is_disconnected(protocol):
                protocol.handle_exception(problem)

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Pass an answer on, as fast as the peer reads it."""
        await super().handle_reply(protocol, message)
        if message.get("more_body"):
            await protocol.writable()

    def protocol_disconnected(self, protocol: Any) -> None:
        """The request has its answer, or nobody waits for it any more."""
        details = self.connections.get(protocol)
        if details is None:
            return
        details.setdefault("disconnected", self.loop.time())
        task = details.get("application_instance")
        if task is None or task.done():
            del self.connections[protocol]

    def _ended(self, protocol: Any, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._is_disconnected(protocol):
            self.connections.pop(protocol, None)
        elif not task.cancelled():  # it returned without an answer
            protocol.handle_exception(RuntimeError("no answer"))

    def _is_disconnected(self, protocol: Any) -> bool:
        details = self.connections.get(protocol)
        return details is None or "disconnected" in details

    def _check_http(self, tick: int) -> None:
        now = self.loop.time()
        for protocol, details in list(self.connections.items()):
            gone_since = details.get("disconnected")
            if gone_since is None:
                protocol.check(tick)
            elif now - gone_since > self.application_close_timeout:
                details["application_instance"].cancel()

    # What a drain asks

    def stop_listening(self) -> None:
        """No new connections."""
        self._port.stopListening()

    def requests(self) -> int:
        """Requests in hand."""
        return len(self._running)

    def _idle_transports(self) -> list[Any]:
        return [
            transport
            for transport in reactor.getReaders()
            if (channel := getattr(getattr(transport, "protocol", None), "_channel", None))
            and not channel.requests
        ]

    def idle(self) -> int:
        """HTTP connections that wait for a request."""
        return len(self._idle_transports())

    def close_idle(self) -> None:
        """Close the waiting ones."""
        for transport in self._idle_transports():
            transport.loseConnection()

    def abort_all(self) -> None:
        """Drop everything."""
        for task in self._running:
            task.cancel()
        for connection in tuple(self.host.connections):
            connection.abort()


def log_failure(event: dict[str, Any]) -> None:
    """Twisted says much; only what failed is of use."""
    if event.get("log_level") not in (LogLevel.error, LogLevel.critical):
        return
    failure = event.get("log_failure")
    problem = failure.value if failure is not None else None
    logger.error("twisted_failed", namespace=event.get("log_namespace"), exc_info=problem)


def run(application: Application, listening: socket.socket, options: ServeOptions) -> None:
    """Serve until a signal; returns when everything has ended."""
    DaphneServer(application, options).run(listening)
