"""Group commit: while one batch commits, the next collects.

A batch costs much by itself and little for each command in it. So after a commit the writer waits
a moment for those who were just answered: else two halves of the senders would take turns for ever.
Where nobody comes, it soon stops waiting.

One writer thread per topic keeps the order: what is acked earlier has the lower seq.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from marketplace.core.db import discard_connection
from marketplace.core.errors import AppError, Unavailable
from marketplace.core.failpoints import reach
from marketplace.core.planned import dedicate_connection
from marketplace.events import live

logger = structlog.get_logger(__name__)

LIMIT = 256
# How long the next batch waits at most for those who were just answered. Where fewer than three in
# four come, as with people who read before they write, only every 2nd, 4th … 64th batch tries it.
GATHER_S = 0.003
PATIENCE = 6
WAITING_LIMIT = 20_000

Done = Callable[[Any], None]
Deliver = Callable[[list[live.LiveEvent]], None]
Service = Callable[[Sequence[Any]], list[Any]]


def gathering_s(*, after: float, longest: float) -> float:
    """How long to wait after a batch that took so many seconds: half as long, within bounds."""
    return min(max(after / 2, GATHER_S), longest)


class Batcher:
    """Collects the commands of all connections for one service, a batch at a time.

    writers: threads that store batches. All commands of one topic, or of none, go to the same one,
    so their order stays; with two, one half of the topics commits while the other half is read and
    answered. longest_gather_s: for services whose batches take long.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        service: Service,
        deliver: Deliver,
        *,
        writers: int = 1,
        longest_gather_s: float = GATHER_S,
    ) -> None:
        self._writers = [
            BatchWriter(loop, service, deliver, longest_gather_s) for _ in range(writers)
        ]

    def submit(self, topic: str | None, command: Any, done: Done) -> None:
        """Have the command stored; `done` gets its outcome, on the loop, after the commit."""
        self._writers[hash(topic) % len(self._writers)].submit(command, done)

    @property
    def waiting(self) -> int:
        """Commands that have not been handed over yet."""
        return sum(writer.waiting for writer in self._writers)

    def stop(self) -> None:
        """End the writers after what they were given."""
        for writer in self._writers:
            writer.stop()


class BatchWriter:
    """One thread with its connection, and what waits for it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        service: Service,
        deliver: Deliver,
        longest_gather_s: float,
    ) -> None:
        self._loop = loop
        self._longest_gather_s = longest_gather_s
        self._service = service
        self._deliver = deliver
        self._waiting: list[tuple[Any, Done]] = []
        self._busy = False
        self._began_at = 0.0
        self._in_vain = 0
        self._passed_over = 0
        self._expected = 0
        self._pause: asyncio.TimerHandle | None = None
        self._batches: queue.SimpleQueue[list[tuple[Any, Done]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="batch-writer", daemon=True)
        self._thread.start()

    def submit(self, command: Any, done: Done) -> None:
        """See Batcher.submit."""
        if len(self._waiting) >= WAITING_LIMIT:
            done(Unavailable())
            return
        self._waiting.append((command, done))
        if not self._busy:
            # At the end of this turn of the loop: what other sockets brought in it comes along.
            self._busy = True
            self._loop.call_soon(self._hand_over)
        elif self._pause is not None and len(self._waiting) >= self._expected:
            self._end_pause()

    @property
    def waiting(self) -> int:
        """Commands that have not been handed over yet."""
        return len(self._waiting)

    def stop(self) -> None:
        """End the writer after what it was given."""
        self._batches.put(None)
        self._thread.join(timeout=5)

    def _hand_over(self) -> None:
        batch, self._waiting = self._waiting[:LIMIT], self._waiting[LIMIT:]
        self._began_at = self._loop.time()
        self._batches.put(batch)

    def _write(self) -> None:
        dedicate_connection()
        while (batch := self._batches.get()) is not None:
            with live.collected() as events:
                outcomes = self._outcomes([command for command, _ in batch])
            try:
                self._loop.call_soon_threadsafe(self._finish, batch, outcomes, events)
            except RuntimeError:  # the loop has ended: nobody is left to be told
                break
        discard_connection()

    def _outcomes(self, commands: list[Any]) -> list[Any]:
        try:
            outcomes = self._service(commands)
        except AppError as error:
            outcomes = [error] * len(commands)
        except Exception:
            logger.exception("batch_failed", commands=len(commands))
            outcomes = [AppError()] * len(commands)
        if any(isinstance(outcome, AppError) and outcome.status >= 500 for outcome in outcomes):
            # This thread keeps its connection from batch to batch; a broken one must not stay.
            discard_connection()
        return outcomes

    def _finish(
        self, batch: list[tuple[Any, Done]], outcomes: list[Any], events: list[live.LiveEvent]
    ) -> None:
        try:
            reach("after_commit_before_ack")
            # Acks first: they wait in each sender's buffer and leave with the events, in one write.
            for (_, done), outcome in zip(batch, outcomes, strict=True):
                done(outcome)
            self._deliver(events)
        finally:
            self._begin_next(min(len(batch) + len(self._waiting), LIMIT))

    def _begin_next(self, expected: int) -> None:
        if expected > 1 and self._passed_over >= 2**self._in_vain - 1:
            self._passed_over = 0
            self._wait_for(expected)
        else:
            self._passed_over += 1
            self._go_on()

    def _wait_for(self, expected: int) -> None:
        """Let the loop read what comes in, until all who may come are there, or for a moment."""
        self._expected = expected
        took_s = self._loop.time() - self._began_at
        wait_s = gathering_s(after=took_s, longest=self._longest_gather_s)
        self._pause = self._loop.call_later(wait_s, self._end_pause)
        if len(self._waiting) >= expected:
            self._end_pause()

    def _end_pause(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        in_vain = 4 * len(self._waiting) < 3 * self._expected
        self._in_vain = min(self._in_vain + 1, PATIENCE) if in_vain else 0
        self._go_on()

    def _go_on(self) -> None:
        if self._waiting:
            self._hand_over()
        else:
            self._busy = False
