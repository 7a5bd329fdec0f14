"""Work that can wait gives way to people who wait."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from marketplace.core import observe

BUSY = 4
"""So many requests in this process's hands at a moment are a rush."""
REST = 9
LONGEST_REST_S = 0.5


def is_rush() -> bool:
    """Whether people wait for this process."""
    return observe.requests_in_hand() >= BUSY


def give_way(worked_s: float) -> None:
    """In a rush, rest nine times as long as one has worked: people have nine tenths of the time.

    For threads of later work in a process that also serves; elsewhere nobody is in a rush.
    """
    if is_rush():
        time.sleep(min(REST * worked_s, LONGEST_REST_S))


@contextmanager
def giving_way() -> Iterator[None]:
    """Give way after the block, which holds no lock any more then."""
    began = time.perf_counter()
    try:
        yield
    finally:
        give_way(time.perf_counter() - began)
