"""Identifiers that sort by the time of their making."""

import os
import threading
import time
from uuid import UUID

_lock = threading.Lock()
_last_ms = 0
_sequence = 0


def uuid7() -> UUID:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then a counter, then random bits.

    Rising within one process, also inside one millisecond: 12 bits count up from a random start
    below 2,048, and a millisecond that is used up borrows from the next one.
    """
    global _last_ms, _sequence
    random = int.from_bytes(os.urandom(10), "big")
    with _lock:
        ms = time.time_ns() // 1_000_000
        if ms > _last_ms:
            _last_ms, _sequence = ms, random & 0x7FF
        elif _sequence < 0xFFF:
            _sequence += 1
        else:
            _last_ms, _sequence = _last_ms + 1, random & 0x7FF
        ms, sequence = _last_ms, _sequence
    value = (
        (ms << 80) | (0x7 << 76) | (sequence << 64) | (0b10 << 62) | ((random >> 12) & (2**62 - 1))
    )
    return UUID(int=value)
