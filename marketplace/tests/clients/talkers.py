"""Small WebSocket clients in Python, one per frame format, behind one way of asking.

They speak the wire and know nothing of the server's code. `Talker` is one connection; `Follower`
comes back by itself and keeps the durable events of one room, as an application would.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

ANSWER_S = 15.0
DURABLE = "event_seq"


class Refused(Exception):
    """An error reply: `code` and the whole `response`."""

    def __init__(self, response: dict[str, Any]) -> None:
        super().__init__(response)
        self.code = response.get("code")
        self.response = response


class Gone(ConnectionError):
    """The connection ended before the answer came."""


class Talker:
    """One connection of one person. Events of all topics are kept in `heard`, in order."""

    protocol: ClassVar[str]
    path: ClassVar[str]

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.frames: list[Any] = []
        self.listener: Callable[[str, dict[str, Any]], None] | None = None
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._next = 0
        self._changed = asyncio.Event()
        self._reader = asyncio.ensure_future(self._read())

    @classmethod
    async def open(cls, base: str, token: str | None, **query: str) -> Self:
        """Connect; raises InvalidStatus where the handshake is refused."""
        parts = query if token is None else {"token": token, **query}
        text = "&".join(f"{name}={value}" for name, value in parts.items())
        mark = "&" if "?" in cls.path else "?"
        url = f"{base}{cls.path}{mark}{text}" if text else base + cls.path
        connection = await connect(
            url, compression=None, proxy=None, max_size=None, open_timeout=20, ping_interval=None
        )
        return cls(connection)

    # -- the wire --------------------------------------------------------------------------------

    def topic(self, room_id: str) -> str:
        """How this protocol names a room."""
        raise NotImplementedError

    def join_frame(self, topic: str, ref: str, params: dict[str, Any]) -> Any:
        """Ask to hear a topic."""
        raise NotImplementedError

    def push_frame(self, topic: str, ref: str, event: str, payload: Any) -> Any:
        """Give a command."""
        raise NotImplementedError

    def understand(self, frame: Any) -> None:
        """Sort one frame of the server."""
        raise NotImplementedError

    # -- asking ----------------------------------------------------------------------------------

    async def join(self, room_id: str, **params: Any) -> dict[str, Any]:
        """Join a room; the reply."""
        ref = self._ref()
        return await self.ask(ref, self.join_frame(self.topic(room_id), ref, params))

    async def push(self, room_id: str, event: str, payload: Any) -> dict[str, Any]:
        """Give a command on a joined room; the reply. Raises Refused, Gone."""
        ref = self._ref()
        return await self.ask(ref, self.push_frame(self.topic(room_id), ref, event, payload))

    async def ask(self, ref: str, frame: Any) -> dict[str, Any]:
        """Send a frame and wait for the reply to its ref."""
        waiting = self._answers[ref] = asyncio.get_running_loop().create_future()
        await self.send(frame)
        try:
            return await asyncio.wait_for(waiting, ANSWER_S)
        except TimeoutError as error:
            raise Gone("no answer") from error

    async def send(self, frame: Any) -> None:
        """Send a frame as JSON, text or bytes as they are."""
        raw = frame if isinstance(frame, (str, bytes)) else json.dumps(frame)
        try:
            await self.connection.send(raw)
        except ConnectionClosed as error:
            raise Gone(str(error)) from error

    def _ref(self) -> str:
        self._next += 1
        return str(self._next)

    def answered(self, ref: Any, status: Any, response: dict[str, Any]) -> None:
        """Hand a reply to the one who waits for it."""
        waiting = self._answers.pop(str(ref), None)
        if waiting is None or waiting.done():
            return
        if status == "ok":
            waiting.set_result(response)
        else:
            waiting.set_exception(Refused(response))

    def told(self, event: str, payload: dict[str, Any]) -> None:
        """Keep an event."""
        self.heard.append((event, payload))
        if self.listener is not None:
            self.listener(event, payload)

    async def _read(self) -> None:
        try:
            async for raw in self.connection:
                frame = json.loads(raw)
                self.frames.append(frame)
                self.understand(frame)
                self._changed.set()
        except ConnectionClosed:
            pass
        finally:
            for waiting in self._answers.values():
                if not waiting.done():
                    waiting.set_exception(Gone("closed"))
                    waiting.exception()
            self._changed.set()

    # -- waiting ---------------------------------------------------------------------------------

    def named(self, *events: str) -> list[dict[str, Any]]:
        """Payloads of the events of these names, so far."""
        return [payload for event, payload in self.heard if event in events]

    async def until(self, holds: Callable[[], Any], *, within_s: float = ANSWER_S) -> Any:
        """Wait until something holds of what was heard; gives it."""
        async with asyncio.timeout(within_s):
            while not (found := holds()):
                if self._reader.done():
                    raise Gone(f"closed with {self.connection.close_code}")
                self._changed.clear()
                await self._changed.wait()
        return found

    async def closed(self, *, within_s: float = ANSWER_S) -> int | None:
        """The close code, once the connection has ended."""
        async with asyncio.timeout(within_s):
            # Not awaited itself: who gives up waiting must not end the reading.
            await asyncio.wait({self._reader})
            await self.connection.wait_closed()
        return self.connection.close_code

    @property
    def is_open(self) -> bool:
        """Whether the server still listens."""
        return not self._reader.done()

    async def close(self) -> None:
        """Go."""
        await self.connection.close()
        await asyncio.wait({self._reader})


class Plain(Talker):
    """Plain JSON frames on `/ws/`."""

    protocol = "plain"
    path = "/ws/"

    def topic(self, room_id: str) -> str:
        """`room:<id>`."""
        return f"room:{room_id}"

    def join_frame(self, topic: str, ref: str, params: dict[str, Any]) -> Any:
        """`{"type":"join",…}`."""
        return {"type": "join", "topic": topic, "ref": ref, **params}

    def push_frame(self, topic: str, ref: str, event: str, payload: Any) -> Any:
        """`{"type":"event",…}`."""
        return {"type": "event", "topic": topic, "event": event, "payload": payload, "ref": ref}

    def understand(self, frame: Any) -> None:
        """Replies, events, and the rest by its type."""
        if frame["type"] in ("reply", "pong"):
            self.answered(frame["ref"], frame.get("status", "ok"), frame.get("response", {}))
        elif frame["type"] == "event":
            self.told(frame["event"], frame["payload"])


class PhoenixV2(Talker):
    """Arrays."""

    protocol = "phoenix-v2"
    path = "/socket/websocket?vsn=2.0.0"

    def __init__(self, connection: ClientConnection) -> None:
        super().__init__(connection)
        self._join_refs: dict[str, str] = {}

    def topic(self, room_id: str) -> str:
        """`chat:room_<id>`."""
        return f"chat:room_{room_id}"

    def join_frame(self, topic: str, ref: str, params: dict[str, Any]) -> Any:
        """`phx_join`; its ref becomes the join_ref."""
        self._join_refs[topic] = ref
        return [ref, ref, topic, "phx_join", params]

    def push_frame(self, topic: str, ref: str, event: str, payload: Any) -> Any:
        """A push on the channel."""
        return [self._join_refs.get(topic), ref, topic, event, payload]

    def understand(self, frame: Any) -> None:
        """`phx_reply`, or an event."""
        _, ref, _, event, payload = frame
        if event == "phx_reply":
            self.answered(ref, payload["status"], payload["response"])
        else:
            self.told(event, payload)


class PhoenixV1(Talker):
    """Objects, as the raw sockets of Realtime Market send them: no `vsn`."""

    protocol = "phoenix-v1"
    path = "/socket/websocket"

    def topic(self, room_id: str) -> str:
        """`chat:room_<id>`."""
        return f"chat:room_{room_id}"

    def join_frame(self, topic: str, ref: str, params: dict[str, Any]) -> Any:
        """`phx_join`."""
        return {"topic": topic, "event": "phx_join", "payload": params, "ref": ref}

    def push_frame(self, topic: str, ref: str, event: str, payload: Any) -> Any:
        """A push on the channel."""
        return {"topic": topic, "event": event, "payload": payload, "ref": ref}

    def understand(self, frame: Any) -> None:
        """`phx_reply`, or an event."""
        payload = frame["payload"]
        if frame["event"] == "phx_reply":
            self.answered(frame["ref"], payload["status"], payload["response"])
        else:
            self.told(frame["event"], payload)


PROTOCOLS: dict[str, type[Talker]] = {one.protocol: one for one in (Plain, PhoenixV1, PhoenixV2)}


class Follower:
    """A client that comes back by itself with the last seq it saw, and repeats what was not acked.

    `events` holds the durable events of its room as (event_id, event_seq); `contents` those of
    messages. A seq that comes twice or out of order is kept in `faults`.
    """

    def __init__(self, protocol: str, base: Callable[[], str], token: str, room_id: str) -> None:
        self.kind = PROTOCOLS[protocol]
        self.base = base
        self.token = token
        self.room_id = room_id
        self.last = 0
        self.epoch: str | None = None
        self.events: list[tuple[str, int]] = []
        self.contents: list[str] = []
        self.faults: list[str] = []
        self.joins = 0
        self.talker: Talker | None = None
        self.joined = asyncio.Event()
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, *, since: int = 0) -> Self:
        """Begin to follow what comes after `since`."""
        self.last = since
        self._task = asyncio.ensure_future(self._follow())
        return self

    async def stop(self) -> None:
        """Follow no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self.talker is not None:
            with contextlib.suppress(ConnectionError, ConnectionClosed, OSError):
                await self.talker.close()

    async def _follow(self) -> None:
        while True:
            try:
                await self._live()
            except (Gone, OSError, InvalidHandshake, TimeoutError, EOFError):
                pass
            except Refused as refusal:
                if refusal.response.get("code") not in ("unavailable", "internal_error"):
                    self.faults.append(f"refused: {refusal.response}")
                    return
            self.joined.clear()
            await asyncio.sleep(0.1)

    async def _live(self) -> None:
        talker = self.talker = await self.kind.open(self.base(), self.token)
        # What comes live right after the reply must not be taken before what the reply brings.
        early: list[dict[str, Any]] = []
        talker.listener = lambda name, payload: early.append(payload)
        try:
            reply = await talker.join(self.room_id, since=self.last, epoch=self.epoch)
            self._catch_up(reply)
            while reply["has_more"]:
                reply = await talker.push(self.room_id, "sync", {"since": self.last})
                self._catch_up(reply)
            for payload in early:
                self._take(payload)
            talker.listener = lambda name, payload: self._take(payload)
            self.joins += 1
            self.joined.set()
            await talker.closed(within_s=3600)
        finally:
            with contextlib.suppress(ConnectionClosed, OSError):
                await talker.close()

    def _catch_up(self, reply: dict[str, Any]) -> None:
        if reply.get("reset"):
            self.faults.append(f"reset: {reply['reason']}")
        self.epoch = reply["epoch"]
        for payload in reply["missed"]:
            self._take(payload)

    def _take(self, payload: dict[str, Any]) -> None:
        seq = payload.get(DURABLE)
        if seq is None:
            return
        if seq != self.last + 1:
            self.faults.append(f"{self.kind.protocol}: {seq} after {self.last}")
        self.last = seq
        self._moved.set()
        self.events.append((payload["event_id"], seq))
        if "content" in payload:
            self.contents.append(payload["content"])

    async def send(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Send a message, on whatever connection lives, until it is acked."""
        while True:
            await self.joined.wait()
            assert self.talker is not None
            try:
                return await self.talker.push(self.room_id, "message", payload)
            except Gone:
                await asyncio.sleep(0.05)
            except Refused as refusal:
                if refusal.code not in ("unavailable", "internal_error", "unmatched topic"):
                    raise
                await asyncio.sleep(0.05)

    async def reach(self, seq: int, *, within_s: float = 30) -> None:
        """Wait until the event of this seq is here."""
        async with asyncio.timeout(within_s):
            while self.last < seq:
                self._moved.clear()
                await self._moved.wait()


async def at_once(*work: Awaitable[Any]) -> list[Any]:
    """Do all of these at the same time; the first failure is raised."""
    return list(await asyncio.gather(*work))
