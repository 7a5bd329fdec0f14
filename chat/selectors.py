"""What chat reads. Every list has an order and an index behind it."""

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet

from accounts.models import User
from chat.models import Member, Message, Room
from chat.payloads import message_payload, room_payload
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


def find_member(*, room_id: UUID, user: User) -> Member | None:
    """The user's membership, with its room."""
    return (
        Member.objects.filter(room_id=room_id, user=user)
        .select_related("room", "room__owner", "user")
        .first()
    )


def find_message(*, room: Room, message_id: UUID) -> Message | None:
    """One message of this room."""
    return Message.objects.filter(room=room, id=message_id).select_related("sender").first()


def describe_rooms(rooms: Iterable[Room], *, user: User) -> list[dict[str, Any]]:
    """Room as this user sees it, for a whole page, in four queries however long the page is."""
    page = list(rooms)
    keys = [room.id for room in page]
    # Before what they point to, so that who joins from such a seq misses nothing of it.
    heads = latest_seqs(room.topic for room in page)
    firsts = [UUID(key) for room in page for key in room.first_members]
    mine = {m.room_id: m for m in Member.objects.filter(room_id__in=keys, user=user)}
    members: dict[UUID, list[Member]] = {key: [] for key in keys}
    for member in (
        Member.objects.filter(id__in=firsts).select_related("user").order_by("joined_at", "id")
    ):
        members[member.room_id].append(member)
    newest = {message["room_id"]: message for message in last_messages(keys)}
    return [
        room_payload(
            room,
            mine=mine.get(room.id),
            members=members[room.id],
            last_message=newest.get(str(room.id)),
            latest_seq=heads.get(room.topic, 0),
        )
        for room in page
    ]


def last_messages(room_ids: Collection[UUID]) -> list[dict[str, Any]]:
    """The newest message of each of these rooms, in one query."""
    return [
        message_payload(message, sender=message.sender)
        for message in Message.objects.filter(
            room_id__in=list(room_ids), number=F("room__last_number")
        )
        .select_related("sender")
        .order_by("id")
    ]


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
    rows = (
        Member.objects.filter(user=user, room__last_number__gt=F("read_number"))
        .order_by("room_id")
        .values_list("room_id", "room__last_number", "read_number")
    )
    return {str(room_id): last - read for room_id, last, read in rows}


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
