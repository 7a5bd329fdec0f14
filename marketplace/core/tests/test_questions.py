"""Both forms of a question do and give the same, alone and together."""

from datetime import UTC, datetime
from typing import NoReturn

import pytest
from django.db import DatabaseError, connection

from marketplace.core.counters import next_numbers, numbering
from marketplace.core.db import atomic
from marketplace.core.errors import NotFound
from marketplace.core.models import Counter, Job
from marketplace.core.questions import Question, ask, ask_all, which_are_there

pytestmark = pytest.mark.django_db(transaction=True)

AT = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)


def make_job(key: str) -> Job:
    return Job.objects.create(key=key, name="n", run_at=AT)


class TestWhichAreThere:
    @pytest.mark.parametrize("asked", [[], ["a"], ["a", "b", "c", "it's"]])
    def test_gives_those_of_the_values_that_some_row_has(self, asked: list[str]) -> None:
        for key in ("a", "it's", "other"):
            make_job(key)

        assert ask(which_are_there(Job, "key", asked)) == {"a", "it's"} & set(asked)


class TestAskAll:
    def test_gives_the_answers_in_the_order_of_the_questions(self) -> None:
        make_job("a")

        with atomic():
            first, number, second = ask_all(
                which_are_there(Job, "key", ["a"]),
                numbering("things", count=3, first=7),
                which_are_there(Job, "key", ["b"]),
            )
            again = next_numbers("things", first=7)

        assert (first, number, second, again) == ({"a"}, 7, set(), 10)

    def test_changes_nothing_where_one_of_them_refuses(self) -> None:
        with atomic():
            next_numbers("things", first=1)

        def refuse() -> NoReturn:
            raise NotFound

        refusing: Question[None] = Question("SELECT 1", [], lambda _: refuse(), elsewhere=refuse)
        with pytest.raises(NotFound), atomic():
            ask_all(numbering("things", first=1), refusing)

        assert Counter.objects.get().value == 1

    @pytest.mark.skipif(connection.vendor != "postgresql", reason="about PostgreSQL alone")
    def test_raises_what_the_database_says(self) -> None:
        wrong: Question[None] = Question("SELECT * FROM nothing", [], lambda _: None, lambda: None)

        with pytest.raises(DatabaseError):
            ask_all(which_are_there(Job, "key", ["a"]), wrong)

        assert ask(which_are_there(Job, "key", ["a"])) == set()
