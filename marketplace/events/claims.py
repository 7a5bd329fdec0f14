"""Which topics have work for subscribers, and who serves them: a lease for a page at a time.

The lease only spares work; that each effect happens once is up to the positions.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Q

from marketplace.core.clock import now
from marketplace.core.db import run
from marketplace.core.questions import Question, ask
from marketplace.events.models import TopicHead

LEASE = timedelta(seconds=60)


class Head(NamedTuple):
    """Where a topic stood when it was claimed."""

    topic: str
    last_seq: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """Topics that this runner has claimed, the one that waits longest first, and until when."""

    heads: list[Head]
    leased_until: datetime


def claim(*, but: Collection[str], count: int) -> Page:
    """Take the lease of up to `count` topics that have work."""
    instant = now()
    until = instant + LEASE

    def elsewhere() -> list[Head]:
        free = TopicHead.objects.filter(
            Q(leased_until__isnull=True) | Q(leased_until__lte=instant), subscribers_pending=True
        )
        if but:
            free = free.exclude(topic__in=sorted(but))
        waiting = free.order_by("updated_at", "topic").values_list("topic", flat=True)
        page = list(waiting[:count])
        if not page:
            return []
        free.filter(topic__in=page).update(leased_until=until)
        ours = TopicHead.objects.filter(topic__in=page, leased_until=until).order_by("topic")
        return [Head(*row) for row in ours.values_list("topic", "last_seq", "updated_at")]

    question = Question(
        CLAIM,
        [instant, sorted(but), count, until],
        read=lambda rows: [Head(*row) for row in rows],
        elsewhere=elsewhere,
    )
    heads = run(lambda: ask(question))
    return Page(sorted(heads, key=lambda head: (head.updated_at, head.topic)), until)


# A head that somebody writes to at this moment comes next time: who records waits for nobody here.
CLAIM = f"""
    WITH free AS (
        SELECT id FROM {TopicHead._meta.db_table}
        WHERE subscribers_pending AND (leased_until IS NULL OR leased_until <= %s)
            AND topic <> ALL (%s::text[])
        ORDER BY updated_at, topic LIMIT %s
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE {TopicHead._meta.db_table} AS head SET leased_until = %s
    FROM free WHERE head.id = free.id
    RETURNING head.topic, head.last_seq, head.updated_at
"""  # noqa: S608  # the name of a table


def let_go(page: Page, *, visited: Collection[str], done: Collection[str]) -> None:
    """End the leases, and the flags of those that are `done` and where nothing came meanwhile.

    visited: those of them that have had their turn; the others keep their place among who waits.
    """
    at, until = now(), page.leased_until

    def elsewhere() -> None:
        finished: dict[int, list[str]] = defaultdict(list)
        for head in page.heads:
            if head.topic in done:
                finished[head.last_seq].append(head.topic)
        ours = TopicHead.objects.filter(leased_until=until)
        free: dict[str, Any] = {"leased_until": None, "updated_at": at}
        for last_seq, topics in finished.items():
            unchanged = ours.filter(topic__in=topics, last_seq=last_seq)
            unchanged.update(subscribers_pending=False, **free)
        ours.filter(topic__in=list(visited)).update(**free)
        others = [head.topic for head in page.heads if head.topic not in visited]
        if others:
            ours.filter(topic__in=others).update(leased_until=None)

    question = Question(
        LET_GO,
        [
            [head.topic for head in page.heads],
            [head.last_seq for head in page.heads],
            [head.topic in visited for head in page.heads],
            [head.topic in done for head in page.heads],
            until,
            at,
        ],
        read=lambda rows: None,
        elsewhere=elsewhere,
    )
    run(lambda: ask(question))


# The rows are taken in the order in which those who record take them.
LET_GO = f"""
    WITH ours AS (
        SELECT head.id, read.last_seq, read.is_visited, read.is_done
        FROM unnest(%s::text[], %s::bigint[], %s::boolean[], %s::boolean[])
            AS read(topic, last_seq, is_visited, is_done)
        JOIN {TopicHead._meta.db_table} AS head ON head.topic = read.topic
        WHERE head.leased_until = %s
        ORDER BY read.topic COLLATE "C"
        FOR NO KEY UPDATE OF head
    )
    UPDATE {TopicHead._meta.db_table} AS head SET
        leased_until = NULL,
        updated_at = CASE WHEN ours.is_visited THEN %s ELSE head.updated_at END,
        subscribers_pending = head.subscribers_pending
            AND NOT (ours.is_done AND head.last_seq = ours.last_seq)
    FROM ours WHERE head.id = ours.id
    RETURNING head.topic
"""  # noqa: S608  # the name of a table
