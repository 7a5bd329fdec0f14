"""What waits is asked together, everybody gets his own answer, and nobody suffers for another."""

import asyncio
from collections.abc import Sequence

import pytest

from marketplace.core.errors import AppError, Conflict
from marketplace.realtime.gathering import Gathering


class Desk:
    """Answers questions, one call at a time as the test lets them."""

    def __init__(self, *, together: int = 64, threads: int = 1) -> None:
        self.calls: list[list[str]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.running = 0
        self.most_running = 0
        self.gathering: Gathering[str, str] = Gathering(
            self.answers, in_thread=self.in_thread, together=together, threads=threads
        )

    async def in_thread(self, answers: object, asked: Sequence[str]) -> Sequence[str | AppError]:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await self.open.wait()
        self.running -= 1
        return self.answers(asked)

    def answers(self, asked: Sequence[str]) -> list[str | AppError]:
        self.calls.append(list(asked))
        if "fault" in asked:
            raise RuntimeError("a fault")
        if "one less" in asked:
            return []
        return [Conflict() if one == "bad" else f"{one}!" for one in asked]

    def ask(self, one: str) -> "asyncio.Task[str]":
        return asyncio.create_task(self.gathering.ask(one))


async def told(*tasks: "asyncio.Task[str]") -> list[str]:
    """Each answer, or the name of the error."""
    async with asyncio.timeout(5):
        found = await asyncio.gather(*tasks, return_exceptions=True)
    return [one if isinstance(one, str) else type(one).__name__ for one in found]


class TestGathering:
    async def test_takes_all_of_one_turn_together(self) -> None:
        desk = Desk()

        assert await told(*map(desk.ask, ("a", "b", "c"))) == ["a!", "b!", "c!"]
        assert desk.calls == [["a", "b", "c"]]

    async def test_collects_while_others_are_answered(self) -> None:
        desk = Desk()
        desk.open.clear()
        first = desk.ask("a")
        await asyncio.sleep(0.01)
        later = [desk.ask(one) for one in ("b", "c")]
        await asyncio.sleep(0.01)
        desk.open.set()

        assert await told(first, *later) == ["a!", "b!", "c!"]
        assert desk.calls == [["a"], ["b", "c"]]

    async def test_asks_for_no_more_than_its_number_at_once(self) -> None:
        desk = Desk(together=2)

        assert await told(*map(desk.ask, "abcde")) == ["a!", "b!", "c!", "d!", "e!"]
        assert desk.calls == [["a", "b"], ["c", "d"], ["e"]]

    async def test_uses_no_more_threads_than_it_has(self) -> None:
        desk = Desk(together=1, threads=2)
        desk.open.clear()
        tasks = [desk.ask(one) for one in "abcd"]
        await asyncio.sleep(0.01)
        assert desk.running == 2
        desk.open.set()

        assert await told(*tasks) == ["a!", "b!", "c!", "d!"]
        assert desk.most_running == 2

    async def test_refuses_one_alone(self) -> None:
        desk = Desk()

        assert await told(*map(desk.ask, ("a", "bad", "c"))) == ["a!", "Conflict", "c!"]
        assert len(desk.calls) == 1

    async def test_asks_for_each_alone_where_all_fail(self) -> None:
        desk = Desk()

        assert await told(*map(desk.ask, ("a", "fault", "bad"))) == [
            "a!", "RuntimeError", "Conflict",
        ]  # fmt: skip
        assert desk.calls == [["a", "fault", "bad"], ["a"], ["fault"], ["bad"]]

    async def test_asks_once_for_one_who_was_alone(self) -> None:
        desk = Desk()

        assert await told(desk.ask("fault")) == ["RuntimeError"]
        assert desk.calls == [["fault"]]

    async def test_goes_on_after_a_failure(self) -> None:
        desk = Desk()
        await told(*map(desk.ask, ("a", "fault")))

        assert await told(desk.ask("b")) == ["b!"]

    async def test_leaves_nobody_waiting_for_an_answer_that_is_missing(self) -> None:
        desk = Desk()

        assert await told(*map(desk.ask, ("a", "one less"))) == ["a!", "ValueError"]


class TestWhoGoesAway:
    async def test_is_not_asked_for(self) -> None:
        desk = Desk()
        desk.open.clear()
        first = desk.ask("a")
        await asyncio.sleep(0.01)
        gone, other = desk.ask("gone"), desk.ask("b")
        await asyncio.sleep(0.01)
        gone.cancel()
        desk.open.set()

        assert await told(first, gone, other) == ["a!", "CancelledError", "b!"]
        assert desk.calls == [["a"], ["b"]]

    @pytest.mark.parametrize("other", ["b", "bad", "fault"])
    async def test_concerns_nobody_else_while_the_answer_is_on_its_way(self, other: str) -> None:
        desk = Desk()
        desk.open.clear()
        gone, stays, refused = (desk.ask(one) for one in ("gone", "a", other))
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.sleep(0.01)
        desk.open.set()
        answers = {"b": "b!", "bad": "Conflict", "fault": "RuntimeError"}

        assert await told(stays, refused) == ["a!", answers[other]]
        assert gone.cancelled()
