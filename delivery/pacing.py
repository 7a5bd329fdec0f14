"""At most one a second, the first at once, then the last value wins. Knows no delivery."""

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

import structlog

logger = structlog.get_logger(__name__)

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

REMEMBERED = 10_000
# What is due at nearly the same time is told in one turn.
TURN_S = 0.01


class Pacer(Generic[Key, Value]):
    """Tells values by key, no more often than every `interval_s`.

    A value that must wait replaces the one that waits already. A thread of its own tells what is
    due, and ends when nothing waits any more.
    """

    def __init__(
        self,
        interval_s: float,
        tell: Callable[[Key, Value], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        has_thread: bool = True,
    ) -> None:
        self._interval_s = interval_s
        self._tell = tell
        self._clock = clock
        self._has_thread = has_thread
        self._lock = threading.Lock()
        # From when on each key may be told again.
        self._free_at: dict[Key, float] = {}
        self._waiting: dict[Key, Value] = {}
        self._thread: threading.Thread | None = None

    def offer(self, key: Key, value: Value) -> None:
        """Tell it now, or when it is due unless a newer one comes before that."""
        self.offer_all({key: value})

    def offer_all(self, values: Mapping[Key, Value]) -> None:
        """The same for several."""
        due = []
        instant = self._clock()
        with self._lock:
            for key, value in values.items():
                if key in self._waiting or instant < self._free_at.get(key, 0.0):
                    self._waiting[key] = value
                    continue
                if len(self._free_at) >= REMEMBERED:
                    self._forget_the_free(instant)
                self._free_at[key] = instant + self._interval_s
                due.append((key, value))
            if self._waiting:
                self._start()
        for key, value in due:
            self._tell(key, value)

    def forget(self, key: Key) -> None:
        """What waits for this key is not told any more."""
        with self._lock:
            self._waiting.pop(key, None)

    def tell_due(self) -> float | None:
        """Tell what is due; seconds until the next one is, None where nothing waits."""
        instant = self._clock()
        with self._lock:
            due = {
                key: value for key, value in self._waiting.items() if self._free_at[key] <= instant
            }
            for key in due:
                del self._waiting[key]
                self._free_at[key] = instant + self._interval_s
            following = min((self._free_at[key] for key in self._waiting), default=None)
        for key, value in due.items():
            try:
                self._tell(key, value)
            except Exception:
                logger.exception("paced_value_failed")
        return None if following is None else max(0.0, following - instant)

    def _forget_the_free(self, instant: float) -> None:
        self._free_at = {
            key: at for key, at in self._free_at.items() if at > instant or key in self._waiting
        }

    def _start(self) -> None:
        if self._thread is None and self._has_thread:
            self._thread = threading.Thread(target=self._run, name="pacer", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            wait_s = self.tell_due()
            if wait_s is None:
                with self._lock:
                    if not self._waiting:
                        self._thread = None
                        return
                continue
            time.sleep(max(wait_s, TURN_S))
