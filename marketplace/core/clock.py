"""The one clock: UTC at millisecond grain, because MongoDB stores no more."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from time import time_ns


def real_now() -> datetime:
    """This millisecond by the machine's clock."""
    return datetime.fromtimestamp(time_ns() // 1_000_000 / 1000, UTC)


_source: Callable[[], datetime] = real_now


def now() -> datetime:
    """This instant, cut to milliseconds, so that what is written equals what is read back."""
    instant = _source()
    beyond = instant.microsecond % 1000
    return instant.replace(microsecond=instant.microsecond - beyond) if beyond else instant


@contextmanager
def running_by(source: Callable[[], datetime]) -> Iterator[None]:
    """Within the block this process goes by another clock: for simulations, in one thread."""
    global _source
    before, _source = _source, source
    try:
        yield
    finally:
        _source = before


# What is told together has mostly happened at one instant.
@lru_cache(maxsize=256)
def wire_time(instant: datetime) -> str:
    """`2026-01-10T12:00:00.000Z`, the one form of a time on every wire."""
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    return instant.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def wire_time_of(epoch_seconds: float) -> str:
    """The wire form of seconds since 1970."""
    return wire_time(datetime.fromtimestamp(epoch_seconds, UTC))


def wire_time_or_none(instant: datetime | None) -> str | None:
    """The wire form, or None for an instant that has not come."""
    return None if instant is None else wire_time(instant)
