"""How connections end and what stands in the log of them; drains; what nobody hears any more."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import structlog
from pytest_django import Settings

from accounts.enums import EndReason
from accounts.models import User
from accounts.services import tokens
from accounts.services.sessions import end_all
from chat.models import Room
from chat.services.members import remove_member
from chat.tests.factories import say, say_many
from marketplace.core.observe import SOCKETS
from marketplace.tests.cast import access_token
from marketplace.tests.sockets import Closed, PhoenixSocket, PlainSocket, Sockets, in_thread

pytestmark = pytest.mark.django_db(transaction=True)


def open_sockets(protocol: str) -> float:
    return float(SOCKETS.labels(protocol)._value.get())


class Lines:
    """What is logged of sockets."""

    def __init__(self, lines: Iterable[Any]) -> None:
        self.all = lines

    def named(self, *names: str) -> list[dict[str, Any]]:
        return [dict(line) for line in self.all if line["event"] in names]


@contextmanager
def logged() -> Iterator[Lines]:
    """What is logged meanwhile."""
    with structlog.testing.capture_logs() as lines:
        yield Lines(lines)


class TestLog:
    async def test_tells_of_a_connection_and_its_end_by_one_request_id(
        self, sockets: Sockets, buyer: User
    ) -> None:
        before = open_sockets("plain")
        with logged() as lines:
            socket = await sockets.plain(buyer)
            assert open_sockets("plain") == before + 1
            await socket.channel.send_input({"type": "websocket.disconnect", "code": 1001})
            await socket.channel.wait()

        [opened] = lines.named("connect")
        [closed] = lines.named("disconnect")
        assert (opened["protocol"], opened["user_id"]) == ("plain", buyer.public_id)
        assert opened["request_id"] == closed["request_id"] != ""
        assert (closed["close_code"], closed["reason"]) == (1001, "client")
        assert open_sockets("plain") == before

    async def test_tells_the_code_that_the_server_closes_with(
        self, sockets: Sockets, buyer: User
    ) -> None:
        with logged() as lines:
            socket = await sockets.phoenix(buyer)
            await socket.say("nonsense")
            assert await socket.closed() == 4003
            await socket.leave()

        [closed] = lines.named("disconnect")
        assert (closed["close_code"], closed["reason"]) == (4003, "not_understood")

    async def test_tells_of_one_that_is_refused(
        self, sockets: Sockets, buyer: User, seller: User, settings: Settings
    ) -> None:
        settings.MAX_SOCKETS_PER_USER = 1
        token = await in_thread(access_token, seller)
        await in_thread(end_all, user=seller, reason=EndReason.LOGOUT)
        await sockets.plain(buyer)
        with logged() as lines:
            assert await (await sockets.phoenix(buyer)).closed() == 4029
            ended = await sockets.open(PlainSocket, "/ws/", None, token=token)
            assert await ended.closed() == 4401

        told = lines.named("socket_refused")
        assert [(one["close_code"], one["reason"], one["user_id"]) for one in told] == [
            (4029, "too_many_connections", buyer.public_id),
            (4401, "token_revoked", seller.public_id),
        ]
        assert all(one["request_id"] for one in told)
        assert lines.named("connect", "disconnect") == []

    async def test_counts_one_who_proves_himself_in_a_join_once(
        self, sockets: Sockets, room: Room, buyer: User
    ) -> None:
        before = open_sockets("phoenix-v2")
        token = await in_thread(access_token, buyer)
        socket = await sockets.phoenix(None)
        await socket.join(f"chat:room_{room.id}", token=token)

        assert open_sockets("phoenix-v2") == before + 1
        assert sockets.runtime._anonymous == {}
        await socket.leave()
        assert open_sockets("phoenix-v2") == before
        assert sockets.runtime._by_user == {}


class TestTokenThatIsOver:
    async def test_is_refused_before_the_accept_although_requests_have_leeway(
        self, sockets: Sockets, buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token = await in_thread(access_token, buyer)
        claims = replace(tokens.read_access(token), expires_at=time.time() - 1)
        monkeypatch.setattr("accounts.services.tokens.read_access", lambda token: claims)

        for kind, path in ((PlainSocket, "/ws/"), (PhoenixSocket, "/socket/websocket")):
            with pytest.raises(Closed) as end:
                await sockets.open(kind, path, None, token=token)
            assert end.value.code == 403
        anonymous = await sockets.plain(None)
        refused = await anonymous.ask(type="join", topic="user:me", payload={"token": token})

        assert refused["response"]["code"] == "token_expired"
        assert len(sockets.runtime.sessions) == 1


class TestSync:
    async def test_answers_the_state_of_the_topic_as_a_join_does(
        self, sockets: Sockets, room: Room, buyer: User
    ) -> None:
        topic = f"room:{room.id}"
        socket = await sockets.plain(buyer)
        joined = await socket.join(topic)
        await in_thread(say_many, room, buyer, 2)

        reply = await socket.command(topic, "sync", since=1)

        response = reply["response"]
        assert set(response) == set(joined)
        assert response["room"]["id"] == str(room.id)
        assert response["online"] == [buyer.public_id]
        assert [one["event_seq"] for one in response["missed"]] == [2, 3]


class TestDrain:
    async def test_closes_everybody_with_1012_spread_over_its_time(
        self, sockets: Sockets, buyer: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.MAX_SOCKETS_PER_USER = 200
        opened: list[PlainSocket | PhoenixSocket] = [await sockets.plain(buyer) for _ in range(3)]
        opened += [await sockets.phoenix(buyer) for _ in range(2)]
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        monkeypatch.setattr("asyncio.sleep", sleep)
        await sockets.runtime.drain(5.0)
        monkeypatch.undo()

        assert [await one.closed() for one in opened] == [1012] * 5
        assert sum(slept) == pytest.approx(5.0)
        assert sockets.runtime.sessions == set()
        with pytest.raises(Closed) as end:
            await sockets.open(PlainSocket, "/ws/", buyer)
        assert end.value.code == 403

    async def test_takes_fifty_at_a_time_of_many(self, sockets: Sockets, monkeypatch: Any) -> None:
        class Stub:
            code = 0

            def close(self, code: int) -> None:
                self.code = code

        steps: list[tuple[float, int]] = []
        stubs = [Stub() for _ in range(120)]

        async def sleep(seconds: float) -> None:
            steps.append((round(seconds, 3), Counter(one.code for one in stubs)[1012]))

        here = sockets.runtime
        here.sessions = set(stubs)  # type: ignore[arg-type]  # stand for sessions
        monkeypatch.setattr("asyncio.sleep", sleep)
        await here.drain(6.0)
        monkeypatch.undo()
        here.sessions = set()

        assert steps == [(2.5, 50), (2.5, 100), (2.5, 120)]


class TestNobodyHearsMore:
    """X7: after a removal and after a change of the password, on every protocol."""

    @pytest.mark.parametrize("ended_by", ["removal", "password"])
    async def test_than_he_may(
        self, sockets: Sockets, room: Room, buyer: User, seller: User, ended_by: str
    ) -> None:
        plain, two = await sockets.plain(seller), await sockets.phoenix(seller)
        one = await sockets.phoenix(seller, version=1)
        await plain.join(f"room:{room.id}")
        await two.join(f"chat:room_{room.id}")
        await one.join(f"group:{room.id}")
        for socket in (plain, one, two):
            await socket.rest()

        if ended_by == "removal":
            await in_thread(remove_member, room=room, user=seller, actor=buyer)
        else:
            await in_thread(end_all, user=seller, reason=EndReason.PASSWORD_CHANGED)
            assert [await socket.closed() for socket in (plain, one, two)] == [4401] * 3
        await in_thread(say, room, buyer, "not for him")

        for socket in (plain, one, two):
            told = [] if ended_by == "password" else await socket.rest()
            assert "not for him" not in str(told)
        here = sockets.runtime
        assert not [m for s in here.sessions for m in s.memberships.values() if m.ref.id]


class TestASlowReader:
    async def test_is_cut_off_and_resumes_without_a_gap_while_others_hear_on(
        self, sockets: Sockets, room: Room, buyer: User, seller: User, settings: Settings
    ) -> None:
        settings.MESSAGE_RATE_LIMIT = 0
        topic = f"room:{room.id}"
        slow, quick = await sockets.plain(seller, direct=True), await sockets.plain(buyer)
        await slow.join(topic)
        await quick.join(topic)
        slow.frames.stuck = True

        for _ in range(26):
            await in_thread(say_many, room, buyer, 10)
        heard = [(await quick.event("new_message"))["event_seq"] for _ in range(260)]
        assert heard == list(range(2, 262))
        seqs: list[int] = []

        async def hear_all() -> None:
            while True:
                frame = await slow.hear()
                if frame.get("event") == "new_message":
                    seqs.append(frame["payload"]["event_seq"])

        with pytest.raises(Closed) as end:
            await hear_all()
        assert end.value.code == 4008
        assert seqs == list(range(2, 2 + len(seqs)))
        assert len(seqs) <= 257

        back = await sockets.plain(seller)
        page = await back.join(topic, since=seqs[-1])
        seqs += [one["event_seq"] for one in page["missed"]]
        assert seqs == heard
