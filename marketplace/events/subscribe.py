"""Reactions to the log inside this database: every event has one effect per subscriber.

A subscriber stands at one position per topic, which moves in the transaction of the effect: both
are there or neither is. So an effect writes to this database only; what leaves it, such as an
e-mail, is a job that the effect enqueues.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.db.models import Max, Q, QuerySet

from marketplace.core import jobs
from marketplace.core.clock import now
from marketplace.core.db import IntegrityError, has_transactions, run
from marketplace.core.pace import give_way
from marketplace.events.models import Event, Position, TopicHead
from marketplace.events.positions import Effect, Reader, Subscription, pass_over

logger = structlog.get_logger(__name__)

BATCH = 200
PAGE = 100
TOPICS_PER_RUN = 1_000
LEASE = timedelta(seconds=60)
TICKER = "run_subscribers"
# The row that says since when a subscriber exists is a position in no topic.
NO_TOPIC = ""

_subscriptions: dict[str, Subscription] = {}


def subscribes(
    *, subscriber: str, names: Iterable[str], topics: str = "", from_now: bool = False
) -> Callable[[Effect], Effect]:
    """Decorator: `function(events)` gets every event with one of these names, in order per topic.

    topics: only of topics that begin so, such as `order:`; then copies of a fact that stand on
    others leave no work behind.
    It is called inside the transaction that moves the position, with 1 to 200 events of one topic;
    a transaction that loses a race calls it again. A new subscriber reads the log from its
    beginning, or, with `from_now`, what is recorded after its first start.
    Raises ValueError for a second function under the same name.
    """

    def register(effect: Effect) -> Effect:
        if subscriber in _subscriptions:
            raise ValueError(f"The subscriber {subscriber} is registered twice.")
        _subscriptions[subscriber] = Subscription(
            subscriber, frozenset(names), topics, effect, from_now
        )
        return effect

    return register


def subscribed_names() -> dict[str, tuple[str, ...]]:
    """Every event name that somebody wants, and how the topics begin on which they want it.

    Only such an event flags the head of its topic.
    """
    wanted: dict[str, tuple[str, ...]] = {}
    for one in _subscriptions.values():
        for name in one.names:
            wanted[name] = (*wanted.get(name, ()), one.topics)
    return wanted


def all_subscriptions() -> list[Subscription]:
    """Every registered subscriber, by name."""
    return sorted(_subscriptions.values(), key=lambda one: one.subscriber)


def subscriptions_to(topic: str) -> list[Subscription]:
    """Those that read this topic, by name."""
    return [one for one in all_subscriptions() if topic.startswith(one.topics)]


def run_subscribers(limit: int = TOPICS_PER_RUN) -> int:
    """Serve the topics that have work, those first that wait longest; how many events were taken.

    limit: visits to topics. Several runners at once are harmless. Called every second, and at once
    after a commit that left work.
    """
    if not _subscriptions:
        return 0
    started = _introduce()
    taken = visits = 0
    idle: set[str] = set()
    while visits < limit:
        page = _topics_with_work(but=idle, count=min(PAGE, limit - visits))
        if not page:
            break
        for topic in page:
            began = time.perf_counter()
            count = _visit(topic, started)
            give_way(time.perf_counter() - began)
            taken += count
            if not count:
                idle.add(topic)
        visits += len(page)
    return taken


def _introduce() -> dict[str, datetime]:
    """Since when each subscriber exists; a new one gets its turn in every topic there is."""
    rows = Position.objects.filter(topic=NO_TOPIC).order_by("subscriber")
    started = dict(rows.values_list("subscriber", "created_at"))
    newcomers = [one for one in all_subscriptions() if one.subscriber not in started]
    if not newcomers:
        return started
    if not all(one.from_now for one in newcomers):
        _flag_every_topic()
    for one in newcomers:
        try:
            run(partial(Position.objects.create, subscriber=one.subscriber, topic=NO_TOPIC))
        except IntegrityError:
            continue  # another runner was quicker
        logger.info("subscriber_introduced", subscriber=one.subscriber, from_now=one.from_now)
    return dict(rows.all().values_list("subscriber", "created_at"))


def _flag_every_topic() -> None:
    last = ""
    while True:
        after = TopicHead.objects.filter(topic__gt=last, last_seq__gt=0).order_by("topic")
        page = list(after.values_list("topic", flat=True)[:PAGE])
        if not page:
            return
        _update(TopicHead.objects.filter(topic__in=page), subscribers_pending=True)
        last = page[-1]


def _update(heads: QuerySet[TopicHead], **values: Any) -> int:
    """One UPDATE by itself, repeated where it loses a race against those who record."""
    return run(lambda: heads.update(**values))


def _unleased() -> Q:
    return Q(leased_until__isnull=True) | Q(leased_until__lte=now())


def _topics_with_work(*, but: set[str], count: int) -> list[str]:
    heads = TopicHead.objects.filter(_unleased(), subscribers_pending=True)
    if but:
        heads = heads.exclude(topic__in=sorted(but))
    return list(heads.order_by("updated_at", "topic").values_list("topic", flat=True)[:count])


def _visit(topic: str, started: dict[str, datetime]) -> int:
    """Claim the topic, give every subscriber one batch, let it go; how many events were taken."""
    until = now() + LEASE
    heads = TopicHead.objects.filter(topic=topic)
    free = heads.filter(_unleased(), subscribers_pending=True)
    if not _update(free, leased_until=until):
        return 0
    all_read_upto = None
    try:
        head = heads.get()
        taken, finished = _serve(head, started)
        all_read_upto = head.last_seq if finished else None
    finally:
        _let_go(heads.filter(leased_until=until), all_read_upto)
    return taken


def _let_go(ours: QuerySet[TopicHead], all_read_upto: int | None) -> None:
    """End the lease, and the flag too where everybody has read and nothing came after it."""
    free: dict[str, Any] = {"leased_until": None, "updated_at": now()}
    if all_read_upto is not None:
        unchanged = ours.filter(last_seq=all_read_upto)
        if _update(unchanged, subscribers_pending=False, **free):
            return
    _update(ours, **free)


def _serve(head: TopicHead, started: dict[str, datetime]) -> tuple[int, bool]:
    """One batch for every subscriber: events taken, and whether all have read everything."""
    end = _readable_end(head)
    readers = _readers(head, started)
    abreast: dict[int, list[Reader]] = defaultdict(list)
    for reader in readers:
        if reader.seq < end and reader.may_read():
            abreast[reader.seq].append(reader)
    # Mostly all stand at the same seq, so that one query reads for all of them.
    taken = sum(_read_together(group, end) for group in abreast.values())
    return taken, all(reader.parked or reader.seq >= head.last_seq for reader in readers)


def _readable_end(head: TopicHead) -> int:
    """The last seq whose event is surely there: with transactions that of the head.

    Without them a head moves before its event is written, so the newest event counts, and a
    number below it that the log does not hold is an empty slot.
    """
    if has_transactions():
        return head.last_seq
    events = Event.objects.filter(topic=head.topic, seq__lte=head.last_seq)
    return events.aggregate(last=Max("seq"))["last"] or 0


def _readers(head: TopicHead, started: dict[str, datetime]) -> list[Reader]:
    positions = {
        position.subscriber: position
        for position in Position.objects.filter(topic=head.topic).order_by("subscriber")
    }
    readers = []
    for one in subscriptions_to(head.topic):
        position = positions.get(one.subscriber)
        if position is None:
            start = _start(head, since=started[one.subscriber]) if one.from_now else 0
            readers.append(Reader(subscription=one, topic=head.topic, seq=start))
        else:
            readers.append(Reader.at(position, one))
    return readers


def _start(head: TopicHead, *, since: datetime) -> int:
    """The last seq recorded before `since`."""
    earlier = Event.objects.filter(topic=head.topic, created_at__lt=since).order_by("-seq")
    return earlier.values_list("seq", flat=True).first() or 0


def _read_together(readers: list[Reader], end: int) -> int:
    """Read once for subscribers that stand at the same seq, and give each its share."""
    names = frozenset[str]().union(*(reader.subscription.names for reader in readers))
    between = Event.objects.filter(
        topic=readers[0].topic, seq__gt=readers[0].seq, seq__lte=end, name__in=sorted(names)
    )
    events = list(between.order_by("seq")[:BATCH])
    upto = events[-1].seq if len(events) == BATCH else end
    taken = 0
    passing = []
    for reader in readers:
        batch, target = reader.next_batch(events, upto)
        if batch:
            taken += reader.take(batch, target)
        else:
            passing.append(reader)
    pass_over(passing, upto)
    return taken


def wake() -> None:
    """Run the subscribers of this process now, not at the next tick."""
    jobs.wake(TICKER)
