"""What is asked of chat's tables for many at once: rooms of a page, people who join together."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from django.db.models import F, Q

from accounts.models import User
from chat.models import Member, Message, Room
from marketplace.core.loading import Loader
from marketplace.core.questions import Question

Seat = tuple[UUID, UUID]

_members, _rooms, _users, _messages = Loader(Member), Loader(Room), Loader(User), Loader(Message)


def which_memberships(seats: Collection[Seat]) -> Question[dict[Seat, Member]]:
    """Those of these (room, user) that there are, with their rooms and whom these belong to."""
    asked = list(seats)

    def read(rows: Iterable[tuple[Any, ...]]) -> dict[Seat, Member]:
        found: dict[Seat, Member] = {}
        known: dict[UUID, Room] = {}
        for row in rows:
            values, rest = _members.split(row)
            member = _members.load(values)
            room = known.get(member.room_id)
            if room is None:
                values, owner = _rooms.split(rest)
                room = known[member.room_id] = _rooms.load(values)
                room.owner = _users.load_joined(owner)
            member.room = room
            found[member.room_id, member.user_id] = member
        return found

    def elsewhere() -> dict[Seat, Member]:
        wanted = Q(pk__in=[])
        for room_id, user_id in asked:
            wanted |= Q(room_id=room_id, user_id=user_id)
        members = Member.objects.filter(wanted).select_related("room", "room__owner")
        return {(one.room_id, one.user_id): one for one in members.order_by("id")}

    keys = [[room_id for room_id, _ in asked], [user_id for _, user_id in asked]]
    return Question(MEMBERSHIPS, keys, read=read, elsewhere=elsewhere)


def who_came_first(rooms: Collection[Room]) -> Question[dict[UUID, list[Member]]]:
    """The first members of each of these rooms, with the people, who joined first comes first."""
    keys = [UUID(key) for room in rooms for key in room.first_members]

    def by_room(members: Iterable[Member]) -> dict[UUID, list[Member]]:
        found: dict[UUID, list[Member]] = defaultdict(list)
        for member in members:
            found[member.room_id].append(member)
        return found

    def read(rows: Iterable[tuple[Any, ...]]) -> dict[UUID, list[Member]]:
        people: dict[UUID, User] = {}
        members = []
        for row in rows:
            values, rest = _members.split(row)
            member = _members.load(values)
            user = people.get(member.user_id)
            if user is None:
                user = people[member.user_id] = _users.load(rest)
            member.user = user
            members.append(member)
        return by_room(members)

    def elsewhere() -> dict[UUID, list[Member]]:
        members = Member.objects.filter(id__in=keys).select_related("user")
        return by_room(members.order_by("joined_at", "id"))

    return Question(FIRST_MEMBERS, [keys], read=read, elsewhere=elsewhere)


def what_was_said_last(room_ids: Collection[UUID]) -> Question[dict[UUID, Message]]:
    """The newest message of each of these rooms, with who said it."""
    asked = list(room_ids)

    def elsewhere() -> dict[UUID, Message]:
        messages = Message.objects.filter(room_id__in=asked, number=F("room__last_number"))
        return {one.room_id: one for one in messages.select_related("sender").order_by("id")}

    return Question(
        LAST_MESSAGES,
        [asked],
        read=lambda rows: {one.room_id: one for one in _said(rows)},
        elsewhere=elsewhere,
    )


def what_was_said(room_ids: Collection[UUID], *, limit: int) -> Question[dict[UUID, list[Message]]]:
    """The newest messages of each of these rooms, ascending, with who said them.

    Databases elsewhere are asked for each room.
    """
    asked = list(room_ids)

    def read(rows: Iterable[tuple[Any, ...]]) -> dict[UUID, list[Message]]:
        found: dict[UUID, list[Message]] = {room_id: [] for room_id in asked}
        for message in _said(rows):
            found[message.room_id].append(message)
        return found

    def elsewhere() -> dict[UUID, list[Message]]:
        return {
            room_id: list(
                Message.objects.filter(room_id=room_id)
                .select_related("sender")
                .order_by("-seq")[:limit]
            )[::-1]
            for room_id in asked
        }

    return Question(MESSAGES, [asked, limit], read=read, elsewhere=elsewhere)


def which_are_unread(user_ids: Collection[UUID]) -> Question[dict[UUID, dict[str, int]]]:
    """Unread messages by room id of each of these users, rooms without any left out."""
    asked = list(user_ids)

    def read(rows: Iterable[tuple[Any, ...]]) -> dict[UUID, dict[str, int]]:
        found: dict[UUID, dict[str, int]] = {user_id: {} for user_id in asked}
        for user_id, room_id, last, read_number in rows:
            found[user_id][str(room_id)] = last - read_number
        return found

    def elsewhere() -> dict[UUID, dict[str, int]]:
        unread = Member.objects.filter(user_id__in=asked, room__last_number__gt=F("read_number"))
        columns = ("user_id", "room_id", "room__last_number", "read_number")
        return read(unread.order_by("room_id").values_list(*columns))

    return Question(UNREAD, [asked], read=read, elsewhere=elsewhere)


def _said(rows: Iterable[tuple[Any, ...]]) -> Iterable[Message]:
    """Messages with their senders; one who said several is made once."""
    people: dict[UUID | None, User | None] = {None: None}
    for row in rows:
        values, rest = _messages.split(row)
        message = _messages.load(values)
        if message.sender_id not in people:
            people[message.sender_id] = _users.load_joined(rest)
        message.sender = people[message.sender_id]
        yield message


_TABLE = {model: model._meta.db_table for model in (Member, Room, Message, User)}
MEMBERSHIPS = f"""
    SELECT {_members.columns("m")}, {_rooms.columns("r")}, {_users.columns("o")}
    FROM unnest(%s::uuid[], %s::uuid[]) AS asked(room_id, user_id)
    JOIN {_TABLE[Member]} m ON m.room_id = asked.room_id AND m.user_id = asked.user_id
    JOIN {_TABLE[Room]} r ON r.id = m.room_id
    LEFT JOIN {_TABLE[User]} o ON o.id = r.owner_id
"""  # noqa: S608  # the names of tables and columns
FIRST_MEMBERS = f"""
    SELECT {_members.columns("m")}, {_users.columns("u")}
    FROM {_TABLE[Member]} m JOIN {_TABLE[User]} u ON u.id = m.user_id
    WHERE m.id = ANY(%s) ORDER BY m.joined_at, m.id
"""  # noqa: S608  # the names of tables and columns
LAST_MESSAGES = f"""
    SELECT {_messages.columns("m")}, {_users.columns("u")}
    FROM {_TABLE[Room]} r
    JOIN {_TABLE[Message]} m ON m.room_id = r.id AND m.number = r.last_number
    LEFT JOIN {_TABLE[User]} u ON u.id = m.sender_id
    WHERE r.id = ANY(%s) ORDER BY m.id
"""  # noqa: S608  # the names of tables and columns
MESSAGES = f"""
    SELECT {_messages.columns("m")}, {_users.columns("u")}
    FROM unnest(%s::uuid[]) AS asked(room_id)
    CROSS JOIN LATERAL (
        SELECT * FROM {_TABLE[Message]} one
        WHERE one.room_id = asked.room_id ORDER BY one.seq DESC LIMIT %s) m
    LEFT JOIN {_TABLE[User]} u ON u.id = m.sender_id
    ORDER BY m.seq
"""  # noqa: S608  # the names of tables and columns
UNREAD = f"""
    SELECT m.user_id, m.room_id, r.last_number, m.read_number
    FROM {_TABLE[Member]} m JOIN {_TABLE[Room]} r ON r.id = m.room_id
    WHERE m.user_id = ANY(%s) AND r.last_number > m.read_number ORDER BY m.room_id
"""  # noqa: S608  # the names of tables and columns
