"""One scenario, four ways in: the same rows, the same events, the same codes.

What a client asks and what it is answered is written once; REST, plain, Phoenix v1 and v2 must each
give exactly that.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings

from accounts.models import User
from chat.models import Member, Message, Room
from chat.tests.factories import make_group
from marketplace.events.models import Event
from marketplace.tests.cast import buyer, seller, signed_in, stranger
from marketplace.tests.sockets import PhoenixSocket, PlainSocket, Sockets, in_thread, sockets

__all__ = ["buyer", "seller", "sockets", "stranger"]

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

WAYS = ("rest", "plain", "phoenix-v1", "phoenix-v2")
NAMELESS = str(uuid4())
Answer = tuple[str, Any]


class Way:
    """One protocol of one person, as a scenario uses it."""

    async def join(self, room_id: str) -> Answer:
        """Come to hear a room: `ok`, or the code of the refusal."""
        raise NotImplementedError

    async def ask(self, room_id: str, command: str, payload: dict[str, Any]) -> Answer:
        """Give a command in a room."""
        raise NotImplementedError


class RestWay(Way):
    """HTTP; there is nothing to join, so the room is read."""

    def __init__(self, user: User) -> None:
        self.user = user

    async def join(self, room_id: str) -> Answer:
        """Read the room."""
        return await in_thread(self._call, "get", f"/api/v1/chat/rooms/{room_id}", None)

    async def ask(self, room_id: str, command: str, payload: dict[str, Any]) -> Answer:
        """POST it."""
        last = {"message": "messages", "mark_read": "read"}[command]
        return await in_thread(self._call, "post", f"/api/v1/chat/rooms/{room_id}/{last}", payload)

    def _call(self, method: str, path: str, payload: dict[str, Any] | None) -> Answer:
        answer = getattr(signed_in(self.user), method)(path, payload, format="json")
        body = answer.json()
        if answer.status_code < 300:
            return "ok", body
        assert body["request_id"]
        return "error", body["code"]


class PlainWay(Way):
    """Plain JSON frames."""

    def __init__(self, socket: PlainSocket) -> None:
        self.socket = socket

    async def join(self, room_id: str) -> Answer:
        """`join`."""
        return self._read(await self.socket.ask(type="join", topic=f"room:{room_id}"))

    async def ask(self, room_id: str, command: str, payload: dict[str, Any]) -> Answer:
        """`event`."""
        return self._read(await self.socket.command(f"room:{room_id}", command, **payload))

    def _read(self, reply: dict[str, Any]) -> Answer:
        response = reply["response"]
        if reply["status"] == "ok":
            return "ok", response
        assert response["request_id"]
        return "error", response["code"]


class PhoenixWay(Way):
    """Phoenix frames of either version."""

    def __init__(self, socket: PhoenixSocket) -> None:
        self.socket = socket

    async def join(self, room_id: str) -> Answer:
        """`phx_join`."""
        return self._read((await self.socket.ask(f"chat:room_{room_id}", "phx_join")).payload)

    async def ask(self, room_id: str, command: str, payload: dict[str, Any]) -> Answer:
        """A push."""
        return self._read((await self.socket.ask(f"chat:room_{room_id}", command, payload)).payload)

    def _read(self, reply: dict[str, Any]) -> Answer:
        response = reply["response"]
        if reply["status"] == "ok":
            return "ok", response
        assert response["request_id"]
        return "error", response["code"]


async def way_of(name: str, user: User, sockets: Sockets) -> Way:
    """This person on this protocol."""
    if name == "rest":
        return RestWay(user)
    if name == "plain":
        return PlainWay(await sockets.plain(user))
    return PhoenixWay(await sockets.phoenix(user, version=2 if name == "phoenix-v2" else 1))


# Each step: what is asked, and what must be answered: fields of the response, or a code.
SCENARIO: list[tuple[str, dict[str, Any], Any]] = [
    (
        "message",
        {"content": "one", "client_id": "c-1"},
        {"number": 1, "seq": 2, "duplicate": False},
    ),
    ("message", {"content": "one", "client_id": "c-1"}, {"number": 1, "seq": 2, "duplicate": True}),
    ("message", {"content": "x", "clientId": "c-1"}, {"content": "one", "duplicate": True}),
    ("message", {"content": ""}, "content_required"),
    ("message", {}, "content_required"),
    ("message", {"content": None}, "content_required"),
    ("message", {"content": "é" * 10_001}, "content_too_long"),
    ("message", {"content": {"$ne": None}}, "validation_failed"),
    ("message", {"content": ["a"]}, "validation_failed"),
    ("message", {"content": True}, "validation_failed"),
    ("message", {"content": "a\0b"}, "validation_failed"),
    ("message", {"content": "a", "client_id": "k" * 65}, "validation_failed"),
    ("message", {"content": "a", "client_id": {}}, "validation_failed"),
    ("message", {"content": "a", "kind": "order"}, "validation_failed"),
    ("message", {"content": "a", "data": [1]}, "validation_failed"),
    ("message", {"content": "a", "mentions": ["nobody"]}, "validation_failed"),
    ("message", {"content": "a", "reply_to_id": NAMELESS}, "message_not_found"),
    ("message", {"content": "a", "reply_to_id": "x"}, "validation_failed"),
    ("message", {"content": "é" * 10_000, "client_id": "c-2"}, {"number": 2, "seq": 3}),
    # Written as e + accent: stored and answered as one character.
    ("message", {"content": "cafe\u0301", "sender_id": "x", "id": "x"}, {"content": "caf\u00e9"}),
    ("message", {"content": 5, "data": {"a": [1, {"b": None}]}}, {"content": "5", "seq": 5}),
    ("mark_read", {"seq": -1}, "validation_failed"),
    ("mark_read", {"seq": "x"}, "validation_failed"),
    ("mark_read", {"message_id": "x"}, "validation_failed"),
    ("mark_read", {"message_ids": "x"}, "validation_failed"),
    ("mark_read", {"message_id": NAMELESS}, "message_not_found"),
    # A sender has read what he said: nothing moves, nothing is told.
    ("mark_read", {}, {"last_read_seq": 5, "unread_count": 0}),
    ("mark_read", {"seq": 2}, {"last_read_seq": 5, "unread_count": 0}),
]
ROWS = [
    (1, 2, "c-1", "one", None),
    (2, 3, "c-2", "é" * 10_000, None),
    (3, 4, None, "café", None),
    (4, 5, None, "5", {"a": [1, {"b": None}]}),
]
EVENTS = [(1, "room.created"), *((seq, "message.sent") for _, seq, *_ in ROWS)]


def rows_of(room: Room) -> list[tuple[Any, ...]]:
    """What stands in the table."""
    return [
        (one.number, one.seq, one.client_id, one.content, one.data)
        for one in Message.objects.filter(room=room).order_by("number")
    ]


def events_of(room: Room) -> list[tuple[int, str]]:
    """What stands in the log."""
    rows = Event.objects.filter(topic=room.topic).order_by("seq")
    return [(row.seq, row.name) for row in rows]


@pytest.fixture
def room(buyer: User, seller: User) -> Room:
    """A group of Asha and Bruno."""
    return make_group(buyer, seller)


@pytest.mark.parametrize("name", WAYS)
class TestParity:
    async def test_asks_and_answers_are_the_same(
        self, name: str, sockets: Sockets, buyer: User, room: Room
    ) -> None:
        way = await way_of(name, buyer, sockets)
        assert (await way.join(str(room.id)))[0] == "ok"

        for command, payload, wanted in SCENARIO:
            kind, found = await way.ask(str(room.id), command, payload)
            step = f"{command} {str(payload)[:60]}"
            if isinstance(wanted, str):
                assert (kind, found) == ("error", wanted), step
            else:
                assert kind == "ok", (step, found)
                assert {key: found[key] for key in wanted} == wanted, step

        assert await in_thread(rows_of, room) == ROWS
        assert await in_thread(events_of, room) == EVENTS

    async def test_another_reads_and_everybody_is_told_once(
        self, name: str, sockets: Sockets, buyer: User, seller: User, room: Room
    ) -> None:
        asha, bruno = await way_of(name, buyer, sockets), await way_of(name, seller, sockets)
        watcher = await sockets.plain(buyer)
        await watcher.join(f"room:{room.id}")
        await asha.join(str(room.id))
        await bruno.join(str(room.id))
        _, first = await asha.ask(str(room.id), "message", {"content": "one"})
        await asha.ask(str(room.id), "message", {"content": "two"})

        _, cursor = await bruno.ask(str(room.id), "mark_read", {"message_id": first["id"]})
        _, again = await bruno.ask(str(room.id), "mark_read", {"message_id": first["id"]})

        assert cursor == again == {"last_read_seq": 2, "unread_count": 1}
        told = await watcher.event("message_read")
        assert (told["user_id"], told["last_read_seq"]) == (seller.public_id, 2)
        assert [one for one in await watcher.rest() if one.get("event") == "message_read"] == []
        assert await in_thread(events_of, room) == [
            (1, "room.created"), (2, "message.sent"), (3, "message.sent"), (4, "read.moved"),
        ]  # fmt: skip
        assert await in_thread(read_number_of, room, seller) == 1

    async def test_a_foreign_room_is_not_there(
        self, name: str, sockets: Sockets, stranger: User, room: Room
    ) -> None:
        way = await way_of(name, stranger, sockets)

        foreign = await way.join(str(room.id))
        missing = await way.join(NAMELESS)
        sent = await way.ask(str(room.id), "message", {"content": "let me in"})

        assert foreign == missing == ("error", "room_not_found")
        assert sent == ("error", "room_not_found" if name == "rest" else "unmatched topic")
        assert await in_thread(rows_of, room) == []

    async def test_the_rate_is_one_over_all_ways(
        self, name: str, sockets: Sockets, buyer: User, room: Room, settings: LazySettings
    ) -> None:
        settings.MESSAGE_RATE_LIMIT = 2
        way = await way_of(name, buyer, sockets)
        by_rest = RestWay(buyer)
        await way.join(str(room.id))

        first = await way.ask(str(room.id), "message", {"content": "1", "client_id": "a"})
        again = await way.ask(str(room.id), "message", {"content": "1", "client_id": "a"})
        second = await by_rest.ask(str(room.id), "message", {"content": "2"})
        third = await way.ask(str(room.id), "message", {"content": "3"})

        assert [first[0], again[0], second[0]] == ["ok", "ok", "ok"]
        assert third == ("error", "rate_limited")
        assert [row[3] for row in await in_thread(rows_of, room)] == ["1", "2"]


def read_number_of(room: Room, user: User) -> int:
    """How far this member has read."""
    return Member.objects.get(room=room, user=user).read_number


class TestAcrossProtocols:
    async def test_one_client_id_on_all_ways_at_once_is_one_message(
        self, sockets: Sockets, buyer: User, room: Room
    ) -> None:
        ways = [await way_of(name, buyer, sockets) for name in WAYS]
        for way in ways:
            await way.join(str(room.id))

        send: Callable[[Way], Awaitable[Answer]] = lambda way: way.ask(  # noqa: E731  # said once
            str(room.id), "message", {"content": "once", "client_id": "same"}
        )
        answers = await asyncio.gather(*(send(way) for way in ways))

        assert {kind for kind, _ in answers} == {"ok"}
        assert len({(found["id"], found["seq"]) for _, found in answers}) == 1
        assert sorted(found["duplicate"] for _, found in answers) == [False, True, True, True]
        assert [row[3] for row in await in_thread(rows_of, room)] == ["once"]

    async def test_everybody_hears_the_same_event(
        self, sockets: Sockets, buyer: User, seller: User, room: Room
    ) -> None:
        plain = await sockets.plain(seller)
        one, two = await sockets.phoenix(seller, version=1), await sockets.phoenix(seller)
        await plain.join(f"room:{room.id}")
        await one.join(f"chat:room_{room.id}")
        await two.join(f"chat:room_{room.id}")

        await RestWay(buyer).ask(str(room.id), "message", {"content": "to all"})

        heard = [
            await plain.event("new_message"),
            (await one.event("new_message")).payload,
            (await two.event("new_message")).payload,
        ]
        assert heard[0] == heard[1] == heard[2]
        assert heard[0]["content"] == "to all"
        assert "sender_email" not in heard[0]
