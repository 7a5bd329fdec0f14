"""Group commit: what waits goes together, answers keep their order, a failure answers everybody."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from marketplace.core.clock import now
from marketplace.core.errors import AppError, Conflict, Unavailable
from marketplace.core.ids import uuid7
from marketplace.events import live
from marketplace.realtime import batch as batch_module
from marketplace.realtime.batch import LIMIT, Batcher, gathering_s
from marketplace.tests.sockets import settle


@pytest.fixture(autouse=True)
def _no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer keeps a connection of its own; here it has none."""
    monkeypatch.setattr(batch_module, "discard_connection", lambda: None)


def event(topic: str) -> live.LiveEvent:
    return live.LiveEvent(uuid7(), topic, 1, "message.sent", {}, None, "", now())


class Desk:
    """A service and its batcher; `steps` is what happened, in order."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.batches: list[list[Any]] = []
        self.open = threading.Event()
        self.open.set()
        self.failure: Exception | None = None
        self.batcher = Batcher(asyncio.get_running_loop(), self.serve, self.deliver)

    def serve(self, commands: Sequence[Any]) -> list[Any]:
        self.open.wait(5)
        self.batches.append(list(commands))
        if self.failure is not None:
            raise self.failure
        live.publish([event(f"room:{command}") for command in commands])
        return [Conflict() if command == "bad" else f"stored {command}" for command in commands]

    def deliver(self, events: list[live.LiveEvent]) -> None:
        self.steps += [one.topic for one in events]

    def submit(self, command: Any) -> None:
        self.batcher.submit("room:a", command, self.steps.append)

    async def until(self, count: int) -> None:
        await settle(lambda: len(self.steps) >= count)

    async def rest(self) -> None:
        """Until nobody is waited for any more."""
        await settle(lambda: not any(one._busy for one in self.batcher._writers))


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made = Desk()
    yield made
    made.open.set()
    await asyncio.to_thread(made.batcher.stop)


class TestBatcher:
    async def test_takes_all_of_one_turn_together(self, desk: Desk) -> None:
        for number in range(5):
            desk.submit(number)
        await desk.until(10)

        assert desk.batches == [[0, 1, 2, 3, 4]]

    async def test_collects_while_one_batch_commits(self, desk: Desk) -> None:
        desk.open.clear()
        desk.submit("first")
        await asyncio.sleep(0.02)
        for number in range(3):
            desk.submit(number)
            await asyncio.sleep(0)
        assert desk.batcher.waiting == 3
        desk.open.set()
        await desk.until(8)

        assert desk.batches == [["first"], [0, 1, 2]]

    async def test_answers_in_order_and_before_the_events_of_the_commit(self, desk: Desk) -> None:
        for number in range(3):
            desk.submit(number)
        await desk.until(6)

        assert desk.steps == ["stored 0", "stored 1", "stored 2", "room:0", "room:1", "room:2"]

    async def test_refuses_one_without_the_others(self, desk: Desk) -> None:
        for command in ("one", "bad", "two"):
            desk.submit(command)
        await desk.until(3)

        assert [str(step) if isinstance(step, str) else step.code for step in desk.steps[:3]] == [
            "stored one", "conflict", "stored two",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("failure", "code"),
        [(RuntimeError("a fault"), "internal_error"), (Unavailable(), "unavailable")],
    )
    async def test_answers_every_command_of_a_batch_that_fails_and_goes_on(
        self, desk: Desk, failure: Exception, code: str
    ) -> None:
        desk.failure = failure
        for number in range(3):
            desk.submit(number)
        await desk.until(3)

        assert [type(step) is not str and step.code for step in desk.steps] == [code] * 3
        desk.failure = None
        desk.submit("next")
        await desk.until(5)
        assert desk.steps[3:] == ["stored next", "room:next"]

    async def test_stores_no_more_than_its_limit_at_once(self, desk: Desk) -> None:
        for number in range(LIMIT + 10):
            desk.submit(number)
        await desk.until(2 * (LIMIT + 10))

        assert [len(one) for one in desk.batches] == [LIMIT, 10]
        assert [step for step in desk.steps if str(step).startswith("stored")] == [
            f"stored {number}" for number in range(LIMIT + 10)
        ]

    async def test_refuses_what_is_too_much_instead_of_keeping_it(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(batch_module, "WAITING_LIMIT", 2)
        for number in range(3):
            desk.submit(number)

        [refused] = desk.steps
        assert isinstance(refused, AppError)
        assert refused.code == "unavailable"


class TestWriters:
    async def test_store_two_topics_at_the_same_time_and_keep_each_in_order(self) -> None:
        both = threading.Barrier(2, timeout=5)
        stored: list[Any] = []

        def serve(commands: Sequence[Any]) -> list[Any]:
            if commands[0] in ("a1", "b1"):
                both.wait()  # breaks unless both are being stored at this moment
            stored.extend(commands)
            return list(commands)

        batcher = Batcher(asyncio.get_running_loop(), serve, lambda events: None, writers=2)
        topics = {hash(f"room:{n}") % 2: f"room:{n}" for n in range(50)}
        answers: list[Any] = []
        for command in ("a1", "b1", "a2", "b2"):
            topic = topics[command.startswith("b")]
            batcher.submit(topic, command, answers.append)
            await asyncio.sleep(0)
        await settle(lambda: len(answers) == 4)
        await asyncio.to_thread(batcher.stop)

        for answered in (stored, answers):
            assert [one for one in answered if one.startswith("a")] == ["a1", "a2"]
            assert [one for one in answered if one.startswith("b")] == ["b1", "b2"]


class TestGathering:
    async def test_waits_for_those_who_were_just_answered(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else the one who was stored first and the three who waited would take turns for ever."""
        monkeypatch.setattr(batch_module, "gathering_s", lambda *, after, longest: 0.5)
        loop, sizes, left = asyncio.get_running_loop(), [], dict.fromkeys("abcd", 4)
        first = threading.Event()

        def serve(commands: Sequence[Any]) -> list[Any]:
            first.wait(5)
            sizes.append(len(commands))
            return list(commands)

        batcher = Batcher(loop, serve, lambda events: None)

        def send(name: str) -> None:
            left[name] -= 1
            batcher.submit("room:a", name, answered)

        def answered(name: str) -> None:
            if left[name]:
                loop.call_later(0.002, send, name)

        for name in "abcd":
            send(name)
            await asyncio.sleep(0.02 if name == "a" else 0)
        first.set()
        await settle(lambda: sum(sizes) == 16)
        await asyncio.to_thread(batcher.stop)

        assert sizes == [1, 4, 4, 4, 3]

    async def test_seldom_waits_where_nobody_comes(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waits: list[int] = []
        wait_for = batch_module.BatchWriter._wait_for

        def counted(self: batch_module.BatchWriter, expected: int) -> None:
            waits.append(expected)
            wait_for(self, expected)

        monkeypatch.setattr(batch_module, "gathering_s", lambda *, after, longest: 0)
        monkeypatch.setattr(batch_module.BatchWriter, "_wait_for", counted)
        for turn in range(1, 101):
            desk.submit("one")
            desk.submit("two")
            await desk.until(turn * 4)
            await desk.rest()

        assert waits == [2] * 6  # after batch 1, 3, 7, 15, 31 and 63

    @pytest.mark.parametrize(("took", "waits"), [(0.001, 0.003), (0.016, 0.008), (2.0, 0.02)])
    def test_waits_half_as_long_as_the_last_one_took_within_bounds(
        self, took: float, waits: float
    ) -> None:
        assert gathering_s(after=took, longest=0.02) == waits
        assert gathering_s(after=took, longest=0.003) == 0.003

    async def test_goes_on_after_an_answer_that_fails(self, desk: Desk) -> None:
        def fail(outcome: Any) -> None:
            raise ValueError(outcome)

        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        desk.batcher.submit("room:a", "first", fail)
        await settle(lambda: len(desk.batches) == 1)
        desk.submit("second")
        await desk.until(2)

        assert desk.steps == ["stored second", "room:second"]
