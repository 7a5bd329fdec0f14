"""A topic as an event stream: the same events, the same rights, `Last-Event-ID` to resume.

A stream is a hub member like a socket; its wire speaks the log's names and canonical payloads.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, ClassVar, cast

import orjson

from accounts.models import User
from accounts.services.tokens import Claims
from marketplace.core.clock import wire_time
from marketplace.core.errors import AppError, RateLimited
from marketplace.events.live import LiveEvent
from marketplace.events.replay import public_payload, replay
from marketplace.realtime import codes
from marketplace.realtime.outlet import WAITING_BYTES, WAITING_EVENTS
from marketplace.realtime.runtime import Runtime
from marketplace.realtime.session import Membership, Session
from marketplace.realtime.topic import TopicRef
from marketplace.realtime.wire import Ref

if TYPE_CHECKING:
    from marketplace.realtime.hub import Encoded

COMMENT_S = 15
HEARTBEAT_S = 30
RETRY_MS = (1000, 5000)
RETRY_LIMITED_S = 60
# A client may go before the first byte: then nobody reads the stream, and nobody ends it.
BEGUN_WITHIN_S = 30


class StreamOutlet:
    """A bounded queue that the HTTP response is read from."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.has_begun = False
        self._bytes = 0

    def send(self, encoded: "Encoded") -> bool:
        """Queue what the lane is sent."""
        return self.send_own(encoded.texts)

    def send_own(self, texts: list[bytes]) -> bool:
        """Queue these texts."""
        for text in texts:
            self._bytes += len(text)
            self.queue.put_nowait(text)
        return self.queue.qsize() <= WAITING_EVENTS and self._bytes <= WAITING_BYTES

    async def next(self, timeout_s: float) -> bytes | None:
        """The next text; b"" when nothing came in time, None at the end."""
        try:
            text = await asyncio.wait_for(self.queue.get(), timeout_s)
        except TimeoutError:
            return b""
        self._bytes -= len(text or b"")
        return text

    def close(self, code: int) -> None:
        """End the stream; one whose token has ended is told so first."""
        if code == codes.TOKEN:
            self.queue.put_nowait(field("token_expired", {}))
        self.queue.put_nowait(None)


class StreamWire:
    """Server-Sent Events. Only what goes out; a stream says nothing."""

    name: ClassVar[str] = "sse"
    dialect: ClassVar[str] = "feed"
    speaks_log: ClassVar[bool] = True
    one_topic: ClassVar[bool] = True
    has_presence_state: ClassVar[bool] = False

    def receive(self, session: Session, data: str | bytes) -> None:
        """A stream has no way in."""

    def refuse(self, session: Session, data: str | bytes, error: AppError) -> None:
        """A stream has no way in."""

    def log_event(self, event: LiveEvent) -> bytes:
        """A durable event, by its log name, with its seq as id."""
        return field(event.name, event_data(event), key=str(event.seq))

    def event(self, topic: str, name: str, payload: bytes) -> bytes:
        """A signal: no id, so that it is no place to resume from."""
        data = b'{"topic":%b,"event":%b,"payload":%b}' % (
            orjson.dumps(topic),
            orjson.dumps(name),
            payload,
        )
        return b"event: signal\ndata: " + data + b"\n\n"

    def reply_ok(self, ref: Ref, response: bytes) -> bytes:
        """Never asked for."""
        return b""

    def reply_error(self, ref: Ref, error: AppError, *, reason: str, request_id: str) -> bytes:
        """Never asked for."""
        return b""

    def fault(self, error: AppError, *, request_id: str) -> None:
        """A stream is not told of faults."""

    def left(self, ref: Ref, membership: Membership | None) -> list[bytes]:
        """A stream ends instead."""
        return []

    def replaced(self, membership: Membership, *, by: TopicRef) -> None:
        """A stream has one topic."""

    def removed(self, membership: Membership, reason: str) -> bytes:
        """The right has ended."""
        return field("removed", {"topic": membership.ref.topic, "reason": reason})

    def crashed(self, membership: Membership) -> None:
        """Nothing runs here that could crash."""

    def push(self, membership: Membership, name: str, payload: dict[str, Any]) -> bytes:
        """Something for this stream alone."""
        return field(name, payload)

    def notice(self, name: str, payload: dict[str, Any]) -> bytes:
        """A control event."""
        return field(name, payload)

    def heartbeat(self, latest: dict[str, int]) -> None:
        """Sent by the stream's own clock."""


STREAM = StreamWire()


def event_data(event: LiveEvent) -> dict[str, Any]:
    """`data` of a durable event."""
    return {
        "event_id": str(event.event_id),
        "event_seq": event.seq,
        "topic": event.topic,
        "created_at": wire_time(event.created_at),
        "payload": public_payload(event.payload),
    }


def field(name: str, data: dict[str, Any], *, key: str | None = None) -> bytes:
    """One event of a stream."""
    head = "" if key is None else f"id: {key}\n"
    return f"{head}event: {name}\ndata: ".encode() + orjson.dumps(data) + b"\n\n"


def open_stream(
    runtime: Runtime, *, user: User, claims: Claims, ref: TopicRef, address: str
) -> Membership:
    """A stream's session on its topic; the right has been checked. Raises RateLimited.

    It counts as one of the user's sockets.
    """
    session = Session(
        runtime,
        STREAM,
        StreamOutlet(),
        user=user,
        auth_session_id=str(claims.session_id),
        expires_at=claims.expires_at,
        address=address,
    )
    if not runtime.admit(session):
        raise RateLimited("Too many connections are open.", retry_after=RETRY_LIMITED_S)
    membership = Membership(session, ref, None)
    session.memberships[ref.spelled] = membership
    runtime.hub.subscribe(membership)
    runtime.loop.call_later(BEGUN_WITHIN_S, _end_unless_begun, session)
    return membership


def _end_unless_begun(session: Session) -> None:
    if not cast(StreamOutlet, session.out).has_begun:
        session.end()


async def stream(
    membership: Membership, *, since: int | None, epoch: str | None
) -> AsyncIterator[bytes]:
    """The bytes of one stream, from `ready` to the end."""
    session, ref = membership.session, membership.ref
    runtime, out = session.runtime, cast(StreamOutlet, session.out)
    out.has_begun = True
    try:
        await runtime.bridge.subscribed(ref.topic)
        # Spread, so that the readers of a server that ends do not all come back at once.
        retry_ms = random.randint(*RETRY_MS)  # noqa: S311  # not a secret
        yield f"retry: {retry_ms}\n\n".encode()
        async for text in _past(runtime, membership, since, epoch):
            yield text
        clock = runtime.loop.time
        comment_at, heartbeat_at = clock() + COMMENT_S, clock() + HEARTBEAT_S
        while (written := await out.next(max(0.0, comment_at - clock()))) is not None:
            if written:
                yield written
            if clock() >= comment_at:
                comment_at = clock() + COMMENT_S
                yield b": still here\n\n"
            if clock() >= heartbeat_at:
                heartbeat_at = clock() + HEARTBEAT_S
                latest = runtime.latest_of(session).get(ref.spelled, membership.last)
                yield field("heartbeat", {"latest_seq": latest})
    finally:
        session.end()


async def _past(
    runtime: Runtime, membership: Membership, since: int | None, epoch: str | None
) -> AsyncIterator[bytes]:
    """`ready`, then what was missed, page by page; then the hub goes on."""
    ref, first = membership.ref, True
    while True:
        read = await runtime.run(lambda at=since: replay(ref.topic, since=at, epoch=epoch))
        if first:
            first = False
            yield field(
                "ready",
                {
                    "topic": ref.topic,
                    "latest_seq": read.latest_seq,
                    "epoch": read.epoch,
                    "recovered": read.recovered,
                },
            )
            if read.reset is not None:
                yield field("reset", {"reason": read.reset, "horizon": read.horizon})
        for event in read.events:
            yield STREAM.log_event(event)
        if not read.has_more:
            membership.last = read.latest_seq
            runtime.hub.release(membership, latest_seq=read.latest_seq)
            return
        since = read.events[-1].seq
