"""What the log and every wire say of chat's rows: canonical shapes, JSON types only."""

from typing import Any
from uuid import UUID

from accounts.models import User
from chat.enums import SenderType
from chat.models import Member, Message, Notification, Room
from marketplace.core.clock import wire_time, wire_time_or_none

ASSISTANT_SENDER_ID = "ai_system"
# `room.created` is the first event of its topic.
FIRST_SEQ = 1


def public_user(user: User) -> dict[str, Any]:
    """PublicUser: what anybody may know of a person."""
    return {
        "id": user.public_id,
        "username": user.username,
        "name": user.name or None,
        "avatar_url": user.avatar_url or None,
    }


def message_payload(message: Message, *, sender: User | None) -> dict[str, Any]:
    """Message. `sender` is the person who said it, None for the assistant and the system."""
    deleted = message.deleted_at is not None
    return {
        "id": str(message.id),
        "room_id": str(message.room_id),
        "number": message.number,
        "seq": message.seq,
        "client_id": message.client_id,
        "sender_type": message.sender_type,
        "sender_id": sender_id(message.sender_type, sender),
        "sender": None if sender is None else public_user(sender),
        "kind": message.kind,
        "content": "" if deleted else message.content,
        "mentions": message.mentions,
        "attachments": [],
        "data": None if deleted else message.data,
        "reply_to_id": _text(message.reply_to_id),
        "reactions": {},
        "edited_at": wire_time_or_none(message.edited_at),
        "deleted_at": wire_time_or_none(message.deleted_at),
        "created_at": wire_time(message.created_at),
        "updated_at": wire_time(message.updated_at),
    }


def sender_id(sender_type: str, sender: User | None) -> str | None:
    """The id shown as the sender: the person's, the assistant's constant, or none."""
    if sender is not None:
        return sender.public_id
    return ASSISTANT_SENDER_ID if sender_type == SenderType.AI else None


def member_payload(member: Member) -> dict[str, Any]:
    """Member, with the person; not for the log, which holds personal fields of the actor alone."""
    return _member(member, person=public_user(member.user))


def member_event(member: Member, *, actor_id: str | None) -> dict[str, Any]:
    """Member as `member.…` tells of it in the log, with its room and who did it."""
    return _member_in_log(member, actor_id=actor_id) | {
        "room_id": str(member.room_id),
        "actor_id": actor_id,
    }


def _member_in_log(member: Member, *, actor_id: str | None) -> dict[str, Any]:
    """The person's own fields stand there only where he is the actor himself."""
    own = actor_id == member.user.public_id
    return _member(member, person=public_user(member.user) if own else None)


def _member(member: Member, *, person: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "user_id": member.user.public_id,
        "user": person,
        "role": member.role,
        "read_number": member.read_number,
        "last_read_seq": member.read_seq,
        "muted": member.muted,
        "joined_at": wire_time(member.joined_at),
        "created_at": wire_time(member.created_at),
        "updated_at": wire_time(member.updated_at),
    }


def room_fields(room: Room) -> dict[str, Any]:
    """Room without members, cursors and what belongs to one member alone."""
    return {
        "id": str(room.id),
        "kind": room.kind,
        "title": room.title or None,
        "is_public": room.is_public,
        "subject_type": room.subject_type or None,
        "subject_id": room.subject_id or None,
        "data": room.data,
        "owner_id": None if room.owner is None else room.owner.public_id,
        "member_count": room.member_count,
        "last_message_at": wire_time(room.active_at) if room.last_number else None,
        "last_number": room.last_number,
        "created_at": wire_time(room.created_at),
        "updated_at": wire_time(room.updated_at),
    }


def room_event(room: Room, members: list[Member], *, actor_id: str | None) -> dict[str, Any]:
    """Room as `room.created` holds it, with the members of that moment; nobody's own fields."""
    return room_fields(room) | {
        "members": [_member_in_log(member, actor_id=actor_id) for member in members],
        "last_message": None,
        "latest_seq": FIRST_SEQ,
    }


def room_payload(
    room: Room,
    *,
    members: list[Member],
    last_message: dict[str, Any] | None,
    latest_seq: int,
) -> dict[str, Any]:
    """Room with what is the same for all who read it; `own_payload` is added for each."""
    return room_fields(room) | {
        "members": [member_payload(member) for member in members],
        "last_message": last_message,
        "latest_seq": latest_seq,
    }


def own_payload(room: Room, mine: Member | None) -> dict[str, Any]:
    """What a Room shows to its reader alone; `mine` is his membership."""
    return {
        "my_role": None if mine is None else mine.role,
        "my_last_read_seq": 0 if mine is None else mine.read_seq,
        "unread_count": 0 if mine is None else room.last_number - mine.read_number,
        "muted": mine is not None and mine.muted,
    }


def notification_payload(notification: Notification) -> dict[str, Any]:
    """Notification."""
    return {
        "id": str(notification.id),
        "type": notification.type,
        "title": notification.title,
        "body": notification.body,
        "data": notification.data,
        "read_at": wire_time_or_none(notification.read_at),
        "created_at": wire_time(notification.created_at),
    }


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
