"""The log forgets what is old and read by all, and says so by its horizon."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from marketplace.core import task_registry
from marketplace.core.clock import now
from marketplace.events import retention
from marketplace.events.management.commands import new_epoch, purge_expired
from marketplace.events.models import AuditEntry, Event, Position, TopicHead
from marketplace.events.replay import replay
from marketplace.events.retention import start_new_epoch, trim
from marketplace.events.subscribe import run_subscribers, subscribes
from marketplace.events.tests.conftest import happen, open_topics

pytestmark = pytest.mark.django_db(transaction=True)

ROOM = "room:a"
LONG_AGO = timedelta(days=31)


def log(topic: str, *, old: int, young: int = 0) -> None:
    """A topic with `old` events past their time and `young` ones after them."""
    if not TopicHead.objects.filter(topic=topic).exists():
        open_topics(topic)
    for _ in range(old + young):
        happen(topic)
    Event.objects.filter(topic=topic, seq__lte=old).update(created_at=now() - LONG_AGO)


def left(topic: str = ROOM) -> tuple[int, list[int]]:
    """The horizon, and the seqs that are still there."""
    events = Event.objects.filter(topic=topic).order_by("seq")
    horizon = TopicHead.objects.get(topic=topic).horizon
    return horizon, list(events.values_list("seq", flat=True))


class TestTrim:
    def test_removes_what_is_old_and_moves_the_horizon(self) -> None:
        log(ROOM, old=3, young=2)

        assert trim(now()) == 3

        assert left() == (3, [4, 5])
        assert trim(now()) == 0

    def test_lets_a_client_behind_the_horizon_know(self) -> None:
        log(ROOM, old=3, young=2)
        trim(now())

        assert replay(ROOM, since=2).reset == "horizon"
        assert [event.seq for event in replay(ROOM, since=3).events] == [4, 5]

    def test_keeps_thirty_days(self) -> None:
        log(ROOM, old=2)

        assert trim(now() - timedelta(days=2)) == 0
        assert trim(now()) == 2

        assert left() == (2, [])
        assert happen(ROOM).seq == 3

    @pytest.mark.parametrize("topic", ["user:u", "announcements", "employees", "admins"])
    def test_trims_what_people_join_for_their_own_news(self, topic: str) -> None:
        log(topic, old=1, young=1)

        assert trim(now()) == 1

    @pytest.mark.parametrize(
        "topic",
        [
            "order:o",
            "delivery:d",
            "ticket:t",
            "product:p",
            "shop:s",
            "inventory",
            "roomy",
            "admins:x",
        ],
    )
    def test_keeps_histories_whole(self, topic: str) -> None:
        log(topic, old=2)

        assert trim(now()) == 0

        assert left(topic) == (0, [1, 2])

    def test_stops_at_the_first_younger_event(self) -> None:
        log(ROOM, old=4)
        Event.objects.filter(topic=ROOM, seq=3).update(created_at=now())

        assert trim(now()) == 2

        assert left() == (2, [3, 4])

    def test_goes_in_batches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(retention, "BATCH", 2)
        monkeypatch.setattr(retention, "PAGE", 1)
        log(ROOM, old=5)
        log("room:b", old=1)
        told: list[tuple[int, int]] = []

        assert trim(now(), progress=lambda done, of: told.append((done, of))) == 6

        assert left() == (5, [])
        assert told == [(1, 2), (2, 2)]

    @pytest.mark.transactions
    def test_moves_horizon_and_rows_together(self, monkeypatch: pytest.MonkeyPatch) -> None:
        log(ROOM, old=2)

        def fail(*_: Any) -> None:
            raise RuntimeError("the delete")

        with monkeypatch.context() as patch:
            patch.setattr("django.db.models.query.QuerySet.delete", fail)
            with pytest.raises(RuntimeError, match="the delete"):
                trim(now())

        assert left() == (0, [1, 2])

    def test_leaves_a_head_that_somebody_changed_meanwhile(self) -> None:
        log(ROOM, old=2)
        stale = TopicHead.objects.get(topic=ROOM)
        TopicHead.objects.filter(topic=ROOM).update(subscribers_pending=True)

        assert retention._remove(stale, 2) is None

        assert left() == (0, [1, 2])


class TestTrimAndReaders:
    def test_never_passes_a_subscriber_that_has_not_read(self) -> None:
        seen: list[int] = []
        subscribes(subscriber="reader", names=["thing.happened"])(
            lambda events: seen.extend(event.seq for event in events)
        )
        log(ROOM, old=3)

        assert trim(now()) == 0
        run_subscribers()
        assert trim(now()) == 3

        assert seen == [1, 2, 3]

    def test_waits_for_nobody_who_reads_other_topics(self) -> None:
        subscribes(subscriber="reader", names=["thing.happened"], topics="order:")(
            lambda events: None
        )
        log(ROOM, old=3)

        assert trim(now()) == 3

    def test_never_passes_a_position_in_the_middle(self) -> None:
        subscribes(subscriber="reader", names=["thing.happened"])(lambda events: None)
        log(ROOM, old=1)
        run_subscribers()
        log(ROOM, old=3)

        assert trim(now()) == 1

        assert left() == (1, [2, 3, 4])

    def test_never_passes_a_parked_position(self) -> None:
        subscribes(subscriber="reader", names=["thing.happened"])(lambda events: None)
        log(ROOM, old=3)
        run_subscribers()
        Position.objects.filter(topic=ROOM).update(seq=1, parked_at=now())

        assert trim(now()) == 1

        assert left() == (1, [2, 3])

    def test_is_not_held_back_by_a_position_that_has_nothing_to_read(self) -> None:
        subscribes(subscriber="reader", names=["thing.happened"])(lambda events: None)
        log(ROOM, old=1)
        run_subscribers()
        for _ in range(3):
            happen(ROOM, name="thing.ignored")
        Event.objects.update(created_at=now() - LONG_AGO)

        assert Position.objects.get(topic=ROOM).seq == 1
        assert trim(now()) == 4

    def test_waits_for_a_new_subscriber_that_has_not_run_yet(self) -> None:
        log(ROOM, old=2)
        subscribes(subscriber="new", names=["thing.happened"])(lambda events: None)

        assert trim(now()) == 0

    @pytest.mark.parametrize(("stands_at", "removed"), [(None, 0), (2, 2)])
    def test_never_passes_the_relay(self, stands_at: int | None, removed: int) -> None:
        log(ROOM, old=3)
        TopicHead.objects.update(relay_pending=True)
        if stands_at is not None:
            Position.objects.create(subscriber=retention.RELAY, topic=ROOM, seq=stands_at)

        assert trim(now()) == removed


class TestStartNewEpoch:
    def test_gives_every_topic_another_epoch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(retention, "PAGE", 2)
        open_topics("order:o", "room:a", "user:u")
        before = dict(TopicHead.objects.order_by("topic").values_list("topic", "epoch"))

        assert start_new_epoch(actor_id="edith") == 3

        after = dict(TopicHead.objects.order_by("topic").values_list("topic", "epoch"))
        assert all(after[topic] not in before.values() for topic in before)
        assert replay(ROOM, since=0, epoch=before[ROOM]).reset == "epoch"
        entry = AuditEntry.objects.get()
        assert (entry.actor_id, entry.action) == ("edith", "epoch.started")
        assert entry.details == {"epoch": after[ROOM], "topics": 3}


def command(name: str, **options: Any) -> str:
    out = StringIO()
    call_command(name, stdout=out, stderr=out, **options)
    return out.getvalue()


class TestNewEpochCommand:
    @pytest.mark.parametrize("answer", ["n", "", "no"])
    def test_changes_nothing_without_a_yes(
        self, monkeypatch: pytest.MonkeyPatch, answer: str
    ) -> None:
        open_topics(ROOM)
        epoch = TopicHead.objects.get().epoch
        monkeypatch.setattr("builtins.input", lambda _: answer)

        with pytest.raises(CommandError, match="Nothing was changed"):
            command("new_epoch")

        assert TopicHead.objects.get().epoch == epoch
        assert AuditEntry.objects.count() == 0

    def test_names_the_number_before_and_after(self, monkeypatch: pytest.MonkeyPatch) -> None:
        open_topics(ROOM, "user:u")
        monkeypatch.setattr("builtins.input", lambda _: "y")

        out = command("new_epoch")

        assert "2 topics get a new epoch" in out
        assert "2 topics have a new epoch" in out

    def test_says_how_to_go_on_after_an_interrupt(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(**_: Any) -> int:
            raise KeyboardInterrupt

        monkeypatch.setattr(new_epoch, "start_new_epoch", interrupt)

        with pytest.raises(CommandError, match="run it again") as caught:
            command("new_epoch", yes=True)

        assert caught.value.returncode == 130


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The parts of the cleanup: of the real ones the log's alone."""
    task_registry.load_tasks()
    parts: dict[str, Any] = {"events": trim}
    monkeypatch.setattr(task_registry, "_cleanup_parts", parts)
    return parts


class TestPurgeExpired:
    def test_runs_every_part_of_the_cleanup(self, parts: dict[str, Any]) -> None:
        log(ROOM, old=2)
        parts["tickets"] = lambda now: 7

        assert command("purge_expired") == "events: 2\ntickets: 7\n"

    def test_goes_on_after_a_part_that_fails(self, parts: dict[str, Any]) -> None:
        def fail(_: Any) -> int:
            raise ValueError("broken")

        log(ROOM, old=2)
        parts["a"] = fail

        with pytest.raises(CommandError, match=r"Not cleaned up: a\."):
            command("purge_expired")

        assert left() == (2, [])

    def test_stops_cleanly(self, parts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(*_: Any, **__: Any) -> int:
            raise KeyboardInterrupt

        monkeypatch.setattr(purge_expired, "trim", interrupt)

        with pytest.raises(CommandError, match="goes next time") as caught:
            command("purge_expired")

        assert caught.value.returncode == 130


class TestRegistration:
    def test_enters_runner_and_retention_with_the_clock(self) -> None:
        assert task_registry.tickers()["run_subscribers"] is run_subscribers
        assert task_registry.cleanup_parts()["events"] is trim
