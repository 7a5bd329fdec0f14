"""What nobody tells a process: each second and every 20 s it looks by itself.

Tokens that end, heartbeats, pages that were not fetched; newer seqs in the log, ended sessions.
"""

import asyncio
import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from django.conf import settings

from accounts.services import sessions
from marketplace.core.clock import wire_time_of
from marketplace.core.errors import AppError
from marketplace.events.live import Control
from marketplace.events.models import TopicHead
from marketplace.realtime import codes

if TYPE_CHECKING:
    from marketplace.realtime.runtime import Runtime
    from marketplace.realtime.session import Membership, Session

logger = structlog.get_logger(__name__)

CHECK_S = 20
HEARTBEAT_S = 30
EXPIRY_NOTICE_S = 60
ANONYMOUS_S = 20
HEADS = 500
RIGHTS = 100
JOIN_S = 2

Listener = Callable[["Runtime", list[str]], None]
_change_listeners: list[Listener] = []


def on_changed_rooms(listener: Listener) -> None:
    """Have `listener(runtime, topics)` called once a second with the topics that had events."""
    if listener not in _change_listeners:
        _change_listeners.append(listener)


class Checks:
    """The clock of one runtime."""

    def __init__(self, runtime: "Runtime") -> None:
        self._runtime = runtime
        self._changed: set[str] = set()
        self._own_changed: set[str] = set()
        self._to_recheck: set[tuple[str, str]] = set()
        self._ticker: asyncio.Task[None] | None = None
        self._ticks = 0

    def start(self) -> None:
        """Begin to look."""
        self._ticker = self._runtime.loop.create_task(self._tick_for_ever())

    def stop(self) -> None:
        """End it."""
        if self._ticker is not None:
            self._ticker.cancel()

    def note_changed(self, topics: list[str]) -> None:
        """Another process says where something was said."""
        self._changed.update(topics)

    def note_own_changed(self, topics: list[str]) -> None:
        """This process said something there, of which the others are told."""
        self._own_changed.update(topics)

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._ticks += 1
            try:
                self.tick(self._ticks)
                if self._ticks % CHECK_S == 0:
                    await self.check()
                    self._runtime.presence.sweep()
            except Exception:
                logger.exception("tick_failed")

    def tick(self, ticks: int) -> None:
        """One second has passed: `ticks` in all."""
        wall, monotonic = time.time(), self._runtime.loop.time()
        for session in tuple(self._runtime.sessions):
            self._check_expiry(session, wall)
            if session.user_id is None and all(
                membership.is_given for membership in session.memberships.values()
            ):
                self._check_anonymous(session, monotonic)
            for membership in session.memberships.values():
                late = 0 < membership.paging_until < monotonic
                if late and membership.held is None:
                    self._end_paging(session, membership)
                    break
            # Spread over the 30 s, so that thousands of sockets are not told in one turn.
            if (session.phase + ticks) % HEARTBEAT_S == 0:
                self._send_heartbeat(session)
        self._runtime.forget_revoked()
        own, self._own_changed = self._own_changed, set()
        if own and self._runtime.bridge.is_shared:
            self._runtime.bridge.share_changed_rooms(sorted(own))
        changed, self._changed = self._changed | own, set()
        if changed:
            for listener in _change_listeners:
                listener(self._runtime, sorted(changed))

    def _check_expiry(self, session: "Session", wall: float) -> None:
        if session.user_id is None:
            return
        if session.expires_at <= wall:
            session.close(codes.TOKEN)
        elif not session.expiry_told and session.expires_at <= wall + EXPIRY_NOTICE_S:
            session.expiry_told = True
            session.notice("token_expiring", {"expires_at": wire_time_of(session.expires_at)})

    def _check_anonymous(self, session: "Session", monotonic: float) -> None:
        stays = session.wire.dialect == "plain" and settings.SOCKETIO_ANONYMOUS == "guest"
        if not stays and monotonic - session.connected_at >= ANONYMOUS_S:
            session.close(codes.TOKEN)

    def _end_paging(self, session: "Session", membership: "Membership") -> None:
        """The client did not fetch its other pages: it is told, and goes on live from here."""
        local = self._runtime.hub.topics.get(membership.ref.topic)
        latest = 0 if local is None or local.next_seq is None else local.next_seq - 1
        membership.paging_until = 0.0
        membership.last = max(membership.last, latest)
        session.push(membership, "reset", {"reason": "paging", "latest_seq": membership.last})
        self._runtime.hub.release(membership, latest_seq=membership.last)

    def _send_heartbeat(self, session: "Session") -> None:
        text = session.wire.heartbeat(self._runtime.latest_of(session))
        if text is not None:
            session.send([text])

    async def check(self) -> None:
        """What no push told us: newer seqs in the log, sessions that have ended."""
        await self._check_heads()
        await self._check_sessions()
        await self._recheck()

    async def _check_heads(self) -> None:
        topics = [t for t, local in self._runtime.hub.topics.items() if local.next_seq is not None]
        for start in range(0, len(topics), HEADS):
            heads = await self._runtime.run(_read_heads, topics[start : start + HEADS])
            for topic, last_seq in heads.items():
                local = self._runtime.hub.topics.get(topic)
                if local is not None and local.next_seq is not None and last_seq >= local.next_seq:
                    self._runtime.hub.catch_up(topic)

    async def _check_sessions(self) -> None:
        held = {s.auth_session_id for s in self._runtime.sessions if s.auth_session_id is not None}
        if held:
            keys = [UUID(one) for one in held]
            ended = await self._runtime.run(functools.partial(_find_ended, keys))
            self._runtime.obey(
                Control(kind="revoked", session_ids=tuple(str(one) for one in ended))
            )

    def recheck(self, *, topic: str, user_id: str) -> None:
        """Some of those who hold this topic may have lost the right, or this user his to some."""
        self._to_recheck.add((topic, user_id))
        self._runtime.spawn(self._recheck())

    async def _recheck(self) -> None:
        """What the database did not answer is asked again by the next check."""
        while self._to_recheck:
            topic, user_id = asked = self._to_recheck.pop()
            try:
                await self._check_rights(topic=topic, user_id=user_id)
            except Exception:
                self._to_recheck.add(asked)
                raise

    async def _check_rights(self, *, topic: str = "", user_id: str = "") -> None:
        """Ask again for this topic, for every topic of this user, or for all of everybody: an order
        to leave one may have been lost.
        """
        held = [
            one
            for session in self._runtime.sessions
            if user_id in ("", session.user_id)
            for one in session.memberships.values()
            if topic in ("", one.ref.topic)
        ]
        for start in range(0, len(held), RIGHTS):
            some = held[start : start + RIGHTS]
            for membership in await self._runtime.run(_find_refused, some):
                session = membership.session
                if session.memberships.get(membership.ref.spelled) is membership:
                    session.remove(membership, "removed")

    # -- other processes were out of reach ---------------------------------------------------------

    def missed(self, topics: list[str]) -> None:
        """Another process could not tell us of these topics: the log can."""
        for topic in topics:
            self._runtime.hub.catch_up(topic)
        self.note_changed(topics)

    def make_up(self) -> None:
        """We hear the others again: find out what they said meanwhile, and show who is here."""
        self._runtime.spawn(self._make_up())

    async def _make_up(self) -> None:
        self._runtime.presence.announce()
        await self._check_heads()
        await self._check_sessions()
        await self._check_rights()
        # A join that was under way read the log before we heard again, and was not counted above.
        await asyncio.sleep(JOIN_S)
        await self._check_heads()


def _read_heads(topics: list[str]) -> dict[str, int]:
    return dict(
        TopicHead.objects.filter(topic__in=topics)
        .order_by("topic")
        .values_list("topic", "last_seq")
    )


def _find_refused(memberships: "list[Membership]") -> "list[Membership]":
    """Those whose user may not hold their topic any more."""
    refused = []
    for membership in memberships:
        ref = membership.ref
        try:
            ref.consumer.authorise_again(membership.session.user, ref)
        except AppError:
            refused.append(membership)
    return refused


def _find_ended(session_ids: list[UUID]) -> set[UUID]:
    return sessions.find_ended_sessions(session_ids)
