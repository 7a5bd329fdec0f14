"""Senders and listeners of every kind in one room, over two processes: all hear all of it once.

Python clients alone; the official ones are in test_clients_stories.py.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import redis as redis_package

from marketplace.tests.clients.talkers import PROTOCOLS, Follower, Plain, Talker
from marketplace.tests.live import SERVERS, Person, Redis, Server, Site, own_redis

pytestmark = [pytest.mark.integration]

EACH = 10
TAIL_S = 30.0
BACK_S = 5.0
ACKED_S = 3.0


class Stream:
    """A reader of the event stream; `events` holds (event_id, event_seq)."""

    def __init__(self, server: Server, token: str, room_id: str) -> None:
        self.url = f"{server.url}/api/v1/topics/room:{room_id}/events"
        self.token = token
        self.events: list[tuple[str, int]] = []
        self.names: list[str] = []
        self.ready = asyncio.Event()
        self._moved = asyncio.Event()

    async def read(self, since: int = 0) -> None:
        """Read until the stream ends."""
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(since)}
        async with httpx.AsyncClient(timeout=60) as client:
            request = client.stream("GET", f"{self.url}?token={self.token}", headers=headers)
            async with request as answer:
                assert answer.status_code == 200
                name = ""
                async for line in answer.aiter_lines():
                    if line.startswith("event: "):
                        name = line.removeprefix("event: ")
                        self.names.append(name)
                        self._moved.set()
                    elif line.startswith("data: "):
                        self._take(name, json.loads(line.removeprefix("data: ")))

    def _take(self, name: str, data: dict[str, Any]) -> None:
        if name == "ready":
            self.ready.set()
        if "event_seq" in data:
            self.events.append((data["event_id"], data["event_seq"]))
            self._moved.set()

    async def reach(self, seq: int) -> None:
        """Wait until the event of this seq is here."""
        async with asyncio.timeout(20):
            while not self.events or self.events[-1][1] < seq:
                self._moved.clear()
                await self._moved.wait()


@dataclass
class Room:
    """Two people, where they are served, and their room."""

    site: Site
    servers: tuple[Server, Server]
    asha: Person
    bruno: Person
    id: str


def a_room(site: Site, *servers: Server) -> Room:
    """A fresh room of two fresh people."""
    first, second = servers[0], servers[-1]
    asha, bruno = site.sign_up(first, "asha"), site.sign_up(second, "bruno")
    return Room(site, (first, second), asha, bruno, site.open_room(first, asha, bruno))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """Daphne and uvicorn on one database, joined by a Redis."""
    folder: Path = tmp_path_factory.mktemp("pair")
    with own_redis(folder) as redis:
        if redis is None:
            pytest.skip("needs redis-server on PATH")
        with Site(folder, redis_url=redis.url) as site:
            yield a_room(site, site.start("daphne"), site.start("uvicorn"))


@asynccontextmanager
async def following(*followers: Follower) -> AsyncIterator[None]:
    """Everybody follows; afterwards nobody."""
    try:
        for follower in followers:
            follower.start()
        for follower in followers:
            await asyncio.wait_for(follower.joined.wait(), 20)
        yield
    finally:
        for follower in followers:
            await follower.stop()


async def post(client: httpx.AsyncClient, room: Room, content: str) -> dict[str, Any]:
    """A message by REST."""
    answer = await client.post(
        f"/api/v1/chat/rooms/{room.id}/messages",
        json={"content": content, "client_id": content},
        headers=room.bruno.headers,
    )
    assert answer.status_code == 201, answer.text
    ack: dict[str, Any] = answer.json()
    return ack


async def log_of(room: Room) -> list[tuple[str, int]]:
    """The log by REST."""
    async with httpx.AsyncClient(base_url=room.servers[0].url, timeout=20) as client:
        answer = await client.get(
            f"/api/v1/topics/room:{room.id}/events?after=0&limit=200", headers=room.asha.headers
        )
    return [(one["event_id"], one["event_seq"]) for one in answer.json()["events"]]


class TestOneRoom:
    async def test_every_receiver_gets_every_message_once_and_replay_says_the_same(
        self, pair: Room
    ) -> None:
        # One listener of each protocol on each process; each of them also sends.
        followers = [
            Follower(protocol, partial(getattr, server, "socket_url"), person.token, pair.id)
            for protocol in PROTOCOLS
            for server, person in zip(pair.servers, (pair.asha, pair.bruno), strict=True)
        ]
        streams = [Stream(server, pair.asha.token, pair.id) for server in pair.servers]
        listeners: list[Follower | Stream] = [*followers, *streams]
        reading = [asyncio.create_task(stream.read()) for stream in streams]
        async with (
            following(*followers),
            httpx.AsyncClient(base_url=pair.servers[1].url, timeout=20) as client,
        ):
            await asyncio.gather(*(stream.ready.wait() for stream in streams))

            async def send(number: int, follower: Follower) -> None:
                for count in range(EACH):
                    content = f"{number}-{count}"
                    await follower.send({"content": content, "client_id": content})

            async def send_by_rest() -> None:
                for count in range(EACH):
                    await post(client, pair, f"rest-{count}")

            await asyncio.gather(
                *(send(number, one) for number, one in enumerate(followers)), send_by_rest()
            )
            log = await log_of(pair)
            for listener in listeners:
                await listener.reach(log[-1][1])
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

        assert [seq for _, seq in log] == list(range(1, 2 + EACH * (len(followers) + 1)))
        assert [fault for one in followers for fault in one.faults] == []
        for listener in listeners:
            assert listener.events == log
        await self.replays(pair, log)

    async def replays(self, pair: Room, log: list[tuple[str, int]]) -> None:
        """X3: a late reader of each kind is told the same list."""
        for protocol in PROTOCOLS:
            late = Follower(protocol, lambda: pair.servers[1].socket_url, pair.bruno.token, pair.id)
            async with following(late):
                await late.reach(log[-1][1])
            assert late.events == log, protocol
        stream = Stream(pair.servers[0], pair.bruno.token, pair.id)
        reading = asyncio.create_task(stream.read(since=5))
        await stream.reach(log[-1][1])
        reading.cancel()
        assert stream.events == log[5:]

    async def test_one_client_id_on_two_processes_at_once_is_one_message(self, pair: Room) -> None:
        talkers = [
            await PROTOCOLS[protocol].open(server.socket_url, pair.asha.token)
            for protocol, server in zip(("plain", "phoenix-v2"), pair.servers, strict=True)
        ]
        for talker in talkers:
            await talker.join(pair.id)

        for number in range(10):
            payload = {"content": "once", "client_id": f"same-{number}"}
            acks = await asyncio.gather(
                *(talker.push(pair.id, "message", payload) for talker in talkers)
            )
            assert len({(ack["id"], ack["seq"]) for ack in acks}) == 1
            assert sorted(ack["duplicate"] for ack in acks) == [False, True]
        for talker in talkers:
            await talker.close()


class TestRights:
    async def test_a_logout_ends_every_connection_within_a_second(self, pair: Room) -> None:
        person = await asyncio.to_thread(pair.site.sign_up, pair.servers[0], "leaver")
        room_id = await asyncio.to_thread(pair.site.open_room, pair.servers[0], person, pair.bruno)
        talkers = [
            await kind.open(server.socket_url, person.token)
            for kind in PROTOCOLS.values()
            for server in pair.servers
        ]
        for talker in talkers:
            await talker.join(room_id)
        stream = Stream(pair.servers[1], person.token, room_id)
        reading = asyncio.create_task(stream.read())
        await asyncio.wait_for(stream.ready.wait(), 10)

        answer = await asyncio.to_thread(
            httpx.post, pair.servers[0].url + "/api/v1/auth/logout", headers=person.headers
        )
        assert answer.status_code in (200, 204)

        codes = await asyncio.gather(*(talker.closed(within_s=2) for talker in talkers))
        assert codes == [4401] * len(talkers)
        await asyncio.wait_for(reading, 2)
        assert stream.names[-1] == "token_expired"


class TestAnOrderlyStop:
    @pytest.mark.parametrize("kind", SERVERS)
    async def test_clients_hear_1012_and_come_back_without_a_gap(
        self, tmp_path: Path, kind: str
    ) -> None:
        with Site(tmp_path) as site:
            server = await asyncio.to_thread(site.start, kind)
            room = await asyncio.to_thread(a_room, site, server)
            followers = [
                Follower(protocol, lambda: server.socket_url, room.asha.token, room.id)
                for protocol in PROTOCOLS
            ]
            watcher = await Plain.open(server.socket_url, room.bruno.token)
            async with following(*followers):
                sender = followers[0]
                await sender.send({"content": "before", "client_id": "before"})

                stopping = asyncio.create_task(asyncio.to_thread(server.terminate))
                assert await watcher.closed() == 1012
                assert await stopping == 0
                await asyncio.to_thread(server.start)

                ack = await sender.send({"content": "after", "client_id": "after"})
                for follower in followers:
                    await follower.reach(ack["seq"])
            assert [fault for one in followers for fault in one.faults] == []
            assert {tuple(one.contents) for one in followers} == {("before", "after")}


class TestALostPush:
    async def test_is_found_without_a_reconnect_within_30_seconds(self, tmp_path: Path) -> None:
        # Two processes that cannot hear each other: no push arrives, the log has to be asked.
        with Site(tmp_path) as site:
            servers = [await asyncio.to_thread(site.start, kind) for kind in SERVERS]
            room = await asyncio.to_thread(a_room, site, *servers)
            talkers = [
                await kind.open(servers[1].socket_url, room.bruno.token)
                for kind in PROTOCOLS.values()
            ]
            for talker in talkers:
                await talker.join(room.id)
            async with httpx.AsyncClient(base_url=servers[0].url, timeout=20) as client:
                ack = await post(client, room, "unheard")

            for talker in talkers:
                [heard] = await talker.until(partial(talker.named, "new_message"), within_s=TAIL_S)
                assert heard["id"] == ack["id"]
                await talker.close()


def has_heard(talker: Talker, count: int) -> bool:
    """Whether this many messages have come."""
    return len(talker.named("new_message")) == count


class TestARedisThatGoesAway:
    async def test_costs_no_connection_no_event_and_no_write(self, tmp_path: Path) -> None:
        with own_redis(tmp_path) as redis:
            if redis is None:
                pytest.skip("needs redis-server on PATH")
            # The limits count in Redis too, and must not hold up anybody while it is away.
            limits = {"MESSAGE_RATE_LIMIT": "1000", "LIMIT_API": "1000/60"}
            with Site(tmp_path, redis_url=redis.url, **limits) as site:
                servers = [await asyncio.to_thread(site.start, kind) for kind in SERVERS]
                await self.story(redis, await asyncio.to_thread(a_room, site, *servers))

    async def story(self, redis: Redis, room: Room) -> None:
        """Messages before, while it is away, and after it came back empty."""
        talkers = [
            await kind.open(room.servers[1].socket_url, room.bruno.token)
            for kind in PROTOCOLS.values()
        ]
        for talker in talkers:
            await talker.join(room.id)

        async def heard(count: int, *, within_s: float) -> None:
            for talker in talkers:
                await talker.until(partial(has_heard, talker, count), within_s=within_s)

        async with httpx.AsyncClient(base_url=room.servers[0].url, timeout=20) as client:
            acks = [await post(client, room, "before")]
            await heard(1, within_s=2)
            redis.stop()
            for number in range(3):
                began = time.monotonic()
                acks.append(await post(client, room, f"away {number}"))
                assert time.monotonic() - began < ACKED_S
            await asyncio.to_thread(redis.start)
            await heard(4, within_s=BACK_S)
            with redis_package.Redis.from_url(redis.url) as own:
                own.flushall()
            acks.append(await post(client, room, "flushed"))
            await heard(5, within_s=2)

        for talker in talkers:
            assert talker.is_open
            told = [(one["id"], one["event_seq"]) for one in talker.named("new_message")]
            assert told == [(ack["id"], ack["seq"]) for ack in acks]
            await talker.close()
