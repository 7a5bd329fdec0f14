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
    wanted = count_by_topic(entries)
    old = wanted.without(opening)

    def read(rows: Iterable[tuple[Any, ...]]) -> dict[str, int]:
        firsts = dict(rows)
        if firsts.keys() != old.counts.keys():
            raise TopicHead.DoesNotExist(
                f"No head for {sorted(old.counts.keys() - firsts.keys())}."
            )
        if wanted.flagged:
            wake_subscribers()
        open_heads(wanted, opening)
        return firsts | dict.fromkeys(opening, 1)

    return Question(
        ADVANCE,
        old.as_values(),
        read=read,
        elsewhere=lambda: read(_advance(old) if old.counts else ()),
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many events come on each topic, in the order of the topics, and which of these topics
    somebody is to be woken for.
    """

    counts: dict[str, int]
    flagged: set[str]

    def without(self, topics: Collection[str]) -> "Wanted":
        """The same but for these topics."""
        left = {topic: n for topic, n in self.counts.items() if topic not in topics}
        return Wanted(left, self.flagged & left.keys())

    def as_values(self) -> list[Any]:
        """The parameters of `ADVANCE`."""
        flags = [topic in self.flagged for topic in self.counts]
        return [settings.BUS_ENABLED, [*self.counts], [*self.counts.values()], flags]


def count_by_topic(entries: Iterable[NewEvent]) -> Wanted:
    """What these come to. Only inside `atomic()`. Raises KeyError for a name nobody declared."""
    if not in_transaction():
        raise RuntimeError("Events are recorded inside atomic(), with the change they tell of.")
    counts: dict[str, int] = {}
    flagged: set[str] = set()
    wanted = _subscribed_names()
    for entry in entries:
        catalog.kind_of(entry.name)
        counts[entry.topic] = counts.get(entry.topic, 0) + 1
        if entry.topic.startswith(wanted.get(entry.name, ())):
            flagged.add(entry.topic)
    # Who takes several topics takes them in one order, so that nobody waits for one who waits for
    # him.
    return Wanted({topic: counts[topic] for topic in sorted(counts)}, flagged)


def open_heads(wanted: Wanted, topics: Collection[str]) -> None:
    """Make the heads of these new topics; a new head is written once, as it will be."""
    insert_rows(
        [
            new_row(
                TopicHead,
                topic=topic,
                epoch=uuid7().hex,
                last_seq=wanted.counts.get(topic, 0),
                subscribers_pending=topic in wanted.flagged,
                relay_pending=settings.BUS_ENABLED and topic in wanted.counts,
            )
            for topic in topics
        ]
    )


def advance_sql(*, after: str = "") -> str:
    """The statement that advances heads and gives the first new seq of each.

    after: a table of one row, whose `one` is 1, that has to be there before.
    """
    before, condition = (f"{after}, ", f" AND {after}.one = 1") if after else ("", "")
    return f"""
    UPDATE {TopicHead._meta.db_table} AS head SET
        last_seq = last_seq + new.number,
        subscribers_pending = subscribers_pending OR new.is_subscribed,
        relay_pending = relay_pending OR %s
    FROM {before}unnest(%s::text[], %s::bigint[], %s::boolean[])
        AS new(topic, number, is_subscribed)
    WHERE head.topic = new.topic{condition}
    RETURNING head.topic, last_seq - new.number + 1 AS first
    """  # noqa: S608  # the name of a table


ADVANCE = advance_sql()


def _advance(wanted: Wanted) -> Iterable[tuple[str, int]]:
    """Add to the heads of these topics, and flag some; gives the first new seq of each."""
    # One statement for all heads, so that a batch over many rooms costs one round trip.
    changes: dict[str, Any] = {"last_seq": F("last_seq") + _by_topic(wanted.counts)}
    if wanted.flagged:
        changes["subscribers_pending"] = Case(
            When(topic__in=sorted(wanted.flagged), then=Value(True)),
            default=F("subscribers_pending"),
        )
    if settings.BUS_ENABLED:
        changes["relay_pending"] = True
    heads = TopicHead.objects.filter(topic__in=[*wanted.counts])
    heads.update(**changes)
    rows = heads.order_by("topic").values_list("topic", "last_seq")
    return [(topic, last - wanted.counts[topic] + 1) for topic, last in rows]


def _by_topic(counts: dict[str, int]) -> Any:
    if len(set(counts.values())) == 1:
        return next(iter(counts.values()))
    return Case(*(When(topic=topic, then=Value(n)) for topic, n in counts.items()))


def insert(entries: Sequence[NewEvent], firsts: dict[str, int]) -> list[Event]:
    """Insert the events at the seqs that `take_seqs` gave, and publish them after the commit."""
    events = new_events(entries, firsts)
    insert_rows(events)
    announce(events)
    return events


def new_events(entries: Sequence[NewEvent], firsts: Mapping[str, int]) -> list[Event]:
    """The rows of these, at the seqs that begin with `firsts` in each topic; not stored yet."""
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
    return events


def announce(events: Sequence[Event]) -> None:
    """Publish these after the commit."""
    announced = [live_event(event) for event in events]
    on_commit(lambda: EVENTS_RECORDED.inc(len(announced)))
    on_commit(lambda: reach("after_commit_before_publish"))
    on_commit(lambda: live.publish(announced))


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
