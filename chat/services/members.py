"""People come into rooms and go."""

from uuid import UUID

from django.db.models import F

from accounts.models import User
from chat import access
from chat.enums import RoomKind, RoomRole
from chat.errors import OwnerMustHandOver
from chat.models import Member, Room
from chat.payloads import member_event
from chat.services.rooms import FIRST_MEMBERS
from marketplace.core.clock import now
from marketplace.core.db import IntegrityError, on_commit, transactional
from marketplace.core.errors import IllegalTransition
from marketplace.events import live
from marketplace.events.record import record


def add_member(
    *, room: Room, user: User, role: str = RoomRole.MEMBER, actor: User | None = None
) -> Member:
    """The user is in the room; one who is there already stays as he is."""
    try:
        return _add(room=room, user=user, role=role, actor=actor)
    except IntegrityError:
        # He was added at the same moment: the unique index decided.
        return Member.objects.select_related("user", "room").get(room=room, user=user)


@transactional
def _add(*, room: Room, user: User, role: str, actor: User | None) -> Member:
    known = Member.objects.filter(room=room, user=user).select_related("user", "room").first()
    if known is not None:
        return known
    actor_id = None if actor is None else actor.public_id
    # What was said before he came is read: he starts at the newest message.
    Room.objects.filter(id=room.id).update(member_count=F("member_count") + 1, updated_at=now())
    room.refresh_from_db(fields=["member_count", "last_number"])
    newest = room.messages.filter(number=room.last_number).values_list("seq", flat=True).first()
    member = Member.objects.create(
        room=room, user=user, role=role, read_number=room.last_number, read_seq=newest or 0
    )
    _note_first_members(room)
    record(room.topic, "member.joined", member_event(member, actor_id=actor_id), actor_id=actor_id)
    return member


@transactional
def leave_room(*, actor: User, room_id: UUID) -> None:
    """The actor is in the room no more, and his connections leave its topic.

    Raises RoomNotFound; OwnerMustHandOver for the owner of a group with other members;
    IllegalTransition for direct and assistant rooms, which are nobody's to leave.
    """
    member = access.membership(actor=actor, room_id=room_id)
    if member.room.kind != RoomKind.GROUP:
        raise IllegalTransition("Only groups can be left.")
    if member.role == RoomRole.OWNER and member.room.member_count > 1:
        raise OwnerMustHandOver
    _take_out(member, event="member.left", actor_id=actor.public_id, reason="left")


@transactional
def remove_member(*, room: Room, user: User, actor: User | None = None) -> bool:
    """The user is in the room no more; False if he was not in it."""
    member = Member.objects.filter(room=room, user=user).select_related("user", "room").first()
    if member is None:
        return False
    actor_id = None if actor is None else actor.public_id
    _take_out(member, event="member.removed", actor_id=actor_id, reason="removed")
    return True


def _take_out(member: Member, *, event: str, actor_id: str | None, reason: str) -> None:
    room, public_id = member.room, member.user.public_id
    payload = member_event(member, actor_id=actor_id)
    gone, _ = Member.objects.filter(id=member.id).delete()
    if not gone:
        return
    Room.objects.filter(id=room.id).update(member_count=F("member_count") - 1, updated_at=now())
    _note_first_members(room)
    record(room.topic, event, payload, actor_id=actor_id)
    on_commit(lambda: live.publish_removal(topic=room.topic, user_id=public_id, reason=reason))


def _note_first_members(room: Room) -> None:
    firsts = (
        Member.objects.filter(room=room)
        .order_by("joined_at", "id")
        .values_list("id", flat=True)[:FIRST_MEMBERS]
    )
    Room.objects.filter(id=room.id).update(first_members=[str(key) for key in firsts])
