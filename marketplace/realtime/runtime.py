"""All of realtime in one process: loop, hub, bridge, presence, threads, checks.

It starts on first use, because Daphne sends no lifespan, and listens to `events.live`.
"""

import asyncio
import functools
import random
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog
from django.conf import settings
from django.db import connection

from accounts.models import User
from accounts.services import tokens
from accounts.services.tokens import Claims
from marketplace.core import observe
from marketplace.core.clock import wire_time_of
from marketplace.core.errors import (
    AppError,
    Forbidden,
    InvalidToken,
    TokenExpired,
    TokenRevoked,
    Unavailable,
)
from marketplace.core.limits import LocalBucket, local_bucket
from marketplace.core.observe import EVENTS_PUBLISHED
from marketplace.events import live
from marketplace.events.live import Control, LiveEvent, Signal
from marketplace.events.replay import find_head, read_range
from marketplace.realtime import codes
from marketplace.realtime.batch import GATHER_S, Batcher
from marketplace.realtime.bridge import Bridge
from marketplace.realtime.checks import Checks
from marketplace.realtime.gathering import Gathering
from marketplace.realtime.hub import READ_LIMIT, Hub
from marketplace.realtime.identity import Identity, identify
from marketplace.realtime.joining import Answer, Wish, read_topics
from marketplace.realtime.presence import Presence
from marketplace.realtime.session import Session
from marketplace.realtime.topic import TopicConsumer, consumers

logger = structlog.get_logger(__name__)
T = TypeVar("T")

REVOKED_S = 60
IDENTITIES_TOGETHER = 64
# Calls of one kind that run at once: while one waits for the database another is at work here.
GATHERING_THREADS = 2
# Frames that are not understood: nine in a minute are forgiven, the tenth ends the connection.
FAULTS_FORGIVEN = 9
FAULTS_PER_S = 10 / 60


class Runtime:
    """What every connection of this process shares."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.thread = threading.get_ident()
        self.hub = Hub(loop, read_range=self._read_range)
        self.bridge = Bridge(self)
        self.presence = Presence(self)
        self.checks = Checks(self)
        self.sessions: set[Session] = set()
        self.max_topics: int = settings.MAX_TOPICS
        self.draining = False
        self._pool = ThreadPoolExecutor(settings.REALTIME_THREADS, thread_name_prefix="realtime")
        self._batchers: dict[Callable[..., Any], Batcher] = {}
        self._identities = Gathering(
            identify, in_thread=self.run, together=IDENTITIES_TOGETHER, threads=GATHERING_THREADS
        )
        self._readers: dict[type[TopicConsumer], Gathering[Wish, Answer]] = {}
        self._by_user: dict[str, set[Session]] = {}
        self._anonymous: dict[str, int] = {}
        # Sessions that ended a moment ago, for connections that are on their way in.
        self._revoked: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.hub.watch_topics(on_first=self.bridge.topic_opened, on_last=self.bridge.topic_closed)

    def start(self) -> None:
        """Begin to listen and to check."""
        self.bridge.start()
        self.checks.start()

    async def stop(self) -> None:
        """End everything that was started."""
        self.checks.stop()
        await self.bridge.stop()
        for batcher in self._batchers.values():
            batcher.stop()
        self._pool.shutdown(wait=False)

    def is_here(self) -> bool:
        """Whether the caller runs on this loop's thread."""
        return threading.get_ident() == self.thread

    # -- the bridge to the domain ----------------------------------------------------------------

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a synchronous function of the domain in a thread of the bounded pool."""
        call = functools.partial(_in_thread, function, *arguments)
        return await self.loop.run_in_executor(self._pool, call)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run it beside everything else; a failure is logged and harms nobody."""
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._spawned_done)

    def _spawned_done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("background_failed", exc_info=task.exception())

    def batcher(
        self,
        service: Callable[[Sequence[Any]], list[Any]],
        *,
        writers: int | None = None,
        longest_gather_s: float = GATHER_S,
    ) -> Batcher:
        """The group commit of this service. writers: threads, if not as many as messages have."""
        batcher = self._batchers.get(service)
        if batcher is None:
            batcher = Batcher(
                self.loop,
                service,
                self.committed,
                writers=writers or _batch_writers(),
                longest_gather_s=longest_gather_s,
            )
            self._batchers[service] = batcher
        return batcher

    async def read_topic(self, wish: Wish) -> Answer:
        """Rights, state and what was missed. Raises the consumer's refusal."""
        consumer = wish.ref.consumer
        reader = self._readers.get(consumer)
        if reader is None:
            together = consumer.joins_together
            reader = self._readers[consumer] = Gathering(
                read_topics,
                in_thread=self.run,
                together=together,
                threads=GATHERING_THREADS if together > 1 else settings.REALTIME_THREADS,
            )
        return await reader.ask(wish)

    def _read_range(self, topic: str, after: int) -> "asyncio.Future[tuple[int, list[LiveEvent]]]":
        return asyncio.ensure_future(self.run(_read_gap, topic, after))

    # -- what was committed ----------------------------------------------------------------------

    def committed(self, events: list[LiveEvent]) -> None:
        """Events of this process, on the loop: to the sockets here, and to other processes."""
        self.hub.deliver(events)
        EVENTS_PUBLISHED.inc(len(events))
        self.checks.note_own_changed([event.topic for event in events])
        if self.bridge.is_shared:
            self.bridge.share_events(events)

    def heard_events(self, events: list[LiveEvent]) -> None:
        """Events of another process: to the sockets here."""
        self.hub.deliver(events)

    def signalled(self, signal: Signal) -> None:
        """A signal of this process, on the loop."""
        self.hub.deliver_signal(signal)
        if self.bridge.is_shared:
            self.bridge.share_signal(signal)

    def obey(self, control: Control) -> None:
        """Carry out an order of the domain on the connections here."""
        if control.kind == "revoked":
            ended = set(control.session_ids)
            self._revoked.update(dict.fromkeys(ended, self.loop.time()))
            for session in [s for s in self.sessions if s.auth_session_id in ended]:
                session.close(codes.TOKEN)
        elif control.kind == "removed":
            for session in list(self._by_user.get(control.user_id, ())):
                for membership in list(session.memberships.values()):
                    if membership.ref.topic == control.topic:
                        session.remove(membership, control.reason)
        elif control.kind == "recheck":
            self.checks.recheck(topic=control.topic, user_id=control.user_id)

    # -- connections -----------------------------------------------------------------------------

    def is_revoked(self, session: Session) -> bool:
        """Whether its session ended while it was being asked for, so that no order reached it."""
        return session.auth_session_id in self._revoked

    def forget_revoked(self) -> None:
        """Drop the revocations that no connection on its way in can still concern."""
        fresh = self.loop.time() - REVOKED_S
        if self._revoked:
            self._revoked = {key: at for key, at in self._revoked.items() if at > fresh}

    def admit(self, session: Session) -> bool:
        """Count the connection; False where it is one too many."""
        if not self._take_place(session):
            return False
        self.sessions.add(session)
        observe.socket_opened(
            protocol=session.wire.name,
            user_id=session.user_id,
            address=session.address,
            request_id=session.key,
        )
        return True

    def _take_place(self, session: Session) -> bool:
        if session.user_id is None:
            here = self._anonymous.get(session.address, 0)
            if here >= settings.MAX_GUESTS_PER_ADDRESS:
                return False
            self._anonymous[session.address] = here + 1
            return True
        own = self._by_user.setdefault(session.user_id, set())
        if len(own) >= settings.MAX_SOCKETS_PER_USER:
            return False
        own.add(session)
        return True

    def _give_place(self, session: Session) -> None:
        if session.user_id is None:
            left = self._anonymous.get(session.address, 1) - 1
            if left > 0:
                self._anonymous[session.address] = left
            else:
                self._anonymous.pop(session.address, None)
            return
        own = self._by_user.get(session.user_id, set())
        own.discard(session)
        if not own:
            self._by_user.pop(session.user_id, None)

    def adopt(self, session: Session, user: User, claims: Claims) -> None:
        """An anonymous connection has proven who it is; one that is gone leaves nothing behind."""
        if session.closed:
            return
        self._give_place(session)
        session.user, session.user_id = user, user.public_id
        session.auth_session_id = str(claims.session_id)
        session.expires_at = claims.expires_at
        logger.info("socket_identified", user_id=session.user_id, request_id=session.key)
        if not self._take_place(session):
            session.close(codes.FLOODING)

    def forget(self, session: Session) -> None:
        """The connection is gone. Safe to call twice."""
        if session not in self.sessions:
            return
        self.sessions.discard(session)
        self._give_place(session)
        code = session.close_code or codes.LOST
        observe.socket_closed(
            protocol=session.wire.name,
            user_id=session.user_id,
            code=code,
            reason=codes.REASONS.get(code, "client"),
            request_id=session.key,
        )

    def new_bucket(self, name: str) -> LocalBucket:
        """A limit of one connection, as settings have it."""
        if name == "faults":
            return LocalBucket(FAULTS_PER_S, burst=FAULTS_FORGIVEN)
        return local_bucket(name)

    # -- identity --------------------------------------------------------------------------------

    def read_token(self, token: Any) -> Claims:
        """The claims of an access token. Raises InvalidToken, TokenExpired.

        Without the leeway of requests: a connection ends with its token, to the second.
        """
        if not isinstance(token, str) or not token:
            raise InvalidToken
        claims = tokens.read_access(token)
        if has_ended(claims):
            raise TokenExpired
        return claims

    async def identify(self, claims: Claims) -> Identity:
        """Whom this token speaks for. Raises TokenRevoked, InvalidToken."""
        return await self._identities.ask(claims)

    async def refresh(self, session: Session, token: Any) -> str:
        """Take a newer token of the same user; gives its end as a wire time."""
        claims = self.read_token(token)
        if session.user_id is None or claims.user_id != session.user_id:
            raise Forbidden("This token is somebody else's.")
        await self.identify(claims)
        session.auth_session_id = str(claims.session_id)
        session.expires_at = claims.expires_at
        session.expiry_told = False
        return wire_time_of(claims.expires_at)

    # -- what the log holds ----------------------------------------------------------------------

    def latest_of(self, session: Session) -> dict[str, int]:
        """The newest seq of each topic of this connection, by the name that it uses."""
        latest = {}
        for spelled, membership in session.memberships.items():
            local = self.hub.topics.get(membership.ref.topic)
            if local is not None and local.next_seq is not None:
                latest[spelled] = local.next_seq - 1
        return latest

    # -- the end ---------------------------------------------------------------------------------

    async def drain(self, spread_s: float) -> None:
        """Close every connection with 1012 and end every stream, spread over `spread_s` seconds."""
        self.draining = True
        waiting = list(self.sessions)
        random.shuffle(waiting)
        for done, session in enumerate(waiting):
            session.close(codes.DRAINING)
            if done % 50 == 49 or done == len(waiting) - 1:
                await asyncio.sleep(spread_s * 50 / max(len(waiting), 50))


class LiveListener:
    """What `events.live` calls, from any thread of this process or of a worker."""

    def events(self, events: list[LiveEvent]) -> None:
        """Facts that have just been committed."""
        if not _on_loop(lambda runtime: runtime.committed(events)):
            Bridge.send_from_elsewhere(events=events)

    def signal(self, signal: Signal) -> None:
        """A hint for whoever is connected."""
        _on_loop(lambda runtime: runtime.signalled(signal))

    def control(self, control: Control) -> None:
        """An order to live connections."""

        def obey(runtime: Runtime) -> None:
            runtime.obey(control)
            if runtime.bridge.is_shared:
                runtime.bridge.share_control(control)

        if not _on_loop(obey):
            Bridge.send_from_elsewhere(control=control)


_runtime: Runtime | None = None


def runtime() -> Runtime:
    """The runtime of the loop that asks; it is made at first use."""
    global _runtime
    loop = asyncio.get_running_loop()
    if _runtime is None or _runtime.loop is not loop:
        _runtime = Runtime(loop)
        _runtime.start()
    return _runtime


def current() -> Runtime | None:
    """The runtime of this process, if one has been started and its loop still runs."""
    if _runtime is None or _runtime.loop.is_closed():
        return None
    return _runtime


def start_background(loop: asyncio.AbstractEventLoop) -> None:
    """Start realtime before the first connection, so that HTTP writes reach other processes."""
    loop.call_soon(runtime)


async def drain(spread_s: float) -> None:
    """See Runtime.drain; nothing where realtime was never started."""
    found = current()
    if found is not None:
        await found.drain(spread_s)


def open_sockets() -> int:
    """Connections of this process."""
    found = current()
    return 0 if found is None else len(found.sessions)


def _on_loop(function: Callable[[Runtime], None]) -> bool:
    found = current()
    if found is None:
        return False
    if found.is_here():
        function(found)
        return True
    try:
        found.loop.call_soon_threadsafe(function, found)
    except RuntimeError:  # the loop has just ended
        return False
    return True


def _in_thread(function: Callable[..., T], *arguments: Any) -> T:
    try:
        return function(*arguments)
    except AppError:
        raise
    except Exception:
        connection.close()
        raise
    finally:
        # With a pool the connection goes back to it; without, the thread keeps its own.
        if settings.DATABASE_HAS_POOL:
            connection.close()


def _batch_writers() -> int:
    """Two where two transactions can commit at the same time; SQLite has one writer anyway."""
    return 2 if connection.vendor == "postgresql" else 1


def _read_gap(topic: str, after: int) -> tuple[int, list[LiveEvent]]:
    head = find_head(topic)
    latest = 0 if head is None else head.last_seq
    return latest, read_range(topic, after=after, up_to=latest, limit=READ_LIMIT)


def has_ended(claims: Claims) -> bool:
    """Whether a connection with this token would have to end at once."""
    return claims.expires_at <= time.time()


__all__ = [
    "LiveListener", "Runtime", "TokenRevoked", "Unavailable", "consumers", "current", "drain",
    "live", "open_sockets", "runtime", "start_background",
]  # fmt: skip
