"""What subscribers have before them: events of many topics, read by as few queries as may be."""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Max, Q

from marketplace.core.db import has_transactions
from marketplace.events.claims import Head
from marketplace.events.models import Event, Position
from marketplace.events.positions import Reader, Subscription

BATCH = 200
"""So many events of one topic a subscriber gets at most at a time."""
READ_AT_ONCE = 1_000


@dataclass(slots=True)
class Stretch:
    """What lies before readers that stand at the same seq of a topic, up to `upto`."""

    readers: list[Reader]
    seq: int
    upto: int
    events: list[Event] = field(default_factory=list)

    @property
    def topic(self) -> str:
        """The topic that all of them read."""
        return self.readers[0].topic

    @property
    def length(self) -> int:
        """At most so many events."""
        return self.upto - self.seq

    @property
    def names(self) -> frozenset[str]:
        """What any of them wants."""
        return frozenset[str]().union(*(reader.subscription.names for reader in self.readers))


def readers_of(
    heads: Sequence[Head],
    subscriptions: Mapping[str, Sequence[Subscription]],
    started: dict[str, datetime],
) -> dict[str, list[Reader]]:
    """Who reads these topics and how far each has come, by topic."""
    known = Position.objects.filter(topic__in=[head.topic for head in heads])
    rows = known.order_by("topic", "subscriber").values_list(
        "topic", "subscriber", "seq", "failures", "updated_at", "parked_at"
    )
    positions = {(topic, subscriber): place for topic, subscriber, *place in rows}
    return {
        head.topic: [
            _reader(head.topic, one, positions.get((head.topic, one.subscriber)), started)
            for one in subscriptions[head.topic]
        ]
        for head in heads
    }


def _reader(
    topic: str, subscription: Subscription, place: list[Any] | None, started: dict[str, datetime]
) -> Reader:
    if place is None:
        since = started[subscription.subscriber] if subscription.from_now else None
        return Reader(subscription, topic, since=since)
    seq, failures, updated_at, parked_at = place
    return Reader(
        subscription,
        topic,
        seq=seq,
        failures=failures,
        failed_at=updated_at if failures else None,
        parked=parked_at is not None,
        stored=True,
    )


def within_reach(heads: Sequence[Head], read: dict[str, list[Reader]]) -> list[Stretch]:
    """What lies before the readers, no more of it than is read at once; the others leave `read`."""
    ends = _readable_ends(heads)
    ahead: list[Stretch] = []
    room = READ_AT_ONCE
    for head in heads:
        stretches = _stretches(read[head.topic], ends[head.topic])
        room -= sum(min(stretch.length, BATCH) for stretch in stretches)
        if room < 0 and ahead:
            del read[head.topic]
        else:
            ahead += stretches
    return ahead


def _readable_ends(heads: Sequence[Head]) -> dict[str, int]:
    """The last seq whose event is surely there: with transactions that of the head.

    Without them a head moves before its event is written, so the newest event counts, and a
    number below it that the log does not hold is an empty slot.
    """
    if has_transactions():
        return {head.topic: head.last_seq for head in heads}
    ends = dict.fromkeys((head.topic for head in heads), 0)
    written = Q()
    for head in heads:
        written |= Q(topic=head.topic, seq__lte=head.last_seq)
    newest = Event.objects.filter(written).values("topic").annotate(last=Max("seq"))
    return ends | dict(newest.order_by("topic").values_list("topic", "last"))


def _stretches(readers: Sequence[Reader], end: int) -> list[Stretch]:
    """Mostly all stand at the same seq, so that one stretch is read for all of them."""
    abreast: dict[int, list[Reader]] = defaultdict(list)
    for reader in readers:
        if reader.seq < end and reader.may_read():
            if reader.since is not None and end - reader.seq > BATCH:
                _skip(reader, end)
            abreast[reader.seq].append(reader)
    return [Stretch(those, seq, end) for seq, those in abreast.items()]


def _skip(reader: Reader, end: int) -> None:
    """Let one that is new on a long topic begin behind what is not for it."""
    earlier = Event.objects.filter(topic=reader.topic, seq__lte=end, created_at__lt=reader.since)
    reader.seq = earlier.order_by("-seq").values_list("seq", flat=True).first() or 0
    reader.since = None


def read(ahead: Sequence[Stretch]) -> None:
    """Fill the stretches: the short ones by one query, each long one as far as its batch goes."""
    short: dict[int, list[Stretch]] = defaultdict(list)
    for stretch in ahead:
        if stretch.length <= BATCH:
            short[stretch.seq].append(stretch)
            continue
        between = Event.objects.filter(
            topic=stretch.topic, seq__gt=stretch.seq, seq__lte=stretch.upto, name__in=stretch.names
        )
        stretch.events = list(between.order_by("seq")[:BATCH])
        if len(stretch.events) == BATCH:
            stretch.upto = stretch.events[-1].seq
    if not short:
        return
    behind, names = Q(), set[str]()
    for seq, stretches in short.items():
        behind |= Q(topic__in=[stretch.topic for stretch in stretches], seq__gt=seq)
        names = names.union(*(stretch.names for stretch in stretches))
    by_topic: dict[str, list[Event]] = defaultdict(list)
    for event in Event.objects.filter(behind, name__in=names).order_by("topic", "seq"):
        by_topic[event.topic].append(event)
    for stretch in itertools.chain.from_iterable(short.values()):
        stretch.events = [
            event for event in by_topic[stretch.topic] if stretch.seq < event.seq <= stretch.upto
        ]
