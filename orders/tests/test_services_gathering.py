"""Who comes while one works is worked for by the next; everybody gets his own outcome."""

import threading
from collections.abc import Sequence

import pytest

from marketplace.core.errors import AppError, Conflict
from marketplace.tests.threads import together
from orders.services.gathering import BATCH, Gathering


class Worker:
    """Doubles numbers, refuses the odd ones; the first batch waits until it may go on."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_go = threading.Event()
        self.works = threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int | AppError]:
        self.batches.append(list(numbers))
        self.works.set()
        assert self.may_go.wait(timeout=10)
        return [Conflict(str(one)) if one % 2 else 2 * one for one in numbers]


def asked(gathering: Gathering[int, int], number: int) -> int | str:
    try:
        return gathering.submit(number)
    except AppError as error:
        return error.message


class TestGathering:
    def test_works_alone_at_once(self) -> None:
        worker = Worker()
        worker.may_go.set()
        gathering = Gathering(worker)

        assert [asked(gathering, number) for number in (2, 3)] == [4, "3"]
        assert worker.batches == [[2], [3]]

    @pytest.mark.django_db(transaction=True)
    def test_takes_along_who_came_meanwhile(self) -> None:
        worker = Worker()
        gathering = Gathering(worker)

        def first() -> int | str:
            return asked(gathering, 0)

        def later(number: int) -> int | str:
            assert worker.works.wait(timeout=10)
            return asked(gathering, number)

        def let_go() -> None:
            while len(gathering._waiting) < 5:
                threading.Event().wait(0.01)
            worker.may_go.set()

        outcomes = together(
            first, *[lambda number=number: later(number) for number in range(1, 6)], let_go
        )

        assert outcomes[:-1] == [0, "1", 4, "3", 8, "5"]
        assert [len(batch) for batch in worker.batches] == [1, 5]

    @pytest.mark.django_db(transaction=True)
    def test_leaves_nobody_waiting_in_a_crowd(self) -> None:
        worker = Worker()
        worker.may_go.set()
        gathering = Gathering(worker)

        def many(place: int) -> list[int | str]:
            return [asked(gathering, 2 * (place + turn)) for turn in range(20)]

        outcomes = together(*[lambda place=place: many(place) for place in range(16)])

        assert outcomes == [[4 * (place + turn) for turn in range(20)] for place in range(16)]
        assert max(len(batch) for batch in worker.batches) <= BATCH

    def test_tells_everybody_what_fails(self) -> None:
        def fail(numbers: Sequence[int]) -> list[int | AppError]:
            raise ZeroDivisionError

        gathering: Gathering[int, int] = Gathering(fail)

        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                gathering.submit(1)
