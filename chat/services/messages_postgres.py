"""PostgreSQL's twin of `messages._store`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chat.services.messages import Outcome, SendCommand


def applies(commands: "Sequence[SendCommand]") -> bool:
    """Whether this batch may take the short way."""
    return False


def store(commands: "Sequence[SendCommand]") -> "list[Outcome]":
    """Store the batch in one statement."""
    raise AssertionError
