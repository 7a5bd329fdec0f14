"""Write to the log, inside the transaction of the change.

`UPDATE head SET last_seq = last_seq + n` takes the head's row lock: from there to the commit no
other writer of the topic gets a seq, so seqs are gapless and their order is the commit order.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Case, F, Value, When

from marketplace.core.clock import now
from marketplace.core.context import request_id
from marketplace.core.db import in_transaction, on_commit
from marketplace.core.failpoints import reach
from marketplace.core.ids import uuid7
from marketplace.core.observe import EVENTS_RECORDED
from marketplace.core.questions import Question, ask
from marketplace.core.rows import insert_rows, new_row
from marketplace.events import catalog, live
from marketplace.events.models import Event, TopicHead

SubscribedNames = Callable[[], Mapping[str, tuple[str, ...]]]


@dataclass(slots=True)
class NewEvent:
    """An event to be recorded. `event_id` is given only for a copy of one that stands elsewhere."""

    topic: str
    name: str
    payload: dict[str, Any]
    actor_id: str | None = None
    event_id: UUID | None = None
    at: datetime | None = None
    # Of the request that asked for it, where one transaction serves several.
    request_id: str | None = None


_subscribed_names: SubscribedNames = dict
_wake: Callable[[], object] = bool


def set_subscribed_names(source: SubscribedNames, *, wake: Callable[[], None]) -> None:
    """Let the subscribers tell which names they want on topics that begin how.

    Only such events flag a head.
    wake: called after each commit that left them work.
    """
    global _subscribed_names, _wake
    _subscribed_names, _wake = source, wake


def wake_subscribers() -> None:
    """Once this transaction has committed, have its events read."""
    on_commit(_wake)


def is_subscribed(name: str, topic: str) -> bool:
    """Whether some subscriber of this system wants events of this name on this topic."""
    return topic.startswith(_subscribed_names().get(name, ()))


def open_topic(topic: str) -> TopicHead:
    """Make the head of a new topic, in the transaction that makes the thing it belongs to."""
    return TopicHead.objects.create(topic=topic, epoch=uuid7().hex)


def record(topic: str, name: str, payload: dict[str, Any], *, actor_id: str | None = None) -> Event:
    """Record one event and give it its seq. Only inside `atomic()`.

    payload: ids and facts, personal fields of the actor alone, JSON types only.
    Raises TopicHead.DoesNotExist where nobody opened the topic.
    """
    return record_all([NewEvent(topic=topic, name=name, payload=payload, actor_id=actor_id)])[0]


def record_all(entries: Sequence[NewEvent], *, opening: Collection[str] = ()) -> list[Event]:
    """Record several events, on any topics, in this order per topic; published after the commit.

    opening: those of the topics that are new, and get their heads here.
    """
    firsts = take_seqs(entries, opening=opening)
    return insert(entries, firsts)


def take_seqs(entries: Sequence[NewEvent], *, opening: Collection[str] = ()) -> dict[str, int]:
    """Advance the heads of all these topics; gives the first new seq of each.

    Apart from `insert` for rows that carry their own seq, as messages do.
    """
    return ask(taking_seqs(entries, opening=opening))


def taking_seqs(
    entries: Sequence[NewEvent], *, opening: Collection[str] = ()
) -> Question[dict[str, int]]:
    """`take_seqs`, to travel with others. Of the entries only topics and names are looked at."""
    if not in_transaction():
        raise RuntimeError("Events are recorded inside atomic(), with the change they tell of.")
    counts: dict[str, int] = {}
    wanted = _subscribed_names()
    flagged: set[str] = set()
    for entry in entries:
        catalog.kind_of(entry.name)
        counts[entry.topic] = counts.get(entry.topic, 0) + 1
        if entry.topic.startswith(wanted.get(entry.name, ())):
            flagged.add(entry.topic)
    old = {topic: counts[topic] for topic in sorted(counts.keys() - set(opening))}
    is_flagged = [topic in flagged for topic in old]

    def read(rows: Iterable[tuple[Any, ...]]) -> dict[str, int]:
        advanced = dict(rows)
        if advanced.keys() != old.keys():
            raise TopicHead.DoesNotExist(f"No head for {sorted(old.keys() - advanced.keys())}.")
        if flagged:
            wake_subscribers()
        # A new head is written once, as it will be.
        insert_rows(
            [
                new_row(
                    TopicHead,
                    topic=topic,
                    epoch=uuid7().hex,
                    last_seq=counts.get(topic, 0),
                    subscribers_pending=topic in flagged,
                    relay_pending=settings.BUS_ENABLED and topic in counts,
                )
                for topic in opening
            ]
        )
        firsts = {topic: advanced[topic] - count + 1 for topic, count in old.items()}
        return firsts | dict.fromkeys(opening, 1)

    return Question(
        ADVANCE,
        [settings.BUS_ENABLED, [*old], [*old.values()], is_flagged],
        read=read,
        elsewhere=lambda: read(_advance(old, flagged=flagged) if old else ()),
    )


# Who takes several topics takes them in one order, so that nobody waits for one who waits for him.
ADVANCE = f"""
    UPDATE {TopicHead._meta.db_table} AS head SET
        last_seq = last_seq + new.number,
        subscribers_pending = subscribers_pending OR new.is_subscribed,
        relay_pending = relay_pending OR %s
    FROM unnest(%s::text[], %s::bigint[], %s::boolean[]) AS new(topic, number, is_subscribed)
    WHERE head.topic = new.topic
    RETURNING head.topic, last_seq
"""  # noqa: S608  # the name of a table


def _advance(counts: dict[str, int], *, flagged: set[str]) -> Iterable[tuple[str, int]]:
    """Add to the heads of these topics, and flag some; gives the new `last_seq` of each."""
    # One statement for all heads, so that a batch over many rooms costs one round trip.
    changes: dict[str, Any] = {"last_seq": F("last_seq") + _by_topic(counts)}
    if flagged:
        changes["subscribers_pending"] = Case(
            When(topic__in=sorted(flagged), then=Value(True)), default=F("subscribers_pending")
        )
    if settings.BUS_ENABLED:
        changes["relay_pending"] = True
    heads = TopicHead.objects.filter(topic__in=sorted(counts))
    heads.update(**changes)
    return heads.order_by("topic").values_list("topic", "last_seq")


def _by_topic(counts: dict[str, int]) -> Any:
    if len(set(counts.values())) == 1:
        return next(iter(counts.values()))
    return Case(*(When(topic=topic, then=Value(n)) for topic, n in counts.items()))


def insert(entries: Sequence[NewEvent], firsts: dict[str, int]) -> list[Event]:
    """Insert the events at the seqs that `take_seqs` gave, and publish them after the commit."""
    following = dict(firsts)
    at, request = now(), request_id.get()
    events = []
    for entry in entries:
        seq = following[entry.topic]
        following[entry.topic] = seq + 1
        key = uuid7()
        events.append(
            new_row(
                Event,
                id=key,
                event_id=entry.event_id or key,
                topic=entry.topic,
                seq=seq,
                name=entry.name,
                payload=entry.payload,
                actor_id=entry.actor_id,
                request_id=entry.request_id or request,
                created_at=entry.at or at,
            )
        )
    insert_rows(events)
    announced = [live_event(event) for event in events]
    on_commit(lambda: EVENTS_RECORDED.inc(len(announced)))
    on_commit(lambda: reach("after_commit_before_publish"))
    on_commit(lambda: live.publish(announced))
    return events


def live_event(event: Event) -> live.LiveEvent:
    """The form of a row that travels to connections."""
    return live.LiveEvent(
        event_id=event.event_id,
        topic=event.topic,
        seq=event.seq,
        name=event.name,
        payload=event.payload,
        actor_id=event.actor_id,
        request_id=event.request_id,
        created_at=event.created_at,
    )
