"""What a user says about himself, and what an admin decides about him."""

from typing import Any

from accounts import selectors
from accounts.enums import EndReason, Role
from accounts.errors import UsernameTaken
from accounts.models import User
from accounts.services import sessions
from marketplace.core.db import IntegrityError, transactional
from marketplace.events.audit import record_audit

WRITABLE = ("username", "name", "avatar_url")
NULL_FOR_EMPTY = frozenset({"username"})


def update_profile(*, actor: User, changes: dict[str, Any]) -> User:
    """The user with these changes; what is not named stays, None clears.

    changes: any of username, name, avatar_url. Raises UsernameTaken.
    """
    named = {field: changes[field] for field in WRITABLE if field in changes}
    username = named.get("username")
    if username and _is_taken(actor=actor, username=username):
        raise UsernameTaken
    try:
        return _save_profile(actor=actor, changes=named)
    except IntegrityError as error:
        raise UsernameTaken from error


def _is_taken(*, actor: User, username: str) -> bool:
    return username.lower() != actor.username_key and selectors.is_username_taken(username)


@transactional
def _save_profile(*, actor: User, changes: dict[str, Any]) -> User:
    for field, value in changes.items():
        setattr(actor, field, value or (None if field in NULL_FOR_EMPTY else ""))
    if changes:
        actor.save(update_fields=list(changes))
    return actor


@transactional
def deactivate_user(*, actor: User, user: User, address: str = "") -> User:
    """The user can do nothing any more: his sessions end, his sockets close, his codes fail.

    address: where the actor asks from, for the audit.
    """
    user.is_active = False
    user.save(update_fields=["is_active"])
    sessions.end_all(user=user, reason=EndReason.DEACTIVATED)
    record_audit(
        actor_id=actor.public_id,
        action="user.deactivated",
        target=f"user:{user.public_id}",
        address=address,
    )
    return user


@transactional
def activate_user(*, actor: User, user: User, address: str = "") -> User:
    """The user may sign in again."""
    user.is_active = True
    user.save(update_fields=["is_active"])
    record_audit(
        actor_id=actor.public_id,
        action="user.activated",
        target=f"user:{user.public_id}",
        address=address,
    )
    return user


@transactional
def change_role(*, actor: User, user: User, role: Role, address: str = "") -> User:
    """The user has this role from now on; what he signed in with under the old one is ended."""
    before, user.role = user.role, role
    if before == role:
        return user
    user.is_staff = role in (Role.ADMIN, Role.EMPLOYEE)
    user.is_superuser = role == Role.ADMIN
    user.save(update_fields=["role", "is_staff", "is_superuser"])
    sessions.end_all(user=user, reason=EndReason.ROLE_CHANGED)
    record_audit(
        actor_id=actor.public_id,
        action="user.role_changed",
        target=f"user:{user.public_id}",
        details={"from": before, "to": role.value},
        address=address,
    )
    return user
