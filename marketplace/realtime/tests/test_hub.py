"""The hub: order, gaps, who catches up, one encode per lane; no database and no socket."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from chat.consumers import RoomConsumer
from marketplace.core.clock import now
from marketplace.core.ids import uuid7
from marketplace.events.live import LiveEvent, Signal
from marketplace.realtime import hub as hub_module
from marketplace.realtime.hub import Encoded, Hub
from marketplace.realtime.plain import PLAIN
from marketplace.realtime.session import Membership
from marketplace.realtime.topic import TopicRef

ROOM = UUID("019ab0c4-9a2e-7b0c-8f11-5c1d2e3f4a5b")
TOPIC = f"room:{ROOM}"


def event(seq: int) -> LiveEvent:
    payload = {"room_id": str(ROOM), "user_id": "u", "read_at": "t", "last_read_seq": seq}
    return LiveEvent(uuid7(), TOPIC, seq, "read.moved", payload, "u", "", now())


class Listener:
    """A session that writes down what it is sent."""

    def __init__(self, user_id: str = "u") -> None:
        self.wire, self.user_id = PLAIN, user_id
        self.encodings: list[Encoded] = []
        self.seqs: list[int] = []
        self.code: int | None = None

    def write(self, encoded: Encoded) -> None:
        self.encodings.append(encoded)
        self.send(encoded.texts)

    def send(self, texts: list[bytes]) -> None:
        import orjson

        self.seqs += [orjson.loads(text)["payload"].get("event_seq", 0) for text in texts]

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self, code: int) -> None:
        self.code = code


class Scene:
    """A hub over a log that a test fills."""

    def __init__(self) -> None:
        self.log: dict[int, LiveEvent] = {}
        self.head = 0
        self.reads: list[int] = []
        self.hub = Hub(asyncio.get_running_loop(), read_range=self._read)

    def _read(self, topic: str, after: int) -> Any:
        self.reads.append(after)
        future = asyncio.get_running_loop().create_future()
        future.set_result((self.head, [self.log[seq] for seq in sorted(self.log) if seq > after]))
        return future

    def record(self, *seqs: int) -> list[LiveEvent]:
        made = [event(seq) for seq in seqs]
        self.log.update((one.seq, one) for one in made)
        self.head = max([self.head, *seqs])
        return made

    def arrive(self, user_id: str = "u") -> tuple[Listener, Membership]:
        listener = Listener(user_id)
        ref = TopicRef(RoomConsumer, str(ROOM), TOPIC, "standard")
        membership = Membership(listener, ref, None)  # type: ignore[arg-type]  # stands for one
        self.hub.subscribe(membership)
        return listener, membership

    def join(self, at: int = 0) -> Listener:
        listener, membership = self.arrive()
        membership.last = at
        self.hub.release(membership, latest_seq=at)
        return listener


class TestOrder:
    async def test_holds_an_early_event_until_the_one_before_it_comes(self) -> None:
        scene = Scene()
        listener = scene.join()
        one, two, three = scene.record(1, 2, 3)

        scene.hub.deliver([three, two])
        assert listener.seqs == []
        scene.hub.deliver([one])

        assert listener.seqs == [1, 2, 3]
        assert scene.reads == []

    async def test_fills_a_gap_from_the_log_after_50_ms(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert hub_module.EARLY_S == 0.05
        scene = Scene()
        listener = scene.join()
        _lost, two = scene.record(1, 2)

        scene.hub.deliver([two])
        await asyncio.sleep(0.02)
        assert listener.seqs == []
        await asyncio.sleep(0.1)

        assert listener.seqs == [1, 2]
        assert scene.hub.gaps == 1

    async def test_drops_what_it_has_had(self) -> None:
        scene = Scene()
        listener = scene.join()
        one, two = scene.record(1, 2)

        scene.hub.deliver([one])
        scene.hub.deliver([one, two])
        scene.hub.deliver([two])

        assert listener.seqs == [1, 2]

    async def test_passes_over_an_empty_slot(self) -> None:
        scene = Scene()
        listener = scene.join()
        scene.hub.deliver(scene.record(1, 3))
        await asyncio.sleep(0.1)
        scene.hub.deliver(scene.record(4))

        assert listener.seqs == [1, 3, 4]

    async def test_reads_what_no_push_told(self) -> None:
        scene = Scene()
        listener = scene.join(at=2)
        scene.record(3, 4)

        scene.hub.catch_up(TOPIC)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

        assert listener.seqs == [3, 4]

    async def test_starts_where_the_first_join_read(self) -> None:
        scene = Scene()
        listener, membership = scene.arrive()
        scene.hub.deliver(scene.record(8, 9))

        membership.last = 8
        scene.hub.release(membership, latest_seq=8)

        assert listener.seqs == [9]


class TestCatchingUp:
    async def test_gets_live_events_after_the_reply_once(self) -> None:
        scene = Scene()
        scene.join(at=5)
        listener, membership = scene.arrive()
        scene.hub.deliver(scene.record(6, 7, 8))
        assert listener.seqs == []

        membership.last = 7  # the reply brought 6 and 7
        scene.hub.release(membership, latest_seq=7)

        assert listener.seqs == [8]

    async def test_is_ahead_of_a_hub_that_has_not_heard(self) -> None:
        scene = Scene()
        first = scene.join(at=5)
        listener = scene.join(at=7)

        scene.hub.deliver(scene.record(6, 7, 8))

        assert (first.seqs, listener.seqs) == ([6, 7, 8], [8])

    async def test_loses_nothing_to_somebody_who_joins_at_the_same_moment(self) -> None:
        scene = Scene()
        slow, slow_membership = scene.arrive()
        slow_membership.last = 5
        scene.record(6, 7, 8)
        scene.join(at=8)  # he read later, and was answered first

        scene.hub.release(slow_membership, latest_seq=5)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        scene.hub.deliver(scene.record(9))

        assert slow.seqs == [6, 7, 8, 9]

    async def test_hears_nothing_live_between_pages(self) -> None:
        scene = Scene()
        scene.join(at=5)
        listener, membership = scene.arrive()
        membership.last, membership.paging_until = 2, 1e12
        scene.hub.release(membership, latest_seq=5)

        scene.hub.deliver(scene.record(6))
        assert listener.seqs == []
        scene.hub.hold(membership)
        membership.last, membership.paging_until = 6, 0.0  # the last page brought 3 to 6
        scene.hub.deliver(scene.record(7))
        scene.hub.release(membership, latest_seq=6)

        assert listener.seqs == [7]


class TestLanes:
    async def test_encode_once_and_share_the_bytes(self) -> None:
        scene = Scene()
        listeners = [scene.join() for _ in range(5)]

        scene.hub.deliver(scene.record(1, 2))

        assert len({id(one.encodings[0]) for one in listeners}) == 1
        assert [len(one.encodings) for one in listeners] == [1] * 5, "one write for one commit"

    async def test_are_deaf_to_other_topics(self) -> None:
        scene = Scene()
        listener = scene.join()
        [one] = scene.record(1)

        scene.hub.deliver([LiveEvent(one.event_id, "room:x", 1, one.name, {}, "", "", now())])

        assert listener.seqs == []

    async def test_spare_the_one_who_caused_a_signal(self) -> None:
        scene = Scene()
        listener = scene.join()

        scene.hub.deliver_signal(Signal(TOPIC, "typing", {}, except_user="u"))
        assert listener.seqs == []
        scene.hub.deliver_signal(Signal(TOPIC, "typing", {}, except_user="other"))
        assert listener.seqs == [0]

    async def test_spare_each_of_many_signals_the_one_who_caused_it(self) -> None:
        scene = Scene()
        (asha, one), (bruno, two) = scene.arrive("asha"), scene.arrive("bruno")
        for membership in (one, two):
            scene.hub.release(membership, latest_seq=0)
        two.told = 2
        signals = [
            Signal(TOPIC, "typing", {"event_seq": place}, except_user=user)
            for place, user in enumerate(["bruno", "asha", None, "bruno"], start=1)
        ]

        scene.hub.deliver_presence(TOPIC, list(enumerate(signals, start=1)))

        assert (asha.seqs, bruno.seqs) == ([1, 3, 4], [3])
        assert (len(asha.encodings), len(bruno.encodings)) == (1, 1)

    async def test_forget_a_topic_with_its_last_member(self) -> None:
        scene = Scene()
        opened: list[str] = []
        closed: list[str] = []
        scene.hub.watch_topics(on_first=opened.append, on_last=closed.append)
        (_, one), (_, two) = scene.arrive(), scene.arrive()

        scene.hub.unsubscribe(one)
        assert (opened, closed) == ([TOPIC], [])
        scene.hub.unsubscribe(two)

        assert closed == [TOPIC]
        assert scene.hub.topics == {}
