"""Every event has one effect per subscriber, whatever fails, dies or runs twice."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from marketplace.core import jobs
from marketplace.core.clock import now
from marketplace.core.db import atomic
from marketplace.core.errors import Unavailable
from marketplace.events import positions, subscribe
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
        monkeypatch.setattr(subscribe, "now", lambda: self.time)
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
        self.fault: BaseException | None = None
        subscribes(subscriber=subscriber, names=names, topics=topics)(self.take)

    def take(self, events: list[Event]) -> None:
        self.batches.append([event.seq for event in events])
        for event in events:
            if event.seq in self.poison:
                raise ValueError(f"cannot take {event.seq}")
            AuditEntry.objects.create(action=self.subscriber, target=f"{event.topic}#{event.seq}")
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault

    def effects(self, topic: str = ROOM) -> list[int]:
        rows = AuditEntry.objects.filter(action=self.subscriber).order_by("created_at", "id")
        targets = [row.target.split("#") for row in rows]
        return [int(seq) for place, seq in targets if place == topic]

    def position(self, topic: str = ROOM) -> Position:
        return Position.objects.get(subscriber=self.subscriber, topic=topic)


def pending(topic: str = ROOM) -> bool:
    return TopicHead.objects.get(topic=topic).subscribers_pending


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
        monkeypatch.setattr(subscribe, "BATCH", 4)
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
        real = subscribe._let_go

        def let_go_late(*args: object) -> None:
            if TopicHead.objects.get(topic=ROOM).last_seq == 1:
                happen(ROOM)
            real(*args)  # type: ignore[arg-type]  # passed on as they came

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(subscribe, "_let_go", let_go_late)
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
        monkeypatch.setattr(subscribe, "has_transactions", lambda: False)

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
        TopicHead.objects.update(leased_until=clock.time + subscribe.LEASE)

        assert run_subscribers() == 0
        # Nor by one that had seen the topic free a moment before.
        assert subscribe._visit(ROOM, subscribe._introduce()) == 0
        clock.forward(59.999)
        assert run_subscribers() == 0
        clock.forward(0.001)
        assert run_subscribers() == 1

        assert ledger.effects() == [1]
        assert TopicHead.objects.get(topic=ROOM).leased_until is None

    def test_of_another_is_left_alone_by_a_runner_that_came_too_late(self, clock: Clock) -> None:
        open_topics(ROOM)

        def take_too_long(events: list[Event]) -> None:
            clock.forward(61)
            TopicHead.objects.filter(topic=ROOM).update(leased_until=clock.time + subscribe.LEASE)

        subscribes(subscriber="slow", names=["thing.happened"])(take_too_long)
        happen(ROOM)

        run_subscribers()

        assert TopicHead.objects.get(topic=ROOM).leased_until == clock.time + subscribe.LEASE
        assert pending()


@pytest.mark.transactions
class TestTwoRunners:
    def test_share_the_work_and_repeat_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(subscribe, "BATCH", 3)
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
        real = subscribe._readers

        def read_and_wait(*args: object) -> object:
            readers = real(*args)  # type: ignore[arg-type]  # passed on as they came
            both_have_read.wait(timeout=10)
            return readers

        monkeypatch.setattr(subscribe, "_readers", read_and_wait)
        head = TopicHead.objects.get(topic=ROOM)
        started = subscribe._introduce()

        def serve() -> None:
            subscribe._serve(head, started)

        assert together(serve, serve) == []

        assert ledger.effects() == expected
        assert ledger.position().seq == expected[-1]


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
