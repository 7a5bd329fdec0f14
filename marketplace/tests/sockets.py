"""Sockets of the suite: the real application, its frames read as a client reads them.

An app's `tests/conftest.py` imports the fixture: `from marketplace.tests.sockets import sockets`.
A test that uses it is async and carries `@pytest.mark.django_db(transaction=True)`; what it does
with the database itself goes through `in_thread`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import orjson
import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.db import connections

from accounts.models import User
from marketplace.realtime.frames import EXTENSION
from marketplace.realtime.runtime import Runtime, current, runtime
from marketplace.tests.cast import access_token

T = TypeVar("T")
PATIENCE_S = 5.0
SILENCE_S = 0.15


async def in_thread(function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Use the database from an async test."""
    return await sync_to_async(function)(*arguments, **named)


async def settle(condition: Callable[[], bool], *, within_s: float = PATIENCE_S) -> None:
    """Return as soon as this is true."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  # of any kind, also of another process
            await asyncio.sleep(0.005)


class Closed(AssertionError):
    """The server ended the connection where a frame was expected."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class ReadyFrames:
    """Stands for a server's transport: takes ready frames, as `serve` offers it to connections.

    `stuck` = the peer does not read: what is written stays in `unsent`.
    """

    def __init__(self, out: "asyncio.Queue[dict[str, Any]]") -> None:
        self.on_text: Callable[[str | bytes], None] | None = None
        self.on_close: Callable[[int], None] | None = None
        self.out = out
        self.writes: list[bytes] = []
        self.stuck = False
        self.unsent = 0
        self.aborted = False

    def write(self, data: bytes) -> None:
        """Cut the frames apart again."""
        self.writes.append(data)
        if self.stuck:
            self.unsent += len(data)
        for text in texts_of(data):
            self.out.put_nowait({"type": "websocket.send", "text": text.decode()})

    def buffered(self) -> int:
        """What the peer has not taken."""
        return self.unsent

    def abort(self) -> None:
        """Drop it."""
        self.aborted = True

    def close(self, code: int) -> None:
        """End it."""
        self.out.put_nowait({"type": "websocket.close", "code": code})


def texts_of(data: bytes) -> list[bytes]:
    """The payloads of unmasked, unfragmented text frames that stand one after the other."""
    texts = []
    while data:
        assert data[0] == 0x81, "one whole text frame after the other"
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        texts.append(data[start : start + size])
        data = data[start + size :]
    return texts


class Socket:
    """One connection, before any protocol: frames as text, the close code."""

    def __init__(self, path: str, *, direct: bool = False, **scope: Any) -> None:
        from marketplace.asgi import application

        self.channel = WebsocketCommunicator(
            application,
            path,
            headers=[(b"host", b"localhost"), *scope.pop("headers", [])],
            subprotocols=scope.pop("subprotocols", None),
        )
        self.channel.scope["client"] = (scope.pop("address", "192.0.2.1"), 40000)
        self.frames = ReadyFrames(self.channel.output_queue)
        if direct:
            self.channel.scope["extensions"] = {EXTENSION: self.frames}
        self.subprotocol: str | None = None
        self.code: int | None = None
        self.waiting: list[Any] = []

    async def connect(self) -> None:
        """Open it; Closed where it is refused before the accept."""
        accepted, answer = await self.channel.connect(timeout=PATIENCE_S)
        if not accepted:
            raise Closed(403)
        self.subprotocol = answer

    async def say(self, frame: Any) -> None:
        """Send one frame: bytes as binary, text as it is, anything else as JSON."""
        if isinstance(frame, bytes):
            await self.channel.send_input({"type": "websocket.receive", "bytes": frame})
            return
        text = frame if isinstance(frame, str) else orjson.dumps(frame).decode()
        await self.channel.send_input({"type": "websocket.receive", "text": text})

    async def hear(self, within_s: float = PATIENCE_S) -> Any:
        """The next frame, read."""
        if self.waiting:
            return self.waiting.pop(0)
        return await self._hear(within_s)

    async def _hear(self, within_s: float) -> Any:
        async with asyncio.timeout(within_s):
            message = await self.channel.output_queue.get()
        if message["type"] == "websocket.close":
            self.code = message["code"]
            raise Closed(message["code"])
        return self.read(orjson.loads(message["text"]))

    def read(self, frame: Any) -> Any:
        """What this protocol sees in a frame."""
        return frame

    async def hear_until(self, wanted: Callable[[Any], bool]) -> Any:
        """The next frame that is wanted; what comes before it waits for `hear`."""
        for place, frame in enumerate(self.waiting):
            if wanted(frame):
                return self.waiting.pop(place)
        async with asyncio.timeout(PATIENCE_S):
            while not wanted(frame := await self._hear(PATIENCE_S)):
                self.waiting.append(frame)
        return frame

    async def rest(self, silence_s: float = SILENCE_S) -> list[Any]:
        """Everything that has come and comes until it is silent for a moment."""
        frames, self.waiting = self.waiting, []
        while True:
            try:
                frames.append(await self._hear(silence_s))
            except TimeoutError:
                return frames

    async def closed(self) -> int:
        """The code with which the server ends it; frames before that are passed over."""
        try:
            while True:
                await self._hear(PATIENCE_S)
        except Closed as end:
            return end.code

    async def leave(self) -> None:
        """The client goes, if it has not yet."""
        if not self.channel.future or self.channel.future.done():
            return
        await self.channel.send_input({"type": "websocket.disconnect", "code": 1006})
        await self.channel.wait(timeout=PATIENCE_S)


class PlainSocket(Socket):
    """Plain JSON frames."""

    refs = 0

    async def ask(self, **frame: Any) -> dict[str, Any]:
        """Send a frame with a ref; its reply."""
        self.refs += 1
        ref = f"r{self.refs}"
        await self.say(frame | {"ref": ref})
        reply: dict[str, Any] = await self.hear_until(lambda one: one.get("ref") == ref)
        return reply

    async def join(self, topic: str, **more: Any) -> dict[str, Any]:
        """Join; the response."""
        reply = await self.ask(type="join", topic=topic, **more)
        assert reply["status"] == "ok", reply
        response: dict[str, Any] = reply["response"]
        return response

    async def command(self, topic: str, event: str, **payload: Any) -> dict[str, Any]:
        """Give a command; the whole reply."""
        return await self.ask(type="event", topic=topic, event=event, payload=payload)

    async def event(self, name: str) -> dict[str, Any]:
        """The payload of the next event of this name."""
        frame = await self.hear_until(lambda one: one.get("event") == name)
        payload: dict[str, Any] = frame["payload"]
        return payload


class Frame(NamedTuple):
    """A Phoenix message; on v1 the join_ref is always None."""

    join_ref: str | None
    ref: str | None
    topic: str
    event: str
    payload: dict[str, Any]


class PhoenixSocket(Socket):
    """Phoenix frames, v2 unless `version` is 1."""

    version = 2
    refs = 0

    def read(self, frame: Any) -> Frame:
        """Either version as one Frame."""
        if self.version == 2:
            return Frame(*frame)
        assert set(frame) == {"topic", "event", "ref", "payload"}, frame
        return Frame(None, frame["ref"], frame["topic"], frame["event"], frame["payload"])

    def write(self, frame: Frame) -> Any:
        """One frame in this version."""
        if self.version == 2:
            return list(frame)
        return frame._asdict()

    async def ask(
        self, topic: str, event: str, payload: Any = None, *, join_ref: str | None = None
    ) -> Frame:
        """Push; its reply."""
        self.refs += 1
        ref = str(self.refs)
        join_ref = ref if event == "phx_join" else join_ref
        sent = Frame(join_ref, ref, topic, event, {} if payload is None else payload)
        await self.say(self.write(sent))
        reply: Frame = await self.hear_until(
            lambda one: one.event == "phx_reply" and one.ref == ref
        )
        return reply

    async def join(self, topic: str, **params: Any) -> dict[str, Any]:
        """Join; the response."""
        reply = await self.ask(topic, "phx_join", params)
        assert reply.payload["status"] == "ok", reply
        response: dict[str, Any] = reply.payload["response"]
        return response

    async def event(self, name: str) -> Frame:
        """The next message of this event."""
        frame: Frame = await self.hear_until(lambda one: one.event == name)
        return frame


@dataclass
class Sockets:
    """Opens connections, and ends them all."""

    direct: bool = False
    opened: list[Socket] = field(default_factory=list)

    @property
    def runtime(self) -> Runtime:
        """The runtime behind all of them."""
        return runtime()

    async def plain(
        self, user: User | None, path: str = "/ws/", *, token: str | None = None, **scope: Any
    ) -> PlainSocket:
        """A plain connection of this user that has heard `ready`."""
        socket = await self.open(PlainSocket, path, user, token=token, **scope)
        assert (await socket.hear())["type"] == "ready"
        return socket

    async def phoenix(
        self, user: User | None, *, version: int = 2, token: str | None = None, **scope: Any
    ) -> PhoenixSocket:
        """A Phoenix connection of this user."""
        path = "/socket/websocket" + ("?vsn=2.0.0" if version == 2 else "")
        socket = await self.open(PhoenixSocket, path, user, token=token, **scope)
        socket.version = version
        return socket

    async def open(
        self,
        kind: "type[AnySocket]",
        path: str,
        user: User | None,
        *,
        token: str | None = None,
        **scope: Any,
    ) -> "AnySocket":
        """A connection of any kind to this path; a token of a new session, if none is given."""
        if token is None and user is not None:
            token = await in_thread(access_token, user)
        if token:
            path += ("&" if "?" in path else "?") + f"token={quote(token)}"
        socket = kind(path, direct=scope.pop("direct", self.direct), **scope)
        self.opened.append(socket)
        await socket.connect()
        return socket

    async def end(self) -> None:
        """Everybody goes, then the runtime, so that no connection holds the test's database."""
        for socket in self.opened:
            await socket.leave()
        here = current()
        if here is not None and here.loop is asyncio.get_running_loop():
            await here.stop()
        await sync_to_async(connections.close_all)()


AnySocket = TypeVar("AnySocket", bound=Socket)


@pytest.fixture
async def sockets(transactional_db: None) -> AsyncIterator[Sockets]:
    """Connections of this test; ended with their runtime after it."""
    opened = Sockets()
    try:
        yield opened
    finally:
        await opened.end()
