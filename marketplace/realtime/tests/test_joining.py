"""A join's seq and its state: what is said while they are read is in one of them, or comes live."""

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from accounts.models import User
from marketplace.core.db import transactional
from marketplace.events import catalog
from marketplace.events.models import TopicHead
from marketplace.events.record import open_topic, record
from marketplace.realtime.joining import Answer, Wish, read_topics
from marketplace.realtime.topic import EventRow, Joined, Spoken, TopicConsumer, TopicRef
from marketplace.tests.cast import queries_of

pytestmark = pytest.mark.django_db

TOPIC = "thing:1"


@transactional
def happen() -> None:
    record(TOPIC, "thing.happened", {"n": 1})


class ThingConsumer(TopicConsumer):
    """Its state is how far the log had come; meanwhile something happens, before or after."""

    kind = "thing"
    events = (EventRow("thing.happened", Spoken(("thing",)), "Of a test."),)
    before: ClassVar[list[Any]] = []
    after: ClassVar[list[Any]] = []

    @classmethod
    def join(cls, user: User | None, ref: TopicRef, *, with_history: bool) -> Joined:
        """Read the state."""
        for step in cls.before[:1]:
            cls.before.remove(step)
            step()
        stands = TopicHead.objects.get(topic=ref.topic).last_seq
        for step in cls.after[:1]:
            cls.after.remove(step)
            step()
        return Joined(state={"thing": {"upto": stands}}, snapshot="thing")


THING = TopicRef(consumer=ThingConsumer, id="1", spelled=TOPIC, voice="plain")


def read(since: int | None, epoch: str | None = None) -> Answer:
    [answer] = read_topics([Wish(None, THING, "plain", since, epoch)])
    assert isinstance(answer, Answer), answer
    return answer


@pytest.fixture(autouse=True)
def a_thing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    kind = catalog.EventKind(name="thing.happened", summary="of a test", fields=("n",))
    monkeypatch.setattr(catalog, "_kinds", {kind.name: kind})

    @transactional
    def begin() -> None:
        open_topic(TOPIC)
        for _ in range(3):
            record(TOPIC, kind.name, {"n": 1})

    begin()
    yield
    ThingConsumer.before.clear()
    ThingConsumer.after.clear()


class TestWithoutSince:
    def test_what_happens_before_the_state_is_read_comes_live_too(self) -> None:
        ThingConsumer.before.append(happen)

        answer = read(None)

        assert (answer.latest_seq, answer.state) == (3, {"thing": {"upto": 4}})

    def test_what_happens_after_it_comes_live(self) -> None:
        ThingConsumer.after.append(happen)

        answer = read(None)

        assert (answer.latest_seq, answer.state) == (3, {"thing": {"upto": 3}})


class TestReset:
    @pytest.mark.parametrize(("since", "epoch"), [(99, None), (1, "another")])
    def test_the_snapshot_is_not_older_than_its_seq(self, since: int, epoch: str | None) -> None:
        ThingConsumer.before.append(happen)

        answer = read(since, epoch)

        assert answer.reset is not None
        assert (answer.latest_seq, answer.reset["snapshot"]) == (3, {"upto": 4})

    def test_what_happens_after_the_snapshot_comes_live(self) -> None:
        ThingConsumer.after.append(happen)

        answer = read(99)

        assert answer.reset is not None
        assert (answer.latest_seq, answer.reset["snapshot"]) == (3, {"upto": 3})


class TestResume:
    def test_reads_the_head_once(self) -> None:
        # The head, the consumer's own read, the events.
        assert queries_of(read, 1) == 3

    def test_reads_no_events_for_one_who_has_them_all(self) -> None:
        assert queries_of(read, 3) == 2
        assert (read(3).missed, read(3).recovered) == ([], True)

    def test_reads_once_what_several_have_missed(self) -> None:
        wishes = [Wish(None, THING, "plain", since, None) for since in (1, 2, 1, None)]

        answers = read_topics(wishes)

        seqs = [
            [event["event_seq"] for event in one.missed]
            for one in answers
            if isinstance(one, Answer)
        ]
        assert seqs == [[2, 3], [3], [2, 3], []]
