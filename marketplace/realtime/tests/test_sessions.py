"""Connections of both protocols against the real application: the rules of the socket contract."""

import time
from typing import Any

import pytest
from pytest_django import Settings

from accounts.models import User
from accounts.services.sessions import end_all
from chat.models import Message, Room
from chat.services.members import remove_member
from chat.tests.factories import say, say_many
from marketplace.core.clock import wire_time_of
from marketplace.realtime import checks as checks_module
from marketplace.realtime.hub import Lane
from marketplace.tests.cast import access_token
from marketplace.tests.sockets import Closed, Frame, PhoenixSocket, PlainSocket, Sockets, in_thread

pytestmark = pytest.mark.django_db(transaction=True)


def plain_topic(room: Room) -> str:
    return f"room:{room.id}"


def phoenix_topic(room: Room) -> str:
    return f"chat:room_{room.id}"


class TestOneRoomOnBothProtocols:
    @pytest.mark.parametrize("direct", [False, True])
    async def test_hears_every_message_once_and_in_order(
        self, sockets: Sockets, room: Room, buyer: User, seller: User, direct: bool
    ) -> None:
        sockets.direct = direct
        plain, phoenix = await sockets.plain(buyer), await sockets.phoenix(seller)
        old = await sockets.phoenix(seller, version=1)
        await plain.join(plain_topic(room))
        await phoenix.join(phoenix_topic(room))
        await old.join(phoenix_topic(room))

        reply = await plain.command(plain_topic(room), "message", content="Hello", client_id="1")
        answer = await phoenix.ask(phoenix_topic(room), "message", {"content": "Hi"})
        await in_thread(say, room, buyer, "by REST")

        assert (reply["status"], reply["response"]["duplicate"]) == ("ok", False)
        assert answer.payload["status"] == "ok"
        told = [[await plain.event("new_message") for _ in range(3)]]
        told += [[(await one.event("new_message")).payload for _ in range(3)]
                 for one in (phoenix, old)]  # fmt: skip
        assert told[0] == told[1] == told[2]
        assert [one["content"] for one in told[0]] == ["Hello", "Hi", "by REST"]
        assert [one["event_seq"] for one in told[0]] == [2, 3, 4]
        assert len({one["event_id"] for one in told[0]}) == 3
        assert "sender_email" not in told[0][0]

    async def test_answers_a_resend_on_the_other_protocol_with_the_first(
        self, sockets: Sockets, room: Room, buyer: User
    ) -> None:
        plain, phoenix = await sockets.plain(buyer), await sockets.phoenix(buyer)
        await plain.join(plain_topic(room))
        await phoenix.join(phoenix_topic(room))

        first = await plain.command(plain_topic(room), "message", content="x", client_id="c")
        again = await phoenix.ask(phoenix_topic(room), "message", {"content": "y", "tempId": "c"})

        assert again.payload["response"] == first["response"] | {"duplicate": True}
        assert await in_thread(Message.objects.count) == 1

    async def test_keeps_the_order_of_pipelined_messages(
        self, sockets: Sockets, room: Room, buyer: User, settings: Settings
    ) -> None:
        settings.MESSAGE_RATE_LIMIT = 0
        socket = await sockets.plain(buyer)
        topic = plain_topic(room)
        await socket.join(topic)

        for number in range(30):
            payload = {"content": str(number)}
            await socket.say(
                {"type": "event", "topic": topic, "event": "message", "payload": payload, "ref": 1}
            )

        told = [(await socket.event("new_message"))["content"] for _ in range(30)]
        assert told == [str(number) for number in range(30)]

    async def test_reads_after_what_it_sent_before(
        self, sockets: Sockets, room: Room, buyer: User, seller: User
    ) -> None:
        socket = await sockets.plain(seller)
        await in_thread(say, room, buyer)
        await socket.join(plain_topic(room))
        frame = {"type": "event", "topic": plain_topic(room), "ref": "m"}
        await socket.say(frame | {"event": "message", "payload": {"content": "x"}})

        read = await socket.command(plain_topic(room), "mark_read")

        assert read["response"] == {"last_read_seq": 3, "unread_count": 0}

    async def test_spares_the_one_who_types(
        self, sockets: Sockets, room: Room, buyer: User, seller: User
    ) -> None:
        typist, other = await sockets.plain(buyer), await sockets.plain(seller)
        for socket in (typist, other):
            await socket.join(plain_topic(room))

        for _ in range(2):
            reply = await typist.command(plain_topic(room), "typing")
            assert reply["response"] == {}

        heard = [one for one in await other.rest() if one.get("event") == "user_typing"]
        assert [one["payload"]["user_id"] for one in heard] == [buyer.public_id]
        assert not [one for one in await typist.rest() if one.get("event") == "user_typing"]

    async def test_tells_nobody_of_what_is_neither_typing_nor_its_end(
        self, sockets: Sockets, room: Room, buyer: User, seller: User
    ) -> None:
        typist, other = await sockets.plain(buyer), await sockets.plain(seller)
        for socket in (typist, other):
            await socket.join(plain_topic(room))

        reply = await typist.command(plain_topic(room), "typing", is_typing="perhaps")

        assert reply["response"]["code"] == "validation_failed"
        assert list(reply["response"]["details"]["fields"]) == ["is_typing"]
        assert not [one for one in await other.rest() if one.get("event") == "user_typing"]


class TestResume:
    async def test_brings_what_was_missed_and_then_live(
        self, sockets: Sockets, room: Room, buyer: User, seller: User
    ) -> None:
        await in_thread(say_many, room, buyer, 3)
        socket = await sockets.plain(seller)

        joined = await socket.join(plain_topic(room), since=2)
        await in_thread(say, room, buyer, "live")

        assert (joined["recovered"], joined["has_more"], joined["latest_seq"]) == (True, False, 4)
        missed = [(one["event"], one["event_seq"], one["content"]) for one in joined["missed"]]
        assert missed == [("new_message", 3, "2"), ("new_message", 4, "3")]
        assert (await socket.event("new_message"))["event_seq"] == 5

    @pytest.mark.parametrize("asked", [{"since": 99}, {"since": 1, "epoch": "other"}])
    async def test_says_reset_where_it_cannot_be_told(
        self, sockets: Sockets, room: Room, buyer: User, asked: dict[str, Any]
    ) -> None:
        socket = await sockets.plain(buyer)

        joined = await socket.join(plain_topic(room), **asked)

        assert (joined["recovered"], joined["reset"]) == (False, True)
        assert joined["reason"] == ("epoch" if "epoch" in asked else "future")
        assert joined["snapshot"]["id"] == str(room.id)

    async def test_pages_without_a_gap_or_a_repeat_while_others_speak(
        self, sockets: Sockets, room: Room, buyer: User, seller: User,
        settings: Settings, monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        settings.MESSAGE_RATE_LIMIT = 0
        monkeypatch.setattr("marketplace.events.replay.replay_all.__kwdefaults__", {"limit": 5})
        await in_thread(say_many, room, buyer, 7)
        socket = await sockets.plain(seller)

        page = await socket.join(plain_topic(room), since=1)
        seqs = [one["event_seq"] for one in page["missed"]]
        assert page["has_more"]
        await in_thread(say, room, buyer, "between the pages")
        assert not [one for one in await socket.rest() if one.get("event") == "new_message"]
        while page["has_more"]:
            page = (await socket.command(plain_topic(room), "sync", since=seqs[-1]))["response"]
            seqs += [one["event_seq"] for one in page["missed"]]
        await in_thread(say, room, buyer, "live")
        seqs.append((await socket.event("new_message"))["event_seq"])

        assert seqs == list(range(2, 11))

    @pytest.mark.parametrize("since", ["x", -1, True, "9" * 5000, 2**63])
    async def test_refuses_a_since_that_is_none(
        self, sockets: Sockets, room: Room, buyer: User, since: object
    ) -> None:
        socket = await sockets.plain(buyer)

        reply = await socket.ask(type="join", topic=plain_topic(room), since=since)

        assert reply["response"]["code"] == "validation_failed"

    async def test_names_the_newest_seq_in_the_heartbeat(
        self, sockets: Sockets, room: Room, buyer: User
    ) -> None:
        plain, phoenix = await sockets.plain(buyer), await sockets.phoenix(buyer)
        await plain.join(plain_topic(room))
        await phoenix.join(phoenix_topic(room))
        await plain.command(plain_topic(room), "message", content="x")

        for tick in range(30):
            sockets.runtime.checks.tick(tick)
        beat = await plain.hear_until(lambda one: one["type"] == "heartbeat")
        reply = await phoenix.ask("phoenix", "heartbeat")

        assert beat["latest"] == {plain_topic(room): 2}
        assert reply.payload["response"] == {"latest": {phoenix_topic(room): 2}}


class TestAccess:
    @pytest.mark.parametrize("name", ["message", "typing", "mark_read", "sync"])
    async def test_answers_a_stranger_nothing(
        self, sockets: Sockets, room: Room, stranger: User, name: str
    ) -> None:
        plain, phoenix = await sockets.plain(stranger), await sockets.phoenix(stranger)

        refused = await plain.ask(type="join", topic=plain_topic(room))
        pushed = await plain.command(plain_topic(room), name, content="x")
        unjoined = await phoenix.ask(phoenix_topic(room), "phx_join")
        unmatched = await phoenix.ask(phoenix_topic(room), name, {"content": "x"})

        assert refused["response"]["code"] == "room_not_found"
        assert pushed["response"]["code"] == "unmatched topic"
        assert unjoined.payload["response"]["reason"] == "room_not_found"
        assert unmatched.payload["response"]["reason"] == "unmatched topic"
        assert await in_thread(Message.objects.count) == 0

    async def test_keeps_feeds_of_others_shut(
        self, sockets: Sockets, buyer: User, stranger: User
    ) -> None:
        plain, phoenix = await sockets.plain(stranger), await sockets.phoenix(stranger)

        foreign = await plain.ask(type="join", topic=f"user:{buyer.public_id}")
        named = await phoenix.ask(f"notification:{buyer.public_id}", "phx_join")
        own = await plain.join("user:me")

        assert foreign["response"]["code"] == "forbidden"
        assert named.payload["response"]["reason"] == "user_not_authorized"
        assert own["total_unread"] == 0

    async def test_ends_a_removed_members_topic_on_every_protocol(
        self, sockets: Sockets, room: Room, seller: User, buyer: User
    ) -> None:
        plain, phoenix = await sockets.plain(seller), await sockets.phoenix(seller)
        fixed = await sockets.plain(seller, f"/ws/rooms/{room.id}/")
        await plain.join(plain_topic(room))
        await phoenix.join(phoenix_topic(room))
        await fixed.hear_until(lambda one: one["type"] == "reply")

        await in_thread(remove_member, room=room, user=seller, actor=buyer)
        removed = await plain.event("removed")
        closed = await phoenix.event("phx_close")
        await in_thread(say, room, buyer, "among ourselves")

        assert removed == {"topic": plain_topic(room), "reason": "removed"}
        assert (closed.join_ref, closed.ref) == ("1", "1")
        assert await fixed.closed() == 4403
        for socket in (plain, phoenix):
            assert "among ourselves" not in str(await socket.rest())


class TestTokens:
    async def test_revocation_closes_with_4401_within_a_second(
        self, sockets: Sockets, buyer: User
    ) -> None:
        plain, phoenix = await sockets.plain(buyer), await sockets.phoenix(buyer)
        began = time.monotonic()

        await in_thread(end_all, user=buyer, reason="logout")

        assert [await plain.closed(), await phoenix.closed()] == [4401, 4401]
        assert time.monotonic() - began < 1

    async def test_a_revoked_session_hears_no_frame(self, sockets: Sockets, buyer: User) -> None:
        token = await in_thread(access_token, buyer)
        await in_thread(end_all, user=buyer, reason="logout")

        socket = await sockets.open(PlainSocket, "/ws/", None, token=token)

        with pytest.raises(Closed) as end:
            await socket.hear()
        assert end.value.code == 4401

    async def test_a_lost_revocation_is_found_by_the_check(
        self, sockets: Sockets, buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        socket = await sockets.plain(buyer)
        monkeypatch.setattr("marketplace.events.live._listeners", [])
        await in_thread(end_all, user=buyer, reason="logout")

        await sockets.runtime.checks.check()

        assert await socket.closed() == 4401

    async def test_expiry_is_told_a_minute_before_and_then_closes(
        self, sockets: Sockets, buyer: User
    ) -> None:
        socket = await sockets.plain(buyer)
        here = sockets.runtime
        [session] = here.sessions

        here.checks._check_expiry(session, session.expires_at - 61)
        assert await socket.rest() == []
        here.checks._check_expiry(session, session.expires_at - 59)
        here.checks._check_expiry(session, session.expires_at - 30)
        told = await socket.rest()
        here.checks._check_expiry(session, session.expires_at)

        assert [one["event"] for one in told] == ["token_expiring"]
        assert told[0]["payload"] == {"expires_at": wire_time_of(session.expires_at)}
        assert await socket.closed() == 4401

    async def test_a_newer_token_keeps_socket_and_topics(
        self, sockets: Sockets, room: Room, buyer: User
    ) -> None:
        socket, phoenix = await sockets.plain(buyer), await sockets.phoenix(buyer)
        await socket.join(plain_topic(room))
        await phoenix.join(phoenix_topic(room))
        token = await in_thread(access_token, buyer)

        reply = await socket.ask(type="access_token", token=token)
        pushed = await phoenix.ask(phoenix_topic(room), "access_token", {"token": token})
        sent = await socket.command(plain_topic(room), "message", content="still here")

        assert set(reply["response"]) == {"expires_at"}
        assert pushed.payload["response"] == reply["response"]
        assert sent["status"] == "ok"

    async def test_a_token_of_somebody_else_is_refused(
        self, sockets: Sockets, buyer: User, seller: User
    ) -> None:
        socket = await sockets.plain(buyer)
        token = await in_thread(access_token, seller)

        reply = await socket.ask(type="access_token", token=token)

        assert reply["response"]["code"] == "forbidden"

    async def test_a_bad_token_is_refused_before_the_accept(self, sockets: Sockets) -> None:
        for path in ("/ws/", "/socket/websocket", "/ws/rooms/x/"):
            with pytest.raises(Closed) as end:
                await sockets.open(PlainSocket, path, None, token="bad")
            assert end.value.code == 403


class TestLimits:
    async def test_the_third_warning_of_a_flood_closes_with_4029(
        self, sockets: Sockets, buyer: User
    ) -> None:
        socket = await sockets.plain(buyer)

        for _ in range(110):
            await socket.say({"type": "ping"})

        assert await socket.closed() == 4029

    @pytest.mark.parametrize("text", ["x" * 65_537, "\u20ac" * 30_000])
    async def test_a_frame_over_64_kib_closes_with_4009(
        self, sockets: Sockets, buyer: User, text: str
    ) -> None:
        socket = await sockets.plain(buyer)

        await socket.say(text)

        assert await socket.closed() == 4009

    async def test_the_tenth_frame_that_is_none_closes_with_4003(
        self, sockets: Sockets, buyer: User
    ) -> None:
        socket = await sockets.plain(buyer)

        for number in range(10):
            await socket.say((b"\x00", "{", "[]", '{"type":"nonsense"}')[number % 4])

        errors = [(await socket.hear())["error"]["code"] for _ in range(10)]
        assert set(errors) == {"malformed_request", "validation_failed"}
        assert await socket.closed() == 4003

    async def test_one_socket_more_than_allowed_is_closed_with_4029(
        self, sockets: Sockets, buyer: User, settings: Settings
    ) -> None:
        settings.MAX_SOCKETS_PER_USER = 1
        await sockets.plain(buyer)

        socket = await sockets.phoenix(buyer)

        assert await socket.closed() == 4029

    async def test_a_topic_too_many_is_refused_in_phoenix_own_words(
        self, sockets: Sockets, room: Room, buyer: User
    ) -> None:
        socket = await sockets.phoenix(buyer)
        sockets.runtime.max_topics = 1
        await socket.join("notification:me")

        refused = await socket.ask(phoenix_topic(room), "phx_join")

        assert refused.payload["response"]["reason"] == "too many channels joined"

    async def test_a_peer_that_does_not_read_is_closed_with_4008(
        self, sockets: Sockets, room: Room, buyer: User, seller: User, settings: Settings
    ) -> None:
        settings.MESSAGE_RATE_LIMIT = 0
        slow, quick = await sockets.plain(seller, direct=True), await sockets.plain(buyer)
        for socket in (slow, quick):
            await socket.join(plain_topic(room))
        slow.frames.stuck, slow.frames.unsent = True, 1024 * 1024

        await quick.command(plain_topic(room), "message", content="x" * 100)

        assert await slow.closed() == 4008
        assert (await quick.event("new_message"))["content"] == "x" * 100


class TestPhoenix:
    async def test_tells_who_joins_in_the_order_that_clients_rely_on(
        self, sockets: Sockets, room: Room, buyer: User
    ) -> None:
        await in_thread(say, room, buyer, "before")
        socket = await sockets.phoenix(buyer)

        await socket.say(["1", "1", phoenix_topic(room), "phx_join", {}])

        heard = [await socket.hear() for _ in range(4)]
        assert [one.event for one in heard] == [
            "phx_reply", "messages_history", "user_joined", "presence_state",
        ]  # fmt: skip
        assert [one["content"] for one in heard[1].payload["messages"]] == ["before"]
        assert list(heard[3].payload) == [buyer.public_id]
        assert [one.join_ref for one in heard] == ["1"] * 4

    async def test_shows_two_connections_as_one_key_with_two_metas(
        self, sockets: Sockets, room: Room, buyer: User, seller: User
    ) -> None:
        watcher = await sockets.phoenix(buyer)
        await watcher.join(phoenix_topic(room))
        one, two = await sockets.phoenix(seller), await sockets.phoenix(seller)
        await one.join(phoenix_topic(room))
        await two.join(phoenix_topic(room))

        state = (await two.event("presence_state")).payload
        await one.leave()
        await two.leave()

        assert len(state[seller.public_id]["metas"]) == 2
        heard = await watcher.rest()
        names = [frame.event for frame in heard if frame.payload.get("user_id") != buyer.public_id]
        assert names.count("user_joined") == 1
        assert names.count("user_left") == 1
        assert names.count("presence_diff") == 4

    @pytest.mark.parametrize("version", [1, 2])
    async def test_closes_the_older_channel_of_a_second_join_on_v2_alone(
        self, sockets: Sockets, room: Room, buyer: User, version: int
    ) -> None:
        socket = await sockets.phoenix(buyer, version=version)
        topic = phoenix_topic(room)
        await socket.join(topic, last_seq=1)
        await socket.rest()

        await socket.join(topic, last_seq=1)

        closes = [one for one in await socket.rest() if one.event == "phx_close"]
        assert closes == ([] if version == 1 else [Frame("1", "1", topic, "phx_close", {})])

    async def test_closes_the_channel_of_the_other_spelling(
        self, sockets: Sockets, room: Room, buyer: User
    ) -> None:
        socket = await sockets.phoenix(buyer, version=1)
        await socket.join(phoenix_topic(room))

        await socket.join(f"group:{room.id}")

        assert (await socket.event("phx_close")).topic == phoenix_topic(room)

    async def test_passes_over_pushes_of_an_older_channel(
        self, sockets: Sockets, room: Room, buyer: User
    ) -> None:
        socket = await sockets.phoenix(buyer)
        topic = phoenix_topic(room)
        await socket.join(topic)
        await socket.rest()

        await socket.say(["stale", "8", topic, "message", {"content": "x"}])
        assert await socket.rest() == []
        reply = await socket.ask(topic, "message", {"content": "y"})

        assert reply.join_ref == "1", "a push without join_ref is answered with the channel's"

    async def test_speaks_beat_messaging_on_group_topics(
        self, sockets: Sockets, room: Room, buyer: User
    ) -> None:
        socket = await sockets.phoenix(buyer)
        await socket.join(f"group:{room.id}")

        reply = await socket.ask(f"group:{room.id}", "send_text_msg", {"content": "hi"})
        heard = await socket.event("recived_message")

        assert reply.payload["response"]["status"] == "pending"
        assert (heard.payload["type"], heard.payload["group_id"]) == ("text", str(room.id))

    async def test_understands_a_binary_push(
        self, sockets: Sockets, room: Room, buyer: User
    ) -> None:
        socket = await sockets.phoenix(buyer)
        topic = phoenix_topic(room)
        await socket.join(topic)
        texts = [b"1", b"9", topic.encode(), b"message"]

        await socket.say(bytes([0, *map(len, texts)]) + b"".join(texts) + b'{"content":"in bytes"}')

        assert (await socket.event("new_message")).payload["content"] == "in bytes"

    @pytest.mark.parametrize("frame", ["{", "[]", '["1","1","t"]', "{}", '["1","1",1,"e",{}]'])
    async def test_ends_with_4003_for_what_is_no_frame(
        self, sockets: Sockets, buyer: User, frame: str
    ) -> None:
        socket = await sockets.phoenix(buyer)

        await socket.say(frame)

        assert await socket.closed() == 4003

    async def test_refuses_a_version_that_it_does_not_speak(
        self, sockets: Sockets, buyer: User
    ) -> None:
        with pytest.raises(Closed):
            await sockets.open(PhoenixSocket, "/socket/websocket?vsn=9.0.0", buyer)

    async def test_answers_a_failure_of_ours_and_has_the_client_rejoin(
        self, sockets: Sockets, room: Room, buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(**_: object) -> None:
            raise RuntimeError("a fault")

        socket = await sockets.phoenix(buyer)
        topic = phoenix_topic(room)
        await socket.join(topic)
        monkeypatch.setattr("chat.services.reads.mark_read", fail)

        reply = await socket.ask(topic, "mark_read")
        error = await socket.event("phx_error")

        assert reply.payload["response"]["code"] == "internal_error"
        assert error == Frame("1", "1", topic, "phx_error", {"reason": "channel_crash"})


class TestOneTopicUrl:
    async def test_joins_by_itself_and_takes_frames_without_a_topic(
        self, sockets: Sockets, room: Room, buyer: User
    ) -> None:
        socket = await sockets.plain(buyer, f"/ws/chat/rooms/{room.id}/?since=0")
        frame = {"type": "event", "event": "message", "payload": {"content": "x"}, "ref": "1"}
        await socket.say(frame)  # at once, before the join is answered

        joined = await socket.hear_until(lambda one: one["type"] == "reply" and "ref" not in one)
        sent = await socket.hear_until(lambda one: one.get("ref") == "1")

        assert [one["event"] for one in joined["response"]["missed"]] == ["room_created"]
        assert sent["status"] == "ok"
        refused = await socket.ask(type="join", topic="user:me")
        assert refused["response"]["code"] == "validation_failed"

    async def test_ends_with_4403_where_there_is_no_right(
        self, sockets: Sockets, room: Room, stranger: User
    ) -> None:
        socket = await sockets.plain(stranger, f"/ws/rooms/{room.id}")

        assert (await socket.hear())["error"]["code"] == "room_not_found"
        assert await socket.closed() == 4403


class TestHubOfTheApplication:
    async def test_encodes_a_message_once_for_a_whole_lane(
        self, sockets: Sockets, room: Room, buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        encoded: list[str] = []
        encode = Lane.texts

        def count(lane: Lane, event: Any) -> list[bytes]:
            encoded.append(lane.wire.name)
            return encode(lane, event)

        opened = [await sockets.plain(buyer) for _ in range(4)]
        for socket in opened:
            await socket.join(plain_topic(room))
        monkeypatch.setattr(Lane, "texts", count)

        await opened[0].command(plain_topic(room), "message", content="x")
        for socket in opened:
            await socket.event("new_message")

        assert encoded == ["plain"]

    async def test_finds_by_itself_what_no_push_told(
        self, sockets: Sockets, room: Room, buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        socket = await sockets.plain(buyer)
        await socket.join(plain_topic(room))
        with monkeypatch.context() as patch:
            patch.setattr("marketplace.events.live._listeners", [])
            await in_thread(say, room, buyer, "unheard")

        await sockets.runtime.checks.check()

        assert (await socket.event("new_message"))["content"] == "unheard"

    async def test_tells_unread_counts_once_a_second(
        self, sockets: Sockets, room: Room, buyer: User, seller: User
    ) -> None:
        assert checks_module.CHECK_S == 20
        socket = await sockets.plain(seller)
        await socket.join("user:me")
        await in_thread(say_many, room, buyer, 3)

        told = await socket.event("unread_changed")

        assert (told["total_unread"], told["rooms"]) == (3, {str(room.id): 3})
