"""Whom tokens speak for, asked for many connections at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from accounts.models import User
from accounts.services import sessions
from accounts.services.tokens import Claims
from marketplace.core.errors import AppError
from marketplace.core.questions import ask_all
from marketplace.events.replay import which_heads


@dataclass(frozen=True, slots=True)
class Identity:
    """The active user of a living session, and the epoch of his own topic."""

    user: User
    epoch: str | None


def identify(many: Sequence[Claims]) -> list[Identity | AppError]:
    """Whom each of these speaks for, or why for nobody, in their order; one journey."""
    known, heads = ask_all(
        sessions.who_speak({claims.session_id for claims in many if claims.session_id}),
        which_heads({f"user:{claims.user_id}" for claims in many}),
    )
    found: list[Identity | AppError] = []
    for claims in many:
        user = sessions.speaker(claims, known)
        if isinstance(user, AppError):
            found.append(user)
        else:
            head = heads.get(user.topic)
            found.append(Identity(user, None if head is None else head.epoch))
    return found
