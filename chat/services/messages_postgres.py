"""PostgreSQL's twin of `messages._store`: a whole batch in one statement, one round trip.

Measured, not assumed: benchmarks/RESULTS.md has the figures of both ways. The rules are the same
and the same tests run on both: who is no member, resends, or may be talking to the assistant gets
no row here and is answered by the portable way, which knows why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from django.conf import settings

from marketplace.core.clock import now, wire_time
from marketplace.core.context import request_id
from marketplace.core.db import on_commit
from marketplace.core.ids import uuid7
from marketplace.core.observe import EVENTS_RECORDED
from marketplace.core.planned import fetch_planned
from marketplace.core.vendor import is_postgresql
from marketplace.events import live
from marketplace.events.record import is_subscribed, wake_subscribers

if TYPE_CHECKING:
    from chat.services.messages import SendCommand

EVENT = "message.sent"
ROOMS = "room:"

# heads: the row locks that make seq order commit order, as in events.record.take_seqs. Each step
# hands on what the next one needs (`ords`: which commands a room has): joining the steps' results
# afterwards compares every row with every other. NOT DISTINCT FROM is an equality that no index
# serves: else a planner without statistics reads all messages of the room to find a resend.
STATEMENT = """
WITH input AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS i(
        ord int, room_id uuid, user_id uuid, message_id uuid, event_id uuid,
        client_id text, kind text, content text, data jsonb, request_id text, payload jsonb)
), allowed AS MATERIALIZED (
    SELECT i.*, m.id AS member_id, u.public_id, u.username, u.name, u.avatar_url, u.email
    FROM input i
    JOIN chat_member m ON m.room_id = i.room_id AND m.user_id = i.user_id AND NOT m.wizard_open
    JOIN accounts_user u ON u.id = i.user_id AND u.is_active
    WHERE NOT EXISTS (
        SELECT 1 FROM chat_message k
        WHERE k.sender_id = i.user_id AND k.client_id = i.client_id
          AND k.room_id IS NOT DISTINCT FROM i.room_id)
), heads AS (
    UPDATE events_topichead h
    SET last_seq = h.last_seq + c.n,
        subscribers_pending = h.subscribers_pending OR %s,
        relay_pending = h.relay_pending OR %s
    FROM (
        SELECT room_id, count(*) AS n, array_agg(ord ORDER BY ord) AS ords
        FROM allowed GROUP BY room_id) c
    WHERE h.topic = 'room:' || c.room_id
    RETURNING h.topic, c.room_id, c.ords, c.n, h.last_seq - c.n AS base
), rooms AS (
    UPDATE chat_room r SET last_number = r.last_number + h.n, active_at = %s
    FROM heads h WHERE r.id = h.room_id
    RETURNING h.topic, h.ords, h.base, r.last_number - h.n AS number_base
), places AS MATERIALIZED (
    SELECT r.topic, o.ord, r.base + o.nth AS seq, r.number_base + o.nth AS number
    FROM rooms r, unnest(r.ords) WITH ORDINALITY o(ord, nth)
), placed AS MATERIALIZED (
    SELECT a.*, p.topic, p.seq, p.number
    FROM places p JOIN allowed a ON a.ord = p.ord
), stored AS (
    INSERT INTO chat_message (
        id, created_at, updated_at, room_id, number, seq, client_id, sender_id, sender_type, kind,
        content, mentions, data)
    SELECT message_id, %s, %s, room_id, number, seq, client_id, user_id, 'user', kind, content,
           '[]'::jsonb, data
    FROM placed
), logged AS (
    INSERT INTO events_event (
        id, event_id, topic, seq, name, payload, actor_id, request_id, created_at)
    SELECT event_id, event_id, topic, seq, 'message.sent',
           payload || jsonb_build_object(
               'number', number, 'seq', seq, 'sender_email', email,
               'sender', jsonb_build_object(
                   'id', public_id, 'username', username,
                   'name', nullif(name, ''), 'avatar_url', nullif(avatar_url, ''))),
           public_id, request_id, %s
    FROM placed
), cursors AS (
    UPDATE chat_member m SET read_number = p.number, read_seq = p.seq
    FROM (
        SELECT member_id, max(number) AS number, max(seq) AS seq
        FROM placed GROUP BY member_id) p
    WHERE m.id = p.member_id
)
SELECT ord, seq, number, username, name, avatar_url, email FROM placed ORDER BY ord
"""


@dataclass(frozen=True, slots=True)
class Placed:
    """A message that the statement has stored: its place in the batch and what the wires show."""

    index: int
    payload: dict[str, Any]


def applies(commands: "Sequence[SendCommand]") -> bool:
    """Whether this batch may take the short way: PostgreSQL, and nothing that needs a look-up."""
    return (
        is_postgresql()
        and not settings.FAILPOINT
        and all(not one.mentions and one.reply_to_id is None for one in commands)
    )


def store(commands: "Sequence[tuple[int, SendCommand]]") -> list[Placed]:
    """Store and announce what may be stored; whoever is missing in the answer was not stored.

    commands: with their places in the batch, no two of them with one (room, sender, client_id).
    """
    at = now()
    asked = request_id.get()
    rows = [_row(index, command, at=wire_time(at), asked=asked) for index, command in commands]
    flags = [is_subscribed(EVENT, ROOMS), settings.BUS_ENABLED]
    found = fetch_planned(STATEMENT, [orjson.dumps(rows).decode(), *flags, at, at, at, at])
    by_index = {row["ord"]: row for row in rows}
    placed: list[Placed] = []
    events: list[live.LiveEvent] = []
    for index, seq, number, username, name, avatar_url, email in found:
        row = by_index[index]
        payload: dict[str, Any] = row["payload"]
        public_id = payload["sender_id"]
        payload["number"], payload["seq"] = number, seq
        payload["sender"] = {
            "id": public_id,
            "username": username,
            "name": name or None,
            "avatar_url": avatar_url or None,
        }
        placed.append(Placed(index, payload))
        events.append(
            live.LiveEvent(
                event_id=UUID(row["event_id"]),
                topic=row["topic"],
                seq=seq,
                name=EVENT,
                payload=payload | {"sender_email": email},
                actor_id=public_id,
                request_id=row["request_id"],
                created_at=at,
            )
        )
    on_commit(lambda: EVENTS_RECORDED.inc(len(events)))
    on_commit(lambda: live.publish(events))
    if flags[0] and placed:
        wake_subscribers()
    return placed


def _row(index: int, command: "SendCommand", *, at: str, asked: str) -> dict[str, Any]:
    """One line of the statement's input; `payload` lacks what only the database knows."""
    message_id, room_id = str(uuid7()), str(command.room_id)
    return {
        "ord": index,
        "room_id": room_id,
        "user_id": str(command.actor.pk),
        "message_id": message_id,
        "event_id": str(uuid7()),
        "topic": f"room:{room_id}",
        "client_id": command.client_id,
        "kind": command.kind,
        "content": command.content,
        "data": command.data,
        "request_id": command.request_id or asked,
        "payload": {
            "id": message_id,
            "room_id": room_id,
            "number": None,
            "seq": None,
            "client_id": command.client_id,
            "sender_type": "user",
            "sender_id": command.actor.public_id,
            "sender": None,
            "kind": command.kind,
            "content": command.content,
            "mentions": [],
            "attachments": [],
            "data": command.data,
            "reply_to_id": None,
            "reactions": {},
            "edited_at": None,
            "deleted_at": None,
            "created_at": at,
            "updated_at": at,
        },
    }
