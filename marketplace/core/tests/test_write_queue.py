"""SQLite's writers stand in line: who came first writes first, and nobody is left out."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from django.db import connection

from marketplace.core import write_queue
from marketplace.core.db import atomic, on_commit
from marketplace.core.errors import Unavailable
from marketplace.core.models import Counter
from marketplace.core.write_queue import Line, has_turn, write_turn

SHORT_S = 0.05


def in_thread(function: Callable[[], object]) -> threading.Thread:
    def work() -> None:
        try:
            function()
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def ended(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(timeout=20)
    assert not any(thread.is_alive() for thread in threads)


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def _are_waiting(line: Line, number: int) -> bool:
    return len(line._waiting) == number


class TestLine:
    def test_lets_in_who_came_first(self) -> None:
        line, entered = Line(), list[int]()
        assert line.acquire(timeout_s=1)

        def enter(number: int) -> None:
            assert line.acquire(timeout_s=10)
            entered.append(number)
            line.release()

        threads = []
        for number in range(8):
            threads.append(in_thread(partial(enter, number)))
            wait_until(partial(_are_waiting, line, number + 1))
        line.release()
        ended(threads)

        assert entered == list(range(8))

    def test_is_not_given_to_who_comes_while_others_wait(self) -> None:
        line = Line()
        assert line.acquire(timeout_s=1)
        waiting = in_thread(lambda: line.acquire(timeout_s=10))
        wait_until(partial(_are_waiting, line, 1))

        line.release()

        assert not line.acquire(timeout_s=0)
        ended([waiting])

    def test_forgets_who_has_given_up(self) -> None:
        line = Line()
        assert line.acquire(timeout_s=1)

        assert not line.acquire(timeout_s=SHORT_S)

        line.release()
        assert line.acquire(timeout_s=0)


class TestTurn:
    def test_is_unavailable_when_it_does_not_come_in_time(self) -> None:
        inside, leave = threading.Event(), threading.Event()

        def hold() -> None:
            with write_turn():
                inside.set()
                leave.wait(timeout=10)

        holder = in_thread(hold)
        assert inside.wait(timeout=10)

        with pytest.raises(Unavailable), write_turn(timeout_s=SHORT_S):
            pass

        leave.set()
        ended([holder])
        with write_turn(timeout_s=0):
            assert has_turn()

    def test_ends_with_an_exception(self) -> None:
        with pytest.raises(ValueError, match="refused"), write_turn():
            raise ValueError("refused")

        assert not has_turn()
        ended([in_thread(_enter_at_once)])

    def test_goes_on_in_an_inner_block_and_ends_with_the_outer_one(self) -> None:
        with write_turn():
            with write_turn(timeout_s=0) as leave:
                leave()
            assert has_turn()

        assert not has_turn()

    def test_that_was_left_early_is_not_ended_a_second_time(self) -> None:
        """What runs after the commit may have taken a turn of its own."""
        with write_turn() as leave:
            leave()
            with write_turn(timeout_s=0):
                leave()
                assert has_turn()


def _enter_at_once() -> None:
    with write_turn(timeout_s=0):
        pass


@pytest.fixture
def sqlite(transactional_db: None) -> Iterator[None]:
    if connection.vendor != "sqlite":
        pytest.skip("Only SQLite has one writer.")
    yield
    assert not write_queue._line._held


@pytest.mark.django_db(transaction=True)
class TestTransactions:
    @pytest.fixture(autouse=True)
    def on_sqlite(self, sqlite: None) -> None:
        """The line is SQLite's alone."""

    def test_hold_the_turn_until_their_commit_and_not_after_it(self) -> None:
        seen = list[tuple[str, bool]]()

        with atomic():
            on_commit(lambda: seen.append(("told", has_turn())))
            with atomic():
                seen.append(("written", has_turn()))

        assert seen == [("written", True), ("told", False)]

    def test_that_fail_leave_the_line(self) -> None:
        def fail() -> None:
            with atomic():
                Counter.objects.create(name="lamps", value=1)
                raise ValueError("refused")

        with pytest.raises(ValueError, match="refused"):
            fail()

        assert not has_turn()
        assert not Counter.objects.exists()

    def test_may_begin_in_what_runs_after_a_commit(self) -> None:
        def write_again() -> None:
            with atomic():
                Counter.objects.create(name="after", value=1)

        with atomic():
            Counter.objects.create(name="lamps", value=1)
            on_commit(write_again)

        assert list(Counter.objects.order_by("id").values_list("name", flat=True)) == [
            "lamps",
            "after",
        ]

    def test_are_refused_when_their_turn_does_not_come(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(write_queue, "PATIENCE_S", SHORT_S)
        inside, leave = threading.Event(), threading.Event()

        def hold() -> None:
            with atomic():
                inside.set()
                leave.wait(timeout=10)

        holder = in_thread(hold)
        assert inside.wait(timeout=10)

        with pytest.raises(Unavailable), atomic():
            pass
        with pytest.raises(Unavailable):
            Counter.objects.create(name="lamps", value=1)
        assert not Counter.objects.exists()  # a read waits for nobody

        leave.set()
        ended([holder])

    def test_of_many_threads_are_all_written(self) -> None:
        Counter.objects.create(name="lamps", value=0)
        refused = list[BaseException]()

        def write() -> None:
            for _ in range(25):
                try:
                    with atomic():
                        lamps = Counter.objects.get(name="lamps")
                        Counter.objects.filter(pk=lamps.pk).update(value=lamps.value + 1)
                except Unavailable as error:
                    refused.append(error)

        ended([in_thread(write) for _ in range(32)])

        assert refused == []
        assert Counter.objects.get(name="lamps").value == 32 * 25


@pytest.mark.django_db(transaction=True)
class TestOtherDatabases:
    def test_have_no_line(self) -> None:
        if connection.vendor == "sqlite":
            pytest.skip("SQLite has one.")
        with atomic():
            assert not has_turn()
