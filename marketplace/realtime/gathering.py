"""What many connections ask at the same moment is asked of the database once.

While some questions are in a thread the next ones collect; each asker gets his own answer or his
own refusal. Who goes away meanwhile, and a failure of one, concern nobody else.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

import structlog

from marketplace.core.errors import AppError

logger = structlog.get_logger(__name__)

Asked = TypeVar("Asked")
Found = TypeVar("Found")
# Answers to all of these, in their order; runs in a thread with a database.
Answers = Callable[[Sequence[Asked]], Sequence[Found | AppError]]
InThread = Callable[[Answers[Asked, Found], Sequence[Asked]], Awaitable[Sequence[Found | AppError]]]


class Gathering(Generic[Asked, Found]):
    """The questions of one kind.

    together: how many are answered by one call at most; threads: how many calls run at once.
    """

    def __init__(
        self,
        answers: Answers[Asked, Found],
        *,
        in_thread: InThread[Asked, Found],
        together: int,
        threads: int,
    ) -> None:
        self._answers = answers
        self._in_thread = in_thread
        self._together = together
        self._free = threads
        self._waiting: deque[tuple[Asked, asyncio.Future[Found]]] = deque()
        self._is_due = False
        self._calls: set[asyncio.Task[None]] = set()

    async def ask(self, asked: Asked) -> Found:
        """The answer. Raises the refusal, or what `answers` raises for this question alone."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Found] = loop.create_future()
        self._waiting.append((asked, future))
        if self._free and not self._is_due:
            # At the end of this turn of the loop: what other sockets brought in it comes along.
            self._is_due = True
            loop.call_soon(self._begin)
        return await future

    def _begin(self) -> None:
        self._is_due = False
        while self._free and (batch := self._next()):
            self._free -= 1
            self._spawn(self._answer(batch))

    def _next(self) -> list[tuple[Asked, "asyncio.Future[Found]"]]:
        """The next ones; who has gone away is passed over."""
        batch: list[tuple[Asked, asyncio.Future[Found]]] = []
        while self._waiting and len(batch) < self._together:
            asked, future = self._waiting.popleft()
            if not future.done():
                batch.append((asked, future))
        return batch

    def _spawn(self, call: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _answer(self, batch: list[tuple[Asked, "asyncio.Future[Found]"]]) -> None:
        found, failure = await self._call([asked for asked, _ in batch])
        self._free += 1
        self._begin()
        if failure is None:
            for (_, future), one in zip(batch, found, strict=True):
                _settle(future, one)
        elif len(batch) == 1:
            _settle(batch[0][1], failure)
        else:
            logger.warning("gathering_failed", count=len(batch), reason=type(failure).__name__)
            for asked, future in batch:
                self._spawn(self._answer_alone(asked, future))

    async def _answer_alone(self, asked: Asked, future: "asyncio.Future[Found]") -> None:
        found, failure = await self._call([asked])
        _settle(future, found[0] if failure is None else failure)

    async def _call(
        self, asked: Sequence[Asked]
    ) -> tuple[Sequence[Found | AppError], Exception | None]:
        try:
            found = await self._in_thread(self._answers, asked)
            if len(found) != len(asked):
                raise ValueError(f"{len(found)} answers to {len(asked)} questions")
        except Exception as error:  # noqa: BLE001  # the asker's to log and to tell
            return (), error
        return found, None


def _settle(future: "asyncio.Future[Found]", found: Found | Exception) -> None:
    if future.done():
        return
    if isinstance(found, Exception):
        future.set_exception(found)
    else:
        future.set_result(found)
