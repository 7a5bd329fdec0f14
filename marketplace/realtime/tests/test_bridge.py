"""Two processes and the Redis between them: what is told, and what happens while it is away.

Two runtimes on one loop stand for the processes; the log that they read is a test's own.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis as redis_package
import structlog
from pytest_django import Settings

from chat.consumers import RoomConsumer
from marketplace.core.clock import now
from marketplace.core.ids import uuid7
from marketplace.events.live import Control, LiveEvent, Signal
from marketplace.realtime import bridge as bridge_module
from marketplace.realtime import checks as checks_module
from marketplace.realtime.checks import Checks
from marketplace.realtime.layer import WatchedLayer, end
from marketplace.realtime.plain import PlainWire
from marketplace.realtime.runtime import Runtime
from marketplace.realtime.session import Membership
from marketplace.realtime.tasks import sweep_presence
from marketplace.realtime.topic import TopicRef
from marketplace.tests.live import Redis, own_redis
from marketplace.tests.sockets import settle

ROOM = UUID("019ab0c4-9a2e-7b0c-8f11-5c1d2e3f4a5b")
TOPIC = f"room:{ROOM}"
BACK_S = 5.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A Redis that a test may kill."""
    with own_redis(tmp_path_factory.mktemp("redis")) as found:
        if found is None:
            pytest.skip("needs redis-server on PATH")
        yield found


class Person:
    """Somebody who is signed in."""

    def __init__(self, name: str) -> None:
        self.public_id, self.username = f"u-{name}", name


class TellingWire(PlainWire):
    """Plain frames, and who is there as Phoenix tells it."""

    has_presence_state = True


class Listener:
    """A session that writes down what it is told."""

    def __init__(self, runtime: Runtime, name: str) -> None:
        self.runtime, self.wire, self.user = runtime, TellingWire(), Person(name)
        self.user_id, self.key = self.user.public_id, f"key-{name}"
        self.auth_session_id: str | None = f"session-{name}"
        self.memberships: dict[str, Membership] = {}
        self.closed, self.code = False, 0
        self.seqs: list[int] = []
        self.names: list[str] = []
        self.pushed: dict[str, dict[str, Any]] = {}

    def write(self, encoded: Any) -> None:
        self.send(encoded.texts)

    def send(self, texts: list[bytes]) -> None:
        import orjson

        for text in texts:
            frame = orjson.loads(text)
            self.names.append(frame["event"])
            if "event_seq" in frame["payload"]:
                self.seqs.append(frame["payload"]["event_seq"])

    def push(self, membership: Membership, name: str, payload: dict[str, Any]) -> None:
        self.pushed[name] = payload

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self, code: int) -> None:
        self.code = code


class Scene:
    """Two processes, one Redis, one log."""

    def __init__(self) -> None:
        self.log: dict[int, LiveEvent] = {}
        self.runtimes: list[Runtime] = []

    def process(self) -> Runtime:
        here = Runtime(asyncio.get_running_loop())
        here.hub._read_range = self._read
        here.bridge.start()
        self.runtimes.append(here)
        return here

    def _read(self, topic: str, after: int) -> Any:
        future = asyncio.get_running_loop().create_future()
        events = [self.log[seq] for seq in sorted(self.log) if seq > after]
        future.set_result((max(self.log, default=0), events))
        return future

    def record(self, *seqs: int) -> list[LiveEvent]:
        payload = {"room_id": str(ROOM), "user_id": "u", "read_at": "t"}
        made = [
            LiveEvent(uuid7(), TOPIC, seq, "read.moved", payload, "u", "", now()) for seq in seqs
        ]
        self.log.update((one.seq, one) for one in made)
        return made

    async def join(self, here: Runtime, name: str = "asha") -> Listener:
        listener = Listener(here, name)
        ref = TopicRef(RoomConsumer, str(ROOM), TOPIC, "standard")
        membership = Membership(listener, ref, None)  # type: ignore[arg-type]  # stands for one
        listener.memberships[TOPIC] = membership
        here.sessions.add(listener)  # type: ignore[arg-type]  # stands for one
        here._by_user.setdefault(listener.user_id, set()).add(listener)  # type: ignore[arg-type]
        here.hub.subscribe(membership)
        await here.bridge.subscribed(TOPIC)
        await here.presence.enter(membership)
        here.presence.welcome(membership)
        membership.last = max(self.log, default=0)
        here.hub.release(membership, latest_seq=membership.last)
        return listener

    def heads(self, topics: list[str]) -> dict[str, int]:
        return {topic: max(self.log, default=0) for topic in topics}


@pytest.fixture
async def scene(
    server: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Scene]:
    """Two processes that have found each other."""
    settings.REDIS_URL = server.url
    with redis_package.Redis.from_url(server.url) as client:
        client.flushall()
    prefix = f"test:{uuid7().hex}"
    monkeypatch.setattr(
        bridge_module,
        "get_channel_layer",
        lambda: WatchedLayer(hosts=[server.url], prefix=prefix),
    )
    made = Scene()
    monkeypatch.setattr(checks_module, "_read_heads", made.heads)
    monkeypatch.setattr(checks_module, "_find_refused", lambda memberships: [])
    monkeypatch.setattr(Checks, "_check_sessions", _nothing)
    yield made
    for one in made.runtimes:
        await one.stop()


async def _nothing(checks: Checks) -> None:
    """No session ends in these tests."""


async def pair(scene: Scene) -> tuple[Runtime, Runtime, Listener]:
    """Who speaks, who listens, and the one who hears it there."""
    speaker, other = scene.process(), scene.process()
    listener = await scene.join(other)
    await asyncio.wait_for(speaker.bridge._ready.wait(), 5)
    return speaker, other, listener


async def took(wait: Callable[[], bool], *, within_s: float = 15) -> float:
    """Seconds until this holds."""
    began = time.monotonic()
    await settle(wait, within_s=within_s)
    return time.monotonic() - began


class TestTwoProcesses:
    async def test_tell_each_other_events_signals_and_orders(self, scene: Scene) -> None:
        speaker, _, listener = await pair(scene)

        speaker.committed(scene.record(1, 2))
        speaker.signalled(Signal(TOPIC, "typing", {"user_id": "u-bruno"}))
        speaker.bridge.share_control(Control(kind="removed", topic=TOPIC, user_id="u-asha"))
        speaker.bridge.share_control(Control(kind="revoked", session_ids=("session-asha",)))

        removed: list[str] = []
        listener.remove = lambda _membership, reason: removed.append(reason)  # type: ignore[attr-defined]
        await settle(lambda: listener.code == 4401)
        assert listener.seqs == [1, 2]
        assert listener.names == ["message_read", "message_read", "user_typing"]
        assert removed == [""]

    async def test_pass_over_what_they_said_themselves(self, scene: Scene) -> None:
        speaker, _, listener = await pair(scene)
        own = await scene.join(speaker, "bruno")
        before = own.names.count("user_typing")

        speaker.signalled(Signal(TOPIC, "typing", {"user_id": "u"}))
        await settle(lambda: "user_typing" in listener.names)

        assert own.names.count("user_typing") == before + 1


class TestPresence:
    async def test_is_the_same_on_both_and_whole_in_the_first_answer(self, scene: Scene) -> None:
        here, there = scene.process(), scene.process()
        asha = await scene.join(here, "asha")
        await settle(lambda: not here.bridge._tasks - {here.bridge._receiver})

        bruno = await scene.join(there, "bruno")

        await settle(lambda: here.presence.online(TOPIC) == ["u-asha", "u-bruno"])
        assert there.presence.online(TOPIC) == ["u-asha", "u-bruno"]
        assert sorted(bruno.pushed["presence_state"]) == ["u-asha", "u-bruno"]
        assert asha.names == ["user_joined"]

    async def test_is_whole_although_somebody_arrives_while_it_is_asked(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here, there = scene.process(), scene.process()
        await scene.join(here, "asha")
        await settle(lambda: not here.bridge._tasks - {here.bridge._receiver})
        subscribed = there.bridge.subscribed

        async def then_chiara_comes(topic: str) -> None:
            await subscribed(topic)
            await scene.join(here, "chiara")
            await settle(lambda: "u-chiara" in there.presence.online(topic))

        monkeypatch.setattr(there.bridge, "subscribed", then_chiara_comes)
        bruno = await scene.join(there, "bruno")

        assert sorted(bruno.pushed["presence_state"]) == ["u-asha", "u-bruno", "u-chiara"]

    async def test_forgets_a_dead_process_within_a_minute(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here, there = scene.process(), scene.process()
        asha = await scene.join(here, "asha")
        await scene.join(there, "bruno")
        await settle(lambda: len(here.presence.online(TOPIC)) == 2)
        await there.bridge.stop()  # it says no goodbye

        clock = time.time
        monkeypatch.setattr("marketplace.realtime.presence.time.time", lambda: clock() + 39)
        here.presence.sweep()
        assert here.presence.online(TOPIC) == ["u-asha", "u-bruno"]
        monkeypatch.setattr("marketplace.realtime.presence.time.time", lambda: clock() + 41)
        here.presence.sweep()

        assert here.presence.online(TOPIC) == ["u-asha"]
        await settle(lambda: asha.names == ["user_joined", "user_left"])


class TestSweep:
    async def test_removes_what_is_dead_and_keeps_who_lives(
        self, scene: Scene, server: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here, there = scene.process(), scene.process()
        await scene.join(here, "asha")
        await scene.join(there, "bruno")
        await settle(lambda: len(here.presence.online(TOPIC)) == 2)
        await there.bridge.stop()
        clock = time.time
        monkeypatch.setattr("marketplace.realtime.presence.time.time", lambda: clock() + 41)
        here.presence.announce()
        await settle(lambda: here.bridge._tasks <= {here.bridge._receiver})

        await asyncio.to_thread(sweep_presence)

        with redis_package.Redis.from_url(server.url) as client:
            [key] = client.keys("marketplace:presence:*")
            assert client.hkeys(key) == [b"key-asha"]


class TestRedisAway:
    async def test_a_restart_loses_nothing_and_holds_up_nobody(
        self, scene: Scene, server: Redis
    ) -> None:
        speaker, other, listener = await pair(scene)
        speaker.committed(scene.record(1))
        await settle(lambda: listener.seqs == [1])

        with structlog.testing.capture_logs() as lines:
            server.stop()
            began = time.monotonic()
            for seq in range(2, 202):
                speaker.committed(scene.record(seq))
                await asyncio.sleep(0)
            assert time.monotonic() - began < 0.5
            await settle(lambda: not other.bridge.is_up and not speaker.bridge.is_up)
            speaker.committed(scene.record(202))
            speaker.bridge.share_control(Control(kind="revoked", session_ids=("session-asha",)))
            await asyncio.to_thread(server.start)

            assert await took(lambda: listener.seqs == list(range(1, 203))) < BACK_S
            assert await took(lambda: listener.code == 4401) < BACK_S
            speaker.committed(scene.record(203))
            assert await took(lambda: listener.seqs[-1] == 203) < 1
        assert {line["log_level"] for line in lines} <= {"debug", "info", "warning"}
        assert [line["event"] for line in lines if line["log_level"] == "warning"].count(
            "channel_layer_lost"
        ) == 2

    async def test_a_connection_that_is_cut_and_comes_back_at_once_is_noticed(
        self, scene: Scene, server: Redis
    ) -> None:
        _, _, listener = await pair(scene)
        scene.record(1, 2)  # committed, and its push lost

        with redis_package.Redis.from_url(server.url) as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

        assert await took(lambda: listener.seqs == [1, 2]) < 1

    async def test_what_could_not_be_published_is_told_although_the_other_heard_all_the_time(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        speaker, _, listener = await pair(scene)
        [shard] = speaker.bridge._layer._get_layer()._shards
        client, away = shard._client, True

        def refused() -> Any:
            if away:
                raise redis_package.ConnectionError
            return client()

        monkeypatch.setattr(shard, "_client", refused)
        speaker.committed(scene.record(1))
        await settle(lambda: speaker.bridge._missed == {TOPIC})
        assert listener.seqs == []

        away = False
        assert await took(lambda: listener.seqs == [1]) < BACK_S
        await settle(lambda: not speaker.bridge._missed)

    async def test_a_redis_that_falls_dumb_is_given_up_and_found_again(
        self, scene: Scene, server: Redis
    ) -> None:
        speaker, other, listener = await pair(scene)
        assert server.process is not None
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            speaker.committed(scene.record(1))
            assert await took(lambda: not other.bridge.is_up) < BACK_S
            began = time.monotonic()
            joined = await scene.join(other, "bruno")
            assert time.monotonic() - began < 0.1, "nobody waits for what is known to be away"
        finally:
            os.kill(server.process.pid, signal.SIGCONT)

        assert await took(lambda: listener.seqs == [1]) < BACK_S
        speaker.committed(scene.record(2))
        await settle(lambda: joined.seqs == [2])

    async def test_who_is_here_is_known_to_the_new_store(
        self, scene: Scene, server: Redis, tmp_path: Path
    ) -> None:
        here, there = scene.process(), scene.process()
        await scene.join(here, "asha")
        await asyncio.wait_for(there.bridge._ready.wait(), 5)
        server.stop()
        await settle(lambda: not here.bridge.is_up and not there.bridge.is_up)
        await asyncio.to_thread(server.start)
        await settle(lambda: here.bridge.is_up and there.bridge.is_up)
        await asyncio.sleep(0.2)

        bruno = await scene.join(there, "bruno")

        assert sorted(bruno.pushed["presence_state"]) == ["u-asha", "u-bruno"]

    async def test_rights_are_asked_again_since_an_order_may_have_been_lost(
        self, scene: Scene, server: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, other, listener = await pair(scene)
        removed: list[str] = []
        listener.remove = lambda _membership, reason: removed.append(reason)  # type: ignore[attr-defined]
        monkeypatch.setattr(checks_module, "_find_refused", lambda memberships: memberships)

        server.stop()
        await settle(lambda: not other.bridge.is_up)
        assert removed == []
        await asyncio.to_thread(server.start)

        assert await took(lambda: removed == ["removed"]) < BACK_S


class TestTheEnd:
    async def test_comes_for_a_task_that_has_lost_its_first_cancellation(self) -> None:
        lost = asyncio.Event()

        async def listen() -> None:
            while True:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    if lost.is_set():
                        raise
                    lost.set()

        task = asyncio.create_task(listen())
        await asyncio.sleep(0)

        async with asyncio.timeout(5):
            await end(task, None)

        assert task.cancelled()
        assert lost.is_set()
