"""What a client that comes back is told: everything after its seq, or that it cannot be told."""

from collections.abc import Collection
from typing import Any

import pytest

from marketplace.events import replay as replay_module
from marketplace.events.models import Event, TopicHead
from marketplace.events.replay import find_heads, replay
from marketplace.events.tests.conftest import happen, open_topics

ROOM = "room:a"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _room() -> None:
    open_topics(ROOM)
    for _ in range(3):
        happen(ROOM)


class TestReplay:
    def test_gives_what_came_after_a_seq(self) -> None:
        found = replay(ROOM, since=1)

        assert [event.seq for event in found.events] == [2, 3]
        assert (found.latest_seq, found.recovered, found.has_more) == (3, True, False)

    def test_gives_one_page_and_says_that_there_is_more(self) -> None:
        found = replay(ROOM, since=0, limit=2)

        assert [event.seq for event in found.events] == [1, 2]
        assert (found.latest_seq, found.has_more) == (3, True)

    def test_does_not_count_an_event_that_it_does_not_give(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One is recorded right after the head was read: it comes live, so it must not be "had"."""
        asked: list[str] = []

        def find_and_record(topics: Collection[str]) -> Any:
            heads = find_heads(topics)
            if not asked:
                happen(ROOM)
            asked.extend(topics)
            return heads

        monkeypatch.setattr(replay_module, "find_heads", find_and_record)

        found = replay(ROOM, since=3)

        assert TopicHead.objects.get(topic=ROOM).last_seq == 4
        assert (found.events, found.latest_seq, found.reset) == ([], 3, None)

    def test_tells_a_gap_that_retention_made_between_the_two_reads(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []

        def find_and_purge(topics: Collection[str]) -> Any:
            heads = find_heads(topics)
            if not asked:
                Event.objects.filter(topic=ROOM, seq__lte=2).delete()
                TopicHead.objects.filter(topic=ROOM).update(horizon=2)
            asked.extend(topics)
            return heads

        monkeypatch.setattr(replay_module, "find_heads", find_and_purge)

        found = replay(ROOM, since=1)

        assert (found.events, found.reset, found.horizon) == ([], "horizon", 2)
