"""Every event has one effect per subscriber, whatever fails, dies or runs twice."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from structlog.testing import capture_logs

from marketplace.core import jobs
from marketplace.core.clock import now
from marketplace.core.db import atomic
from marketplace.core.errors import Unavailable
from marketplace.events import claims, positions, stretches, subscribe
from marketplace.events.models import AuditEntry, Event, Position, TopicHead
from marketplace.events.positions import retry_parked
from marketplace.events.record import open_topic, record
from marketplace.events.subscribe import run_subscribers, subscribes
from marketplace.events.tests.conftest import happen, open_topics, together

pytestmark = pytest.mark.django_db(transaction=True)

ROOM = "room:a"
OTHER = "room:b"


class Clock:
    """The time as the runner sees it; moves only when told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time = now()
        monkeypatch.setattr(claims, "now", lambda: self.time)
        monkeypatch.setattr(positions, "now", lambda: self.time)

    def forward(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Killed(BaseException):
    """The process dies here."""


class Ledger:
    """A subscriber whose effect is a row, so that a rollback takes it back: one per event."""

    def __init__(
        self,
        subscriber: str = "ledger",
        names: tuple[str, ...] = ("thing.happened",),
        topics: str = "",
    ) -> None:
        self.subscriber = subscriber
        self.batches: list[list[int]] = []
        self.poison: set[int] = set()
        self.poison_in: set[tuple[str, int]] = set()
        self.fault: BaseException | None = None
        self.faults: list[Exception] = []
        subscribes(subscriber=subscriber, names=names, topics=topics)(self.take)

    def take(self, events: list[Event]) -> None:
        self.batches.append([event.seq for event in events])
        for event in events:
            if event.seq in self.poison or (event.topic, event.seq) in self.poison_in:
                raise ValueError(f"cannot take {event.seq}")
            AuditEntry.objects.create(action=self.subscriber, target=f"{event.topic}#{event.seq}")
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        if self.faults:
            raise self.faults.pop()

    def effects(self, topic: str = ROOM) -> list[int]:
        rows = AuditEntry.objects.filter(action=self.subscriber).order_by("created_at", "id")
        targets = [row.target.split("#") for row in rows]
        return [int(seq) for place, seq in targets if place == topic]

    def position(self, topic: str = ROOM) -> Position:
        return Position.objects.get(subscriber=self.subscriber, topic=topic)


def pending(topic: str = ROOM) -> bool:
    return TopicHead.objects.get(topic=topic).subscribers_pending


def rooms(count: int, *, events: int = 1) -> list[str]:
    """So many topics, which wait in this order, with so many events each."""
    topics = [f"room:{n:03}" for n in range(count)]
    open_topics(*topics)
    for topic in topics:
        for n in range(events):
            happen(topic, n)
    return topics


class TestRunSubscribers:
    def test_gives_each_event_once_in_order_and_clears_the_flag(self) -> None:
        ledger = Ledger()
        open_topics(ROOM)
        for _ in range(3):
            happen(ROOM)

        assert pending()
        assert run_subscribers() == 3
        assert run_subscribers() == 0

        assert ledger.effects() == [1, 2, 3]
        assert ledger.batches == [[1, 2, 3]]
        assert ledger.position().seq == 3
        assert not pending()

    def test_gives_nobody_what_he_did_not_ask_for(self) -> None:
        ledger = Ledger()
        other = Ledger("other", names=("other.happened", "thing.happened"))
        open_topics(ROOM)
        happen(ROOM, name="thing.ignored")
        happen(ROOM, name="other.happened")
        happen(ROOM)

        assert run_subscribers() == 3

        assert ledger.effects() == [3]
        assert other.effects() == [2, 3]

    def test_does_not_look_at_heads_without_a_flag(self) -> None:
        ledger = Ledger()
        open_topics(ROOM)
        run_subscribers()
        happen(ROOM, name="thing.ignored")

        run_subscribers()

        assert not Position.objects.filter(subscriber="ledger", topic=ROOM).exists()
        assert ledger.batches == []

    def test_leaves_no_work_on_topics_that_begin_otherwise(self) -> None:
        ledger = Ledger(topics="room:a")
        open_topics(ROOM, OTHER)
        run_subscribers()
        happen(OTHER)
        happen(ROOM)

        assert (pending(OTHER), pending(ROOM)) == (False, True)
        assert run_subscribers() == 1

        assert (ledger.effects(ROOM), ledger.effects(OTHER)) == ([1], [])
        assert not Position.objects.filter(topic=OTHER).exists()

    def test_passes_a_flagged_topic_by_that_nobody_reads(self) -> None:
        ledger = Ledger(topics="room:a")
        open_topics(OTHER)
        happen(OTHER)
        TopicHead.objects.filter(topic=OTHER).update(subscribers_pending=True)

        assert run_subscribers() == 0

        assert ledger.batches == []
        assert not pending(OTHER)

    def test_moves_a_subscriber_past_what_is_not_his_own(self) -> None:
        ledger = Ledger()
        Ledger("other", names=("other.happened",))
        open_topics(ROOM)
        happen(ROOM, name="other.happened")

        run_subscribers()

        assert ledger.batches == []
        assert ledger.position().seq == 1
        assert not pending()

    def test_takes_a_long_log_in_batches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stretches, "BATCH", 4)
        ledger = Ledger()
        late = Ledger("late", names=("other.happened",))
        open_topics(ROOM)
        for n in range(10):
            happen(ROOM, name="other.happened" if n == 9 else "thing.happened")

        assert run_subscribers() == 10

        assert ledger.batches == [[1, 2, 3, 4], [5, 6, 7, 8], [9]]
        assert late.effects() == [10]
        assert not pending()

    def test_serves_those_first_that_wait_longest(self, clock: Clock) -> None:
        order: list[str] = []
        subscribes(subscriber="order", names=["thing.happened"])(
            lambda events: order.append(events[0].topic)
        )
        open_topics(ROOM, OTHER)
        happen(ROOM)
        clock.forward(1)
        run_subscribers()
        happen(ROOM)
        happen(OTHER)

        run_subscribers(limit=1)
        run_subscribers(limit=1)

        assert order == [ROOM, OTHER, ROOM]

    def test_keeps_the_flag_for_an_event_recorded_meanwhile(self) -> None:
        ledger = Ledger()
        open_topics(ROOM)
        happen(ROOM)
        real = claims.let_go

        def let_go_late(page: claims.Page, **more: Any) -> None:
            if TopicHead.objects.get(topic=ROOM).last_seq == 1:
                happen(ROOM)
            real(page, **more)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(subscribe, "let_go", let_go_late)
            run_subscribers(limit=1)
        assert pending()
        run_subscribers()

        assert ledger.effects() == [1, 2]
        assert not pending()

    def test_lets_an_effect_record_on_the_topic_that_it_reads(self) -> None:
        def answer(events: list[Event]) -> None:
            for event in events:
                record(event.topic, "other.happened", {"n": event.seq})

        subscribes(subscriber="answer", names=["thing.happened"])(answer)
        listener = Ledger(names=("other.happened",))
        open_topics(ROOM)
        happen(ROOM)

        run_subscribers()

        assert listener.effects() == [2]
        assert not pending()

    def test_refuses_a_second_function_under_one_name(self) -> None:
        Ledger("twice")

        with pytest.raises(ValueError, match="twice"):
            Ledger("twice")


class TestManyTopics:
    @pytest.fixture
    def seen(self) -> list[list[tuple[str, int]]]:
        """What the effect of `list` was called with, by topic and seq."""
        calls: list[list[tuple[str, int]]] = []
        subscribes(subscriber="list", names=["thing.happened"])(
            lambda events: calls.append([(event.topic, event.seq) for event in events])
        )
        run_subscribers()
        return calls

    @pytest.mark.parametrize("known", [False, True])
    def test_cost_as_many_queries_as_one(
        self, seen: list[list[tuple[str, int]]], known: bool
    ) -> None:
        Ledger("other", names=("other.happened",))
        run_subscribers()
        [first, *others] = rooms(60, events=int(known))
        run_subscribers()
        happen(first)
        with CaptureQueriesContext(connection) as one:
            run_subscribers()
        for topic in others:
            happen(topic)

        with CaptureQueriesContext(connection) as many:
            assert run_subscribers() == 59

        assert len(many) == len(one)
        assert len(seen[-1]) == 59

    def test_share_an_effect_in_which_each_has_its_order(
        self, seen: list[list[tuple[str, int]]]
    ) -> None:
        topics = rooms(3, events=4)

        assert run_subscribers() == 12

        [together] = seen
        for topic in topics:
            assert [seq for place, seq in together if place == topic] == [1, 2, 3, 4]
        assert Position.objects.filter(subscriber="list", seq=4).count() == 3

    @pytest.mark.parametrize(("rush", "sizes"), [(False, [60]), (True, [50, 10])])
    def test_come_in_smaller_pages_while_people_wait(
        self,
        seen: list[list[tuple[str, int]]],
        monkeypatch: pytest.MonkeyPatch,
        rush: bool,
        sizes: list[int],
    ) -> None:
        monkeypatch.setattr(subscribe, "is_rush", lambda: rush)
        rooms(60)

        assert run_subscribers() == 60

        assert [len(call) for call in seen] == sizes

    def test_come_no_more_at_a_time_than_one_transaction_takes(
        self, seen: list[list[tuple[str, int]]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(subscribe, "TOGETHER", 5)
        rooms(5, events=2)

        run_subscribers()

        assert [len(call) for call in seen] == [4, 4, 2]

    def test_come_one_by_one_to_whom_asks_for_that(self) -> None:
        calls: list[list[str]] = []
        subscribes(subscriber="heavy", names=["thing.happened"], alone=True)(
            lambda events: calls.append([event.topic for event in events])
        )
        rooms(2, events=2)

        run_subscribers()

        assert calls == [["room:000", "room:000"], ["room:001", "room:001"]]

    def test_are_read_as_far_as_there_is_room_and_wait_in_their_order(
        self, seen: list[list[tuple[str, int]]], monkeypatch: pytest.MonkeyPatch, clock: Clock
    ) -> None:
        monkeypatch.setattr(stretches, "READ_AT_ONCE", 5)
        rooms(4, events=3)
        first_come = clock.time - timedelta(hours=1)
        TopicHead.objects.exclude(topic="room:000").update(updated_at=first_come)

        page = claims.claim(but=(), count=4)
        assert subscribe._visit(page, subscribe._introduce()) == {"room:001": 3}
        unread = TopicHead.objects.filter(leased_until=None, updated_at=first_come)
        assert list(unread.order_by("topic").values_list("topic", "subscribers_pending")) == [
            ("room:002", True), ("room:003", True),
        ]  # fmt: skip
        assert run_subscribers() == 9

        assert [{topic for topic, _ in call} for call in seen] == [
            {"room:001"}, {"room:002"}, {"room:003"}, {"room:000"},
        ]  # fmt: skip

    def test_are_read_each_from_where_it_stands(
        self, seen: list[list[tuple[str, int]]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Some begin, some go on, and one has more than a batch."""
        monkeypatch.setattr(stretches, "BATCH", 3)
        Ledger("other", names=("other.happened",))
        rooms(2, events=2)
        run_subscribers()
        open_topics(ROOM)
        for topic in (ROOM, *["room:000"] * 5, "room:001"):
            happen(topic)

        assert run_subscribers() == 7

        had = sorted(one for call in seen for one in call)
        assert had == [
            *(("room:000", seq) for seq in range(1, 8)),
            *(("room:001", seq) for seq in range(1, 4)),
            (ROOM, 1),
        ]
        assert not TopicHead.objects.filter(subscribers_pending=True).exists()

    def test_go_on_for_each_reader_where_it_stands(self) -> None:
        first = Ledger("first")
        rooms(2, events=2)
        run_subscribers()
        second = Ledger("second")
        happen("room:000")

        run_subscribers()

        for topic, had in (("room:000", [1, 2, 3]), ("room:001", [1, 2])):
            assert first.effects(topic) == second.effects(topic) == had

    def test_leave_what_comes_after_the_claim_for_the_next_visit(self) -> None:
        ledger = Ledger()
        started = subscribe._introduce()
        rooms(2)
        page = claims.claim(but=(), count=2)
        happen("room:000")

        assert subscribe._visit(page, started) == {"room:000": 1, "room:001": 1}

        assert (ledger.effects("room:000"), ledger.position("room:000").seq) == ([1], 1)
        assert (pending("room:000"), pending("room:001")) == (True, False)

    def test_keep_the_flag_only_where_something_came_meanwhile(self) -> None:
        Ledger()
        rooms(3)
        real = claims.let_go

        def let_go_late(page: claims.Page, **more: Any) -> None:
            if TopicHead.objects.get(topic="room:001").last_seq == 1:
                happen("room:001")
            real(page, **more)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(subscribe, "let_go", let_go_late)
            run_subscribers(limit=3)

        flagged = TopicHead.objects.filter(subscribers_pending=True)
        assert list(flagged.values_list("topic", "leased_until")) == [("room:001", None)]


class TestGathering:
    @pytest.fixture
    def rests(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        rests: list[float] = []
        monkeypatch.setattr("marketplace.events.subscribe.time.sleep", rests.append)
        return rests

    def test_waits_for_more_where_work_comes_as_quickly_as_it_is_done(
        self, rests: list[float]
    ) -> None:
        def answer(events: list[Event]) -> None:
            for event in events:
                if event.seq < 6:
                    record(event.topic, "thing.happened", {})

        subscribes(subscriber="answer", names=["thing.happened"])(answer)
        rooms(2)

        assert run_subscribers() == 12

        # Six pages with work and the empty one behind them; the first three go without a rest.
        assert rests.count(subscribe.GATHER_S) == 4

    def test_keeps_nobody_waiting_who_has_much_or_little_to_do(
        self, rests: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Ledger()
        monkeypatch.setattr(subscribe, "PAGE", 2)
        rooms(9)

        assert run_subscribers() == 9
        happen("room:000")
        assert run_subscribers() == 1

        assert subscribe.GATHER_S not in rests


class TestEmptySlots:
    def test_are_passed_over_once_the_head_has_moved_on(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As on a MongoDB without transactions, after a crash between head and event."""
        ledger = Ledger()
        open_topics(ROOM)
        happen(ROOM)
        TopicHead.objects.filter(topic=ROOM).update(last_seq=2)
        happen(ROOM)
        TopicHead.objects.filter(topic=ROOM).update(last_seq=4)
        monkeypatch.setattr(stretches, "has_transactions", lambda: False)

        run_subscribers()
        assert (ledger.effects(), ledger.position().seq) == ([1, 3], 3)

        Event.objects.create(
            event_id="00000000-0000-7000-8000-000000000004",
            topic=ROOM,
            seq=4,
            name="thing.happened",
            payload={},
            created_at=now(),
        )
        run_subscribers()
        assert ledger.effects() == [1, 3, 4]


class TestNewSubscriber:
    def test_reads_an_old_log_from_its_beginning_also_where_nothing_happens_any_more(self) -> None:
        Ledger("first")
        open_topics(ROOM, OTHER)
        happen(ROOM)
        happen(ROOM)
        run_subscribers()
        assert not pending()

        second = Ledger("second")
        assert run_subscribers() == 2

        assert second.effects() == [1, 2]

    def test_may_begin_now(self, clock: Clock) -> None:
        seen: list[tuple[str, int]] = []
        Ledger("first")
        open_topics(ROOM)
        happen(ROOM)
        run_subscribers()
        Position.objects.filter(topic=subscribe.NO_TOPIC).update(
            created_at=datetime(2020, 1, 1, tzinfo=UTC)
        )
        Event.objects.update(created_at=now() - timedelta(hours=1))

        subscribes(subscriber="fresh", names=["thing.happened"], from_now=True)(
            lambda events: seen.extend((event.topic, event.seq) for event in events)
        )
        assert run_subscribers() == 0
        happen(ROOM)
        open_topics(OTHER)
        happen(OTHER)
        run_subscribers()

        # On a topic made since then it has the first event too.
        assert sorted(seen) == [(ROOM, 2), (OTHER, 1)]

    @pytest.mark.parametrize("batch", [200, 2])
    def test_that_begins_now_passes_over_what_was_before(
        self, monkeypatch: pytest.MonkeyPatch, batch: int
    ) -> None:
        """Also where the topic is longer than a batch, and where times do not rise."""
        monkeypatch.setattr(stretches, "BATCH", batch)
        seen: list[int] = []
        open_topics(ROOM)
        for _ in range(5):
            happen(ROOM)
        Event.objects.filter(seq__in=[1, 2, 4]).update(created_at=now() - timedelta(hours=1))
        Position.objects.create(
            subscriber="fresh",
            topic=subscribe.NO_TOPIC,
            created_at=now() - timedelta(minutes=1),
        )
        subscribes(subscriber="fresh", names=["thing.happened"], from_now=True)(
            lambda events: seen.extend(event.seq for event in events)
        )
        TopicHead.objects.update(subscribers_pending=True)

        run_subscribers()

        assert seen == [5]
        assert Position.objects.get(topic=ROOM).seq == 5


@pytest.mark.transactions
class TestFailures:
    def test_undo_the_effect_with_the_position(self) -> None:
        ledger = Ledger()
        ledger.fault = Killed()
        open_topics(ROOM)
        happen(ROOM)

        with pytest.raises(Killed):
            run_subscribers()
        assert ledger.effects() == []
        run_subscribers()

        assert ledger.effects() == [1]
        assert ledger.batches == [[1], [1]]

    def test_of_the_process_leave_all_topics_to_the_next(self, clock: Clock) -> None:
        ledger = Ledger()
        topics = rooms(3)
        ledger.fault = Killed()
        clock.forward(60)

        with pytest.raises(Killed):
            run_subscribers()

        waiting = TopicHead.objects.filter(
            subscribers_pending=True, leased_until=None, updated_at=clock.time
        )
        assert waiting.count() == 3
        run_subscribers()
        assert [ledger.effects(topic) for topic in topics] == [[1], [1], [1]]

    def test_of_one_moment_cost_nothing(self) -> None:
        ledger = Ledger()
        ledger.fault = RuntimeError("once")
        open_topics(ROOM)
        happen(ROOM)
        happen(ROOM)

        run_subscribers()

        assert ledger.effects() == [1, 2]
        assert ledger.position().failures == 0

    def test_find_the_one_event_and_park_before_it_after_five_tries(self, clock: Clock) -> None:
        ledger, sound = Ledger(), Ledger("sound")
        ledger.poison = {3}
        open_topics(ROOM)
        for _ in range(4):
            happen(ROOM)

        for _ in range(5):
            assert ledger.effects() in ([], [1, 2])
            run_subscribers()
            clock.forward(60)

        assert ledger.effects() == [1, 2]
        assert sound.effects() == [1, 2, 3, 4]
        position = ledger.position()
        assert (position.seq, position.failures) == (2, 5)
        assert position.parked_at is not None
        assert position.last_error == "room:a #3 thing.happened: ValueError: cannot take 3"
        assert not pending()

        happen(ROOM)
        run_subscribers()
        assert (ledger.effects(), sound.effects()) == ([1, 2], [1, 2, 3, 4, 5])
        assert ledger.batches.count([3]) == 5

    def test_rest_longer_each_time_while_others_go_on(self, clock: Clock) -> None:
        ledger, sound = Ledger(), Ledger("sound")
        ledger.poison = {1}
        open_topics(ROOM)
        happen(ROOM)
        tries: list[int] = []

        for second in range(20):
            run_subscribers()
            if len(ledger.batches) > len(tries):
                tries.append(second)
            clock.forward(1)

        assert tries == [0, 1, 3, 7, 15]
        assert sound.effects() == [1]

    def test_of_a_busy_database_park_nobody(self, clock: Clock) -> None:
        ledger = Ledger()
        open_topics(ROOM)
        happen(ROOM)

        for _ in range(6):
            ledger.fault = Unavailable()
            run_subscribers()
        assert pending()
        run_subscribers()

        assert ledger.effects() == [1]

    def test_in_one_of_many_topics_park_that_one_alone(self, clock: Clock) -> None:
        ledger, sound = Ledger(), Ledger("sound")
        topics = rooms(9, events=2)
        bad = topics[4]
        ledger.poison_in = {(bad, 2)}

        for _ in range(5):
            run_subscribers()
            clock.forward(60)

        for topic in topics:
            assert ledger.effects(topic) == ([1] if topic == bad else [1, 2])
            assert sound.effects(topic) == [1, 2]
        assert ledger.position(bad).parked_at is not None
        assert list(Position.objects.filter(parked_at__isnull=False)) == [ledger.position(bad)]
        assert Position.objects.filter(failures__gt=0).count() == 1
        assert not TopicHead.objects.filter(subscribers_pending=True).exists()

    def test_of_one_event_keep_nobody_back_from_then_on(self, clock: Clock) -> None:
        """What has failed before is tried apart from the others."""
        ledger = Ledger()
        [bad, *_] = topics = rooms(4)
        ledger.poison_in = {(bad, 1)}
        run_subscribers()
        clock.forward(60)
        ledger.batches.clear()
        for topic in topics:
            happen(topic)

        run_subscribers()

        assert sorted(ledger.batches) == [[1], [2, 2, 2]]

    def test_leave_no_more_than_one_topic_half_done_where_nothing_is_rolled_back(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(positions, "has_transactions", lambda: False)
        ledger = Ledger()
        topics = rooms(4)
        ledger.poison_in = {(topics[2], 1)}

        run_subscribers()

        assert ledger.batches == [[1], [1], [1], [1]]

    def test_of_a_busy_database_concern_one_subscriber_alone(self) -> None:
        ledger, sound = Ledger(), Ledger("sound")
        topics = rooms(3)
        # Together, by halves, and alone.
        ledger.faults = [Unavailable() for _ in range(3)]

        run_subscribers(limit=3)

        assert [ledger.effects(topic) for topic in topics] == [[], [], []]
        assert [sound.effects(topic) for topic in topics] == [[1], [1], [1]]
        assert not Position.objects.filter(failures__gt=0).exists()
        assert TopicHead.objects.filter(subscribers_pending=True, leased_until=None).count() == 3

    @pytest.mark.parametrize(("skip", "after"), [(False, [1, 2, 3]), (True, [1, 3])])
    def test_are_retried_or_skipped_when_somebody_says_so(
        self, clock: Clock, skip: bool, after: list[int]
    ) -> None:
        ledger = Ledger()
        ledger.poison = {2}
        open_topics(ROOM)
        for _ in range(3):
            happen(ROOM)
        for _ in range(5):
            run_subscribers()
            clock.forward(60)
        parked = ledger.position()
        ledger.poison = set()

        assert retry_parked(position_id=parked.pk, actor_id="edith", skip=skip)
        assert not retry_parked(position_id=parked.pk, actor_id="edith", skip=skip)
        assert run_subscribers() == len(after) - 1

        assert ledger.effects() == after
        entry = AuditEntry.objects.get(actor_id="edith")
        assert entry.action == ("subscriber.skipped" if skip else "subscriber.retried")
        assert (entry.target, entry.details) == (ROOM, {"subscriber": "ledger", "seq": 2})


class TestLease:
    def test_keeps_others_away_until_it_ends(self, clock: Clock) -> None:
        ledger = Ledger()
        open_topics(ROOM)
        happen(ROOM)
        TopicHead.objects.update(leased_until=clock.time + claims.LEASE)

        assert run_subscribers() == 0
        clock.forward(59.999)
        assert run_subscribers() == 0
        clock.forward(0.001)
        assert run_subscribers() == 1

        assert ledger.effects() == [1]
        assert TopicHead.objects.get(topic=ROOM).leased_until is None

    def test_is_had_by_one_runner_where_two_ask_at_once(self, clock: Clock) -> None:
        Ledger()
        run_subscribers()
        topics = rooms(4)
        theirs: list[claims.Page] = []
        asked: list[bool] = []

        def claim_first(execute: Any, sql: str, *rest: Any) -> Any:
            if sql.startswith("UPDATE") and not asked:
                asked.append(True)
                clock.forward(1)
                theirs.append(claims.claim(but=(), count=3))
            return execute(sql, *rest)

        with connection.execute_wrapper(claim_first):
            mine = claims.claim(but=(), count=4)
        theirs = theirs or [claims.claim(but=(), count=3)]

        claimed = [[head.topic for head in page.heads] for page in (mine, *theirs)]
        assert sorted(claimed[0] + claimed[1]) == topics
        assert all(head.last_seq == 1 for page in (mine, *theirs) for head in page.heads)

    def test_is_not_waited_for_where_somebody_records(self) -> None:
        if connection.vendor != "postgresql":
            pytest.skip("here no two write at once, or nobody waits for a row")
        ledger = Ledger()
        run_subscribers()
        rooms(2)
        recorded, served = threading.Event(), threading.Event()

        def write() -> None:
            with atomic():
                record("room:000", "thing.happened", {"n": 2})
                recorded.set()
                assert served.wait(timeout=10)

        def serve() -> None:
            assert recorded.wait(timeout=10)
            run_subscribers()
            served.set()

        assert together(write, serve) == []

        assert (ledger.effects("room:000"), ledger.effects("room:001")) == ([], [1])
        run_subscribers()
        assert ledger.effects("room:000") == [1, 2]

    def test_of_another_is_left_alone_by_a_runner_that_came_too_late(self, clock: Clock) -> None:
        open_topics(ROOM)

        def take_too_long(events: list[Event]) -> None:
            clock.forward(61)
            TopicHead.objects.filter(topic=ROOM).update(leased_until=clock.time + claims.LEASE)

        subscribes(subscriber="slow", names=["thing.happened"])(take_too_long)
        happen(ROOM)

        run_subscribers()

        assert TopicHead.objects.get(topic=ROOM).leased_until == clock.time + claims.LEASE
        assert pending()


@pytest.mark.transactions
class TestTwoRunners:
    def test_share_the_work_and_repeat_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stretches, "BATCH", 3)
        ledger = Ledger()
        topics = [f"room:{n}" for n in range(6)]
        open_topics(*topics)
        for topic in topics:
            for n in range(8):
                happen(topic, n)

        assert together(*[run_subscribers] * 4) == []
        run_subscribers()

        for topic in topics:
            assert ledger.effects(topic) == list(range(1, 9))
        assert not TopicHead.objects.filter(subscribers_pending=True).exists()

    @pytest.mark.parametrize("known", [False, True])
    def test_have_one_effect_even_where_the_lease_fails(
        self, monkeypatch: pytest.MonkeyPatch, known: bool
    ) -> None:
        """Both read the same position before either moves it; the row decides."""
        ledger = Ledger()
        open_topics(ROOM)
        if known:
            happen(ROOM)
            run_subscribers()
        happen(ROOM)
        expected = [1, 2] if known else [1]
        both_have_read = threading.Barrier(2)
        real = stretches.readers_of

        def read_and_wait(*args: object) -> object:
            readers = real(*args)  # type: ignore[arg-type]  # passed on as they came
            both_have_read.wait(timeout=10)
            return readers

        monkeypatch.setattr(subscribe, "readers_of", read_and_wait)
        head = claims.Head(ROOM, TopicHead.objects.get(topic=ROOM).last_seq, now())
        started = subscribe._introduce()

        def serve() -> None:
            subscribe._serve([head], started)

        assert together(serve, serve) == []

        assert ledger.effects() == expected
        assert ledger.position().seq == expected[-1]

    def test_that_meet_in_some_topics_share_the_others(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both have read four topics; one of them was quicker in two, a known and a new one."""
        ledger = Ledger()
        rooms(2)
        run_subscribers()
        topics = ["room:000", "room:001", "room:new", "room:other"]
        open_topics(*topics[2:])
        for topic in topics:
            happen(topic)
        heads = {head.topic: head for head in claims.claim(but=(), count=4).heads}
        started = subscribe._introduce()
        real = stretches.readers_of

        def read_before_the_other(*args: Any) -> Any:
            readers = real(*args)
            monkeypatch.setattr(subscribe, "readers_of", real)
            subscribe._serve([heads["room:000"], heads["room:new"]], started)
            return readers

        monkeypatch.setattr(subscribe, "readers_of", read_before_the_other)
        with capture_logs() as lines:
            subscribe._serve([heads[topic] for topic in topics], started)

        assert [ledger.effects(topic) for topic in topics] == [[1, 2], [1, 2], [1], [1]]
        assert [ledger.position(topic).seq for topic in topics] == [2, 2, 1, 1]
        assert lines == []


@pytest.mark.transactions
class TestWriterAndRunner:
    def test_lose_nothing_between_them(self) -> None:
        ledger = Ledger()
        open_topics(ROOM)
        written = threading.Event()

        def write() -> None:
            for n in range(40):
                happen(ROOM, n)
            written.set()

        def keep_running() -> None:
            while not written.is_set():
                run_subscribers()
            run_subscribers()

        assert together(write, keep_running) == []

        assert ledger.effects() == list(range(1, 41))
        assert not pending()


class TestWaking:
    @pytest.fixture
    def woken(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        names: list[str] = []
        monkeypatch.setattr(jobs, "wake", names.append)
        return names

    def test_wakes_the_runner_after_a_commit_that_left_work(self, woken: list[str]) -> None:
        Ledger()
        open_topics(ROOM)

        happen(ROOM)

        assert woken == ["run_subscribers"]

    def test_lets_it_sleep_where_nobody_wants_the_event(self, woken: list[str]) -> None:
        Ledger()
        open_topics(ROOM)

        happen(ROOM, name="thing.ignored")

        assert woken == []


class TestHeadInOneTransaction:
    def test_is_flagged_with_its_event_or_not_at_all(self) -> None:
        Ledger()
        with atomic():
            open_topic(ROOM)
            record(ROOM, "thing.happened", {})

        assert pending()
