"""The way to other processes: one channel-layer channel per process, one group per topic.

What arrives is a hint: order and completeness come from the hub and the log. Without Redis there is
no other process and nothing here does anything.
"""

import asyncio
import hashlib
import os
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import structlog
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings

from marketplace.core.ids import uuid7
from marketplace.events.live import Control, LiveEvent, Signal

if TYPE_CHECKING:
    from marketplace.realtime.runtime import Runtime

logger = structlog.get_logger(__name__)

CONTROL_GROUP = "control"
RETRY_S = 0.5
PRESENCE_TTL_S = 120
PROCESS = f"{os.getpid()}-{uuid7().hex[-8:]}"


def group_of(topic: str) -> str:
    """The group of a topic; client text never becomes a group name."""
    return "t." + hashlib.sha256(topic.encode()).hexdigest()[:40]


class Bridge:
    """This process's ends of the channel layer."""

    def __init__(self, runtime: "Runtime") -> None:
        self._runtime = runtime
        self.is_shared = bool(settings.REDIS_URL)
        self._layer: Any = None
        self._channel = ""
        self._ready = asyncio.Event()
        self._joining: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._redis: Any = None
        self._receiver: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen; only with Redis."""
        if self.is_shared:
            import redis.asyncio

            self._layer = get_channel_layer()
            self._redis = redis.asyncio.from_url(settings.REDIS_URL)
            self._receiver = self._runtime.loop.create_task(self._listen())

    async def stop(self) -> None:
        """Listen no more."""
        if self._receiver is not None:
            self._receiver.cancel()
        if self._redis is not None:
            await self._redis.aclose()

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
        if task is not None:
            await asyncio.wait({task}, timeout=2)

    async def _join(self, topic: str) -> None:
        await self._ready.wait()
        await self._guarded(self._layer.group_add(group_of(topic), self._channel))

    async def _discard(self, topic: str) -> None:
        if topic not in self._runtime.hub.topics:
            await self._layer.group_discard(group_of(topic), self._channel)

    async def join_all_again(self) -> None:
        """Join every group again: after a fault, and every six hours: memberships end silently."""
        await self._guarded(self._layer.group_add(CONTROL_GROUP, self._channel))
        for topic in list(self._runtime.hub.topics):
            await self._guarded(self._layer.group_add(group_of(topic), self._channel))

    # -- out -------------------------------------------------------------------------------------

    def share_events(self, events: list[LiveEvent]) -> None:
        """Tell the other processes; one message per topic of the batch."""
        by_topic: dict[str, list[LiveEvent]] = {}
        for event in events:
            by_topic.setdefault(event.topic, []).append(event)
        for topic, ones in by_topic.items():
            self._send(group_of(topic), "events", [_pack(event) for event in ones])

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

    def _send(self, group: str, kind: str, content: Any) -> None:
        message = {"type": kind, "from": PROCESS, "data": orjson.dumps(content)}
        if self._layer is not None and self._runtime.is_here():
            self._spawn(self._guarded(self._layer.group_send(group, message)))

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
        for group, kind, content in messages:
            async_to_sync(layer.group_send)(
                group, {"type": kind, "from": PROCESS, "data": orjson.dumps(content)}
            )

    # -- in --------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        failed = True
        while True:
            try:
                if not self._channel:
                    self._channel = await self._layer.new_channel()
                    self._ready.set()
                if failed:
                    await self.join_all_again()
                    for topic in list(self._runtime.hub.topics):
                        self._runtime.hub.catch_up(topic)
                    failed = False
                message = await self._layer.receive(self._channel)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001  # whatever Redis does, the hub lives on
                logger.warning("channel_layer_failed", reason=type(error).__name__)
                failed = True
                await asyncio.sleep(RETRY_S)
                continue
            if message.get("from") != PROCESS:
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
                self._runtime.note_changed(content)
            elif kind == "arrival":
                self._runtime.presence.heard_arrival(content[0], content[1].encode())
            elif kind == "departure":
                self._runtime.presence.heard_departure(*content)
        except Exception:
            logger.exception("bridge_message_failed")

    # -- presence --------------------------------------------------------------------------------

    async def stored_presence(self, topic: str) -> list[bytes]:
        """The entries of all processes; nothing where Redis does not answer."""
        try:
            return list(await self._redis.hvals(_presence_key(topic)))
        except Exception as error:  # noqa: BLE001  # presence is a hint
            logger.warning("presence_read_failed", reason=type(error).__name__)
            return []

    def share_presence(self, topic: str, ref: str, packed: bytes) -> None:
        """Store and tell an arrival; also its refresh."""
        if self.is_shared:
            self._spawn(self._guarded(self._store(topic, ref, packed)))
            self._send(group_of(topic), "arrival", [topic, packed.decode()])

    def unshare_presence(self, topic: str, user_id: str, ref: str) -> None:
        """Remove and tell a departure."""
        if self.is_shared:
            self._spawn(self._guarded(self._redis.hdel(_presence_key(topic), ref)))
            self._send(group_of(topic), "departure", [topic, user_id, ref])

    async def _store(self, topic: str, ref: str, packed: bytes) -> None:
        pipe = self._redis.pipeline(transaction=False)
        pipe.hset(_presence_key(topic), ref, packed)
        pipe.expire(_presence_key(topic), PRESENCE_TTL_S)
        await pipe.execute()

    # -- plumbing --------------------------------------------------------------------------------

    async def _guarded(self, awaitable: Any) -> None:
        """A dead Redis must not fail what was committed."""
        try:
            await awaitable
        except Exception as error:  # noqa: BLE001  # a push is a hint, the log is the truth
            logger.warning("channel_layer_failed", reason=type(error).__name__)

    def _spawn(self, coroutine: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = self._runtime.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _presence_key(topic: str) -> str:
    return f"marketplace:presence:{group_of(topic)}"


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
