"""Seqs are gapless and in the order of the commits, whoever writes at the same time."""

import itertools
import threading
import time
from collections.abc import Collection, Sequence
from typing import Any, Self

import pytest
from django.db import connection

from marketplace.core.db import IntegrityError, atomic, run
from marketplace.events import live, record
from marketplace.events.models import Event, TopicHead
from marketplace.events.record import NewEvent, record_all
from marketplace.events.tests.conftest import happen, open_topics, together

WRITERS = 8
EACH = 25
ROOM = "room:a"
OTHER = "room:b"


def seqs(topic: str) -> list[int]:
    return list(Event.objects.filter(topic=topic).order_by("seq").values_list("seq", flat=True))


def patiently(function: Any) -> Any:
    """Longer than 5 s: with 8 writers on one head MongoDB fails all but one each time."""
    return run(function, limit_s=45)


def record_on_both(turn: int) -> None:
    """Heads in either order, with different counts, as two services would meet."""
    entries = [
        NewEvent(topic=ROOM, name="thing.happened", payload={"n": turn}),
        NewEvent(topic=OTHER, name="thing.happened", payload={"n": turn}),
        NewEvent(topic=OTHER, name="other.happened", payload={"n": turn}),
    ]

    def attempt() -> None:
        with atomic():
            record_all(entries if turn % 2 else entries[::-1])

    patiently(attempt)


def record_one_by_one(turn: int) -> None:
    """The heads one after the other, so that two writers can hold one each and want the other's."""

    def attempt() -> None:
        with atomic():
            for topic in (ROOM, OTHER) if turn % 2 else (OTHER, ROOM):
                record.record(topic, "thing.happened", {"n": turn})
                time.sleep(0.02)

    patiently(attempt)


def record_and_fail() -> None:
    with atomic():
        record.record(ROOM, "thing.happened", {})
        raise ValueError("the change")


class Reader:
    """Polls a topic from another connection, and keeps what it saw in the order it appeared."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.seen: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    def _poll(self) -> None:
        try:
            finished = False
            while not finished:
                finished = self._stop.is_set()
                after = self.seen[-1] if self.seen else 0
                new = Event.objects.filter(topic=self.topic, seq__gt=after).order_by("seq")
                self.seen += new.values_list("seq", flat=True)
                time.sleep(0.002)
        finally:
            connection.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.transactions
class TestManyWriters:
    def test_leave_no_gap_and_no_double_on_one_topic(self) -> None:
        open_topics(ROOM)

        def write() -> None:
            for n in range(EACH):
                patiently(lambda n=n: happen(ROOM, n))

        with Reader(ROOM) as reader:
            errors = together(*[write] * WRITERS)

        assert errors == []
        assert seqs(ROOM) == list(range(1, WRITERS * EACH + 1))
        assert TopicHead.objects.get(topic=ROOM).last_seq == WRITERS * EACH
        # Whoever asks for what is after its last seq misses nothing: commits came in that order.
        assert reader.seen == list(range(1, WRITERS * EACH + 1))

    def test_leave_no_gap_on_topics_taken_together(self) -> None:
        open_topics(ROOM, OTHER)
        # Eight writers and two readers need the whole pool of ten.
        connection.close()
        turns = itertools.count()

        def work() -> None:
            for _ in range(EACH):
                record_on_both(next(turns))

        with Reader(ROOM) as first, Reader(OTHER) as second:
            errors = together(*[work] * WRITERS)

        assert errors == []
        assert seqs(ROOM) == first.seen == list(range(1, WRITERS * EACH + 1))
        assert seqs(OTHER) == second.seen == list(range(1, 2 * WRITERS * EACH + 1))

    def test_come_out_of_a_deadlock_without_a_gap(self) -> None:
        """Two hold a head each and want the other's: the database fails one, which is repeated.

        Few rounds, because PostgreSQL takes a second to find each deadlock.
        """
        open_topics(ROOM, OTHER)

        def work(turn: int) -> None:
            for _ in range(3):
                record_one_by_one(turn)

        errors = together(lambda: work(0), lambda: work(1))

        assert errors == []
        assert seqs(ROOM) == seqs(OTHER) == [1, 2, 3, 4, 5, 6]

    def test_collide_without_the_lock_of_the_head(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The control: a head that is read first and written later gives one seq to two writers."""

        def read_then_write(
            entries: Sequence[NewEvent], *, opening: Collection[str]
        ) -> dict[str, int]:
            last = TopicHead.objects.get(topic=ROOM).last_seq
            time.sleep(0.05)
            TopicHead.objects.filter(topic=ROOM).update(last_seq=last + len(entries))
            return {ROOM: last + 1}

        open_topics(ROOM)
        monkeypatch.setattr(record, "take_seqs", read_then_write)
        entries = [NewEvent(topic=ROOM, name="thing.happened", payload={})]

        # No transaction around it: SQLite's write lock from its start would hide the fault.
        errors = together(*[lambda: record_all(entries)] * WRITERS)

        assert errors, "two writers had the same seq, and UNIQUE(topic, seq) refused one"
        assert {type(error) for error in errors} == {IntegrityError}
        assert len(seqs(ROOM)) < WRITERS


@pytest.mark.django_db(transaction=True)
class TestRecord:
    def test_gives_seqs_from_one_upwards(self) -> None:
        open_topics(ROOM)

        assert [happen(ROOM).seq for _ in range(3)] == [1, 2, 3]

    def test_refuses_to_stand_outside_the_transaction_of_the_change(self) -> None:
        open_topics(ROOM)

        with pytest.raises(RuntimeError, match=r"inside atomic\(\)"):
            record.record(ROOM, "thing.happened", {})

        assert seqs(ROOM) == []

    def test_refuses_a_topic_that_nobody_opened(self) -> None:
        with pytest.raises(TopicHead.DoesNotExist, match="room:nowhere"):
            happen("room:nowhere")

        assert Event.objects.count() == 0

    def test_refuses_a_name_that_nobody_declared(self) -> None:
        open_topics(ROOM)

        with pytest.raises(KeyError, match=r"thing\.unheard_of"):
            happen(ROOM, name="thing.unheard_of")

        assert TopicHead.objects.get(topic=ROOM).last_seq == 0

    def test_records_nothing_where_there_is_nothing_to_record(self) -> None:
        with atomic():
            assert record_all([]) == []

    @pytest.mark.transactions
    def test_leaves_no_hole_where_the_change_failed(self) -> None:
        open_topics(ROOM)
        happen(ROOM)

        with pytest.raises(ValueError, match="the change"):
            record_and_fail()
        happen(ROOM)

        assert seqs(ROOM) == [1, 2]

    @pytest.mark.transactions
    def test_publishes_after_the_commit_and_only_then(self, published: list[int]) -> None:
        open_topics(ROOM)

        with atomic():
            record.record(ROOM, "thing.happened", {})
            assert published == []
        with pytest.raises(ValueError, match="the change"):
            record_and_fail()

        assert published == [1]

    def test_flags_only_heads_of_names_that_somebody_wants(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        open_topics(ROOM, OTHER)
        monkeypatch.setattr(record, "_subscribed_names", lambda: {"thing.happened": ("x:", ROOM)})

        with atomic():
            record_all(
                [
                    NewEvent(topic=ROOM, name="thing.happened", payload={}),
                    NewEvent(topic=ROOM, name="thing.ignored", payload={}),
                    NewEvent(topic=OTHER, name="thing.happened", payload={}),
                ]
            )

        flagged = TopicHead.objects.filter(subscribers_pending=True).order_by("topic")
        assert [head.topic for head in flagged] == [ROOM]


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    seen: list[int] = []
    monkeypatch.setattr(live, "publish", lambda events: seen.extend(one.seq for one in events))
    return seen
