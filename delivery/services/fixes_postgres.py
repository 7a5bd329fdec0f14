"""PostgreSQL's twin of `fixes._record` for trails that this process knows: one statement.

It stores what goes on where this process left it: same courier, same attempt, on its way, and the
version that was left behind. Who is missing in the answer is stored by the portable way, which
reads his trail again. The same tests run on both.

Trails that a process does not know yet are read by one statement for the whole batch.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import orjson
from django.conf import settings

from marketplace.core.clock import now
from marketplace.core.planned import fetch_planned
from marketplace.core.vendor import is_postgresql

if TYPE_CHECKING:
    from delivery.services.fixes import Entry, Judged

# The rows travel with their delivery: joining them to it afterwards would compare each with each.
STATEMENT = """
WITH held AS (
    UPDATE delivery_delivery d SET fixes_version = d.fixes_version + 1
    FROM jsonb_to_recordset(%s::jsonb) AS i(
        number int, id uuid, courier_id uuid, attempts int, version bigint, fixes jsonb)
    WHERE d.id = i.id AND d.courier_id = i.courier_id AND d.attempts = i.attempts
      AND d.fixes_version = i.version AND d.status IN ('in_transit', 'arrived')
    RETURNING d.id, i.number, i.fixes
), stored AS (
    INSERT INTO delivery_location (
        id, created_at, updated_at, delivery_id, latitude, longitude, accuracy, speed_mps, heading,
        recorded_at, rejected, late)
    SELECT f.id, %s, %s, held.id, f.latitude, f.longitude, f.accuracy, f.speed_mps, f.heading,
           f.recorded_at, f.rejected, f.late
    FROM held, jsonb_to_recordset(held.fixes) AS f(
        id uuid, latitude float8, longitude float8, accuracy float8, speed_mps float8,
        heading float8, recorded_at timestamptz, rejected text, late boolean)
)
SELECT number FROM held
"""

# A row has the delivery and what took part in its trail, the newest as far as asked for. One
# statement sees one state: the version belongs to the positions.
TRAILS = """
SELECT d.id, d.courier_id, d.attempts, d.status, d.fixes_version, d.nearby_at IS NOT NULL,
       d.started_at, d.attempt_at, d.destination_latitude, d.destination_longitude,
       (SELECT json_agg(
            json_build_array(l.at, l.latitude, l.longitude, l.speed_mps, l.rejected)
            ORDER BY l.at, l.id)
        FROM (
            SELECT id, extract(epoch FROM recorded_at) AS at, latitude, longitude, speed_mps,
                   rejected
            FROM delivery_location
            WHERE delivery_id = d.id AND rejected IN ('', 'speed')
            ORDER BY recorded_at DESC, id DESC LIMIT %s) l)::text
FROM jsonb_to_recordset(%s::jsonb) AS i(id uuid, courier_id uuid)
JOIN delivery_delivery d ON d.id = i.id AND d.courier_id = i.courier_id
WHERE d.status IN ('in_transit', 'arrived')
"""


class StoredTrail(NamedTuple):
    """A delivery on its way as it is stored. fixes: JSON, `[[at, latitude, longitude, speed_mps,
    rejected], …]` by time, null without any.
    """

    id: UUID
    courier_id: UUID
    attempts: int
    status: str
    fixes_version: int
    is_nearby_told: bool
    started_at: datetime
    attempt_at: datetime | None
    destination_latitude: float | None
    destination_longitude: float | None
    fixes: str | None


def applies() -> bool:
    """Whether positions may take the short way here."""
    return is_postgresql() and not settings.FAILPOINT


def read_trails(wanted: Collection[tuple[UUID, UUID]], *, limit: int) -> list[StoredTrail]:
    """Of these (delivery, courier) what is on its way, with the newest `limit` of its trail."""
    rows = [{"id": delivery_id, "courier_id": courier_id} for delivery_id, courier_id in wanted]
    found = fetch_planned(TRAILS, [limit, orjson.dumps(rows).decode()])
    return [StoredTrail(*row) for row in found]


def store(judged: "Sequence[Judged]") -> list[int]:
    """Store the positions of these couriers; the places of those that are stored."""
    at = now()
    rows = [
        {
            "number": number,
            "id": one.unit.commands[0].delivery_id,
            "courier_id": one.known.courier_id,
            "attempts": one.known.attempts,
            "version": one.known.version,
            "fixes": [_row(entry) for entry in one.entries],
        }
        for number, one in enumerate(judged)
    ]
    found = fetch_planned(STATEMENT, [orjson.dumps(rows).decode(), at, at])
    return [number for (number,) in found]


def _row(entry: "Entry") -> dict[str, object]:
    one = entry.one
    return {
        "id": entry.id,
        "latitude": one.latitude,
        "longitude": one.longitude,
        "accuracy": one.accuracy,
        "speed_mps": one.speed_mps,
        "heading": one.heading,
        "recorded_at": one.recorded_at,
        "rejected": entry.rejected,
        "late": entry.late,
    }
