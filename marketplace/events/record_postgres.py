"""The twin of `record.advance` for PostgreSQL: one statement that also tells the new seqs."""

from collections.abc import Collection, Mapping

from marketplace.core.db import fetch_planned
from marketplace.events.models import TopicHead

HEADS = TopicHead._meta.db_table
ADVANCE = f"""
    UPDATE {HEADS} AS head SET
        last_seq = last_seq + new.number,
        subscribers_pending = subscribers_pending OR new.is_subscribed,
        relay_pending = relay_pending OR %s
    FROM unnest(%s::text[], %s::bigint[], %s::boolean[]) AS new(topic, number, is_subscribed)
    WHERE head.topic = new.topic
    RETURNING head.topic, last_seq
"""  # noqa: S608  # the name of a table


def advance(
    counts: Mapping[str, int], *, flagged: Collection[str], relayed: bool
) -> dict[str, int]:
    """See record.py; who has the topics in the same order waits for nobody twice."""
    topics = sorted(counts)
    values = [
        relayed,
        topics,
        [counts[topic] for topic in topics],
        [topic in flagged for topic in topics],
    ]
    return dict(fetch_planned(ADVANCE, values))
