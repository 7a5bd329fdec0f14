"""The log over HTTP: pages of events, and the stream that resumes by `Last-Event-ID`."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import orjson
import pytest
from django.http import StreamingHttpResponse
from django.test import AsyncClient, Client

from accounts.models import User
from accounts.services.sessions import end_all
from chat.models import Room
from chat.services.members import remove_member
from chat.tests.factories import say, say_many
from marketplace.events.models import TopicHead
from marketplace.realtime import sse
from marketplace.tests.cast import access_token, signed_in
from marketplace.tests.sockets import Sockets, in_thread, settle


@pytest.mark.django_db
class TestPages:
    def test_bring_what_came_after_a_seq(self, room: Room, buyer: User) -> None:
        told = say_many(room, buyer, 3)
        path = f"/api/v1/topics/room:{room.id}/events"

        after = signed_in(buyer).get(f"{path}?after=2&limit=1").json()
        since = signed_in(buyer).get(f"{path}?since=2").json()
        newest = signed_in(buyer).get(f"{path}?limit=2").json()

        assert (after["latest_seq"], after["has_more"], after["horizon"]) == (4, True, 0)
        assert [one["payload"] for one in after["events"]] == [told[1]], "without sender_email"
        assert [one["event_seq"] for one in since["events"]] == [3, 4]
        assert [one["event_seq"] for one in newest["events"]] == [3, 4]

    @pytest.mark.parametrize(
        ("query", "reason"),
        [("after=99", "future"), ("after=1&epoch=x", "epoch"), ("after=1", "horizon")],
    )
    def test_say_reset_where_a_gap_cannot_be_told(
        self, room: Room, buyer: User, query: str, reason: str
    ) -> None:
        say_many(room, buyer, 3)
        TopicHead.objects.filter(topic=room.topic).update(horizon=2)

        page = signed_in(buyer).get(f"/api/v1/topics/room:{room.id}/events?{query}").json()

        assert (page["reset"], page["events"]) == (reason, [])

    def test_tell_a_stranger_that_there_is_no_room(self, room: Room, stranger: User) -> None:
        answer = signed_in(stranger).get(f"/api/v1/topics/room:{room.id}/events")

        assert (answer.status_code, answer.json()["code"]) == (404, "room_not_found")

    def test_take_the_token_of_the_address_as_the_stream_does(
        self, room: Room, buyer: User, stranger: User
    ) -> None:
        path = f"/api/v1/topics/room:{room.id}/events"

        own = Client().get(f"{path}?token={access_token(buyer)}")
        foreign = Client().get(f"{path}?token={access_token(stranger)}")

        assert [one["event_seq"] for one in own.json()["events"]] == [1]
        assert (foreign.status_code, foreign.json()["code"]) == (404, "room_not_found")
        assert Client().get(f"{path}?token=bad").json()["code"] == "invalid_token"
        assert Client().get(path).json()["code"] == "unauthorized"


async def read_stream(answer: Any) -> AsyncIterator[tuple[str, str, Any]]:
    """(event, id, data) of a stream; comments and `retry` are passed over."""
    content = cast(AsyncIterator[bytes], cast(StreamingHttpResponse, answer).streaming_content)
    async for block in content:
        fields = dict(line.split(": ", 1) for line in block.decode().strip().split("\n"))
        if "event" in fields:
            yield fields["event"], fields.get("id", ""), orjson.loads(fields["data"])


@pytest.mark.django_db(transaction=True)
class TestStream:
    async def open(self, room: Room, user: User, **headers: str) -> Any:
        token = await in_thread(access_token, user)
        return await AsyncClient().get(
            f"/api/v1/topics/room:{room.id}/events?token={token}",
            headers={"accept": "text/event-stream"} | headers,
        )

    async def test_resumes_by_last_event_id_and_goes_on_live(
        self, sockets: Sockets, room: Room, buyer: User
    ) -> None:
        await in_thread(say_many, room, buyer, 2)
        answer = await self.open(room, buyer, **{"last-event-id": "2"})
        stream = read_stream(answer)

        async with asyncio.timeout(5):
            ready, missed = await anext(stream), await anext(stream)
            waiting = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0.2)
            await in_thread(say, room, buyer, "live")
            live = await waiting

        assert answer.headers["Cache-Control"] == "no-cache, no-transform"
        assert (ready[0], ready[2]["recovered"], ready[2]["latest_seq"]) == ("ready", True, 3)
        assert (missed[0], missed[1], missed[2]["payload"]["content"]) == ("message.sent", "3", "2")
        assert (live[0], live[1], live[2]["event_seq"]) == ("message.sent", "4", 4)
        assert "sender_email" not in live[2]["payload"]
        await stream.aclose()  # type: ignore[attr-defined]  # an async generator

    async def test_ends_with_the_right_to_the_room(
        self, sockets: Sockets, room: Room, buyer: User, seller: User
    ) -> None:
        stream = read_stream(await self.open(room, seller))
        await anext(stream)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.2)

        await in_thread(remove_member, room=room, user=seller, actor=buyer)

        async with asyncio.timeout(5):
            told = [await waiting] + [one async for one in stream]
        assert told[-1][0] == "removed"

    async def test_says_that_the_token_has_ended(
        self, sockets: Sockets, room: Room, seller: User
    ) -> None:
        stream = read_stream(await self.open(room, seller))
        await anext(stream)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.2)

        await in_thread(end_all, user=seller, reason="logout")

        async with asyncio.timeout(5):
            assert (await waiting)[0] == "token_expired"
            assert [one async for one in stream] == []

    async def test_is_refused_to_a_stranger(
        self, sockets: Sockets, room: Room, stranger: User
    ) -> None:
        answer = await self.open(room, stranger)

        assert (answer.status_code, answer.json()["code"]) == (404, "room_not_found")

    async def test_has_its_heartbeat_however_much_is_said(
        self, sockets: Sockets, room: Room, buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sse, "COMMENT_S", 0.1)
        monkeypatch.setattr(sse, "HEARTBEAT_S", 0.2)
        answer = await self.open(room, buyer)
        heard: list[tuple[str, Any]] = []

        async def read() -> None:
            async for name, _, data in read_stream(answer):
                heard.append((name, data))

        reading = asyncio.ensure_future(read())
        await settle(lambda: any(name == "ready" for name, _ in heard))
        for number in range(12):
            await in_thread(say, room, buyer, str(number))
            await asyncio.sleep(0.05)
        await settle(lambda: [name for name, _ in heard].count("message.sent") == 12)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

        beats = [data["latest_seq"] for name, data in heard if name == "heartbeat"]
        assert len(beats) >= 2
        assert beats == sorted(beats), "each names what is newest then"
        assert [name for name, _ in heard].count("message.sent") == 12

    async def test_that_nobody_begins_to_read_leaves_nothing_behind(
        self, sockets: Sockets, room: Room, buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sse, "BEGUN_WITHIN_S", 0.05)

        await self.open(room, buyer)
        assert len(sockets.runtime.sessions) == 1
        await asyncio.sleep(0.1)

        assert sockets.runtime.sessions == set()
        assert sockets.runtime.hub.topics == {}

    async def test_is_refused_with_a_token_that_is_over(
        self, sockets: Sockets, room: Room, buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("marketplace.realtime.runtime.has_ended", lambda claims: True)

        answer = await self.open(room, buyer)

        assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")
