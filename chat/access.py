"""May this actor see or do this in a room? The same answer for REST, every socket and the admin."""

from collections.abc import Sequence
from uuid import UUID

from accounts.models import User
from chat import selectors
from chat.errors import MessageNotFound, RoomNotFound
from chat.models import Member, Message
from marketplace.core.errors import AppError


def membership(*, actor: User, room_id: UUID) -> Member:
    """The actor's membership with its room. Raises RoomNotFound, also for a foreign room."""
    [found] = memberships([(actor, room_id)])
    if isinstance(found, AppError):
        raise found
    return found


def memberships(asked: Sequence[tuple[User, UUID]]) -> list[Member | RoomNotFound]:
    """The membership of each of these actors in his room, or his refusal; in one query."""
    found = selectors.find_members([(room_id, actor) for actor, room_id in asked])
    return [found.get((room_id, actor.pk)) or RoomNotFound() for actor, room_id in asked]


def message_to_read(*, actor: User, room_id: UUID, message_id: UUID) -> Message:
    """One message of a room of the actor's. Raises RoomNotFound, MessageNotFound."""
    member = membership(actor=actor, room_id=room_id)
    message = selectors.find_message(room=member.room, message_id=message_id)
    if message is None:
        raise MessageNotFound
    return message
