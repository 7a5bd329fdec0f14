"""`unread.changed`: at most once a second per person, to live `user:` connections only.

The signal costs no row and no work per message: once a second realtime names the rooms in which
something was said, and one query finds what that means for the people who are listening here.
"""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from chat import selectors
from chat.shapes import market_message
from marketplace.events.live import Signal

if TYPE_CHECKING:
    from marketplace.realtime.runtime import Runtime

ROOM, USER = "room:", "user:"
ROOMS_AT_ONCE = 500


def tell_unread(runtime: "Runtime", topics: list[str]) -> None:
    """Signal the unread counts of these rooms to everybody who listens in this process."""
    rooms = [UUID(topic.removeprefix(ROOM)) for topic in topics if topic.startswith(ROOM)]
    people = [topic.removeprefix(USER) for topic in runtime.hub.topics if topic.startswith(USER)]
    if rooms and people:
        runtime.spawn(_tell(runtime, rooms, people))


async def _tell(runtime: "Runtime", rooms: list[UUID], people: list[str]) -> None:
    for topic, payload in (await runtime.run(_signals, rooms, people)).items():
        runtime.hub.deliver_signal(Signal(topic=topic, name="unread.changed", payload=payload))


def _signals(rooms: list[UUID], people: list[str]) -> dict[str, dict[str, Any]]:
    """Topic → payload, for the people who are in one of these rooms."""
    counts: dict[str, dict[str, int]] = {}
    newest: dict[str, dict[str, Any]] = {}
    for start in range(0, len(rooms), ROOMS_AT_ONCE):
        some = rooms[start : start + ROOMS_AT_ONCE]
        for public_id, room_id, unread in selectors.unread_of(room_ids=some, public_ids=people):
            counts.setdefault(public_id, {})[str(room_id)] = unread
        newest |= {message["room_id"]: message for message in selectors.last_messages(some)}
    if not counts:
        return {}
    totals = selectors.unread_totals(public_ids=list(counts))
    signals = {}
    for public_id, of_rooms in counts.items():
        last_room = max(of_rooms, key=lambda key: _sent_at(newest.get(key)))
        last = newest.get(last_room)
        signals[f"{USER}{public_id}"] = {
            "room_id": last_room,
            "unread_count": of_rooms[last_room],
            "total_unread": totals.get(public_id, 0),
            "last_message": None if last is None else market_message(last),
            "last_message_at": None if last is None else last["created_at"],
            "rooms": of_rooms,
        }
    return signals


def _sent_at(message: dict[str, Any] | None) -> str:
    return "" if message is None else str(message["created_at"])
