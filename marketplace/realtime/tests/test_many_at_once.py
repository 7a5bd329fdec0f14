"""Many who connect and join at one moment: one read for all, and nobody suffers for another."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from accounts.models import User
from accounts.services import tokens
from accounts.services.sessions import end_all
from chat.consumers import RoomConsumer
from chat.models import Room
from chat.services.members import remove_member
from chat.tests.factories import make_group, make_people, say
from marketplace.core.errors import AppError
from marketplace.events.models import TopicHead
from marketplace.realtime import runtime as runtime_module
from marketplace.realtime.identity import Identity, identify
from marketplace.realtime.topic import Joined, Joiner
from marketplace.tests.cast import access_token, queries_of
from marketplace.tests.sockets import Closed, PlainSocket, Sockets, in_thread

pytestmark = pytest.mark.django_db(transaction=True)


class Joins:
    """The joins of rooms as the consumer is asked for them; `step` runs before it answers."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.step: Any = None


@pytest.fixture
def joins(monkeypatch: pytest.MonkeyPatch) -> Joins:
    seen, join_all = Joins(), RoomConsumer.join_all

    def watched(joiners: Sequence[Joiner]) -> list[Joined | AppError]:
        seen.calls.append(len(joiners))
        if seen.step is not None:
            seen.step(joiners)
        return join_all(joiners)

    monkeypatch.setattr(RoomConsumer, "join_all", watched)
    return seen


@pytest.fixture
def people(db: None) -> list[User]:
    return make_people(4)


@pytest.fixture
def room(people: list[User]) -> Room:
    return make_group(people[0], *people[1:])


async def connected(sockets: Sockets, people: Sequence[User]) -> list[PlainSocket]:
    return [await sockets.plain(one) for one in people]


async def codes_of(joining: Sequence[PlainSocket], room: Room) -> list[str]:
    """`ok`, or the code of the refusal, of joins that are sent at one moment."""
    replies = await asyncio.gather(
        *(one.ask(type="join", topic=f"room:{room.id}") for one in joining)
    )
    return ["ok" if reply["status"] == "ok" else reply["response"]["code"] for reply in replies]


class TestJoins:
    async def test_that_wait_together_are_read_together(
        self, sockets: Sockets, room: Room, people: list[User], joins: Joins
    ) -> None:
        joining = await connected(sockets, people)

        assert await codes_of(joining, room) == ["ok"] * 4
        assert joins.calls == [4]

    async def test_are_refused_alone_and_the_others_hear_the_room(
        self, sockets: Sockets, room: Room, people: list[User], stranger: User, joins: Joins
    ) -> None:
        joining = await connected(sockets, [people[0], stranger, people[1]])

        codes = await codes_of(joining, room)
        await in_thread(say, room, people[2], "Hello")

        assert (codes, joins.calls) == (["ok", "room_not_found", "ok"], [3])
        for one in (joining[0], joining[2]):
            assert (await one.event("new_message"))["content"] == "Hello"
        assert "new_message" not in {frame.get("event") for frame in await joining[1].rest()}

    async def test_are_asked_for_one_by_one_where_all_of_them_fail(
        self, sockets: Sockets, room: Room, people: list[User], joins: Joins
    ) -> None:
        def fail(joiners: Sequence[Joiner]) -> None:
            if people[1] in [one.actor for one in joiners]:
                raise RuntimeError("a fault")

        joining = await connected(sockets, people)
        joins.step = fail

        assert await codes_of(joining, room) == ["ok", "internal_error", "ok", "ok"]
        assert joins.calls == [4, 1, 1, 1, 1]

    async def test_of_one_who_goes_away_meanwhile_concern_nobody(
        self, sockets: Sockets, room: Room, people: list[User], joins: Joins
    ) -> None:
        joining = await connected(sockets, people)
        here, loop = sockets.runtime, asyncio.get_running_loop()
        leaving = joining[1].leave
        joins.step = lambda _: asyncio.run_coroutine_threadsafe(leaving(), loop).result(5)
        topic = f"room:{room.id}"

        asked = [asyncio.create_task(one.ask(type="join", topic=topic)) for one in joining]
        stay = [asked[0], *asked[2:]]

        assert [(await one)["status"] for one in stay] == ["ok"] * 3
        assert joins.calls == [4]
        assert len(here.sessions) == here.presence.connections(topic) == 3
        asked[1].cancel()

    async def test_of_one_who_is_taken_out_meanwhile_end_for_him_alone(
        self, sockets: Sockets, room: Room, people: list[User], joins: Joins
    ) -> None:
        joining = await connected(sockets, people)
        joins.step = lambda _: remove_member(room=room, user=people[1])
        topic = f"room:{room.id}"

        asked = [asyncio.create_task(one.ask(type="join", topic=topic)) for one in joining]
        told = await joining[1].event("removed")
        stay = [asked[0], *asked[2:]]

        assert told["reason"] == "removed"
        assert [(await one)["status"] for one in stay] == ["ok"] * 3
        assert [len(one.memberships) for one in sockets.runtime.sessions].count(0) == 1
        asked[1].cancel()


async def joined(here: Sequence[PlainSocket], room: Room) -> list[list[str]]:
    """Who is online, as each is told by the answer to a join that all send at one moment."""
    topic = f"room:{room.id}"
    replies = await asyncio.gather(*(one.ask(type="join", topic=topic) for one in here))
    return [reply["response"]["online"] for reply in replies]


async def told_of(socket: PlainSocket, name: str) -> list[str]:
    """The people of whom this event tells."""
    return [
        frame["payload"]["user_id"] for frame in await socket.rest() if frame.get("event") == name
    ]


class TestPresence:
    async def test_of_many_who_come_leaves_in_one_write(
        self, sockets: Sockets, room: Room, people: list[User]
    ) -> None:
        sockets.direct = True
        watcher, *others = await connected(sockets, people)
        await joined([watcher], room)
        await watcher.rest()
        watcher.frames.writes.clear()

        await joined(others, room)

        assert sorted(await told_of(watcher, "user_joined")) == sorted(
            one.public_id for one in people[1:]
        )
        assert len(watcher.frames.writes) == 1

    async def test_tells_who_comes_of_everybody_once(
        self, sockets: Sockets, room: Room, people: list[User]
    ) -> None:
        coming = await connected(sockets, people)

        online = await joined(coming, room)

        for one, user, known in zip(coming, people, online, strict=True):
            [own, *later] = await told_of(one, "user_joined")
            assert own == user.public_id
            assert sorted([*known, *later]) == sorted(one.public_id for one in people)

    async def test_tells_all_connections_of_one_person_of_the_others_alone(
        self, sockets: Sockets, room: Room, people: list[User]
    ) -> None:
        watcher = await sockets.plain(people[0])
        await joined([watcher], room)
        await watcher.rest()

        await joined(await connected(sockets, people[:2]), room)

        assert await told_of(watcher, "user_joined") == [people[1].public_id]

    async def test_keeps_the_order_of_one_who_comes_and_goes(
        self, sockets: Sockets, room: Room, people: list[User]
    ) -> None:
        watcher, other = await connected(sockets, people[:2])
        await joined([watcher], room)
        await watcher.rest()

        for _ in range(2):
            await joined([other], room)
            await other.ask(type="leave", topic=f"room:{room.id}")

        names = [frame["event"] for frame in await watcher.rest()]
        assert names == ["user_joined", "user_left"] * 2


class TestConnections:
    async def test_that_come_together_are_identified_together(
        self, sockets: Sockets, people: list[User], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[int] = []

        def watched(many: Sequence[tokens.Claims]) -> Any:
            calls.append(len(many))
            return identify(many)

        monkeypatch.setattr(runtime_module, "identify", watched)
        signed = [await in_thread(access_token, one) for one in people]
        await in_thread(end_all, user=people[1], reason="logout")

        async def connect(token: str) -> object:
            try:
                return await sockets.plain(None, token=token)
            except Closed as end:
                return end.code

        found = await asyncio.gather(*map(connect, signed))

        assert calls == [4]
        assert [one if isinstance(one, int) else "open" for one in found] == [
            "open", 4401, "open", "open",
        ]  # fmt: skip


class TestIdentify:
    def test_asks_as_often_for_many_as_for_one(self, people: list[User]) -> None:
        claims = [tokens.read_access(access_token(one)) for one in people]

        found = identify(claims)
        [number] = {queries_of(identify, claims[:size]) for size in (1, 2, 4)}

        assert [one.user for one in found if isinstance(one, Identity)] == people
        assert number <= 2

    def test_refuses_each_alone(self, people: list[User]) -> None:
        claims = [tokens.read_access(access_token(one)) for one in people]
        end_all(user=people[1], reason="logout")
        User.objects.filter(pk=people[2].pk).update(is_active=False)

        found = identify(claims)

        assert [one.code if isinstance(one, AppError) else "known" for one in found] == [
            "known", "token_revoked", "token_revoked", "known",
        ]  # fmt: skip

    def test_knows_the_epoch_of_ones_own_topic(self, people: list[User]) -> None:
        TopicHead.objects.filter(topic=people[0].topic).update(epoch="first")
        TopicHead.objects.filter(topic=people[1].topic).delete()
        claims = [tokens.read_access(access_token(one)) for one in people[:2]]

        found = identify(claims)

        assert [one.epoch for one in found if isinstance(one, Identity)] == ["first", None]
