"""Who is online, per topic and over all processes: one key per person, one meta per connection.

Each process keeps the whole view of the topics that it hears. With Redis the entries also stand in
a hash per topic, field = connection, and end 60 s after their last refresh: a killed process says
no goodbye.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from marketplace.core.clock import now, wire_time
from marketplace.events.live import Signal

if TYPE_CHECKING:
    from marketplace.realtime.runtime import Runtime
    from marketplace.realtime.session import Membership

logger = structlog.get_logger(__name__)

# Found by a sweep every 20 s, so a dead process is forgotten within a minute.
TTL_S = 40
JOINED, LEFT, DIFF = "presence.joined", "presence.left", "presence.diff"


@dataclass(slots=True)
class Entry:
    """One connection of one person on one topic. `refreshed`: epoch seconds, 0 for a local one."""

    user_id: str
    username: str | None
    ref: str
    online_at: str
    refreshed: float = 0.0

    def pack(self) -> bytes:
        """For the store and for other processes."""
        return orjson.dumps([self.user_id, self.username, self.ref, self.online_at, time.time()])

    @classmethod
    def unpack(cls, packed: bytes) -> "Entry":
        """The other way round."""
        return cls(*orjson.loads(packed))


class Presence:
    """The view of this process."""

    def __init__(self, runtime: "Runtime") -> None:
        self._runtime = runtime
        self._topics: dict[str, dict[str, dict[str, Entry]]] = {}
        # Topics whose entries of before were read; an arrival may be heard earlier than that.
        self._loaded: set[str] = set()
        # What is to be told at the end of this turn: many come and go in one, but each member is
        # written to once. Numbered, for who joins within the turn knows some of it by then.
        self._waiting: dict[str, list[tuple[int, Signal]]] = {}
        self._told = 0

    # -- local connections -----------------------------------------------------------------------

    async def enter(self, membership: "Membership") -> None:
        """The connection is on the topic; others hear of it if the person was not there before."""
        topic, session = membership.ref.topic, membership.session
        user = session.user
        if user is None:
            return
        entry = Entry(user.public_id, user.username, session.key, _online_at())
        if self._runtime.bridge.is_shared and topic not in self._loaded:
            stored = await self._runtime.bridge.stored_presence(topic)
            for packed in stored or ():
                self._add(topic, Entry.unpack(packed))
            if stored is not None and topic in self._runtime.hub.topics:
                self._loaded.add(topic)
            if session.memberships.get(membership.ref.spelled) is not membership:
                return  # it went while the store was asked: a ghost would be renewed for ever
        membership.presence = True
        self._arrived(topic, entry)
        membership.told = self._told
        self._runtime.bridge.share_presence(topic, entry.ref, entry.pack())

    def leave(self, membership: "Membership") -> None:
        """The connection has left the topic; others hear of it if it was the person's last."""
        topic, session = membership.ref.topic, membership.session
        membership.presence = False
        user_id = session.user_id or ""
        self._departed(topic, user_id, session.key)
        self._runtime.bridge.unshare_presence(topic, user_id, session.key)
        if topic not in self._runtime.hub.topics:
            self._topics.pop(topic, None)
            self._loaded.discard(topic)

    def welcome(self, membership: "Membership") -> None:
        """Tell the one who joined: his own arrival first, then who is there."""
        session, topic = membership.session, membership.ref.topic
        people = self._topics.get(topic, {})
        own = people.get(session.user_id or "", {}).get(session.key)
        if own is None:
            return
        session.push(membership, "user_joined", _arrival(topic, own))
        if session.wire.has_presence_state:
            session.push(membership, "presence_state", {u: _metas(m) for u, m in people.items()})

    def online(self, topic: str) -> list[str]:
        """Public ids of the people who are on the topic, on whatever process."""
        return sorted(self._topics.get(topic, {}))

    def connections(self, topic: str) -> int:
        """How many connections hold the topic, over all processes."""
        return sum(len(metas) for metas in self._topics.get(topic, {}).values())

    # -- other processes -------------------------------------------------------------------------

    def heard_arrival(self, topic: str, packed: bytes) -> None:
        """Another process has a connection on the topic."""
        entry = Entry.unpack(packed)
        if topic in self._topics or topic in self._runtime.hub.topics:
            self._arrived(topic, entry)

    def heard_departure(self, topic: str, user_id: str, ref: str) -> None:
        """Another process has lost a connection."""
        self._departed(topic, user_id, ref)

    def announce(self) -> None:
        """Say who is here to a store that may have lost it."""
        for topic, people in self._topics.items():
            for metas in people.values():
                for entry in metas.values():
                    if not entry.refreshed:
                        self._runtime.bridge.share_presence(topic, entry.ref, entry.pack())

    def sweep(self) -> None:
        """Refresh what is ours, and let go of what a dead process has left behind."""
        self.announce()
        oldest = time.time() - TTL_S
        for topic, people in list(self._topics.items()):
            for metas in list(people.values()):
                for entry in list(metas.values()):
                    if entry.refreshed and entry.refreshed < oldest:
                        self._departed(topic, entry.user_id, entry.ref)
                        self._runtime.bridge.unshare_presence(topic, entry.user_id, entry.ref)

    # -- the view --------------------------------------------------------------------------------

    def _add(self, topic: str, entry: Entry) -> bool:
        """Whether the person was not there before. A stale entry of the store is passed over."""
        if entry.refreshed and entry.refreshed < time.time() - TTL_S:
            return False
        metas = self._topics.setdefault(topic, {}).setdefault(entry.user_id, {})
        first = not metas
        metas[entry.ref] = entry
        return first

    def _arrived(self, topic: str, entry: Entry) -> None:
        known = entry.ref in self._topics.get(topic, {}).get(entry.user_id, {})
        first = self._add(topic, entry)
        if known:
            return
        if first:
            self._tell(topic, JOINED, _arrival(topic, entry), except_user=entry.user_id)
        self._tell(topic, DIFF, {"joins": {entry.user_id: _metas({"": entry})}, "leaves": {}})

    def _departed(self, topic: str, user_id: str, ref: str) -> None:
        people = self._topics.get(topic, {})
        metas = people.get(user_id, {})
        entry = metas.pop(ref, None)
        if entry is None:
            return
        self._tell(topic, DIFF, {"joins": {}, "leaves": {user_id: _metas({"": entry})}})
        if not metas:
            del people[user_id]
            if not people and topic not in self._runtime.hub.topics:
                self._topics.pop(topic, None)
            self._tell(topic, LEFT, _arrival(topic, entry), except_user=user_id)

    def _tell(
        self, topic: str, name: str, payload: dict[str, Any], except_user: str | None = None
    ) -> None:
        if not self._waiting:
            self._runtime.loop.call_soon(self._tell_all)
        self._told += 1
        signal = Signal(topic, name, payload, except_user)
        self._waiting.setdefault(topic, []).append((self._told, signal))

    def _tell_all(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for topic, signals in waiting.items():
            self._runtime.hub.deliver_presence(topic, signals)


def _online_at() -> str:
    return str(int(time.time()))


def _metas(entries: dict[str, Entry]) -> dict[str, Any]:
    return {"metas": [{"phx_ref": one.ref, "online_at": one.online_at} for one in entries.values()]}


def _arrival(topic: str, entry: Entry) -> dict[str, Any]:
    return {
        "room_id": topic.partition(":")[2],
        "user_id": entry.user_id,
        "username": entry.username,
        "timestamp": wire_time(now()),
    }
