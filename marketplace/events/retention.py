"""What the log forgets, and its new beginning after a restore.

Only topics that people join for their own news are trimmed; those that tell the history of an
order, a delivery or a shop are kept whole. Nothing goes before everybody has read it.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial

import structlog
from django.conf import settings
from django.db.models import Max, Q, QuerySet

from marketplace.core.clock import now as clock_now
from marketplace.core.db import atomic, run
from marketplace.core.ids import uuid7
from marketplace.events.audit import record_audit
from marketplace.events.models import Event, Position, TopicHead
from marketplace.events.subscribe import NO_TOPIC, subscriptions_to

logger = structlog.get_logger(__name__)

Progress = Callable[[int, int], None]

TRIMMED_KINDS = ("room:", "user:")
TRIMMED_TOPICS = ("announcements", "employees", "admins")
# The subscriber under whose name the bus relay keeps its positions.
RELAY = "relay"
CLEANUP_PART = "events"
PAGE = 200
BATCH = 1_000


def trim(now: datetime, *, progress: Progress | None = None) -> int:
    """Remove the events that are older than EVENT_RETENTION_DAYS; how many there were.

    The horizon of a topic moves in the transaction that removes its events, at most 1,000 at a
    time, and never past a subscriber or the relay. What is held back goes at a later call.
    progress: called with topics looked at, and all of them.
    """
    cutoff = now - timedelta(days=settings.EVENT_RETENTION_DAYS)
    topics, seen, removed = _trimmed_heads().count(), 0, 0
    for heads in _pages(_trimmed_heads()):
        for topic, last_old in _with_old_events(heads, cutoff):
            removed += _trim_topic(topic, last_old, cutoff)
        seen += len(heads)
        if progress:
            progress(seen, max(topics, seen))
    if removed:
        logger.info("log_trimmed", events=removed, before=cutoff.isoformat())
    return removed


def start_new_epoch(*, actor_id: str | None, progress: Progress | None = None) -> int:
    """Give every topic a new epoch, so that clients drop what they hold; how many topics there are.

    Run after a restore from backup, before the server starts: seqs may then repeat.
    """
    epoch = uuid7().hex
    topics, done = TopicHead.objects.count(), 0
    for heads in _pages(TopicHead.objects.all()):
        page = TopicHead.objects.filter(topic__in=[head.topic for head in heads])
        done += run(partial(page.update, epoch=epoch, updated_at=clock_now()))
        if progress:
            progress(done, max(topics, done))
    with atomic():
        record_audit(
            actor_id=actor_id,
            action="epoch.started",
            target="topics",
            details={"epoch": epoch, "topics": done},
        )
    return done


def _trimmed_heads() -> QuerySet[TopicHead]:
    wanted = Q(topic__in=TRIMMED_TOPICS)
    for kind in TRIMMED_KINDS:
        wanted |= Q(topic__startswith=kind)
    return TopicHead.objects.filter(wanted)


def _pages(heads: QuerySet[TopicHead]) -> Iterator[list[TopicHead]]:
    last = ""
    while page := list(heads.filter(topic__gt=last).order_by("topic")[:PAGE]):
        yield page
        last = page[-1].topic


def _with_old_events(heads: list[TopicHead], cutoff: datetime) -> list[tuple[str, int]]:
    """Topics with events from before the cutoff, each with the last of these."""
    topics = [head.topic for head in heads]
    old = Event.objects.filter(topic__in=topics, created_at__lt=cutoff)
    by_topic = old.values("topic").annotate(last=Max("seq")).order_by("topic")
    return list(by_topic.values_list("topic", "last"))


def _trim_topic(topic: str, last_old: int, cutoff: datetime) -> int:
    head = TopicHead.objects.get(topic=topic)
    # Times need not rise with the seq: only what stands before every younger event goes.
    young = Event.objects.filter(
        topic=topic, seq__gt=head.horizon, seq__lte=last_old, created_at__gte=cutoff
    ).order_by("seq")
    first_young = young.values_list("seq", flat=True).first()
    target = min(last_old if first_young is None else first_young - 1, _read_by_all(head))
    removed = 0
    while head.horizon < target:
        upto = min(head.horizon + BATCH, target)
        count = run(partial(_remove, head, upto))
        if count is None:
            return removed
        removed += count
        head.horizon = upto
    return removed


def _read_by_all(head: TopicHead) -> int:
    """The seq up to which every subscriber, and the relay, has no use for this topic any more.

    Without its flag a head has nothing that anybody wants and has not had, wherever the positions
    stand; only a parked one, whose events still wait for it, counts then.
    """
    positions = {
        position.subscriber: position
        for position in Position.objects.filter(topic=head.topic).order_by("subscriber")
    }
    known = set(
        Position.objects.filter(topic=NO_TOPIC)
        .order_by("subscriber")
        .values_list("subscriber", flat=True)
    )
    behind = {RELAY: head.relay_pending}
    for one in subscriptions_to(head.topic):
        behind[one.subscriber] = head.subscribers_pending or one.subscriber not in known
    bound = head.last_seq
    for subscriber, has_work in behind.items():
        position = positions.get(subscriber)
        if has_work or (position and position.parked_at):
            bound = min(bound, position.seq if position else 0)
    return bound


def _remove(head: TopicHead, upto: int) -> int | None:
    """Move the horizon, remove what is behind it; None if the head has changed meanwhile."""
    unchanged = TopicHead.objects.filter(
        topic=head.topic,
        horizon=head.horizon,
        subscribers_pending=head.subscribers_pending,
        relay_pending=head.relay_pending,
    )
    with atomic():
        if not unchanged.update(horizon=upto):
            return None
        count, _ = Event.objects.filter(topic=head.topic, seq__lte=upto).delete()
    return count
