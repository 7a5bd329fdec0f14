"""Statements that go to PostgreSQL past Django's cursors mean what they mean there."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection

from marketplace.core.arrays import uuid_array
from marketplace.core.db import atomic, discard_connection
from marketplace.core.libpq import Rows
from marketplace.core.models import Counter, Job
from marketplace.core.planned import (
    dedicate_connection,
    fetch_all_planned,
    fetch_planned,
    run_planned,
    send_last,
    send_on,
)
from marketplace.core.queries import QueryCount, counted_queries
from marketplace.core.rows import insert_rows, inserting_along
from marketplace.tests.threads import together
from orders.enums import OrderStatus

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="about PostgreSQL alone"),
]

AT = datetime(2026, 1, 10, 12, 0, 0, 5000, tzinfo=UTC)
KEY = UUID("0190a000-0000-7000-8000-000000000001")
AWKWARD = ['a "quoted" word', "back\\slash", "{braces},commas", "NULL", "", "line\nbreak", "žluť 🛋"]


def job(key: str) -> Job:
    return Job(key=key, name="n", run_at=AT)


@pytest.fixture(params=[False, True], ids=["shared", "dedicated"])
def _connection(request: pytest.FixtureRequest) -> Iterator[None]:
    """The thread of the test, with a connection of either kind."""
    from marketplace.core import planned

    if request.param:
        discard_connection()
        dedicate_connection()
    yield
    if request.param:
        planned._state.dedicated = False
        discard_connection()


@pytest.mark.usefixtures("_connection")
class TestFetchPlanned:
    @pytest.mark.parametrize("ids", [[], [KEY], [KEY, None, UUID(int=0), UUID(int=2**128 - 1)]])
    def test_reads_ids_as_they_were_sent(self, ids: list[UUID | None]) -> None:
        rows = fetch_planned("SELECT one FROM unnest(%s::uuid[]) AS given(one)", [uuid_array(ids)])

        assert rows == [(one,) for one in ids]

    @pytest.mark.parametrize(
        ("kind", "value", "read"),
        [
            ("text", "it's", "it's"),
            ("integer", 7, 7),
            ("boolean", True, True),
            ("boolean", False, False),
            ("float8", 0.25, 0.25),
            ("numeric", Decimal("10.50"), Decimal("10.50")),
            ("uuid", KEY, KEY),
            ("timestamptz", AT, AT),
            ("text", None, None),
            ("text", OrderStatus.SHIPPED, "shipped"),
            ("text[]", AWKWARD, AWKWARD),
            ("text[]", ["a", None], ["a", None]),
            ("uuid[]", [KEY], [KEY]),
            ("integer[]", [1, 2], [1, 2]),
            ("boolean[]", (True, False), [True, False]),
            ("text[]", [], []),
        ],
    )
    def test_gives_back_what_it_was_given(self, kind: str, value: Any, read: Any) -> None:
        for _ in range(2):
            assert fetch_planned(f"SELECT %s::{kind}, '100%%'", [value]) == [(read, "100%")]

    def test_refuses_text_that_the_server_would_cut(self) -> None:
        for value in ("a\0b", ["a\0b"]):
            with pytest.raises(DatabaseError, match="NUL"):
                fetch_planned("SELECT %s::text", [value])

    def test_refuses_a_value_that_it_cannot_write(self) -> None:
        with pytest.raises(TypeError, match="object"):
            fetch_planned("SELECT %s", [object()])

        assert fetch_planned("SELECT 1", []) == [(1,)]

    def test_raises_what_django_raises_and_goes_on(self) -> None:
        with pytest.raises(DatabaseError, match="nothing"):
            fetch_planned("SELECT * FROM nothing", [])
        with pytest.raises(DatabaseError, match="division by zero"):
            fetch_all_planned([("SELECT 1", []), ("SELECT 1 / %s", [0]), ("SELECT 2", [])])

        assert fetch_planned("SELECT 1 / %s", [1]) == [(1,)]

    def test_counts_a_journey_as_one_call(self) -> None:
        connection.ensure_connection()
        count = QueryCount()
        token = counted_queries.set(count)
        try:
            fetch_all_planned([("SELECT 1", []), ("SELECT 2", [])])
        finally:
            counted_queries.reset(token)

        assert count.number == 1

    def test_reads_more_than_the_socket_holds(self) -> None:
        long = "x" * 3_000_000

        found = fetch_all_planned([("SELECT %s::text", [long]) for _ in range(4)])

        assert [len(rows[0][0]) for rows in found] == [3_000_000] * 4

    def test_opens_a_connection_again_that_has_died(self) -> None:
        [(backend,)] = fetch_planned("SELECT pg_backend_pid()", [])

        def end() -> None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s)", [backend])
            connection.close()

        together(end)
        with pytest.raises(OperationalError):
            fetch_planned("SELECT 1", [])
        connection.close()

        assert fetch_planned("SELECT 1", []) == [(1,)]


@pytest.mark.usefixtures("_connection")
class TestRunPlanned:
    def test_is_part_of_the_transaction(self) -> None:
        def fail() -> None:
            with atomic():
                run_planned([("UPDATE core_job SET name = %s", ["changed"])])
                raise RuntimeError

        job("a").save()
        with pytest.raises(RuntimeError):
            fail()

        assert Job.objects.get().name == "n"

    def test_commits_with_the_last_of_its_statements(self) -> None:
        ran: list[bool] = []
        with inserting_along():
            insert_rows([job("a")])
            connection.on_commit(lambda: ran.append(Job.objects.filter(key="a").exists()))

        assert ran == [True]
        assert connection.get_autocommit()

    def test_leaves_an_outer_transaction_open(self) -> None:
        def fail() -> None:
            with atomic():
                with inserting_along():
                    insert_rows([job("a")])
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()

        assert not Job.objects.exists()

    def test_undoes_all_where_the_last_fails(self) -> None:
        def repeat() -> None:
            with inserting_along():
                Counter.objects.create(name="a", value=1)
                insert_rows([job("b")])
                insert_rows([job("a")])

        job("a").save()
        with pytest.raises(IntegrityError):
            repeat()

        assert not Counter.objects.exists()
        assert Job.objects.count() == 1


@pytest.mark.usefixtures("_connection")
class TestSendOn:
    def test_commits_with_what_follows(self) -> None:
        for name in ("a", "b"):
            with inserting_along():
                insert_rows([job(name)])
                send_on()
                insert_rows([Counter(name=name, value=1)])

        assert Job.objects.count() == Counter.objects.count() == 2
        assert connection.get_autocommit()

    def test_commits_where_nothing_follows(self) -> None:
        with inserting_along():
            insert_rows([job("a")])
            send_on()
            send_on()

        assert Job.objects.count() == 1

    def test_may_be_asked_behind(self) -> None:
        with inserting_along():
            insert_rows([job("a")])
            send_on()
            assert fetch_planned("SELECT key FROM core_job", []) == [("a",)]
            insert_rows([job("b")])
            send_on()
            assert Job.objects.count() == 2
            insert_rows([job("c")])

        assert Job.objects.count() == 3

    def test_counts_one_call_for_all_of_it(self) -> None:
        connection.ensure_connection()
        count = QueryCount()
        token = counted_queries.set(count)
        try:
            with inserting_along():
                insert_rows([job("a")])
                send_on()
                insert_rows([job("b")])
        finally:
            counted_queries.reset(token)

        assert count.number == 1

    def test_raises_at_the_end_what_it_met(self) -> None:
        def repeat() -> None:
            with inserting_along():
                insert_rows([job("a")])
                send_on()
                insert_rows([job("b")])

        job("a").save()
        with pytest.raises(IntegrityError):
            repeat()

        assert [one.key for one in Job.objects.order_by("key")] == ["a"]
        insert_rows([job("c")])
        assert Job.objects.count() == 2

    @pytest.mark.parametrize("there", ["b", "a"], ids=["it alone", "the insert, too"])
    def test_leaves_nothing_where_the_caller_fails(self, there: str) -> None:
        def fail() -> None:
            with inserting_along():
                insert_rows([job("a")])
                send_on()
                raise RuntimeError

        job(there).save()
        with pytest.raises(RuntimeError):
            fail()

        assert [one.key for one in Job.objects.order_by("key")] == [there]
        insert_rows([job("c")])
        assert Job.objects.count() == 2

    def test_sends_more_than_the_socket_holds(self) -> None:
        rows = [Job(key=str(n), name="n", run_at=AT, last_error="x" * 300_000) for n in range(20)]

        with inserting_along():
            insert_rows(rows)
            send_on()
            insert_rows([job("last")])

        assert Job.objects.count() == 21


@pytest.mark.usefixtures("_connection")
class TestSendLast:
    def test_is_read_after_the_commit(self) -> None:
        found: list[Any] = []

        def read(rows: Rows) -> None:
            together(lambda: found.extend([rows, Job.objects.count()]))

        with inserting_along():
            send_last(("SELECT count(*) FROM core_job", []), read)
            insert_rows([job("a")])
            assert found == []

        assert found == [[(1,)], 1]

    def test_undoes_all_where_it_fails(self) -> None:
        def fail() -> None:
            with inserting_along():
                insert_rows([job("a")])
                send_on()
                send_last(("SELECT 1 / %s", [0]), lambda _: None)

        with pytest.raises(DatabaseError, match="division by zero"):
            fail()

        assert not Job.objects.exists()
