"""May this actor see or do this in a room? The same answer for REST, every socket and the admin."""

from uuid import UUID

from accounts.models import User
from chat import selectors
from chat.errors import MessageNotFound, RoomNotFound
from chat.models import Member, Message


def membership(*, actor: User, room_id: UUID) -> Member:
    """The actor's membership with its room. Raises RoomNotFound, also for a foreign room."""
    member = selectors.find_member(room_id=room_id, user=actor)
    if member is None:
        raise RoomNotFound
    return member


def message_to_read(*, actor: User, room_id: UUID, message_id: UUID) -> Message:
    """One message of a room of the actor's. Raises RoomNotFound, MessageNotFound."""
    member = membership(actor=actor, room_id=room_id)
    message = selectors.find_message(room=member.room, message_id=message_id)
    if message is None:
        raise MessageNotFound
    return message
