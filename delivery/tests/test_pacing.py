"""At most one a second: the first at once, then the last value wins."""

import threading

import pytest

from delivery.pacing import Pacer


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """A pacer without its thread, and what it told."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.told: list[tuple[str, int]] = []
        self.pacer: Pacer[str, int] = Pacer(
            1.0, lambda key, value: self.told.append((key, value)),
            clock=self.clock, has_thread=False,
        )  # fmt: skip

    def at(self, second: float, *offers: tuple[str, int]) -> float | None:
        self.clock.now = 100.0 + second
        left = self.pacer.tell_due()
        for key, value in offers:
            self.pacer.offer(key, value)
        return left


@pytest.fixture
def desk() -> Desk:
    return Desk()


class TestPacer:
    def test_tells_the_first_at_once_and_then_the_last(self, desk: Desk) -> None:
        desk.at(0, ("a", 1), ("a", 2), ("a", 3))
        assert desk.told == [("a", 1)]

        desk.at(0.9)
        assert desk.told == [("a", 1)]
        desk.at(1.0)

        assert desk.told == [("a", 1), ("a", 3)]

    def test_takes_several_at_once_each_at_its_own_pace(self, desk: Desk) -> None:
        desk.at(0, ("a", 1))

        desk.pacer.offer_all({"a": 2, "b": 1})
        assert desk.told == [("a", 1), ("b", 1)]
        desk.at(1.0)

        assert desk.told == [("a", 1), ("b", 1), ("a", 2)]

    def test_keeps_the_pace_for_as_long_as_they_come(self, desk: Desk) -> None:
        for tenth in range(50):
            desk.at(tenth / 10, ("a", tenth))

        assert [value for _, value in desk.told] == [0, 9, 19, 29, 39]

    def test_is_free_again_after_a_silence(self, desk: Desk) -> None:
        desk.at(0, ("a", 1))
        desk.at(5, ("a", 2))

        assert desk.told == [("a", 1), ("a", 2)]

    def test_paces_each_key_by_itself(self, desk: Desk) -> None:
        desk.at(0, ("a", 1), ("b", 1), ("a", 2))
        left = desk.at(0.25, ("b", 2))
        desk.at(1)

        assert left == 0.75
        assert desk.told == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]

    def test_does_not_tell_what_it_was_told_to_forget(self, desk: Desk) -> None:
        desk.at(0, ("a", 1), ("a", 2))
        desk.pacer.forget("a")

        assert desk.at(2) is None
        assert desk.told == [("a", 1)]

    def test_tells_the_last_from_a_thread_of_its_own_that_ends(self) -> None:
        told: list[int] = []
        done = threading.Event()

        def tell(key: str, value: int) -> None:
            told.append(value)
            if value == 9:
                done.set()

        pacer: Pacer[str, int] = Pacer(0.05, tell)
        for value in range(10):
            pacer.offer("a", value)

        assert done.wait(5)
        assert (told[0], told[-1]) == (0, 9)
        assert len(told) <= 3
