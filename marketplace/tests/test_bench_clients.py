"""`bench_clients` prints what the load generator can believe (benchmarks/README.md)."""

import asyncio
import io
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from asgiref.sync import async_to_sync
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.core.management import CommandError, call_command
from pytest_django import Settings

from accounts.models import AuthSession, User
from accounts.services import sessions, tokens
from chat.models import Member, Message, Room
from delivery.geo import distance_m
from delivery.models import Delivery
from marketplace.core.clock import now
from marketplace.events.models import Event, TopicHead
from marketplace.realtime.runtime import runtime
from shops.access import may_serve

WIRES = Path(settings.BASE_DIR) / "benchmarks" / "wire"


@dataclass(frozen=True, slots=True)
class Line:
    """One socket as the command prints it."""

    role: str
    token: str
    room: str
    topic: str


def bench_clients(
    *,
    suite: str = "chat",
    protocol: str = "plain",
    sockets: int = 7,
    senders: int = 3,
    rooms: int = 2,
) -> list[Line]:
    """What the command prints, cut at its tabs."""
    out = io.StringIO()
    call_command(
        "bench_clients",
        *("--suite", suite, "--protocol", protocol, "--sockets", str(sockets)),
        *("--senders", str(senders), "--rooms", str(rooms)),
        stdout=out,
    )
    return [Line(*line.split("\t")) for line in out.getvalue().splitlines()]


@pytest.mark.django_db
class TestLines:
    def test_gives_one_line_per_socket_with_the_senders_first(self) -> None:
        lines = bench_clients(sockets=7, senders=3)

        assert [line.role for line in lines] == ["both"] * 3 + ["recv"] * 4

    def test_puts_line_i_in_room_i_mod_r(self) -> None:
        rooms = [line.room for line in bench_clients(sockets=7, rooms=3)]

        assert len(set(rooms)) == 3
        assert rooms == [rooms[i % 3] for i in range(7)]

    @pytest.mark.parametrize(
        ("protocol", "spelling"),
        [("plain", "room:{}"), ("phoenix", "chat:room_{}"), ("socketio", "{}")],
    )
    def test_spells_the_topic_as_the_protocol_does(self, protocol: str, spelling: str) -> None:
        lines = bench_clients(protocol=protocol)

        assert [line.topic for line in lines] == [spelling.format(line.room) for line in lines]

    def test_gives_every_line_another_user_with_a_living_session(self) -> None:
        claims = [tokens.read_access(line.token) for line in bench_clients(sockets=7)]

        people = [sessions.authenticate(one).public_id for one in claims]

        assert len(set(people)) == 7
        assert people == [one.user_id for one in claims]
        assert min(one.expires_at for one in claims) > (now() + timedelta(minutes=10)).timestamp()

    def test_makes_groups_of_exactly_these_users(self) -> None:
        lines = bench_clients(sockets=7, rooms=2)

        for room_id in {line.room for line in lines}:
            room = Room.objects.get(id=UUID(room_id))
            members = {user_of(line) for line in lines if line.room == room_id}
            assert room.kind == "group"
            assert room.member_count == len(members)
            assert members == set(
                Member.objects.filter(room=room).values_list("user__public_id", flat=True)
            )

    def test_opens_every_topic_as_the_services_do(self) -> None:
        lines = bench_clients(sockets=4, rooms=2)

        rooms, people = {line.room for line in lines}, {user_of(line) for line in lines}
        heads = dict(TopicHead.objects.values_list("topic", "last_seq"))
        assert [heads[f"room:{room}"] for room in rooms] == [1, 1]
        assert {f"user:{person}" for person in people} <= heads.keys()
        assert list(Event.objects.filter(topic__startswith="room:").values_list("seq", "name")) == [
            (1, "room.created"),
            (1, "room.created"),
        ]

    def test_gives_nobody_a_password(self) -> None:
        bench_clients(sockets=2, senders=1, rooms=1)

        assert not any(user.has_usable_password() for user in User.objects.all())

    def test_prints_nothing_else(self, capfd: pytest.CaptureFixture[str]) -> None:
        call_command(
            "bench_clients",
            *("--suite", "idle", "--protocol", "plain", "--sockets", "3"),
            *("--senders", "0", "--rooms", "1"),
        )

        out, _err = capfd.readouterr()
        assert re.fullmatch(r"(recv\t[\w.-]+\t[0-9a-f-]{36}\troom:[0-9a-f-]{36}\n){3}", out)


@pytest.mark.django_db
class TestSecondCall:
    def test_creates_nothing_twice(self) -> None:
        first = bench_clients(sockets=6, rooms=2)
        counts = row_counts()

        second = bench_clients(sockets=6, rooms=2, protocol="phoenix", senders=1)

        assert row_counts() == counts
        assert [line.room for line in second] == [line.room for line in first]
        assert [user_of(line) for line in second] == [user_of(line) for line in first]

    def test_makes_what_is_missing(self) -> None:
        first = bench_clients(sockets=4, rooms=2)
        Room.objects.get(id=UUID(first[0].room)).delete()
        User.objects.filter(public_id=user_of(first[3])).update(username="x", username_key="x")
        Room.objects.get(id=UUID(first[1].room)).delete()

        second = bench_clients(sockets=4, rooms=2)

        assert [user_of(line) for line in second[:3]] == [user_of(line) for line in first[:3]]
        assert user_of(second[3]) != user_of(first[3])
        assert not {line.room for line in first} & {line.room for line in second}

    def test_replaces_a_session_that_has_ended(self) -> None:
        first = tokens.read_access(bench_clients(sockets=1, senders=1, rooms=1)[0].token)
        assert first.session_id is not None
        sessions.end_session(session_id=first.session_id)

        second = tokens.read_access(bench_clients(sockets=1, senders=1, rooms=1)[0].token)

        assert second.user_id == first.user_id
        assert sessions.authenticate(second).public_id == first.user_id

    def test_replaces_a_session_with_too_little_time_left(self) -> None:
        bench_clients(sockets=1, senders=1, rooms=1)
        AuthSession.objects.update(expires_at=now() + timedelta(minutes=9))

        claims = tokens.read_access(bench_clients(sockets=1, senders=1, rooms=1)[0].token)

        assert AuthSession.objects.count() == 2
        assert claims.expires_at > (now() + timedelta(minutes=10)).timestamp()

    def test_refuses_a_room_with_a_stranger_in_it(self) -> None:
        lines = bench_clients(sockets=2, senders=1, rooms=1)
        stranger = User.objects.create(username="farid")
        Member.objects.create(room_id=UUID(lines[0].room), user=stranger)

        with pytest.raises(CommandError, match="other members"):
            bench_clients(sockets=2, senders=1, rooms=1)

    def test_keeps_sets_of_other_sizes_apart(self) -> None:
        lines = bench_clients(sockets=1, senders=1, rooms=1)
        lines += bench_clients(sockets=10, senders=1, rooms=1)
        lines += bench_clients(suite="idle", sockets=10, senders=0, rooms=1)

        assert len({user_of(line) for line in lines}) == 21
        assert len({line.room for line in lines}) == 3


@pytest.mark.django_db
class TestCouriers:
    def test_drive_a_delivery_of_their_own_which_two_others_watch(self) -> None:
        lines = bench_clients(suite="gps", sockets=6, senders=2, rooms=2)

        assert [line.role for line in lines] == ["send"] * 2 + ["recv"] * 4
        assert [line.room for line in lines] == [lines[n].room for n in (0, 1, 0, 0, 1, 1)]
        assert [line.topic for line in lines] == [f"delivery:{line.room}" for line in lines]
        for place, line in enumerate(lines[:2]):
            delivery = Delivery.objects.get(id=UUID(line.room))
            courier = User.objects.get(public_id=user_of(line))
            assert (delivery.status, delivery.courier_id) == ("in_transit", courier.pk)
            assert courier.role == "courier"
            first, second = lines[2 + 2 * place : 4 + 2 * place]
            assert delivery.customer.public_id == user_of(first)
            worker = User.objects.get(public_id=user_of(second))
            assert delivery.shop_id is not None
            assert may_serve(actor=worker, shop_id=delivery.shop_id)
            assert delivery.destination is not None
            assert distance_m((41.0, 37.0 + place / 1000), delivery.destination) > 10_000

    def test_are_made_once(self) -> None:
        first = bench_clients(suite="gps", sockets=6, senders=2, rooms=2)
        second = bench_clients(suite="gps", sockets=6, senders=2, rooms=2, protocol="phoenix")

        assert [line.room for line in second] == [line.room for line in first]
        assert second[0].topic == f"delivery:delivery_{first[0].room}"
        assert Delivery.objects.count() == 2


@pytest.mark.django_db
class TestRefusals:
    def test_refuses_the_production_profile(self, settings: Settings) -> None:
        settings.PROFILE = "production"

        with pytest.raises(CommandError, match="production"):
            bench_clients()
        assert User.objects.count() == 0

    def test_says_what_a_courier_needs(self) -> None:
        with pytest.raises(CommandError, match="courier with a room of his own"):
            bench_clients(suite="gps", sockets=6, senders=2, rooms=3)

    @pytest.mark.parametrize(
        ("sockets", "senders", "rooms"), [(5001, 1, 1), (0, 0, 0), (2, 3, 1), (2, 1, 3), (2, -1, 1)]
    )
    def test_refuses_sizes_that_make_no_sense(self, sockets: int, senders: int, rooms: int) -> None:
        with pytest.raises(CommandError, match="must hold"):
            bench_clients(sockets=sockets, senders=senders, rooms=rooms)
        assert User.objects.count() == 0

    def test_refuses_when_tokens_would_not_last_a_run(self, settings: Settings) -> None:
        settings.TOKEN_TTL_OTP = 600

        with pytest.raises(CommandError, match="TOKEN_TTL_OTP"):
            bench_clients()


@pytest.mark.django_db(transaction=True)
class TestPrintedTokens:
    """The generator's own files are spoken, so that a change of a protocol breaks here first."""

    @pytest.mark.parametrize("protocol", ["plain", "phoenix"])
    def test_joins_its_topic_and_sends(self, protocol: str) -> None:
        line = bench_clients(protocol=protocol, sockets=2, senders=1, rooms=1)[0]

        refusal = async_to_sync(speak)(Wire.read(f"project_{protocol}"), line)

        assert refusal == ""
        assert list(Message.objects.values_list("content", "sender__public_id")) == [
            ("the parcel is on its way", user_of(line))
        ]

    @pytest.mark.parametrize("protocol", ["plain", "phoenix"])
    def test_does_not_join_the_topic_of_another_room(self, protocol: str) -> None:
        mine, other = bench_clients(protocol=protocol, sockets=2, senders=1, rooms=2)
        foreign = Line(mine.role, mine.token, other.room, other.topic)

        refusal = async_to_sync(speak)(Wire.read(f"project_{protocol}"), foreign)

        assert "room_not_found" in refusal
        assert Message.objects.count() == 0


def user_of(line: Line) -> str:
    """The public id that the token of this line speaks for."""
    return tokens.read_access(line.token).user_id


def row_counts() -> dict[str, int]:
    """How many rows of everything the command makes."""
    models = (User, AuthSession, Room, Member, TopicHead, Event)
    return {model.__name__: model.objects.count() for model in models}


@dataclass(frozen=True, slots=True)
class Wire:
    """One of the generator's wire files, as far as a join and one message need it."""

    path: str
    steps: tuple[tuple[str, str], ...]
    fails: tuple[str, ...]
    send: str
    ack: str
    ok: str
    event: str

    @classmethod
    def read(cls, name: str) -> "Wire":
        """The file `wire/<name>.wire`."""
        text = (WIRES / f"{name}.wire").read_text()
        lines = [line.split(maxsplit=1) for line in text.splitlines() if line[:1] not in ("", "#")]
        keys = dict(lines)
        return cls(
            path=keys["path"],
            steps=tuple((key, value) for key, value in lines if key in ("say", "expect")),
            fails=tuple(value for key, value in lines if key == "fail"),
            send=keys["send"],
            ack=keys["ack"],
            ok=keys["ok"],
            event=keys["event"],
        )


async def speak(wire: Wire, line: Line) -> str:
    """Join and send one message as the generator does; the frame that refused it, or nothing."""
    from marketplace.asgi import application

    values = {
        "token": line.token,
        "topic": line.topic,
        "ref": "7",
        "uuid": str(uuid4()),
        "text": "the parcel is on its way",
    }
    path = filled(wire.path, values | {"token": quote(line.token)})
    socket = WebsocketCommunicator(application, path, headers=[(b"host", b"localhost")])
    connected, code = await socket.connect()
    assert connected, code
    try:
        for key, text in wire.steps:
            if key == "say":
                await socket.send_to(text_data=filled(text, values))
            else:
                frame = await frame_with(socket, text, *wire.fails)
                if any(mark in frame for mark in wire.fails):
                    return frame
        await socket.send_to(text_data=filled(wire.send, values))
        frames = [await frame_with(socket, wire.ack, wire.event) for _ in range(2)]
        [ack] = [frame for frame in frames if wire.ack in frame]
        assert wire.ok in ack
        assert sum(wire.event in frame for frame in frames) == 1
        return ""
    finally:
        await socket.disconnect()
        await runtime().stop()


def filled(template: str, values: dict[str, str]) -> str:
    """The template with its {names} replaced; JSON braces stay."""
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), template)


async def frame_with(socket: WebsocketCommunicator, *marks: str) -> str:
    """The next frame with one of these marks; what else comes before is passed over."""
    async with asyncio.timeout(5):
        while True:
            frame = await socket.receive_from(timeout=5)
            if any(mark in frame for mark in marks):
                return str(frame)
