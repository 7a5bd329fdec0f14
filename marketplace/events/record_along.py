"""PostgreSQL's twin of a change and `record_all` behind it: both travel with the commit.

So nothing of ours runs from the moment in which the changed rows are locked to that in which they
are free again, however many wait for them. What has to be decided meanwhile, the statement decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from django.db import DataError

from marketplace.core.clock import now
from marketplace.core.context import request_id
from marketplace.core.ids import uuid7
from marketplace.core.libpq import Rows
from marketplace.core.planned import send_last
from marketplace.core.rows import (
    as_arrays,
    columns_list,
    insert_rows,
    mark_stored,
    new_row,
    unnested,
)
from marketplace.events.models import Event
from marketplace.events.record import (
    NewEvent,
    advance_sql,
    announce,
    count_by_topic,
    new_events,
    open_heads,
    wake_subscribers,
)

DIVISION_BY_ZERO = "22012"


@dataclass(frozen=True, slots=True)
class Change:
    """Rows to be changed, each of which becomes an event.

    statement, values: an UPDATE that gives `topic` and `payload` (jsonb) of each row that it has
    changed. topics: of the rows, all of which have to be changed. name: of the events.
    """

    statement: str
    values: Sequence[Any]
    topics: Sequence[str]
    name: str


def record_along(change: Change, entries: Sequence[NewEvent], *, opening: Sequence[str]) -> None:
    """Make the change at the end of this transaction, record its events and these others.

    Only inside `inserting_along()`, as its last step. opening: topics that are new, as in
    `record_all`; no row of the change has one of these, or one of the entries'. Where not all rows
    of the change could be changed, or a topic has no head, the transaction fails with a DataError
    that `is_undone` knows: the way without this module then tells why.
    """
    theirs = [NewEvent(topic=topic, name=change.name, payload={}) for topic in change.topics]
    wanted = count_by_topic([*theirs, *entries])
    old = wanted.without(opening)
    begun = new_events(
        [entry for entry in entries if entry.topic not in old.counts], dict.fromkeys(opening, 1)
    )
    open_heads(wanted, opening)
    insert_rows(begun)
    # Their seqs count from one until it is known from where they count.
    given = new_events(
        [entry for entry in entries if entry.topic in old.counts], dict.fromkeys(old.counts, 1)
    )
    at, asked = now(), request_id.get()
    keys = [uuid7() for _ in change.topics]

    def read(rows: Rows) -> None:
        [(heads, changed, _)] = rows
        firsts = orjson.loads(heads)
        for event in given:
            event.seq += firsts[event.topic] - 1
        told = [
            new_row(
                Event, id=keys[place - 1], event_id=keys[place - 1], topic=topic,
                seq=firsts[topic] + nth - 1, name=change.name, payload=payload, actor_id=None,
                request_id=asked, created_at=at,
            )
            for place, nth, topic, payload in orjson.loads(changed)
        ]  # fmt: skip
        mark_stored([*told, *given])
        announce([*told, *begun, *given])
        if wanted.flagged:
            wake_subscribers()

    values = [
        *change.values,
        len(change.topics),
        *old.as_values(),
        change.name,
        asked,
        at,
        keys,
        *as_arrays(Event, given),
        len(old.counts),
    ]
    send_last((_statement(change.statement), values), read)


def is_undone(error: DataError) -> bool:
    """Whether `record_along` failed because not everything was there that it was to change."""
    return getattr(error.__cause__, "sqlstate", None) == DIVISION_BY_ZERO


# `enough` and the last SELECT divide by zero where rows or heads are missing: nothing else ends a
# statement by what it has found. What it has to say is one row: reading many takes longer.
@lru_cache
def _statement(change: str) -> str:
    table = Event._meta.db_table
    columns = columns_list(Event)
    return f"""
WITH changed AS (
    {change}
), enough AS MATERIALIZED (
    SELECT 1 / (count(*) = %s)::integer AS one FROM changed
), heads AS (
    {advance_sql(after="enough")}
), told AS MATERIALIZED (
    SELECT row_number() OVER () AS place, row_number() OVER (PARTITION BY topic) AS nth, topic,
        payload
    FROM changed
), logged AS (
    INSERT INTO {table} (
        id, event_id, topic, seq, name, payload, actor_id, request_id, created_at)
    SELECT key, key, topic, heads.first + told.nth - 1, %s::text, told.payload, NULL::text,
        %s::text, %s::timestamptz
    FROM told JOIN heads USING (topic)
        JOIN unnest(%s::uuid[]) WITH ORDINALITY AS keys(key, place) USING (place)
    UNION ALL
    SELECT given.id, given.event_id, topic, heads.first + given.seq - 1, given.name, given.payload,
        given.actor_id, given.request_id, given.created_at
    FROM {unnested(Event)} AS given({columns}) JOIN heads USING (topic)
)
SELECT (SELECT coalesce(json_object_agg(topic, first)::text, '{{}}') FROM heads),
    (SELECT coalesce(json_agg(json_build_array(place, nth, topic, payload))::text, '[]') FROM told),
    1 / ((SELECT count(*) FROM heads) = %s)::integer
"""  # noqa: S608  # names of a table and its columns, and statements of ours
