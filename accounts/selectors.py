"""Reads about people."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import QuerySet

from accounts.errors import UserNotFound
from accounts.models import Address, User


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


def addresses_of(user: User) -> QuerySet[Address]:
    """A user's address book, unordered."""
    return Address.objects.filter(user=user)


def find_address(*, user: User, key: str | UUID) -> Address | None:
    """The user's address with this id, None where it is no id or not his."""
    try:
        wanted = key if isinstance(key, UUID) else UUID(key)
    except ValueError:
        return None
    return addresses_of(user).filter(id=wanted).order_by("id").first()


def default_address(*, user: User) -> Address | None:
    """Where the user has things sent to if he does not say, None without any address."""
    chosen = User.objects.filter(pk=user.pk).values_list("default_address_id", flat=True)
    key = chosen.order_by("pk").first()
    return find_address(user=user, key=key) if key else None
