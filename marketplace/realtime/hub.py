"""The hub: one per process. Topic → local sockets; order, encode once, write.

Events of a topic leave in seq order, whatever order commits are heard of: an early one waits
50 ms, then the gap is read from the log. A lane is all sockets that speak of one topic in one way:
an event is encoded once per lane, and the events of one commit leave as one write per socket.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from marketplace.core.observe import HUB_GAPS
from marketplace.events.live import LiveEvent, Signal
from marketplace.realtime.codes import TOO_SLOW
from marketplace.realtime.frames import text_frame
from marketplace.realtime.topic import EventRow, TopicRef, event_rows

if TYPE_CHECKING:
    from marketplace.realtime.session import Membership, Session
    from marketplace.realtime.wire import Wire

logger = structlog.get_logger(__name__)

EARLY_S = 0.05
LaneKey = tuple[str, str, str]
ReadRange = Callable[[str, int], "asyncio.Future[tuple[int, list[LiveEvent]]]"]


class Encoded:
    """What one lane is sent: each text once, and all of them as one run of bytes."""

    __slots__ = ("_framed", "texts")

    def __init__(self, texts: list[bytes]) -> None:
        self.texts = texts
        self._framed: bytes | None = None

    @property
    def framed(self) -> bytes:
        """The texts as WebSocket frames, made at first need."""
        if self._framed is None:
            self._framed = b"".join([text_frame(text) for text in self.texts])
        return self._framed


class Lane:
    """The sockets that hear one topic under one name in one protocol."""

    __slots__ = ("members", "ref", "rows", "wire")

    def __init__(self, wire: "Wire", ref: TopicRef) -> None:
        self.wire = wire
        self.ref = ref
        self.rows = event_rows(ref.consumer)
        self.members: set[Membership] = set()

    def texts(self, event: LiveEvent) -> list[bytes]:
        """The event in this lane's words; empty where its voice is silent on it."""
        if self.wire.speaks_log:
            return [self.wire.log_event(event)]
        row = self.rows.get(event.name)
        spoken = None if row is None else row.in_voice(self.ref.voice, self.wire.dialect)
        if spoken is None:
            return []
        payload = orjson.dumps(spoken.shape(event.payload) | stamp(event))
        return [self.wire.event(self.ref.spelled, name, payload) for name in spoken.names]

    def encode(self, events: Iterable[LiveEvent]) -> Encoded:
        """All of these events, for everybody in the lane."""
        return Encoded([text for event in events for text in self.texts(event)])

    def signal(self, signal: Signal) -> Encoded:
        """A signal in this lane's words."""
        row: EventRow | None = self.rows.get(signal.name)
        spoken = None if row is None else row.in_voice(self.ref.voice, self.wire.dialect)
        if spoken is None:
            return Encoded([])
        payload = orjson.dumps(spoken.shape(signal.payload))
        return Encoded([self.wire.event(self.ref.spelled, name, payload) for name in spoken.names])


def stamp(event: LiveEvent) -> dict[str, Any]:
    """The three fields that every durable event carries."""
    return {"event_id": str(event.event_id), "event_seq": event.seq, "topic": event.topic}


class LocalTopic:
    """One topic that somebody in this process hears."""

    __slots__ = ("catching_up", "early", "gap_timer", "lanes", "next_seq", "topic")

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.lanes: dict[LaneKey, Lane] = {}
        # Joining, paging, or ahead of the hub: they get their events one by one, filtered by seq.
        self.catching_up: set[Membership] = set()
        self.next_seq: int | None = None
        self.early: dict[int, LiveEvent] = {}
        self.gap_timer: asyncio.TimerHandle | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nobody hears it any more."""
        return not self.catching_up and not any(lane.members for lane in self.lanes.values())

    def admit(self, events: list[LiveEvent]) -> list[LiveEvent]:
        """What is due now, in seq order; early ones wait in `early`, known ones are dropped."""
        if self.next_seq is None:
            self.early.update((event.seq, event) for event in events)
            return []
        due: list[LiveEvent] = []
        for event in events:
            if event.seq == self.next_seq:
                due.append(event)
                self.next_seq += 1
            elif event.seq > self.next_seq:
                self.early[event.seq] = event
            if self.early:
                self._take_early(due)
        return due

    def _take_early(self, due: list[LiveEvent]) -> None:
        following = self.next_seq or 0
        while (event := self.early.pop(following, None)) is not None:
            due.append(event)
            following += 1
        self.next_seq = following

    def start_at(self, latest_seq: int) -> list[LiveEvent]:
        """Set where the topic goes on, once; gives what has waited for it."""
        if self.next_seq is not None:
            return []
        self.next_seq = latest_seq + 1
        early, self.early = self.early, {}
        return self.admit([early[seq] for seq in sorted(early) if seq > latest_seq])

    def skip_to(self, seq: int) -> list[LiveEvent]:
        """Pass over numbers that the log does not hold; gives what has waited behind them."""
        due: list[LiveEvent] = []
        if self.next_seq is None or seq > self.next_seq:
            self.next_seq = seq
        self.early = {key: event for key, event in self.early.items() if key >= self.next_seq}
        self._take_early(due)
        return due


class Hub:
    """Where events of this process and of others meet the sockets of this process."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, read_range: ReadRange) -> None:
        self.loop = loop
        self.topics: dict[str, LocalTopic] = {}
        self.gaps = 0
        self._read_range = read_range
        self._dirty: set[Session] = set()
        self._on_first: Callable[[str], None] = lambda topic: None
        self._on_last: Callable[[str], None] = lambda topic: None

    def watch_topics(
        self, *, on_first: Callable[[str], None], on_last: Callable[[str], None]
    ) -> None:
        """Tell the bridge when a topic gets its first member and loses its last."""
        self._on_first, self._on_last = on_first, on_last

    # -- membership ------------------------------------------------------------------------------

    def subscribe(self, membership: "Membership") -> LocalTopic:
        """From now on events of the topic are kept for this member, until `release`."""
        topic = membership.ref.topic
        local = self.topics.get(topic)
        if local is None:
            local = self.topics[topic] = LocalTopic(topic)
            self._on_first(topic)
        wire = membership.session.wire
        key = (wire.name, membership.ref.voice, membership.ref.spelled)
        lane = local.lanes.get(key)
        if lane is None:
            lane = local.lanes[key] = Lane(wire, membership.ref)
        membership.lane = lane
        local.catching_up.add(membership)
        return local

    def hold(self, membership: "Membership") -> None:
        """Keep events for this member again, while he reads the log."""
        local = self.topics.get(membership.ref.topic)
        if local is None:
            return
        if membership in membership.lane.members:
            # All that the lane was sent reached him; the lane does not count it for each.
            membership.last = max(membership.last, (local.next_seq or 1) - 1)
            membership.lane.members.discard(membership)
            local.catching_up.add(membership)
        membership.held = membership.held or []

    def release(self, membership: "Membership", *, latest_seq: int) -> None:
        """The reply is out: the topic goes on from `latest_seq` for this member."""
        local = self.topics.get(membership.ref.topic)
        if local is None or membership not in local.catching_up:
            return
        due = local.start_at(latest_seq)
        if due:
            self._fan_out(local, due)
        if local.early:
            self._await_gap(local)
        if self._lacks(local, membership):
            # Another member has set where the topic goes on, beyond what this one has read.
            future = self._read_range(local.topic, membership.last)
            future.add_done_callback(partial(self._fill_up, membership))
        else:
            self._let_go(local, membership)

    def _lacks(self, local: LocalTopic, membership: "Membership") -> bool:
        """Whether the topic is ahead of this member by events that were not kept for him."""
        following = local.next_seq or 0
        kept = {e.seq for e in membership.held or [] if membership.last < e.seq < following}
        return len(kept) < following - 1 - membership.last and not membership.paging_until

    def _fill_up(
        self, membership: "Membership", future: "asyncio.Future[tuple[int, list[LiveEvent]]]"
    ) -> None:
        local = self.topics.get(membership.ref.topic)
        if local is None or membership not in local.catching_up or future.cancelled():
            return
        if future.exception() is not None:
            membership.session.close(TOO_SLOW)  # he comes back and resumes
            return
        membership.held = (membership.held or []) + future.result()[1]
        self._let_go(local, membership)

    def _let_go(self, local: LocalTopic, membership: "Membership") -> None:
        held, membership.held = membership.held or [], None
        for event in sorted(held, key=lambda one: one.seq):
            # What lies beyond the hub's own place comes again, in its turn.
            if event.seq < (local.next_seq or 0):
                membership.pass_on(event)
        self._settle(local)
        self._flush()

    def unsubscribe(self, membership: "Membership") -> None:
        """The member hears the topic no more."""
        local = self.topics.get(membership.ref.topic)
        if local is None:
            return
        local.catching_up.discard(membership)
        membership.lane.members.discard(membership)
        if local.is_empty:
            if local.gap_timer is not None:
                local.gap_timer.cancel()
            del self.topics[local.topic]
            self._on_last(local.topic)

    # -- delivery --------------------------------------------------------------------------------

    def deliver(self, events: list[LiveEvent]) -> None:
        """Hand committed events to everybody here who hears their topics."""
        by_topic: dict[str, list[LiveEvent]] = {}
        for event in events:
            by_topic.setdefault(event.topic, []).append(event)
        for topic, ones in by_topic.items():
            local = self.topics.get(topic)
            if local is None:
                continue
            if local.next_seq is None:
                # Whoever joins keeps them: the first to be released decides for the hub alone.
                for membership in tuple(local.catching_up):
                    for event in ones:
                        membership.pass_on(event)
            due = local.admit(ones)
            if due:
                self._fan_out(local, due)
            if local.early and local.next_seq is not None:
                self._await_gap(local)
        self._flush()

    def deliver_signal(self, signal: Signal) -> None:
        """Push a signal to everybody here who hears its topic, but the one who caused it."""
        local = self.topics.get(signal.topic)
        if local is None:
            return
        for lane in local.lanes.values():
            if not lane.members:
                continue
            encoded = lane.signal(signal)
            if not encoded.texts:
                continue
            for membership in list(lane.members):
                session = membership.session
                if session.user_id is None or session.user_id != signal.except_user:
                    session.write(encoded)

    def deliver_presence(self, topic: str, signals: Sequence[tuple[int, Signal]]) -> None:
        """Push these numbered signals in one write to each, without what he knows by his join."""
        local = self.topics.get(topic)
        if local is None:
            return
        spared = {signal.except_user for _, signal in signals}
        for lane in local.lanes.values():
            texts = [lane.signal(signal).texts for _, signal in signals] if lane.members else []
            if not any(texts):
                continue
            shared: dict[int, Encoded] = {}
            for membership in tuple(lane.members):
                known = bisect_right(signals, membership.told, key=itemgetter(0))
                encoded = shared.get(known)
                if membership.session.user_id in spared:
                    encoded = self._without_own(membership, signals[known:], texts[known:])
                elif encoded is None:
                    encoded = shared[known] = Encoded(list(chain.from_iterable(texts[known:])))
                if encoded.texts:
                    membership.session.write(encoded)

    def _without_own(
        self,
        membership: "Membership",
        signals: Sequence[tuple[int, Signal]],
        texts: Sequence[list[bytes]],
    ) -> Encoded:
        """What a member is told who has caused some of it, or has another connection that did."""
        user_id = membership.session.user_id
        return Encoded(
            [
                text
                for (_, signal), ones in zip(signals, texts, strict=True)
                if user_id is None or signal.except_user != user_id
                for text in ones
            ]
        )

    def _fan_out(self, local: LocalTopic, events: list[LiveEvent]) -> None:
        for lane in local.lanes.values():
            if not lane.members:
                continue
            encoded = lane.encode(events)
            if encoded.texts:
                # A copy: a socket that overflows leaves the lane while we walk it.
                for membership in tuple(lane.members):
                    membership.session.write(encoded)
        if local.catching_up:
            for membership in tuple(local.catching_up):
                for event in events:
                    membership.pass_on(event)
            self._settle(local)

    def _settle(self, local: LocalTopic) -> None:
        """Who has caught up with the hub joins his lane and gets the shared bytes from now on."""
        for membership in tuple(local.catching_up):
            if (
                membership.held is None
                # One who fetches pages has no live events until his last page is out.
                and not membership.paging_until
                and local.next_seq is not None
                and membership.last < local.next_seq
            ):
                local.catching_up.discard(membership)
                membership.lane.members.add(membership)

    # -- gaps ------------------------------------------------------------------------------------

    def _await_gap(self, local: LocalTopic) -> None:
        if local.gap_timer is None:
            local.gap_timer = self.loop.call_later(EARLY_S, self._fill_gap, local.topic)

    def _fill_gap(self, topic: str) -> None:
        local = self.topics.get(topic)
        if local is None:
            return
        local.gap_timer = None
        if local.early and local.next_seq is not None:
            self.gaps += 1
            HUB_GAPS.inc()
            self.catch_up(topic)

    def catch_up(self, topic: str) -> None:
        """Read from the log what this process has not heard of, and fan it out."""
        local = self.topics.get(topic)
        if local is None or local.next_seq is None:
            return
        future = self._read_range(topic, local.next_seq - 1)
        future.add_done_callback(partial(self._caught_up, local))

    def _caught_up(
        self, local: LocalTopic, future: "asyncio.Future[tuple[int, list[LiveEvent]]]"
    ) -> None:
        # Everybody may have left meanwhile, and others come: their topic starts anew.
        if self.topics.get(local.topic) is not local or future.cancelled():
            return
        error = future.exception()
        if error is not None:
            logger.warning("catch_up_failed", topic=local.topic, reason=type(error).__name__)
            return
        latest_seq, events = future.result()
        due: list[LiveEvent] = []
        for event in events:
            # What the log lacks below an event that it holds is an empty slot.
            due += local.skip_to(event.seq)
            due += local.admit([event])
        if not events or len(events) < READ_LIMIT:
            due += local.skip_to(latest_seq + 1)
        if due:
            self._fan_out(local, due)
        self._flush()
        if len(events) >= READ_LIMIT:
            self.catch_up(local.topic)

    # -- writing ---------------------------------------------------------------------------------

    def note_pending(self, session: "Session") -> None:
        """Remember that this session has something to send at the end of the turn."""
        if not self._dirty:
            self.loop.call_soon(self._flush)
        self._dirty.add(session)

    def _flush(self) -> None:
        if self._dirty:
            dirty, self._dirty = self._dirty, set()
            for session in dirty:
                session.flush()


READ_LIMIT = 1000
