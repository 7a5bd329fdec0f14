"""The way to other processes: one channel-layer channel per process, one group per topic.

What arrives is a hint: order and completeness come from the hub and the log. Without Redis there is
no other process and nothing here does anything. While Redis is away nobody waits for it: what
could not be told is noted by topic, and told when it is back; what could not be heard is read from
the log.
"""

import asyncio
import hashlib
import os
from collections import deque
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import structlog
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings

from marketplace.core.ids import uuid7
from marketplace.events.live import Control, LiveEvent, Signal
from marketplace.realtime.layer import ANSWER_S, FAULTS, end

if TYPE_CHECKING:
    from marketplace.realtime.runtime import Runtime

logger = structlog.get_logger(__name__)

CONTROL_GROUP = "control"
RETRY_S = 0.5
SUBSCRIBED_WITHIN_S = 2.0
PRESENCE_TTL_S = 120
PRESENCE_KEYS = "marketplace:presence:"
SURVEY_S = 0.5
SURVEY_KEPT_S = 10
# Orders that wait for Redis; of events only the topics are kept, the log has the rest.
UNDELIVERED_LIMIT = 1000
MISSED_AT_ONCE = 500


def group_of(topic: str) -> str:
    """The group of a topic; client text never becomes a group name."""
    return "t." + hashlib.sha256(topic.encode()).hexdigest()[:40]


class Bridge:
    """This process's ends of the channel layer."""

    def __init__(self, runtime: "Runtime") -> None:
        self._runtime = runtime
        # What we send comes back to us, and is passed over.
        self._name = f"{os.getpid()}-{uuid7().hex[-8:]}"
        self.is_shared = bool(settings.REDIS_URL)
        self.is_up = True
        self._layer: Any = None
        self._channel = ""
        self._ready = asyncio.Event()
        self._missed: set[str] = set()
        self._undelivered: deque[dict[str, Any]] = deque(maxlen=UNDELIVERED_LIMIT)
        self._mending: asyncio.Task[None] | None = None
        self._joining: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._redis: Any = None
        self._receiver: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen; only with Redis."""
        if self.is_shared:
            import redis.asyncio
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff

            self._layer = get_channel_layer()
            self._layer.watch(lost=self._lost, back=self._back)
            self._redis = redis.asyncio.from_url(
                settings.REDIS_URL,
                socket_timeout=ANSWER_S,
                socket_connect_timeout=ANSWER_S,
                retry=Retry(NoBackoff(), 1),
            )
            self._receiver = self._runtime.loop.create_task(self._listen())

    async def stop(self) -> None:
        """Listen no more."""
        await end(self._receiver, self._mending, *self._tasks)
        if self._layer is not None:
            await self._layer.flush()
        if self._redis is not None:
            await self._redis.aclose()

    # -- Redis goes and comes --------------------------------------------------------------------

    def _lost(self) -> None:
        self.is_up = False

    def _back(self) -> None:
        """Every group is joined again: from here on all is heard, and the log has what was not."""
        self.is_up = True
        self._mend()
        self._runtime.checks.make_up()

    def _mend(self) -> None:
        if self._mending is None or self._mending.done():
            self._mending = self._spawn(self._tell_missed())

    async def _tell_missed(self) -> None:
        """Tell the others what could not be told, as soon as it can be."""
        while self._missed or self._undelivered:
            try:
                while self._undelivered:
                    await self._layer.group_send(CONTROL_GROUP, self._undelivered[0])
                    self._undelivered.popleft()
                while self._missed:
                    topics = list(self._missed)[:MISSED_AT_ONCE]
                    await self._layer.group_send(CONTROL_GROUP, self._message("missed", topics))
                    self._missed.difference_update(topics)
            except FAULTS:
                await asyncio.sleep(RETRY_S)

    # -- groups ----------------------------------------------------------------------------------

    def topic_opened(self, topic: str) -> None:
        """The first socket of this process wants the topic."""
        if self.is_shared:
            self._joining[topic] = self._spawn(self._join(topic))

    def topic_closed(self, topic: str) -> None:
        """The last socket of this process has left it."""
        if self.is_shared:
            self._joining.pop(topic, None)
            self._spawn(self._guarded(self._discard(topic)))

    async def subscribed(self, topic: str) -> None:
        """Return when the group is joined: only then may the head be read.

        A dead Redis is no reason to wait for long.
        """
        task = self._joining.get(topic)
        if task is not None and self.is_up:
            await asyncio.wait({task}, timeout=SUBSCRIBED_WITHIN_S)

    async def _join(self, topic: str) -> None:
        await self._ready.wait()
        await self._guarded(self._layer.group_add(group_of(topic), self._channel))

    async def _discard(self, topic: str) -> None:
        if topic not in self._runtime.hub.topics:
            await self._layer.group_discard(group_of(topic), self._channel)

    # -- out -------------------------------------------------------------------------------------

    def share_events(self, events: list[LiveEvent]) -> None:
        """Tell the other processes; one message per topic of the batch."""
        by_topic: dict[str, list[LiveEvent]] = {}
        for event in events:
            by_topic.setdefault(event.topic, []).append(event)
        for topic, ones in by_topic.items():
            packed = [_pack(event) for event in ones]
            self._send(group_of(topic), "events", packed, topic=topic)

    def share_signal(self, signal: Signal) -> None:
        """Tell the other processes."""
        content = [signal.topic, signal.name, signal.payload, signal.except_user]
        self._send(group_of(signal.topic), "signal", content)

    def share_control(self, control: Control) -> None:
        """Tell the other processes."""
        content = [
            control.kind, control.topic, control.user_id, control.reason, control.session_ids
        ]  # fmt: skip
        self._send(CONTROL_GROUP, "control", content)

    def share_changed_rooms(self, topics: list[str]) -> None:
        """Tell the other processes in which rooms something was said, for their unread counts."""
        self._send(CONTROL_GROUP, "changed", topics)

    def _send(self, group: str, kind: str, content: Any, *, topic: str = "") -> None:
        """Send it soon. `topic`: where the others have to read if this does not reach them."""
        if self._layer is None or not self._runtime.is_here():
            return
        message = self._message(kind, content)
        if self.is_up:
            self._spawn(self._deliver(group, message, topic))
        else:
            self._not_told(message, topic)

    async def _deliver(self, group: str, message: dict[str, Any], topic: str) -> None:
        try:
            await self._layer.group_send(group, message)
        except FAULTS as error:
            # A push is a hint, the log is the truth: a dead Redis fails nobody.
            logger.debug("channel_layer_failed", reason=type(error).__name__)
            self._not_told(message, topic)
            self._mend()

    def _not_told(self, message: dict[str, Any], topic: str) -> None:
        if topic:
            self._missed.add(topic)
        elif message["type"] == "control":
            self._undelivered.append(message)

    @staticmethod
    def send_from_elsewhere(
        *, events: list[LiveEvent] | None = None, control: Control | None = None
    ) -> None:
        """From a process without a loop of ours, as a worker: rare, so a loop per call will do."""
        layer = get_channel_layer()
        if not settings.REDIS_URL or layer is None:
            return
        messages: list[tuple[str, str, Any]] = [
            (group_of(event.topic), "events", [_pack(event)]) for event in events or []
        ]
        if control is not None:
            content = [
                control.kind, control.topic, control.user_id, control.reason, control.session_ids
            ]  # fmt: skip
            messages.append((CONTROL_GROUP, "control", content))
        try:
            for group, kind, content in messages:
                async_to_sync(layer.group_send)(
                    group, {"type": kind, "data": orjson.dumps(content)}
                )
        except FAULTS as error:
            # The 20 s check of the servers finds it.
            logger.warning("channel_layer_failed", reason=type(error).__name__)

    # -- in --------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        self._channel = await self._layer.new_channel()
        await self._layer.group_add(CONTROL_GROUP, self._channel)
        self._ready.set()
        while True:
            message = await self._layer.receive(self._channel)
            if message.get("from") != self._name:
                self._understand(message)

    def _understand(self, message: dict[str, Any]) -> None:
        try:
            content = orjson.loads(message["data"])
            kind = message["type"]
            if kind == "events":
                self._runtime.heard_events([_unpack(packed) for packed in content])
            elif kind == "signal":
                self._runtime.hub.deliver_signal(Signal(*content))
            elif kind == "control":
                order, topic, user_id, reason, ended = content
                self._runtime.obey(Control(order, topic, user_id, reason, tuple(ended)))
            elif kind == "changed":
                self._runtime.checks.note_changed(content)
            elif kind == "missed":
                self._runtime.checks.missed(content)
            elif kind == "arrival":
                self._runtime.presence.heard_arrival(content[0], content[1].encode())
            elif kind == "departure":
                self._runtime.presence.heard_departure(*content)
            elif kind == "survey":
                self._spawn(self._guarded(self._answer_survey(content)))
        except Exception:
            logger.exception("bridge_message_failed")

    # -- presence --------------------------------------------------------------------------------

    async def stored_presence(self, topic: str) -> list[bytes] | None:
        """The entries of all processes; None where Redis does not answer."""
        if not self.is_up:
            return None
        try:
            return list(await self._redis.hvals(_presence_key(topic)))
        except FAULTS as error:  # presence is a hint
            logger.warning("presence_read_failed", reason=type(error).__name__)
            return None

    def share_presence(self, topic: str, ref: str, packed: bytes) -> None:
        """Store and tell an arrival; also its refresh."""
        if self.is_shared and self.is_up:
            self._spawn(self._guarded(self._store(topic, ref, packed)))
            self._send(group_of(topic), "arrival", [topic, packed.decode()])

    def unshare_presence(self, topic: str, user_id: str, ref: str) -> None:
        """Remove and tell a departure."""
        if self.is_shared and self.is_up:
            self._spawn(self._guarded(self._redis.hdel(_presence_key(topic), ref)))
            self._send(group_of(topic), "departure", [topic, user_id, ref])

    async def _store(self, topic: str, ref: str, packed: bytes) -> None:
        pipe = self._redis.pipeline(transaction=False)
        pipe.hset(_presence_key(topic), ref, packed)
        pipe.expire(_presence_key(topic), PRESENCE_TTL_S)
        await pipe.execute()

    # -- surveys ---------------------------------------------------------------------------------

    async def survey(self) -> list[dict[str, Any]]:
        """What the other processes hold; whoever does not answer in SURVEY_S is left out."""
        if not (self.is_shared and self.is_up):
            return []
        key = f"marketplace:survey:{uuid7().hex}"
        try:
            await self._layer.group_send(CONTROL_GROUP, self._message("survey", key))
            await asyncio.sleep(SURVEY_S)
            return [orjson.loads(answer) for answer in await self._redis.lrange(key, 0, -1)]
        except FAULTS as error:
            logger.warning("survey_failed", reason=type(error).__name__)
            return []

    async def _answer_survey(self, key: str) -> None:
        from marketplace.realtime.survey import holdings

        pipe = self._redis.pipeline(transaction=False)
        pipe.rpush(key, orjson.dumps(holdings(self._runtime)))
        pipe.expire(key, SURVEY_KEPT_S)
        await pipe.execute()

    # -- plumbing --------------------------------------------------------------------------------

    def _message(self, kind: str, content: Any) -> dict[str, Any]:
        return {"type": kind, "from": self._name, "data": orjson.dumps(content)}

    async def _guarded(self, awaitable: Any) -> None:
        """A dead Redis fails nobody."""
        try:
            await awaitable
        except FAULTS as error:
            logger.warning("channel_layer_failed", reason=type(error).__name__)

    def _spawn(self, coroutine: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = self._runtime.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _presence_key(topic: str) -> str:
    return PRESENCE_KEYS + group_of(topic)


def _pack(event: LiveEvent) -> list[Any]:
    return [
        str(event.event_id), event.topic, event.seq, event.name, event.payload, event.actor_id,
        event.request_id, event.created_at,
    ]  # fmt: skip


def _unpack(packed: list[Any]) -> LiveEvent:
    from datetime import datetime

    event_id, topic, seq, name, payload, actor_id, request_id, created_at = packed
    return LiveEvent(
        UUID(event_id), topic, seq, name, payload, actor_id, request_id,
        datetime.fromisoformat(created_at),
    )  # fmt: skip
