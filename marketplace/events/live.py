"""What happens right after a commit: facts and hints go to those who listen in this process.

Realtime lies above the layers that speak here, so it registers its listener; nobody here imports
it. A listener must not fail the caller: the log is the truth, a push is a hint.
"""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import structlog

logger = structlog.get_logger(__name__)


class LiveEvent(NamedTuple):
    """A recorded event on its way out; the same fields as its row."""

    event_id: UUID
    topic: str
    seq: int
    name: str
    payload: dict[str, Any]
    actor_id: str | None
    request_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Signal:
    """Pushed, never recorded: typing, positions, unread counts.

    `except_user`: the public id of the one who caused it and need not hear it.
    """

    topic: str
    name: str
    payload: dict[str, Any]
    except_user: str | None = None


@dataclass(frozen=True, slots=True)
class Control:
    """An order to live connections that no client ever sees as such.

    kind `revoked`: sessions in `session_ids` have ended. kind `removed`: `user_id` may no longer
    hold `topic`; `reason` is told to him. kind `recheck`: some of those who hold `topic`, whoever
    they are, may have lost the right; without a topic, `user_id` to some of those that he holds.
    """

    kind: str
    topic: str = ""
    user_id: str = ""
    reason: str = ""
    session_ids: tuple[str, ...] = field(default_factory=tuple)


class Listener(Protocol):
    """What realtime offers: all three may be called from any thread and must return at once."""

    def events(self, events: list[LiveEvent]) -> None:
        """Facts that have just been committed, in the order of their seqs per topic."""

    def signal(self, signal: Signal) -> None:
        """A hint for whoever is connected."""

    def control(self, control: Control) -> None:
        """An order to live connections."""


_listeners: list[Listener] = []
_collecting = threading.local()


def listen(listener: Listener) -> None:
    """Register the listener of this process; called once, when realtime's app is ready."""
    if listener not in _listeners:
        _listeners.append(listener)


@contextmanager
def collected() -> Iterator[list[LiveEvent]]:
    """Catch what this thread publishes, so that group commit can hand it over with its acks."""
    caught: list[LiveEvent] = []
    outer = getattr(_collecting, "events", None)
    _collecting.events = caught
    try:
        yield caught
    finally:
        _collecting.events = outer


def publish(events: list[LiveEvent]) -> None:
    """Hand committed events to the listeners. Never raises."""
    caught = getattr(_collecting, "events", None)
    if caught is not None:
        caught.extend(events)
        return
    for listener in _listeners:
        try:
            listener.events(events)
        except Exception:
            logger.exception("publish_failed", topics=sorted({event.topic for event in events}))


def publish_signal(signal: Signal) -> None:
    """Push a signal to whoever is connected. Never raises."""
    for listener in _listeners:
        try:
            listener.signal(signal)
        except Exception:
            logger.exception("signal_failed", topic=signal.topic)


def publish_revocation(*, session_ids: Collection[UUID]) -> None:
    """Close the sockets of these sessions; call it after the commit that ended them."""
    if session_ids:
        _publish_control(
            Control(kind="revoked", session_ids=tuple(str(one) for one in session_ids))
        )


def publish_removal(*, topic: str, user_id: str, reason: str) -> None:
    """Take this user's connections out of the topic, after the commit that took the right."""
    _publish_control(Control(kind="removed", topic=topic, user_id=user_id, reason=reason))


def publish_recheck(*, topic: str = "", user_id: str = "") -> None:
    """Whoever holds the topic without the right leaves it, or this user whatever he holds so; after
    the commit that ended a link, or a post that gave him rights to many topics.
    """
    _publish_control(Control(kind="recheck", topic=topic, user_id=user_id))


def _publish_control(control: Control) -> None:
    for listener in _listeners:
        try:
            listener.control(control)
        except Exception:
            logger.exception("control_failed", kind=control.kind)
