"""What chat reads. Every list has an order and an index behind it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet

from accounts.models import User
from chat.models import Member, Message, Room
from chat.payloads import message_payload, own_payload, room_payload
from chat.reading import (
    Seat,
    what_was_said,
    what_was_said_last,
    which_are_unread,
    which_memberships,
    who_came_first,
)
from marketplace.core.questions import ask, ask_all
from marketplace.events.models import TopicHead

HISTORY_LENGTH = 50


def list_rooms(*, user: User) -> QuerySet[Room]:
    """The user's rooms, newest activity first."""
    return (
        Room.objects.filter(members__user=user)
        .select_related("owner")
        .order_by("-active_at", "-id")
    )


def list_members(*, room: Room) -> QuerySet[Member]:
    """Everybody in the room, who came first comes first."""
    return Member.objects.filter(room=room).select_related("user").order_by("joined_at", "id")


def find_members(asked: Collection[tuple[UUID, User]]) -> dict[Seat, Member]:
    """By (room's id, user's key) the memberships that there are of these people, with rooms."""
    users = {user.pk: user for _, user in asked}
    found = ask(which_memberships({(room_id, user.pk) for room_id, user in asked}))
    for (_, user_id), member in found.items():
        member.user = users[user_id]
    return found


def find_message(*, room: Room, message_id: UUID) -> Message | None:
    """One message of this room."""
    return Message.objects.filter(room=room, id=message_id).select_related("sender").first()


def describe_rooms(rooms: Iterable[Room], *, user: User) -> list[dict[str, Any]]:
    """Room as this user sees it, for a whole page, in four queries however long the page is."""
    page = list(rooms)
    # Before what they point to, so that who joins from such a seq misses nothing of it.
    heads = latest_seqs(room.topic for room in page)
    keys = [room.id for room in page]
    mine = {m.room_id: m for m in Member.objects.filter(room_id__in=keys, user=user)}
    return describe_seats([(room, mine.get(room.id)) for room in page], latest=heads)


def describe_seats(
    seats: Sequence[tuple[Room, Member | None]], *, latest: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Room as each of these readers sees it, who may be many in one room, in two queries.

    latest: the newest seq of each topic, read before the rooms were.
    """
    rooms = {room.id: room for room, _ in seats}
    members, newest = ask_all(who_came_first(rooms.values()), what_was_said_last(rooms))
    shown = {
        key: room_payload(
            room,
            members=members.get(key, []),
            last_message=_told(newest.get(key)),
            latest_seq=latest.get(room.topic, 0),
        )
        for key, room in rooms.items()
    }
    return [shown[room.id] | own_payload(room, mine) for room, mine in seats]


def last_messages(room_ids: Collection[UUID]) -> list[dict[str, Any]]:
    """The newest message of each of these rooms, in one query."""
    newest = ask(what_was_said_last(room_ids)).values()
    return [message_payload(message, sender=message.sender) for message in newest]


def histories(room_ids: Collection[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    """The newest messages of each of these rooms, ascending."""
    said = ask(what_was_said(room_ids, limit=HISTORY_LENGTH))
    return {
        room_id: [message_payload(message, sender=message.sender) for message in messages]
        for room_id, messages in said.items()
    }


def _told(message: Message | None) -> dict[str, Any] | None:
    return None if message is None else message_payload(message, sender=message.sender)


def latest_seqs(topics: Iterable[str]) -> dict[str, int]:
    """The newest seq of each of these topics."""
    return dict(
        TopicHead.objects.filter(topic__in=list(topics))
        .order_by("topic")
        .values_list("topic", "last_seq")
    )


def message_page(
    *, room: Room, limit: int, before_seq: int | None = None, after_seq: int | None = None
) -> dict[str, Any]:
    """`{items, has_more, latest_seq}`; ascending inside a page, without a bound the newest page.

    The seq is read first: who joins from it hears again what came in between, and misses nothing.
    """
    latest_seq = latest_seqs([room.topic]).get(room.topic, 0)
    messages = Message.objects.filter(room=room).select_related("sender")
    if after_seq is not None:
        found = list(messages.filter(seq__gt=after_seq).order_by("seq")[: limit + 1])
        page = found[:limit]
    else:
        if before_seq is not None:
            messages = messages.filter(seq__lt=before_seq)
        found = list(messages.order_by("-seq")[: limit + 1])
        page = found[:limit][::-1]
    return {
        "items": [message_payload(message, sender=message.sender) for message in page],
        "has_more": len(found) > limit,
        "latest_seq": latest_seq,
    }


def unread_counts(*, user: User) -> dict[str, int]:
    """Unread messages by room id, rooms without any left out."""
    return unread_counts_of([user])[user.public_id]


def unread_counts_of(users: Iterable[User]) -> dict[str, dict[str, int]]:
    """The same of each of these, by public id, in one query."""
    people = {user.pk: user.public_id for user in users}
    unread = ask(which_are_unread(people))
    return {public_id: unread[key] for key, public_id in people.items()}


def unread_of(
    *, room_ids: Collection[UUID], public_ids: Collection[str]
) -> list[tuple[str, UUID, int]]:
    """(user's public id, room, unread messages) of these users' memberships in these rooms."""
    rows = (
        Member.objects.filter(room_id__in=list(room_ids), user__public_id__in=list(public_ids))
        .order_by("user_id", "room_id")
        .values_list("user__public_id", "room_id", "room__last_number", "read_number")
    )
    return [(public_id, room_id, last - read) for public_id, room_id, last, read in rows]


def unread_totals(*, public_ids: Collection[str]) -> dict[str, int]:
    """All unread messages of each of these users."""
    totals = dict.fromkeys(public_ids, 0)
    rows = (
        Member.objects.filter(
            user__public_id__in=list(public_ids), room__last_number__gt=F("read_number")
        )
        .order_by("user_id", "room_id")
        .values_list("user__public_id", "room__last_number", "read_number")
    )
    for public_id, last, read in rows:
        totals[public_id] += last - read
    return totals
