"""Identifiers that sort by the time of their making."""

import os
import struct
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID, SafeUUID

RANDOM_BYTES = 8
DRAWN_AT_ONCE = 512

_new, _set = object.__new__, object.__setattr__
# Read once: an enumeration looks its members up each time.
_UNKNOWN = SafeUUID.unknown
_lock = threading.Lock()
_last_ms = 0
_sequence = 0
_random: Iterator[tuple[int]] = iter(())


def uuid7() -> UUID:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then a counter, then random bits.

    Rising within one process, also inside one millisecond: 12 bits count up from a random start
    below 2,048, and a millisecond that is used up borrows from the next one.
    """
    global _last_ms, _sequence
    with _lock:
        random = _draw()
        ms = time.time_ns() // 1_000_000
        if ms > _last_ms:
            _last_ms, _sequence = ms, _draw() & 0x7FF
        elif _sequence < 0xFFF:
            _sequence += 1
        else:
            _last_ms, _sequence = _last_ms + 1, _draw() & 0x7FF
        ms, sequence = _last_ms, _sequence
    return of_int((ms << 80) | (0x7 << 76) | (sequence << 64) | (0b10 << 62) | (random >> 2))


def of_int(value: int) -> UUID:
    """`UUID(int=value)`, without its looks at all the other ways in which one could be given."""
    made = _new(UUID)
    _set(made, "int", value)
    _set(made, "is_safe", _UNKNOWN)
    return made


def first_id(moment: datetime) -> UUID:
    """The lowest UUIDv7 of this moment: what was made before has a lower one."""
    return UUID(int=(int(moment.timestamp() * 1000) << 80) | (0x7 << 76) | (0b10 << 62))


def _draw() -> int:
    """64 random bits of the system, which is asked for many at once: each call of it is dear."""
    global _random
    drawn = next(_random, None)
    if drawn is not None:
        return drawn[0]
    _random = struct.iter_unpack("=Q", os.urandom(RANDOM_BYTES * DRAWN_AT_ONCE))
    return _draw()


def _forget_drawn() -> None:
    """A forked process must not make the ids of its parent."""
    global _random, _lock
    _lock, _random = threading.Lock(), iter(())


os.register_at_fork(after_in_child=_forget_drawn)
