"""PostgreSQL's twin of `fixes._record` for trails that this process knows: one statement.

It stores what goes on where this process left it: same courier, same attempt, on its way, and the
version that was left behind. Who is missing in the answer is stored by the portable way, which
reads his trail again. The same tests run on both.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import orjson
from django.conf import settings
from django.db import connection

from marketplace.core.clock import now
from marketplace.core.db import fetch_planned

if TYPE_CHECKING:
    from delivery.services.fixes import Entry, Known

# The rows travel with their delivery: joining them to it afterwards would compare each with each.
STATEMENT = """
WITH held AS (
    UPDATE delivery_delivery d SET fixes_version = d.fixes_version + 1
    FROM jsonb_to_recordset(%s::jsonb) AS i(
        id uuid, courier_id uuid, attempts int, version bigint, fixes jsonb)
    WHERE d.id = i.id AND d.courier_id = i.courier_id AND d.attempts = i.attempts
      AND d.fixes_version = i.version AND d.status IN ('in_transit', 'arrived')
    RETURNING d.id, i.fixes
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
SELECT id FROM held
"""


def applies() -> bool:
    """Whether positions may take the short way here."""
    return connection.vendor == "postgresql" and not settings.FAILPOINT


def store(wanted: "Sequence[tuple[UUID, Known, Sequence[Entry]]]") -> set[UUID]:
    """Store these positions of these deliveries; the deliveries whose positions are stored."""
    at = now()
    rows = [
        {
            "id": delivery_id,
            "courier_id": known.courier_id,
            "attempts": known.attempts,
            "version": known.version,
            "fixes": [_row(one) for one in entries],
        }
        for delivery_id, known, entries in wanted
    ]
    found = fetch_planned(STATEMENT, [orjson.dumps(rows).decode(), at, at])
    return {delivery_id for (delivery_id,) in found}


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
