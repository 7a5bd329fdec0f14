"""Rows that go in together are the rows that Django's own insert makes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection

from marketplace.core.db import IntegrityError, atomic
from marketplace.core.models import IdempotencyKey, Job
from marketplace.core.questions import ask, which_are_there
from marketplace.core.rows import _insertion, insert_rows, inserting_along, new_row

pytestmark = pytest.mark.django_db(transaction=True)

AT = datetime(2026, 1, 10, 12, 0, 0, 5000, tzinfo=UTC)
AWKWARD = ['a "quoted" word', "back\\slash", "{braces},commas", "NULL", "", "line\nbreak", "žluť 🛋"]


def key(scope: str, **more: Any) -> IdempotencyKey:
    values: dict[str, Any] = {"body_hash": "h", "lease_until": AT, "expires_at": AT, **more}
    return IdempotencyKey(scope=scope, **values)


def columns(row: Any) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


class TestNewRow:
    def test_is_the_row_that_the_model_makes(self) -> None:
        values: dict[str, Any] = {"key": "j", "name": "n", "run_at": AT}
        made, expected = new_row(Job, **values), Job(**values)

        own = {"id", "created_at", "updated_at"}
        assert {k: v for k, v in columns(made).items() if k not in own} == {
            k: v for k, v in columns(expected).items() if k not in own
        }
        assert made._state.adding
        made.save()
        assert columns(Job.objects.get()) == columns(made)

    def test_shares_nothing_with_the_next(self) -> None:
        one, other = (new_row(Job, key=key, name="n") for key in "ab")

        one.arguments["seen"] = True

        assert one.id != other.id
        assert other.arguments == {}

    def test_refuses_a_column_that_there_is_not(self) -> None:
        with pytest.raises(TypeError, match="Job"):
            new_row(Job, key="j", nmae="n")


class TestInsertingAlong:
    def test_has_the_rows_of_all_tables_at_the_end(self) -> None:
        with inserting_along():
            insert_rows([key("s")])
            insert_rows([Job(key="j", name="n", run_at=AT)])
            with inserting_along():
                insert_rows([key("t")])

        assert (IdempotencyKey.objects.count(), Job.objects.count()) == (2, 1)

    def test_goes_along_with_the_next_question(self) -> None:
        with inserting_along():
            insert_rows([Job(key="j", name="n", run_at=AT)])

            assert ask(which_are_there(Job, "key", ["j"])) == {"j"}

            insert_rows([Job(key="k", name="n", run_at=AT)])

        assert sorted(Job.objects.values_list("key", flat=True)) == ["j", "k"]

    def test_is_refused_with_what_it_goes_along_with(self) -> None:
        def repeat() -> None:
            with inserting_along():
                insert_rows([key("t")])
                insert_rows([key("s")])
                ask(which_are_there(Job, "key", ["j"]))

        insert_rows([key("s")])
        with pytest.raises(IntegrityError):
            repeat()

        assert [one.scope for one in IdempotencyKey.objects.all()] == ["s"]

    def test_inserts_nothing_where_the_block_fails(self) -> None:
        def fail() -> None:
            with inserting_along():
                insert_rows([key("s")])
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()

        assert IdempotencyKey.objects.count() == 0

        insert_rows([key("s")])

        assert IdempotencyKey.objects.count() == 1

    def test_refuses_what_is_there_already_and_takes_none(self) -> None:
        insert_rows([key("s")])

        def repeat() -> None:
            with inserting_along():
                insert_rows([Job(key="j", name="n", run_at=AT)])
                insert_rows([key("s")])

        with pytest.raises(IntegrityError):
            repeat()

        assert (IdempotencyKey.objects.count(), Job.objects.count()) == (1, 0)


class TestInsertRows:
    def test_stores_every_value_as_it_is(self) -> None:
        rows = [key(f"s{n}", body=text, status=n or None) for n, text in enumerate(AWKWARD)]

        insert_rows(rows)

        stored = IdempotencyKey.objects.order_by("scope")
        assert [columns(one) for one in stored] == [columns(one) for one in rows]

    def test_stores_json_as_django_does(self) -> None:
        values: dict[str, Any] = {
            "texts": AWKWARD, "nothing": None, "yes": True, "number": 1.5, "deep": [{"a": [1, 2]}],
        }  # fmt: skip
        insert_rows([Job(key="a", name="n", arguments=values, run_at=AT)])
        Job.objects.bulk_create([Job(key="b", name="n", arguments=values, run_at=AT)])

        assert [one.arguments for one in Job.objects.order_by("key")] == [values, values]

    def test_takes_rows_that_differ_after_rows_that_were_alike(self) -> None:
        alike = [key(f"a{n}", status=200, body="same") for n in range(3)]
        differing = [
            key("b0", status=201, body="one", expires_at=AT + timedelta(days=1)),
            key("b1", status=None, body="another", content_type="text/plain"),
        ]
        again = [key(f"c{n}", status=None, body="") for n in range(3)]
        batches = [alike, differing, again]

        for batch in batches:
            insert_rows(batch)

        stored = IdempotencyKey.objects.order_by("scope")
        assert [columns(one) for one in stored] == [
            columns(one) for batch in batches for one in batch
        ]

    def test_keeps_json_values_apart_that_python_calls_equal(self) -> None:
        values = [1, True, 1.5, "1", "true"]
        rows = [Job(key=f"{n}", name="n", arguments=one, run_at=AT) for n, one in enumerate(values)]

        insert_rows(rows[:2])
        insert_rows(rows[2:])

        stored = [one.arguments for one in Job.objects.order_by("key")]
        assert [(type(one), one) for one in stored] == [(type(one), one) for one in values]

    def test_has_few_statements_whatever_varies(self) -> None:
        if connection.vendor != "postgresql":
            pytest.skip("Only PostgreSQL's rows have a statement.")
        # Else they may be made in one millisecond or in two.
        made: dict[str, Any] = {"created_at": AT, "updated_at": AT}
        alike = [key("a", **made), key("b", **made)]
        differing = [key("c", status=1, **made), key("d", status=2, **made)]

        given = [_insertion(IdempotencyKey, one)[0] for one in (differing, alike, differing)]

        # A column that has varied once is an array for good.
        assert given[0] == given[1] == given[2]

    def test_takes_several_models_and_empty_batches(self) -> None:
        insert_rows([key("s")], [], [Job(key="j", name="n", run_at=AT)])

        assert (IdempotencyKey.objects.count(), Job.objects.count()) == (1, 1)

    def test_makes_rows_that_can_be_changed(self) -> None:
        row = key("s")
        insert_rows([row])

        row.status = 201
        row.save(update_fields=["status"])

        assert IdempotencyKey.objects.get().status == 201

    def test_refuses_what_is_there_already(self) -> None:
        insert_rows([key("s")])

        with pytest.raises(IntegrityError), atomic():
            insert_rows([key("s")])

        assert IdempotencyKey.objects.count() == 1

    def test_cuts_nothing(self) -> None:
        if connection.vendor != "postgresql":
            pytest.skip("Only PostgreSQL knows lengths.")
        with pytest.raises(DatabaseError), atomic():
            insert_rows([key("s" * 65)])

        assert IdempotencyKey.objects.count() == 0
