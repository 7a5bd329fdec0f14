"""A change and its events by one statement: all of it with the commit, or nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import DataError, connection

from marketplace.core.models import Counter
from marketplace.core.rows import inserting_along
from marketplace.events import live, record
from marketplace.events.models import Event, TopicHead
from marketplace.events.record import NewEvent
from marketplace.events.record_along import Change, is_undone, record_along
from marketplace.events.tests.conftest import open_topics

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="about PostgreSQL alone"),
]

COUNT = f"""
    UPDATE {Counter._meta.db_table} SET value = value - 1 WHERE name = ANY(%s) AND value > 0
    RETURNING 'thing:' || name AS topic, jsonb_build_object('left', value) AS payload
"""  # noqa: S608  # the name of a table
BUYER, NEW = "room:a", "room:new"


def counting(*names: str) -> Change:
    """One less of each of these."""
    return Change(COUNT, [[*names]], [f"thing:{name}" for name in names], "thing.happened")


def said(topic: str, n: int) -> NewEvent:
    return NewEvent(topic=topic, name="other.happened", payload={"n": n}, actor_id="asha")


def told(topic: str) -> list[tuple[int, str, Any]]:
    rows = Event.objects.filter(topic=topic).order_by("seq")
    return list(rows.values_list("seq", "name", "payload"))


def left() -> dict[str, int]:
    return dict(Counter.objects.order_by("name").values_list("name", "value"))


@pytest.fixture(autouse=True)
def _things() -> None:
    open_topics("thing:x", "thing:y", BUYER)
    for name, value in (("x", 2), ("y", 1)):
        Counter.objects.create(name=name, value=value)


class TestRecordAlong:
    def test_changes_and_tells_on_old_topics_and_new_ones(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        published: list[live.LiveEvent] = []
        monkeypatch.setattr(live, "publish", published.extend)
        with inserting_along():
            record_along(
                counting("x", "y"),
                [said(NEW, 1), said(BUYER, 2), said(BUYER, 3)],
                opening=[NEW],
            )
            assert (left(), published) == ({"x": 2, "y": 1}, [])

        assert left() == {"x": 1, "y": 0}
        assert told("thing:x") == [(1, "thing.happened", {"left": 1})]
        assert told("thing:y") == [(1, "thing.happened", {"left": 0})]
        assert told(BUYER) == [(1, "other.happened", {"n": 2}), (2, "other.happened", {"n": 3})]
        assert told(NEW) == [(1, "other.happened", {"n": 1})]
        heads = dict(TopicHead.objects.order_by("topic").values_list("topic", "last_seq"))
        assert heads == {"thing:x": 1, "thing:y": 1, BUYER: 2, NEW: 1}
        stored = {event.id: record.live_event(event) for event in Event.objects.order_by("id")}
        assert {one.event_id: one for one in published} == stored

    def test_tells_two_rows_of_one_topic_one_after_the_other(self) -> None:
        change = Change(
            COUNT.replace("'thing:' || name", "'thing:x'"),
            [["x", "y"]],
            ["thing:x", "thing:x"],
            "thing.happened",
        )

        with inserting_along():
            record_along(change, [], opening=[])

        assert [seq for seq, _, _ in told("thing:x")] == [1, 2]
        assert TopicHead.objects.get(topic="thing:x").last_seq == 2

    @pytest.mark.parametrize(
        ("names", "topic"),
        [
            pytest.param(["x", "y", "z"], BUYER, id="a row that is not there"),
            pytest.param(["x"], "room:nowhere", id="a topic without a head"),
        ],
    )
    def test_undoes_all_where_something_is_missing(self, names: list[str], topic: str) -> None:
        def attempt() -> None:
            with inserting_along():
                Counter.objects.create(name="before", value=1)
                record_along(counting(*names), [said(NEW, 1), said(topic, 1)], opening=[NEW])

        open_topics("thing:z")
        with pytest.raises(DataError) as refused:
            attempt()

        assert is_undone(refused.value)
        assert left() == {"x": 2, "y": 1}
        assert not Event.objects.exists()
        assert not TopicHead.objects.filter(last_seq__gt=0).exists()

    def test_is_not_to_blame_for_other_wrong_data(self) -> None:
        def attempt() -> None:
            with inserting_along():
                record_along(counting("x"), [said(BUYER, 1)], opening=[])
                Counter.objects.create(name="a\0b", value=1)

        with pytest.raises((DataError, ValueError)) as refused:
            attempt()

        assert not (isinstance(refused.value, DataError) and is_undone(refused.value))
        assert left() == {"x": 2, "y": 1}

    def test_comes_once_in_a_transaction(self) -> None:
        def attempt() -> None:
            with inserting_along():
                record_along(counting("x"), [], opening=[])
                record_along(counting("y"), [], opening=[])

        with pytest.raises(RuntimeError, match="last"):
            attempt()

        assert left() == {"x": 2, "y": 1}

    def test_wakes_the_subscribers_of_what_it_tells(
        self, monkeypatch: pytest.MonkeyPatch, woken: Callable[[], int]
    ) -> None:
        monkeypatch.setattr(record, "_subscribed_names", lambda: {"thing.happened": ("thing:",)})

        with inserting_along():
            record_along(counting("x"), [said(BUYER, 1)], opening=[])

        pending = TopicHead.objects.filter(subscribers_pending=True)
        assert [head.topic for head in pending.order_by("topic")] == ["thing:x"]
        assert woken() == 1

    @pytest.fixture
    def woken(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
        calls: list[bool] = []
        monkeypatch.setattr(record, "_wake", lambda: calls.append(True))
        return lambda: len(calls)
