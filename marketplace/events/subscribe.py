"""Reactions to the log inside this database: every event has one effect per subscriber.

A subscriber stands at one position per topic, which moves in the transaction of the effect: both
are there or neither is. So an effect writes to this database only; what leaves it, such as an
e-mail, is a job that the effect enqueues.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial

import structlog

from marketplace.core import jobs
from marketplace.core.db import IntegrityError, run
from marketplace.core.errors import Unavailable
from marketplace.core.pace import giving_way, is_rush
from marketplace.events.claims import Head, Page, claim, let_go
from marketplace.events.models import Position, TopicHead
from marketplace.events.positions import Effect, Reader, Share, Subscription, pass_over, take
from marketplace.events.stretches import read, readers_of, within_reach

logger = structlog.get_logger(__name__)

TOGETHER = 100
"""So many of several topics: while their effect lasts, who records on its topics waits."""
PAGE = 100
PAGE_IN_A_RUSH = 50
"""A page's commit is large, and the commits of those who wait queue up behind it on the disk."""
A_STREAM = 3
"""So many pages in a row that were not full: work comes as quickly as it is done."""
GATHER_S = 0.025
"""Then the next page waits for more, since a page costs as much as dozens of its topics."""
TOPICS_PER_RUN = 1_000
TICKER = "run_subscribers"
# The row that says since when a subscriber exists is a position in no topic.
NO_TOPIC = ""

_subscriptions: dict[str, Subscription] = {}


def subscribes(
    *,
    subscriber: str,
    names: Iterable[str],
    topics: str = "",
    from_now: bool = False,
    alone: bool = False,
) -> Callable[[Effect], Effect]:
    """Decorator: `function(events)` gets every event with one of these names, in order per topic.

    topics: only of topics that begin so, such as `order:`; then copies of a fact that stand on
    others leave no work behind. alone: of one topic at a time, for an effect that writes much.
    It is called inside the transaction that moves the positions, with 1 to 200 events of one or
    more topics; a transaction that loses a race, or fails, calls it again, with these or some of
    them. A new subscriber reads the log from its beginning, or, with `from_now`, what is recorded
    after its first start.
    Raises ValueError for a second function under the same name.
    """

    def register(effect: Effect) -> Effect:
        if subscriber in _subscriptions:
            raise ValueError(f"The subscriber {subscriber} is registered twice.")
        _subscriptions[subscriber] = Subscription(
            subscriber, frozenset(names), topics, effect, from_now, alone
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
    taken = visits = not_full = 0
    idle: set[str] = set()
    while visits < limit:
        if not_full >= A_STREAM:
            time.sleep(GATHER_S)
        size = min(PAGE_IN_A_RUSH if is_rush() else PAGE, limit - visits)
        with giving_way():
            page = claim(but=idle, count=size)
        if not page.heads:
            break
        not_full = not_full + 1 if len(page.heads) < size else 0
        for topic, count in _visit(page, started).items():
            visits += 1
            taken += count
            if not count:
                idle.add(topic)
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
        heads = TopicHead.objects.filter(topic__in=page)
        run(partial(heads.update, subscribers_pending=True))
        last = page[-1]


def _visit(page: Page, started: dict[str, datetime]) -> dict[str, int]:
    """Give every subscriber what these topics have for it, and let them go.

    How many events were taken, by topic; without those that wait for their turn until others have
    been read.
    """
    visited: Collection[str] = [head.topic for head in page.heads]
    done: list[str] = []
    try:
        readers = _serve(page.heads, started)
        visited = readers.keys()
        done = [head.topic for head in page.heads if _has_been_read(head, readers)]
    finally:
        with giving_way():
            let_go(page, visited=visited, done=done)
    return {topic: sum(reader.taken for reader in those) for topic, those in readers.items()}


def _has_been_read(head: Head, readers: dict[str, list[Reader]]) -> bool:
    """Whether everybody has had what was there when the topic was claimed."""
    those = readers.get(head.topic)
    return those is not None and all(one.parked or one.seq >= head.last_seq for one in those)


def _serve(heads: Sequence[Head], started: dict[str, datetime]) -> dict[str, list[Reader]]:
    """Everybody's share of these topics; who reads them, by topic, as they stand then."""
    with giving_way():
        subscriptions = {head.topic: subscriptions_to(head.topic) for head in heads}
        readers = readers_of(heads, subscriptions, started)
        ahead = within_reach(heads, readers)
        read(ahead)
    taking: dict[str, list[Share]] = defaultdict(list)
    passing: list[Share] = []
    for stretch in ahead:
        for reader in stretch.readers:
            share = reader.share_of(stretch.events, stretch.upto)
            mine = taking[reader.subscription.subscriber] if share.events else passing
            mine.append(share)
    with giving_way():
        pass_over(passing)
    for subscriber in sorted(taking):
        try:
            for shares in _together(taking[subscriber]):
                take(shares)
        except Unavailable:
            continue  # nobody's fault: the next visit reads the positions anew
    return readers


def _together(shares: Sequence[Share]) -> Iterator[list[Share]]:
    """As many topics at a time as one transaction takes; one that has failed before goes alone."""
    batch: list[Share] = []
    size = 0
    for share in shares:
        if share.reader.failures or share.reader.subscription.alone:
            yield [share]
            continue
        size += len(share.events)
        if batch and size > TOGETHER:
            yield batch
            batch, size = [], len(share.events)
        batch.append(share)
    if batch:
        yield batch


def wake() -> None:
    """Run the subscribers of this process now, not at the next tick."""
    jobs.wake(TICKER)
