"""Reads about people."""

from collections.abc import Collection

from accounts.errors import UserNotFound
from accounts.models import User


def get_user(public_id: str) -> User:
    """The active user with this id for the outside. Raises UserNotFound."""
    user = User.objects.filter(public_id=public_id, is_active=True).order_by("pk").first()
    if user is None:
        raise UserNotFound
    return user


def find_users(public_ids: Collection[str]) -> dict[str, User]:
    """The users with these ids, active or not, by id; unknown ids are left out."""
    users = User.objects.filter(public_id__in=list(public_ids)).order_by("pk")
    return {user.public_id: user for user in users}


def find_by_phone(phone_number: str) -> User | None:
    """The user with this phone number in E.164, active or not."""
    return User.objects.filter(phone_number=phone_number).order_by("pk").first()


def is_username_taken(username: str) -> bool:
    """Whether somebody has this username, compared without case."""
    return User.objects.filter(username_key=username.lower()).exists()
