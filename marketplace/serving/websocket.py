"""One WebSocket connection, the same under both servers: handshake, frames, ASGI, direct push.

Autobahn (Daphne) and uvicorn's own protocol classes differ in limits, close codes and in what a
slow peer may cost, and both keep far more per connection than an idle one needs. This class does
the work; `daphne_server` and `uvicorn_server` add the few lines that speak to their transport.
"""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias
from urllib.parse import unquote

import structlog

try:
    from websockets.speedups import apply_mask
except ImportError:  # its C extension is not built everywhere
    from websockets.utils import apply_mask

from marketplace.core.observe import LOOP_LAG
from marketplace.serving import frames

logger = structlog.get_logger(__name__)

Message: TypeAlias = dict[str, Any]
Application: TypeAlias = Callable[..., Awaitable[Any]]
Address: TypeAlias = tuple[str, int] | None

MAX_MESSAGE_BYTES = 131_072
MAX_UNSENT_BYTES = 1_048_576
MAX_WAITING_MESSAGES = 32

SWEEP_S = 2.0
PING_TICKS = 10
ANSWER_TICKS = 15
HANDSHAKE_TICKS = 10
CLOSING_TICKS = 3

CONNECTING, OPEN, CLOSING, LINGERING, CLOSED = range(5)

NORMAL = 1000
PROTOCOL_ERROR = 1002
NO_STATUS = 1005
ABNORMAL = 1006
INVALID_TEXT = 1007
TOO_BIG = 1009
SERVER_FAILED = 1011
SERVICE_RESTART = 1012

HANDSHAKE_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
REFUSALS = {
    400: b"Bad Request",
    403: b"Forbidden",
    426: b"Upgrade Required",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
}
# Almost every client sends these names: one object for all connections instead of one each.
COMMON_NAMES = {
    name: name
    for name in (
        b"host",
        b"connection",
        b"upgrade",
        b"origin",
        b"user-agent",
        b"cookie",
        b"authorization",
        b"accept-encoding",
        b"accept-language",
        b"cache-control",
        b"pragma",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-request-id",
        b"sec-websocket-key",
        b"sec-websocket-version",
        b"sec-websocket-protocol",
        b"sec-websocket-extensions",
    )
}


class BadHandshake(Exception):
    """The upgrade request is not one; `status` is the answer."""

    def __init__(self, status: int) -> None:
        super().__init__(REFUSALS[status].decode())
        self.status = status


class WebSocketHost:
    """The connections of one server process and what they share; it watches them every 2 s."""

    def __init__(
        self,
        *,
        application: Application,
        loop: asyncio.AbstractEventLoop,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        max_unsent_bytes: int = MAX_UNSENT_BYTES,
        sweep_s: float = SWEEP_S,
    ) -> None:
        self.application = application
        self.loop = loop
        self.max_message_bytes = max_message_bytes
        self.max_unsent_bytes = max_unsent_bytes
        self.connections: set[WebSocketConnection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.tick = 0
        self.draining = False
        self._sweep_s = sweep_s

    def start(self, *, check_http: Callable[[int], None]) -> None:
        """Watch from now on; `check_http` does the same for the server's HTTP connections."""
        self._check_http = check_http
        self._sweep_in_time()

    def _sweep_in_time(self) -> None:
        self._due_at = self.loop.time() + self._sweep_s
        self.loop.call_at(self._due_at, self._sweep)

    def _sweep(self) -> None:
        LOOP_LAG.set(max(self.loop.time() - self._due_at, 0.0))
        self.tick += 1
        for connection in tuple(self.connections):
            connection.check(self.tick)
        self._check_http(self.tick)
        self._sweep_in_time()


class WebSocketConnection:
    """A `FrameWriter` and an ASGI connection in one object; subclasses know the transport."""

    __slots__ = (
        "_accept_key",
        "_close_code",
        "_ended",
        "_heard",
        "_messages",
        "_needed",
        "_parts",
        "_parts_size",
        "_parts_text",
        "_pending",
        "_pinged",
        "_reading_paused",
        "_state",
        "_waiter",
        "_writable",
        "host",
        "on_close",
        "on_text",
        "transport",
    )

    def __init__(self, host: WebSocketHost) -> None:
        self.host = host
        self.transport: Any = None
        self.on_text: Callable[[str | bytes], None] | None = None
        self.on_close: Callable[[int], None] | None = None
        self._state = CONNECTING
        self._accept_key = b""
        self._close_code = ABNORMAL
        self._ended = False
        self._heard = host.tick
        self._pinged = 0
        self._messages: list[Message] = []
        self._waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._reading_paused = False
        self._pending: bytearray | None = None
        self._needed = 0
        self._parts: list[bytes] | None = None
        self._parts_size = 0
        self._parts_text = False

    # What a subclass knows of its transport

    def _send(self, data: bytes) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        """Close TCP once everything is written."""
        raise NotImplementedError

    def _finish_writing(self) -> None:
        """Close our half of TCP once everything is written."""
        raise NotImplementedError

    def _pause_reading(self) -> None:
        raise NotImplementedError

    def _resume_reading(self) -> None:
        raise NotImplementedError

    def _addresses(self) -> tuple[Address, Address]:
        """The peer's and our own."""
        raise NotImplementedError

    def buffered(self) -> int:
        """Bytes that wait in the transport."""
        raise NotImplementedError

    def abort(self) -> None:
        """Drop TCP at once."""
        raise NotImplementedError

    # FrameWriter

    def write(self, data: bytes) -> None:
        """Hand over ready frames."""
        if self._state == OPEN:
            self._send(data)

    def close(self, code: int) -> None:
        """Send a close frame; TCP goes when the peer has answered, or after 6 s."""
        if self._state == CONNECTING:
            self._refuse(403)
        elif self._state == OPEN:
            self._send(frames.close_frame(code))
            self._close_code = code
            self._enter(CLOSING)
            self._tell_end(code)

    # Called by the server

    def is_open(self) -> bool:
        """Whether frames may still be sent."""
        return self._state == OPEN

    def data_received(self, data: bytes) -> None:
        """Take bytes from the peer: the upgrade request first, frames after it."""
        self._heard = self.host.tick
        if self._state == CONNECTING:
            self._data_while_connecting(data)
            return
        pending = self._pending
        if pending is not None:
            pending += data
            if len(pending) < self._needed:
                return
            data = bytes(pending)
            self._pending = None
        self._read_frames(data)

    def pause_writing(self) -> None:
        """The transport holds enough: `send()` waits."""
        if self._writable is None:
            self._writable = self.host.loop.create_future()

    def resume_writing(self) -> None:
        """The transport has room again."""
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    def lost(self) -> None:
        """TCP is gone."""
        self._state = CLOSED
        self._pending = self._parts = None
        self.host.connections.discard(self)
        self.resume_writing()
        self._tell_end(self._close_code)

    def check(self, tick: int) -> None:
        """The watch: cut who does not read, does not answer, or does not finish."""
        if self._state == OPEN:
            if self.buffered() > self.host.max_unsent_bytes:
                logger.warning("socket_aborted", reason="too_slow", unsent_bytes=self.buffered())
                self.abort()
            elif self._pinged:
                self._check_answer(tick)
            elif tick - self._heard >= PING_TICKS - id(self) // 64 % 4:  # else all at one tick
                self._pinged = tick
                self._send(frames.ping_frame())
        elif self._state == CONNECTING:
            if tick - self._heard > HANDSHAKE_TICKS:
                self._refuse(503)
        elif tick - self._pinged > CLOSING_TICKS:
            self.abort()

    def _check_answer(self, tick: int) -> None:
        if self._heard >= self._pinged:
            self._pinged = 0
        elif tick - self._pinged >= ANSWER_TICKS:
            logger.info("socket_aborted", reason="no_answer")
            self.abort()

    # Handshake

    def _data_while_connecting(self, data: bytes) -> None:
        if not self._accept_key:
            self._begin(data)
            return
        self._pending = self._pending or bytearray()
        self._pending += data
        if len(self._pending) > self.host.max_message_bytes:
            self.abort()

    def _begin(self, head: bytes) -> None:
        self.host.connections.add(self)
        if self.host.draining:
            self._refuse(503)
            return
        try:
            scope, key = read_handshake(head)
        except BadHandshake as problem:
            self._refuse(problem.status)
            return
        digest = hashlib.sha1(key + HANDSHAKE_GUID, usedforsecurity=False).digest()
        self._accept_key = base64.b64encode(digest)
        scope["client"], scope["server"] = self._addresses()
        scope["extensions"] = {frames.EXTENSION: self}
        self._put({"type": "websocket.connect"})
        task = self.host.loop.create_task(self._run(scope))
        self.host.tasks.add(task)
        task.add_done_callback(self.host.tasks.discard)

    def _accept(self, message: Message) -> None:
        lines = [
            b"HTTP/1.1 101 Switching Protocols",
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b"Sec-WebSocket-Accept: " + self._accept_key,
        ]
        if subprotocol := message.get("subprotocol"):
            lines.append(b"Sec-WebSocket-Protocol: " + subprotocol.encode("ascii"))
        lines += [name + b": " + value for name, value in message.get("headers", ())]
        if any(b"\r" in line or b"\n" in line for line in lines):
            raise ValueError("a header of websocket.accept holds a line break")
        self._send(b"\r\n".join(lines) + b"\r\n\r\n")
        self._accept_key = b""
        self._state = OPEN
        self._heard = self.host.tick
        early, self._pending = self._pending, None
        if early:
            self._read_frames(bytes(early))

    def _refuse(self, status: int) -> None:
        extra = b"Sec-WebSocket-Version: 13\r\n" if status == 426 else b""
        self._send(
            b"HTTP/1.1 %d %b\r\n%bContent-Length: 0\r\nConnection: close\r\n\r\n"
            % (status, REFUSALS[status], extra)
        )
        self._enter(CLOSING)
        self._finish()
        self._tell_end(ABNORMAL)

    # ASGI

    async def _run(self, scope: Message) -> None:
        try:
            await self.host.application(scope, self._receive, self._asgi_send)
        except asyncio.CancelledError:
            self._application_ended()
            raise
        except Exception:  # the edge of the process: nothing above logs it
            logger.exception("socket_application_failed")
            self._application_ended()
        else:
            self._application_ended()

    def _application_ended(self) -> None:
        if self._state == CONNECTING:
            self._refuse(500)
        else:
            self.close(SERVER_FAILED)

    async def _receive(self) -> Message:
        while not self._messages:
            if self._ended:
                return {"type": "websocket.disconnect", "code": self._close_code}
            self._waiter = self.host.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        message = self._messages.pop(0)
        if self._reading_paused and not self._messages:
            self._reading_paused = False
            self._resume_reading()
        return message

    async def _asgi_send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            if self._state == CONNECTING:
                self._accept(message)
        elif kind == "websocket.close":
            self.close(message.get("code") or NORMAL)
        elif kind == "websocket.send":
            if self._state == CONNECTING:
                raise RuntimeError("websocket.send before websocket.accept")
            if self._writable is not None and self._state == OPEN:
                await asyncio.shield(self._writable)
            self.write(_frame_of(message))
        else:
            raise RuntimeError(f"unknown ASGI message {kind!r} on a websocket")

    def _put(self, message: Message) -> None:
        self._messages.append(message)
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _tell_end(self, code: int) -> None:
        """Tell the application once how the connection ended."""
        if self._ended:
            return
        self._ended = True
        self._close_code = code
        self._put({"type": "websocket.disconnect", "code": code})
        on_close, self.on_close, self.on_text = self.on_close, None, None
        if on_close is not None:
            try:
                on_close(code)
            except Exception:  # a callback must not break the transport that calls it
                logger.exception("socket_on_close_failed")

    # Frames

    def _read_frames(self, data: bytes) -> None:
        position, end = 0, len(data)
        while position < end:
            if self._state >= LINGERING:
                return
            if end - position < 2:
                self._wait_for(data, position, 2)
                return
            first = data[position]
            size = data[position + 1] & 0x7F
            mask_at = position + 2
            if size > frames.LARGEST_CONTROL:
                mask_at += 2 if size == 126 else 8
                if end < mask_at:
                    self._wait_for(data, position, mask_at - position)
                    return
                size = int.from_bytes(data[position + 2 : mask_at], "big")
            code = self._refusal(first, data[position + 1], size)
            if code:
                self._fail(code)
                return
            body_at = mask_at + 4
            next_at = body_at + size
            if end < next_at:
                self._wait_for(data, position, next_at - position)
                return
            payload = apply_mask(data[body_at:next_at], data[mask_at:body_at]) if size else b""
            position = next_at
            if first == 0x81:
                self._deliver(payload, is_text=True)
            else:
                self._read_other(first, payload)

    def _wait_for(self, data: bytes, position: int, needed: int) -> None:
        self._pending = bytearray(data[position:])
        self._needed = needed

    def _refusal(self, first: int, second: int, size: int) -> int:
        """The close code that a frame with this head deserves, or 0; asked before its body came."""
        opcode = first & 0x0F
        if first & 0x70 or not second & 0x80:
            return PROTOCOL_ERROR
        if opcode & 0x08:
            wrong = opcode > frames.PONG or size > frames.LARGEST_CONTROL or not first & 0x80
            return PROTOCOL_ERROR if wrong else 0
        if opcode > frames.BINARY or (opcode == frames.CONTINUATION) == (self._parts is None):
            return PROTOCOL_ERROR
        return TOO_BIG if size + self._parts_size > self.host.max_message_bytes else 0

    def _read_other(self, first: int, payload: bytes) -> None:
        opcode = first & 0x0F
        if opcode == frames.CLOSE:
            self._read_close(payload)
        elif opcode == frames.PING:
            if self._state == OPEN:
                self._send(frames.pong_frame(payload))
        elif opcode != frames.PONG:
            self._read_part(first, opcode, payload)

    def _read_part(self, first: int, opcode: int, payload: bytes) -> None:
        if self._parts is None:
            self._parts, self._parts_text = [], opcode == frames.TEXT
        if payload:  # empty fragments are legal and must not pile up
            self._parts.append(payload)
            self._parts_size += len(payload)
        if first & 0x80:
            whole = b"".join(self._parts)
            self._parts, self._parts_size = None, 0
            self._deliver(whole, is_text=self._parts_text)

    def _deliver(self, payload: bytes, *, is_text: bool) -> None:
        if self._state != OPEN:
            return
        content: str | bytes = payload
        if is_text:
            try:
                content = payload.decode()
            except UnicodeDecodeError:
                self._fail(INVALID_TEXT)
                return
        if self.on_text is not None:
            try:
                self.on_text(content)
            except Exception:  # a callback must not break the transport that calls it
                logger.exception("socket_on_text_failed")
                self.close(SERVER_FAILED)
            return
        self._put({"type": "websocket.receive", "text" if is_text else "bytes": content})
        if len(self._messages) >= MAX_WAITING_MESSAGES and not self._reading_paused:
            self._reading_paused = True
            self._pause_reading()

    def _read_close(self, payload: bytes) -> None:
        code = NO_STATUS
        if payload:
            code = int.from_bytes(payload[:2], "big")
            if len(payload) == 1 or not frames.is_close_code(code):
                self._fail(PROTOCOL_ERROR)
                return
            try:
                payload[2:].decode()
            except UnicodeDecodeError:
                self._fail(INVALID_TEXT)
                return
        if self._state == OPEN:
            self._send(frames.close_frame(None if code == NO_STATUS else code))
            self._close_code = code
        self._enter(LINGERING)
        self._finish()
        self._tell_end(code)

    def _fail(self, code: int) -> None:
        """Refuse what the peer sent; its remaining bytes are read and dropped.

        Closing TCP with unread bytes would reset it, and the peer would never see the code.
        """
        if self._state == OPEN:
            self._send(frames.close_frame(code))
            self._close_code = code
        self._enter(LINGERING)
        self._finish_writing()
        self._tell_end(code)

    def _enter(self, state: int) -> None:
        self._state = state
        self._pinged = self.host.tick  # from here it counts how long the end may take
        self.resume_writing()
        if self._reading_paused:
            self._reading_paused = False
            self._resume_reading()


def _frame_of(message: Message) -> bytes:
    text = message.get("text")
    if text is not None:
        return frames.text_frame(text.encode())
    return frames.binary_frame(message.get("bytes") or b"")


def read_handshake(head: bytes) -> tuple[Message, bytes]:
    """The ASGI scope of an upgrade request, and its key. Raises BadHandshake."""
    request_line, *lines = head.partition(b"\r\n\r\n")[0].split(b"\r\n")
    words = request_line.split(b" ")
    if len(words) != 3 or words[0] != b"GET" or words[2] != b"HTTP/1.1":
        raise BadHandshake(400)
    headers: list[tuple[bytes, bytes]] = []
    for line in lines:
        name, _, value = line.partition(b":")
        name = name.lower()
        headers.append((COMMON_NAMES.get(name, name), value.strip()))
    key = _read_key(headers)
    target = words[1]
    if not target.startswith(b"/"):  # absolute form
        target = b"/" + target.partition(b"://")[2].partition(b"/")[2]
    raw_path, _, query = target.partition(b"?")
    try:
        path = unquote(raw_path.decode("ascii"))
    except UnicodeDecodeError:
        raise BadHandshake(400) from None
    scope: Message = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": raw_path,
        "root_path": "",
        "query_string": query,
        "headers": headers,
        "subprotocols": _tokens(headers, b"sec-websocket-protocol"),
    }
    return scope, key


def _read_key(headers: list[tuple[bytes, bytes]]) -> bytes:
    single = dict(headers)
    if single.get(b"sec-websocket-version") != b"13":
        raise BadHandshake(426)
    upgrades = {token.lower() for token in _tokens(headers, b"upgrade")}
    options = {token.lower() for token in _tokens(headers, b"connection")}
    key = single.get(b"sec-websocket-key", b"")
    try:
        valid = len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        valid = False
    if "websocket" not in upgrades or "upgrade" not in options or not valid:
        raise BadHandshake(400)
    return key


def _tokens(headers: list[tuple[bytes, bytes]], wanted: bytes) -> list[str]:
    return [
        token.strip()
        for name, value in headers
        if name == wanted
        for token in value.decode("latin-1").split(",")
        if token.strip()
    ]
