"""Rows that put those who count the same thing in a line, the same on every database."""

from collections.abc import Sequence
from datetime import datetime

from accounts.models import Guard
from marketplace.core.db import IntegrityError, transactional


def make_missing(keys: Sequence[str]) -> None:
    """All these guards are there. Before the transaction, because two may make the same."""
    known = Guard.objects.filter(key__in=keys).order_by("key").values_list("key", flat=True)
    for key in set(keys).difference(known):
        try:
            _make(key=key)
        except IntegrityError:
            continue


@transactional
def _make(*, key: str) -> None:
    Guard.objects.create(key=key)


def pass_through(keys: Sequence[str], *, at: datetime) -> None:
    """Hold the rows of these guards until the commit: who counts after this counts alone.

    Everybody names them in the same order, so that nobody waits for somebody who waits for him.
    """
    for key in keys:
        Guard.objects.filter(key=key).update(updated_at=at)
