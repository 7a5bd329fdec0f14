"""Read the log again: what a client missed, or an explicit word that it cannot be told."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from marketplace.core.clock import wire_time
from marketplace.core.questions import Question, ask
from marketplace.events.live import LiveEvent
from marketplace.events.models import Event, TopicHead
from marketplace.events.record import live_event

PAGE = 200


@dataclass(frozen=True, slots=True)
class Head:
    """Where a topic stands. horizon: the highest seq that retention has removed."""

    last_seq: int
    epoch: str
    horizon: int


@dataclass(frozen=True, slots=True)
class Had:
    """What one client says it has had of a topic; seq None = it asks for nothing of before."""

    topic: str
    seq: int | None
    epoch: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """The events of a topic with `after` < seq ≤ `up_to`."""

    topic: str
    after: int
    up_to: int


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


def find_head(topic: str) -> Head | None:
    """Where the topic stands, or None if nobody opened it."""
    return find_heads([topic]).get(topic)


def find_heads(topics: Collection[str]) -> dict[str, Head]:
    """Where these topics stand, without those that nobody opened."""
    return ask(which_heads(topics))


def which_heads(topics: Collection[str]) -> Question[dict[str, Head]]:
    """Where these topics stand, without those that nobody opened."""
    asked = list(topics)

    def read(rows: Collection[tuple[Any, ...]]) -> dict[str, Head]:
        return {topic: Head(*values) for topic, *values in rows}

    def elsewhere() -> dict[str, Head]:
        heads = TopicHead.objects.filter(topic__in=asked).order_by("topic")
        return read(list(heads.values_list(*HEAD_COLUMNS)))

    return Question(HEADS, [asked], read=read, elsewhere=elsewhere)


HEAD_COLUMNS = ("topic", "last_seq", "epoch", "horizon")
HEADS = f"""
    SELECT {", ".join(HEAD_COLUMNS)} FROM {TopicHead._meta.db_table} WHERE topic = ANY(%s)
"""  # noqa: S608  # the names of table and columns


def replay(topic: str, *, since: int | None, epoch: str | None = None, limit: int = PAGE) -> Replay:
    """The next `limit` events after `since`; without `since` nothing, live from now.

    A topic that nobody opened is empty.
    """
    had = Had(topic, since, epoch)
    return replay_all([had], heads=find_heads([topic]), limit=limit)[had]


def replay_all(
    asked: Collection[Had], *, heads: Mapping[str, Head], limit: int = PAGE
) -> dict[Had, Replay]:
    """What each of these has missed, as `replay`; what several have missed is read once.

    heads: where the topics stood before this was called. Every event up to a `last_seq` was
    committed with it, so what the log lacks below that is an empty slot, not a late commit.
    """
    found: dict[Had, Replay] = {}
    spans: dict[Had, Span] = {}
    for had in set(asked):
        head = heads.get(had.topic)
        if head is None:
            future = "future" if had.seq else None
            found[had] = Replay([], 0, "", 0, had.seq == 0, False, future)
            continue
        reset = None if had.seq is None else _reset_reason(head, since=had.seq, epoch=had.epoch)
        if had.seq is None or reset is not None:
            found[had] = _without_events(head, reset=reset)
        elif had.seq == head.last_seq:
            found[had] = _with_events(head, [], limit=limit)
        else:
            spans[had] = Span(had.topic, had.seq, head.last_seq)
    if spans:
        told = ask(which_events(set(spans.values()), limit=limit + 1))
        gaps = {
            span for span, events in told.items() if not events or events[0].seq != span.after + 1
        }
        # Retention may have passed by between head and events: then a gap is told, not hidden.
        later = find_heads({span.topic for span in gaps}) if gaps else {}
        for had, span in spans.items():
            # The answer keeps to the first head: what was recorded since is not among its events.
            head = heads[span.topic]
            if span in gaps and span.after < (behind := later.get(span.topic, head)).horizon:
                found[had] = _without_events(behind, reset="horizon")
            else:
                found[had] = _with_events(head, told[span], limit=limit)
    return found


def _without_events(head: Head, *, reset: str | None) -> Replay:
    return Replay([], head.last_seq, head.epoch, head.horizon, False, False, reset)


def _with_events(head: Head, events: Sequence[LiveEvent], *, limit: int) -> Replay:
    return Replay(
        events=list(events[:limit]),
        latest_seq=head.last_seq,
        epoch=head.epoch,
        horizon=head.horizon,
        recovered=True,
        has_more=len(events) > limit,
        reset=None,
    )


def _reset_reason(head: Head, *, since: int, epoch: str | None) -> str | None:
    if epoch and epoch != head.epoch:
        return "epoch"
    if since > head.last_seq:
        return "future"
    if since < head.horizon:
        return "horizon"
    return None


def read_range(topic: str, *, after: int, up_to: int, limit: int = 1000) -> list[LiveEvent]:
    """The events with `after` < seq ≤ `up_to`, in order, at most `limit`."""
    span = Span(topic, after, up_to)
    return ask(which_events([span], limit=limit))[span]


def which_events(spans: Collection[Span], *, limit: int) -> Question[dict[Span, list[LiveEvent]]]:
    """The first `limit` events of each of these, in order; elsewhere each is a query."""
    asked = list(spans)

    def read(rows: Collection[tuple[Any, ...]]) -> dict[Span, list[LiveEvent]]:
        found: dict[Span, list[LiveEvent]] = {span: [] for span in asked}
        for place, event_id, seq, name, payload, *rest in rows:
            span = asked[place - 1]
            told = orjson.loads(payload)
            found[span].append(LiveEvent(event_id, span.topic, seq, name, told, *rest))
        return found

    def elsewhere() -> dict[Span, list[LiveEvent]]:
        return {
            span: [
                live_event(row)
                for row in Event.objects.filter(
                    topic=span.topic, seq__gt=span.after, seq__lte=span.up_to
                ).order_by("seq")[:limit]
            ]
            for span in asked
        }

    bounds = [[getattr(span, name) for span in asked] for name in ("topic", "after", "up_to")]
    return Question(EVENTS, [*bounds, limit], read=read, elsewhere=elsewhere)


EVENTS = f"""
    SELECT span.place, e.event_id, e.seq, e.name, e.payload, e.actor_id, e.request_id, e.created_at
    FROM unnest(%s::text[], %s::bigint[], %s::bigint[])
        WITH ORDINALITY AS span(topic, after, up_to, place)
    CROSS JOIN LATERAL (
        SELECT * FROM {Event._meta.db_table} one
        WHERE one.topic = span.topic AND one.seq > span.after AND one.seq <= span.up_to
        ORDER BY one.seq LIMIT %s) e
    ORDER BY span.place, e.seq
"""  # noqa: S608  # the name of a table


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
