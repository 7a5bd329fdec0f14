"""Read cursors: they go forward only, and unread counts follow from them."""

from dataclasses import dataclass
from uuid import UUID

from accounts.models import User
from chat import access
from chat.errors import MessageNotFound
from chat.models import Member, Message
from marketplace.core.clock import now, wire_time
from marketplace.core.db import transactional
from marketplace.events.record import record


@dataclass(frozen=True, slots=True)
class ReadCursor:
    """Where a member stands: seq of the newest message he has read, and what is left."""

    last_read_seq: int
    unread_count: int


@transactional
def mark_read(
    *,
    actor: User,
    room_id: UUID,
    message_id: UUID | None = None,
    message_ids: list[UUID] | None = None,
    seq: int | None = None,
) -> ReadCursor:
    """Everything up to the named message is read; without a name, everything there is.

    seq: the newest message at or before it counts. A cursor never goes back.
    Raises RoomNotFound; MessageNotFound for a message that is not in the room.
    """
    member = access.membership(actor=actor, room_id=room_id)
    target = _target(member, message_id=message_id, message_ids=message_ids or [], seq=seq)
    if target is None:
        return _cursor(member)
    moved = Member.objects.filter(id=member.id, read_number__lt=target.number).update(
        read_number=target.number, read_seq=target.seq, updated_at=now()
    )
    member.refresh_from_db(fields=["read_number", "read_seq"])
    if moved:
        at = wire_time(now())
        record(
            member.room.topic,
            "read.moved",
            {
                "room_id": str(room_id),
                "user_id": actor.public_id,
                "message_id": str(target.id),
                "last_read_seq": target.seq,
                "read_at": at,
            },
            actor_id=actor.public_id,
        )
    return _cursor(member)


def _target(
    member: Member, *, message_id: UUID | None, message_ids: list[UUID], seq: int | None
) -> Message | None:
    messages = Message.objects.filter(room=member.room)
    named = [*message_ids, *([message_id] if message_id else [])]
    if named:
        found = messages.filter(id__in=named).order_by("-number").first()
        if found is None:
            raise MessageNotFound
        return found
    if seq is not None:
        return messages.filter(seq__lte=seq).order_by("-seq").first()
    return messages.filter(number=member.room.last_number).first()


def _cursor(member: Member) -> ReadCursor:
    return ReadCursor(
        last_read_seq=member.read_seq,
        unread_count=max(0, member.room.last_number - member.read_number),
    )
