"""What `run()` repeats, and what it must not."""

import sqlite3
from collections.abc import Callable

import pytest
from django.db import DatabaseError, OperationalError
from pymongo.errors import BulkWriteError, OperationFailure

from marketplace.core import db
from marketplace.core.errors import Unavailable


class ServerSays(DatabaseError):
    def __init__(self, sqlstate: str) -> None:
        super().__init__("from the server")
        self.sqlstate = sqlstate


def caused_by(cause: BaseException) -> DatabaseError:
    error = OperationalError("wrapped")
    error.__cause__ = cause
    return error


def transient() -> OperationFailure:
    return OperationFailure("", 251, {"errorLabels": ["TransientTransactionError"]})


LOST = [
    pytest.param(ServerSays("40001"), id="serialization failure"),
    pytest.param(ServerSays("40P01"), id="deadlock"),
    pytest.param(ServerSays("55P03"), id="lock not available"),
    pytest.param(caused_by(ServerSays("40P01")), id="deadlock, wrapped"),
    pytest.param(caused_by(sqlite3.OperationalError("database is locked")), id="busy SQLite"),
    pytest.param(transient(), id="transient MongoDB transaction"),
    pytest.param(OperationFailure("", 112, {"code": 112}), id="MongoDB write conflict"),
    pytest.param(
        BulkWriteError({"writeErrors": [{"code": 16908292, "errmsg": "deadlock detected"}]}),
        id="deadlock behind the MongoDB wire",
    ),
]
NOT_LOST = [
    pytest.param(ServerSays("23505"), id="duplicate"),
    pytest.param(caused_by(sqlite3.OperationalError("no such table")), id="SQLite without a table"),
    pytest.param(OperationFailure("", 13, {"code": 13}), id="MongoDB unauthorized"),
    pytest.param(BulkWriteError({"writeErrors": [{"code": 11000}]}), id="MongoDB duplicate"),
    pytest.param(ValueError("40P01"), id="not the database"),
]


def failing_once(error: Exception) -> tuple[Callable[[], str], list[int]]:
    calls: list[int] = []

    def write() -> str:
        calls.append(len(calls) + 1)
        if len(calls) == 1:
            raise error
        return "written"

    return write, calls


class TestRun:
    @pytest.mark.parametrize("error", LOST)
    def test_repeats_what_lost_a_race(self, error: Exception) -> None:
        write, calls = failing_once(error)

        assert db.run(write) == "written"
        assert calls == [1, 2]

    @pytest.mark.parametrize("error", NOT_LOST)
    def test_passes_every_other_error_on(self, error: Exception) -> None:
        write, calls = failing_once(error)

        with pytest.raises(type(error)) as raised:
            db.run(write)

        assert raised.value is error
        assert calls == [1]

    def test_is_unavailable_once_the_time_is_up(self) -> None:
        def write() -> None:
            raise ServerSays("40001")

        with pytest.raises(Unavailable):
            db.run(write, limit_s=0.02)

    @pytest.mark.django_db
    def test_calls_once_inside_a_transaction(self) -> None:
        write, calls = failing_once(ServerSays("40P01"))

        with pytest.raises((ServerSays, Unavailable)), db.atomic():
            db.run(write)

        assert calls == [1]


class TestAtomicWithoutTransactions:
    @pytest.fixture(autouse=True)
    def a_database_that_cannot_roll_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(db, "is_mongodb", lambda: True)
        monkeypatch.setattr(db, "has_transactions", lambda: False)

    def test_is_not_repeated_since_its_first_half_stands(self) -> None:
        lose, calls = failing_once(BulkWriteError({"writeErrors": [{"code": 16908292}]}))
        written: list[str] = []

        def half_then_lose() -> None:
            with db.atomic():
                written.append("first half")
                lose()

        with pytest.raises(Unavailable):
            db.run(half_then_lose)

        assert (written, calls) == (["first half"], [1])

    def test_runs_what_waits_for_the_commit_at_its_end_and_only_then(self) -> None:
        said: list[str] = []

        with db.atomic():
            db.on_commit(lambda: said.append("told"))
            with db.atomic():
                said.append("written")

        assert said == ["written", "told"]

    def test_forgets_what_waits_where_it_fails(self) -> None:
        said: list[str] = []

        def refuse() -> None:
            with db.atomic():
                db.on_commit(lambda: said.append("told"))
                raise ValueError("refused")

        with pytest.raises(ValueError, match="refused"):
            refuse()
        with db.atomic():
            pass

        assert said == []
