"""Who may see or do what with people; the same answer for every entrance."""

from accounts import selectors
from accounts.enums import Role
from accounts.models import User


def user_to_read(*, actor: User, public_id: str) -> User:
    """The user whose public face anybody signed in may see. Raises UserNotFound."""
    if public_id in (actor.public_id, "me"):
        return actor
    return selectors.get_user(public_id)


def is_admin(user: User) -> bool:
    """Whether this user may do everything that no privacy forbids."""
    return user.role == Role.ADMIN
