"""Numbers are given once, by threads and transactions that know nothing of each other."""

import threading

import pytest
from django.db import connection

from marketplace.core.counters import next_numbers, numbering
from marketplace.core.db import atomic, run
from marketplace.core.models import Counter
from marketplace.core.questions import Question, ask_all
from marketplace.tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)


class TestNextNumbers:
    def test_gives_back_the_numbers_of_a_transaction_that_fails(self) -> None:
        with atomic():
            assert next_numbers("things", first=1) == 1

        def fail() -> None:
            with atomic():
                assert next_numbers("things", count=3, first=1) == 2
                raise RuntimeError("it failed")

        with pytest.raises(RuntimeError, match="it failed"):
            fail()

        with atomic():
            assert next_numbers("things", first=1) == 2

    def test_needs_a_transaction(self) -> None:
        with pytest.raises(RuntimeError, match="inside atomic"):
            next_numbers("things", first=1)


class TestNumbering:
    def test_gives_no_number_twice(self) -> None:
        with atomic():
            assert next_numbers("things", first=1) == 1

        def take() -> int:
            with atomic():
                [number] = ask_all(ahead=numbering("things", count=2, first=1))
                return int(number)

        taken = together(*[lambda: run(take) for _ in range(8)])

        assert sorted(taken) == [2, 4, 6, 8, 10, 12, 14, 16]

    @pytest.mark.skipif(connection.vendor != "postgresql", reason="elsewhere one waits")
    def test_ahead_does_not_wait_for_the_commit_of_another(self) -> None:
        with atomic():
            next_numbers("things", first=1)
        taken, done = threading.Event(), threading.Event()

        def take(*, before: threading.Event, after: threading.Event) -> int:
            with atomic():
                [number, is_flushed] = ask_all(
                    Question("SHOW synchronous_commit", [], lambda rows: rows[0][0], str),
                    ahead=numbering("things", first=1),
                )
                assert is_flushed == "on"
                before.set()
                assert after.wait(5)
            return int(number)

        def take_second() -> int:
            assert taken.wait(5)
            return take(before=done, after=taken)

        assert together(lambda: take(before=taken, after=done), take_second) == [2, 3]

    @pytest.mark.skipif(
        connection.vendor != "postgresql", reason="elsewhere a transaction holds it"
    )
    def test_ahead_needs_no_transaction(self) -> None:
        with atomic():
            next_numbers("things", first=1)

        number, is_flushed = ask_all(
            Question("SHOW synchronous_commit", [], lambda rows: rows[0][0], str),
            ahead=numbering("things", count=3, first=1),
        )

        assert (number, is_flushed) == (2, "on")
        assert Counter.objects.get().value == 4

    @pytest.mark.skipif(connection.vendor != "postgresql", reason="elsewhere it comes back")
    def test_ahead_is_gone_where_the_transaction_fails(self) -> None:
        def fail() -> None:
            with atomic():
                ask_all(ahead=numbering("things", first=1))
                Counter.objects.create(name="other", value=1)
                raise RuntimeError("it failed")

        with atomic():
            next_numbers("things", first=1)
        with pytest.raises(RuntimeError, match="it failed"):
            fail()

        assert list(Counter.objects.values_list("name", "value")) == [("things", 2)]

    def test_ahead_is_part_of_a_transaction_that_has_begun(self) -> None:
        def fail() -> None:
            with atomic():
                Counter.objects.create(name="other", value=1)
                ask_all(ahead=numbering("things", first=1))
                raise RuntimeError("it failed")

        with atomic():
            next_numbers("things", first=1)
        with pytest.raises(RuntimeError, match="it failed"):
            fail()

        assert list(Counter.objects.values_list("name", "value")) == [("things", 1)]
