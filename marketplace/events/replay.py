"""Read the log again: what a client missed, or an explicit word that it cannot be told."""

from dataclasses import dataclass
from typing import Any

from marketplace.core.clock import wire_time
from marketplace.events.live import LiveEvent
from marketplace.events.models import Event, TopicHead
from marketplace.events.record import live_event

PAGE = 200


@dataclass(frozen=True, slots=True)
class Replay:
    """The events after a seq, and where the topic stands.

    `reset` is `horizon`, `future` or `epoch` where the gap cannot be told: then `events` is empty
    and the client takes a snapshot.
    """

    events: list[LiveEvent]
    latest_seq: int
    epoch: str
    horizon: int
    recovered: bool
    has_more: bool
    reset: str | None


def find_head(topic: str) -> TopicHead | None:
    """Where the topic stands, or None if nobody opened it."""
    return TopicHead.objects.filter(topic=topic).first()


def replay(topic: str, *, since: int | None, epoch: str | None = None, limit: int = PAGE) -> Replay:
    """The next `limit` events after `since`; without `since` nothing, live from now.

    A topic that nobody opened is empty. The head is read first: every event up to its `last_seq`
    was committed with it, so what the log lacks below that is an empty slot, not a late commit.
    """
    head = find_head(topic)
    if head is None:
        return Replay([], 0, "", 0, since == 0, False, "future" if since else None)
    reset = None if since is None else _reset_reason(head, since=since, epoch=epoch)
    if since is None or reset is not None:
        return Replay([], head.last_seq, head.epoch, head.horizon, False, False, reset)
    events = read_range(topic, after=since, up_to=head.last_seq, limit=limit + 1)
    if not events or events[0].seq != since + 1:
        # Retention may have passed by between the two reads: then the gap is told, not hidden.
        # The answer keeps to the first head: what was recorded since is not among these events.
        later = find_head(topic) or head
        if since < later.horizon:
            return Replay([], later.last_seq, later.epoch, later.horizon, False, False, "horizon")
    return Replay(
        events=events[:limit],
        latest_seq=head.last_seq,
        epoch=head.epoch,
        horizon=head.horizon,
        recovered=True,
        has_more=len(events) > limit,
        reset=None,
    )


def _reset_reason(head: TopicHead, *, since: int, epoch: str | None) -> str | None:
    if epoch and epoch != head.epoch:
        return "epoch"
    if since > head.last_seq:
        return "future"
    if since < head.horizon:
        return "horizon"
    return None


def read_range(topic: str, *, after: int, up_to: int, limit: int = 1000) -> list[LiveEvent]:
    """The events with `after` < seq ≤ `up_to`, in order, at most `limit`."""
    rows = Event.objects.filter(topic=topic, seq__gt=after, seq__lte=up_to).order_by("seq")[:limit]
    return [live_event(row) for row in rows]


def newest(topic: str, *, limit: int) -> list[LiveEvent]:
    """The newest events of the topic, in order."""
    rows = Event.objects.filter(topic=topic).order_by("-seq")[:limit]
    return [live_event(row) for row in reversed(rows)]


PRIVATE_FIELDS = frozenset({"sender_email"})


def event_to_wire(event: LiveEvent) -> dict[str, Any]:
    """An event as the REST feed shows it: log name and canonical payload."""
    return {
        "event_id": str(event.event_id),
        "event_seq": event.seq,
        "event": event.name,
        "created_at": wire_time(event.created_at),
        "payload": public_payload(event.payload),
    }


def public_payload(payload: dict[str, Any]) -> dict[str, Any]:
    """The payload without what the log keeps for one dialect alone."""
    return {key: value for key, value in payload.items() if key not in PRIVATE_FIELDS}
