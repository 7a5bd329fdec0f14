"""What chat refuses, and in which words."""

from marketplace.core.errors import Forbidden, IllegalTransition, Invalid, NotFound


class RoomNotFound(NotFound):
    """404, the same for a room that does not exist and one that the actor is no member of."""

    code = "room_not_found"
    default_message = "There is no such room."


class MessageNotFound(NotFound):
    """404."""

    code = "message_not_found"
    default_message = "There is no such message."


class UserNotFound(NotFound):
    """404: a person that was named as a member is not known."""

    code = "user_not_found"
    default_message = "There is no such user."


class ContentRequired(Invalid):
    """400: a message says something."""

    code = "content_required"
    default_message = "A message needs content."


class ContentTooLong(Invalid):
    """400, `details.limit` characters."""

    code = "content_too_long"
    default_message = "The message is too long."


class OwnerMustHandOver(IllegalTransition):
    """409: a group keeps an owner as long as it has members."""

    default_message = "Hand the group over before you leave it."


class RoleNotAllowed(Forbidden):
    """403: this kind of room is not made by hand."""

    code = "role_not_allowed"
    default_message = "Rooms of this kind are not made here."
