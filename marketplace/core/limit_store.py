"""Counters of rate buckets in this process, in the shape that the `limits` library asks for."""

import threading
import time
from collections import deque

from limits.storage import Storage
from limits.storage.base import MovingWindowSupport


class ProcessStore(Storage, MovingWindowSupport):
    """Counters in this process, for one server without Redis.

    The library's own memory store starts a timer thread for nearly every call and walks all keys
    in it; this one forgets what has ended while it counts.
    """

    STORAGE_SCHEME = ["process"]
    SWEEP_EVERY = 4096

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[int, float]] = {}
        self._times: dict[str, tuple[deque[float], float]] = {}
        self._calls = 0

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """Nothing can fail here."""
        return ()

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add to a counter that lives for `expiry` seconds from its first use; gives the sum."""
        now = time.time()
        with self._lock:
            self._sweep(now)
            count, until = self._counts.get(key, (0, 0.0))
            if until <= now:
                count, until = 0, now + expiry
            self._counts[key] = (count + amount, until)
            return count + amount

    def get(self, key: str) -> int:
        """The sum now."""
        count, until = self._counts.get(key, (0, 0.0))
        return count if until > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """When the counter ends, in epoch seconds."""
        return self._counts.get(key, (0, time.time()))[1]

    def check(self) -> bool:
        """Always there."""
        return True

    def reset(self) -> int | None:
        """Forget everything."""
        with self._lock:
            forgotten = len(self._counts) + len(self._times)
            self._counts.clear()
            self._times.clear()
        return forgotten

    def clear(self, key: str) -> None:
        """Forget one counter."""
        with self._lock:
            self._counts.pop(key, None)
            self._times.pop(key, None)

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Take `amount` of `limit` in the `expiry` seconds that end now, or nothing."""
        now = time.time()
        with self._lock:
            self._sweep(now)
            times, _ = self._times.get(key) or (deque(), 0.0)
            while times and times[0] <= now - expiry:
                times.popleft()
            allowed = len(times) + amount <= limit
            if allowed:
                times.extend([now] * amount)
            self._times[key] = (times, now + expiry)
            return allowed

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """The oldest time in the window, and how many there are."""
        now = time.time()
        with self._lock:
            times = [at for at in self._times.get(key, ((), 0.0))[0] if at > now - expiry]
        return (times[0] if times else now, len(times))

    def _sweep(self, now: float) -> None:
        self._calls += 1
        if self._calls % self.SWEEP_EVERY:
            return
        self._counts = {key: entry for key, entry in self._counts.items() if entry[1] > now}
        self._times = {key: entry for key, entry in self._times.items() if entry[1] > now}
