"""Whatever comes in: the right status or close code, a stable code, nothing written, no traceback.

One live server for all of it; a neighbour talks in its room before and after. More frames for the
fuzz: MARKETPLACE_FUZZ_FRAMES, another seed: MARKETPLACE_SEED.
"""

import asyncio
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2 as httpx
import pytest
from websockets.exceptions import InvalidStatus

from marketplace.tests.clients.talkers import PROTOCOLS, Gone, Refused, Talker
from marketplace.tests.live import SERVERS, Person, Server, Site

pytestmark = [pytest.mark.integration]

FUZZ_FRAMES = int(os.environ.get("MARKETPLACE_FUZZ_FRAMES", "3000"))
SEED = int(os.environ.get("MARKETPLACE_SEED", "7"))
DEEP = 200_000
NOBODY = str(uuid4())


@dataclass
class House:
    """A server, a neighbour's room, and a stranger to it."""

    site: Site
    server: Server
    asha: Person
    bruno: Person
    farid: Person
    room_id: str

    def stored(self) -> list[str]:
        """Contents of the room's messages."""
        answer = self.call("GET", f"/api/v1/chat/rooms/{self.room_id}/messages?limit=100")
        return [one["content"] for one in answer.json()["items"]]

    def latest_seq(self) -> int:
        """Where the room's log stands."""
        found: int = self.call("GET", f"/api/v1/topics/room:{self.room_id}/events").json()[
            "latest_seq"
        ]
        return found

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        """A request of Asha's."""
        headers = {**self.asha.headers, **more.pop("headers", {})}
        return httpx.request(method, self.server.url + path, headers=headers, timeout=20, **more)


@pytest.fixture(scope="module", params=SERVERS)
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """Both servers; the logs are searched at the end."""
    folder: Path = tmp_path_factory.mktemp(f"broken-{request.param}")
    # The limits of a connection are tested by their own cases, which set them off on purpose.
    with Site(folder) as site:
        server = site.start(request.param)
        asha, bruno, farid = (site.sign_up(server, name) for name in ("asha", "bruno", "farid"))
        yield House(site, server, asha, bruno, farid, site.open_room(server, asha, bruno))


# -- REST ----------------------------------------------------------------------------------------

BODY_ROUTES = [
    ("POST", "/api/auth/register", False),
    ("POST", "/api/auth/request-otp", False),
    ("POST", "/api/auth/verify-otp", False),
    ("POST", "/api/v1/auth/register", False),
    ("POST", "/api/v1/auth/otp/request", False),
    ("POST", "/api/v1/auth/otp/verify", False),
    ("POST", "/api/v1/auth/refresh", False),
    ("PATCH", "/api/v1/users/me", True),
    ("POST", "/api/v1/chat/rooms", True),
    ("POST", "/api/v1/chat/rooms/{room}/messages", True),
    ("POST", "/api/v1/chat/rooms/{room}/read", True),
]
SIGNED_ROUTES = [
    ("GET", "/api/v1/auth/me"),
    ("POST", "/api/v1/auth/logout"),
    ("GET", "/api/v1/users/me"),
    ("GET", "/api/v1/users/{nobody}"),
    ("GET", "/api/v1/chat/rooms"),
    ("GET", "/api/v1/chat/unread"),
    ("GET", "/api/v1/chat/rooms/{room}"),
    ("GET", "/api/v1/chat/rooms/{room}/members"),
    ("POST", "/api/v1/chat/rooms/{room}/leave"),
    ("GET", "/api/v1/chat/rooms/{room}/messages"),
    ("GET", "/api/v1/chat/rooms/{room}/messages/{nobody}"),
    ("GET", "/api/v1/topics/room:{room}/events"),
    *((method, path) for method, path, signed in BODY_ROUTES if signed),
]
# What is no JSON object for any route.
BROKEN_BODIES: list[tuple[str, bytes, int, str]] = [
    ("not JSON", b"{", 400, "malformed_request"),
    ("a word", b"hello", 400, "malformed_request"),
    ("an array", b"[1]", 400, "malformed_request"),
    ("a number", b"5", 400, "malformed_request"),
    ("null", b"null", 400, "malformed_request"),
    ("a text", b'"text"', 400, "malformed_request"),
    ("deep arrays", b"[" * DEEP, 400, "malformed_request"),
    ("a deep value", b'{"content":' + b"[" * DEEP + b"]" * DEEP + b"}", 400, "malformed_request"),
    ("a deep object", b'{"a":' * 50 + b"1" + b"}" * 50, 400, "malformed_request"),
    ("NaN", b'{"content":NaN}', 400, "malformed_request"),
    ("bad UTF-8", b'{"content":"\xff\xfe"}', 400, "malformed_request"),
    ("too large", b'{"content":"' + b"a" * 1_100_000 + b'"}', 413, "payload_too_large"),
]
# Objects whose values no route may take; a field that a route does not know is passed over.
WRONG_VALUES: list[tuple[str, Any]] = [
    ("an object", {"$ne": None}),
    ("a list", ["a"]),
    ("true", True),
    ("NUL", "a\0b"),
    ("too long", "a" * 20_000),
    ("a huge number", 10**400),
]
TEXT_FIELDS = {
    "/api/auth/register": ("username", "phone_number"),
    "/api/auth/request-otp": ("phone_number",),
    "/api/auth/verify-otp": ("phone_number", "otp"),
    "/api/v1/auth/register": ("username", "phone_number"),
    "/api/v1/auth/otp/request": ("phone_number",),
    "/api/v1/auth/otp/verify": ("phone_number", "otp"),
    "/api/v1/auth/refresh": ("refresh_token",),
    "/api/v1/users/me": ("name",),
    "/api/v1/chat/rooms": ("kind",),
    "/api/v1/chat/rooms/{room}/messages": ("content",),
    "/api/v1/chat/rooms/{room}/read": ("message_id",),
}


def checked(answer: httpx.Response, status: int | tuple[int, ...], code: str | None) -> None:
    """The status, the code, and a request id that stands in header and body."""
    wanted = status if isinstance(status, tuple) else (status,)
    said = f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text}"
    assert answer.status_code in wanted, said[:600]
    body = answer.json()
    if code is not None:
        assert body["code"] == code, said[:600]
    assert body["request_id"] == answer.headers["x-request-id"], said[:600]
    assert isinstance(body["details"], (dict, list))


class TestRest:
    def test_bodies_that_are_no_json_object(self, house: House) -> None:
        before = house.latest_seq()
        with httpx.Client(base_url=house.server.url, timeout=20) as client:
            for method, path, _ in BODY_ROUTES:
                url = path.format(room=house.room_id)
                for _, body, status, code in BROKEN_BODIES:
                    headers = {**house.asha.headers, "Content-Type": "application/json"}
                    answer = client.request(method, url, content=body, headers=headers)
                    checked(answer, status, code)
        assert house.latest_seq() == before

    def test_values_of_the_wrong_type(self, house: House) -> None:
        before = house.latest_seq()
        with httpx.Client(base_url=house.server.url, timeout=20) as client:
            for method, path, _ in BODY_ROUTES:
                url = path.format(room=house.room_id)
                for field in TEXT_FIELDS[path]:
                    for _, value in WRONG_VALUES:
                        body = json.dumps({field: value}).encode()
                        headers = {**house.asha.headers, "Content-Type": "application/json"}
                        answer = client.request(method, url, content=body, headers=headers)
                        checked(answer, (400, 401), None)
        assert house.latest_seq() == before

    def test_lone_surrogates_are_refused(self, house: House) -> None:
        answer = house.call(
            "POST", f"/api/v1/chat/rooms/{house.room_id}/messages",
            content=b'{"content":"\\ud800"}', headers={"Content-Type": "application/json"},
        )  # fmt: skip

        checked(answer, 400, None)
        assert answer.json()["code"] in ("malformed_request", "validation_failed")

    def test_a_content_type_that_is_not_json(self, house: House) -> None:
        for method, path, _ in BODY_ROUTES:
            for kind in ("text/xml", "application/octet-stream", "multipart/form-data; boundary=x"):
                answer = house.call(
                    method, path.format(room=house.room_id), content=b"{}",
                    headers={"Content-Type": kind},
                )  # fmt: skip
                checked(answer, 415, "unsupported_media_type")

    def test_no_token_and_wrong_tokens(self, house: House) -> None:
        with httpx.Client(base_url=house.server.url, timeout=20) as client:
            for method, path in SIGNED_ROUTES:
                url = path.format(room=house.room_id, nobody=NOBODY)
                nobody = client.request(method, url)
                checked(nobody, 401, "unauthorized")
                assert nobody.headers["www-authenticate"].startswith("Bearer")
                for token in ("x", house.asha.token[:-2] + "xx", "a.b.c", "é", "a" * 9000):
                    headers = {b"Authorization": f"Bearer {token}".encode()}
                    answer = client.request(method, url, headers=headers)
                    checked(answer, 401, "invalid_token")

    def test_rooms_that_are_not_ones_own(self, house: House) -> None:
        with httpx.Client(
            base_url=house.server.url, headers=house.farid.headers, timeout=20
        ) as client:
            for method, path in SIGNED_ROUTES:
                if "{room}" not in path:
                    continue
                for room in (house.room_id, NOBODY):
                    url = path.format(room=room, nobody=NOBODY)
                    body = {"content": "let me in"} if method == "POST" else None
                    answer = client.request(method, url, json=body)
                    checked(answer, 404, "room_not_found")

    def test_ids_pages_and_methods_without_sense(self, house: House) -> None:
        room = f"/api/v1/chat/rooms/{house.room_id}"
        for path in ("/api/v1/chat/rooms/%00", "/api/v1/chat/rooms/..%2f..", f"{room[:-1]}g"):
            checked(house.call("GET", path), 404, None)
        for query in (
            "limit=x",
            "limit=0",
            "limit=-1",
            "cursor=%00",
            "cursor=zz",
            f"limit={10**30}",
        ):
            assert house.call("GET", f"/api/v1/chat/rooms?{query}").status_code in (200, 400), query
        for query in ("before_seq=x", "after_seq=-1", f"after_seq={2**63}", f"before_seq={10**40}"):
            answer = house.call("GET", f"{room}/messages?{query}")
            assert answer.status_code in (200, 400), (query, answer.text)
        events = f"/api/v1/topics/room:{house.room_id}/events"
        for query in ("after=x", "after=-1", f"after={10**40}", f"after={2**63}", "epoch=%00"):
            answer = house.call("GET", f"{events}?{query}")
            assert answer.status_code in (200, 400), (query, answer.text)
        for topic in ("room:", "room:%00", "nope:1", "user:", "t.abc", "__proto__", "*"):
            checked(house.call("GET", f"/api/v1/topics/{topic}/events"), (403, 404), None)
        checked(house.call("DELETE", f"{room}/messages"), 405, "method_not_allowed")
        checked(house.call("GET", "/api/v1/nowhere"), 404, "not_found")

    def test_streams_refuse_the_same(self, house: House) -> None:
        events = f"/api/v1/topics/room:{house.room_id}/events"
        stream = {"Accept": "text/event-stream"}

        nobody = httpx.get(house.server.url + events, headers=stream)
        checked(nobody, 401, "unauthorized")
        bad = httpx.get(f"{house.server.url}{events}?token=x", headers=stream)
        checked(bad, 401, "invalid_token")
        foreign = httpx.get(house.server.url + events, headers={**stream, **house.farid.headers})
        checked(foreign, 404, "room_not_found")
        for last in ("x", "-1", "9" * 40):
            answer = house.call("GET", events, headers={**stream, "Last-Event-ID": last})
            checked(answer, 400, "validation_failed")


# -- sockets -------------------------------------------------------------------------------------

NOT_UNDERSTOOD, TOO_LARGE, FLOODING = 4003, 4009, 4029
# Frames that are none, for every protocol.
NO_FRAMES: list[str | bytes] = [
    "", "{", "hello", "5", "null", "true", '"text"', "[", "[" * 60_000,
    '{"a":' * 40 + "1" + "}" * 40, "NaN", "\x00", "[]", "[1,2]", "{}",
]  # fmt: skip


def errors_of(talker: Talker) -> list[Any]:
    """The error frames that it has been sent."""
    return [frame for frame in talker.frames if frame["type"] == "error"]


async def opened(house: House, protocol: str, person: Person | None = None) -> Talker:
    """A connection, by default Asha's."""
    return await PROTOCOLS[protocol].open(house.server.socket_url, (person or house.asha).token)


async def still_talks(house: House, neighbour: Talker, text: str) -> None:
    """The neighbour's room works as before."""
    ack = await neighbour.push(house.room_id, "message", {"content": text})
    await neighbour.until(
        lambda: [one for one in neighbour.named("new_message") if one["id"] == ack["id"]]
    )


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
class TestSockets:
    async def test_what_is_no_frame_ends_only_its_own_connection(
        self, house: House, protocol: str
    ) -> None:
        neighbour = await opened(house, "plain", house.bruno)
        await neighbour.join(house.room_id)
        before = await asyncio.to_thread(house.latest_seq)
        for frame in [*NO_FRAMES, b"\x00\x01", b"\xff" * 40]:
            broken = await opened(house, protocol)
            await broken.join(house.room_id)
            if protocol == "plain":
                await broken.send(frame)
                [error] = await broken.until(partial(errors_of, broken))
                assert error["error"]["code"] in ("malformed_request", "validation_failed"), frame
                assert error["error"]["request_id"]
                assert broken.is_open
                await broken.close()
            else:
                await broken.send(frame)
                assert await broken.closed() == NOT_UNDERSTOOD, frame
        assert await asyncio.to_thread(house.latest_seq) == before
        await still_talks(house, neighbour, f"after no frames on {protocol}")
        await neighbour.close()

    async def test_a_frame_over_64_kib_is_4009(self, house: House, protocol: str) -> None:
        broken = await opened(house, protocol)
        await broken.join(house.room_id)

        await broken.send("x" * 65_537)

        assert await broken.closed() == TOO_LARGE

    async def test_a_frame_over_128_kib_is_dropped(self, house: House, protocol: str) -> None:
        broken = await opened(house, protocol)

        await broken.send("x" * 140_000)

        assert await broken.closed() in (1006, 1009)

    async def test_a_flood_is_4029(self, house: House, protocol: str) -> None:
        broken = await opened(house, protocol)
        await broken.join(house.room_id)
        ping = broken.push_frame(broken.topic(house.room_id), "1", "typing", {})

        async def flood() -> None:
            for _ in range(400):
                await broken.send(ping)

        # Whoever floods may lose the connection while he still writes.
        await asyncio.gather(flood(), return_exceptions=True)

        assert await broken.closed() == FLOODING

    async def test_commands_without_sense_are_refused_by_their_replies(
        self, house: House, protocol: str
    ) -> None:
        talker = await opened(house, protocol)
        await talker.join(house.room_id)
        before = await asyncio.to_thread(house.latest_seq)
        topic = talker.topic(house.room_id)
        cases: list[tuple[str, str, Any, str]] = [
            (topic, "nope", {}, "unknown event"),
            (topic, "__class__", {}, "unknown event"),
            (topic, "message_send", {}, "unknown event"),
            (topic, "websocket.receive", {}, "unknown event"),
            (topic, "message", {"content": {"$gt": ""}}, "validation_failed"),
            (topic, "message", {"content": "a\0"}, "validation_failed"),
            (topic, "message", {"content": "a" * 10_001}, "content_too_long"),
            (topic, "message", {}, "content_required"),
            (topic, "message", [1], "malformed_request"),
            (topic, "message", 5, "malformed_request"),
            (topic, "typing", {"is_typing": "yes"}, "validation_failed"),
            (topic, "mark_read", {"seq": {}}, "validation_failed"),
            (topic, "sync", {"since": "x"}, "validation_failed"),
            (topic, "sync", {"since": -1}, "validation_failed"),
            (topic, "access_token", {"token": 5}, "invalid_token"),
            (topic, "access_token", {"token": house.bruno.token}, "forbidden"),
            (talker.topic(NOBODY), "message", {"content": "a"}, "unmatched topic"),
            ("t.0000", "message", {"content": "a"}, "unmatched topic"),
            ("__proto__", "message", {"content": "a"}, "unmatched topic"),
        ]
        for number, (where, event, payload, code) in enumerate(cases):
            ref = f"case-{number}"
            frame = talker.push_frame(where, ref, event, payload)
            with pytest.raises(Refused) as refusal:
                await talker.ask(ref, frame)
            response = refusal.value.args[0]
            assert response["code"] == code, (event, payload, response)
            assert response["request_id"], (event, response)
            await asyncio.sleep(0.02)
        assert talker.is_open
        assert await asyncio.to_thread(house.latest_seq) == before
        await talker.close()

    async def test_topics_without_right_are_refused(self, house: House, protocol: str) -> None:
        talker = await opened(house, protocol, house.farid)
        own = "user:" if protocol == "plain" else "notification:"
        cases = [
            (talker.topic(house.room_id), "room_not_found"),
            (talker.topic(NOBODY), "room_not_found"),
            (talker.topic("x" * 300), "room_not_found"),
            (talker.topic(""), "room_not_found"),
            (f"{own}{house.asha.id}", "forbidden"),
            ("nope:1", "unmatched topic"),
            ("*", "unmatched topic"),
            ("", "unmatched topic"),
            ("t." + "0" * 40, "unmatched topic"),
        ]
        for number, (topic, code) in enumerate(cases):
            ref = f"join-{number}"
            with pytest.raises(Refused) as refusal:
                await talker.ask(ref, talker.join_frame(topic, ref, {}))
            response = refusal.value.args[0]
            assert response["code"] == code, (topic, response)
            assert response["request_id"]
        await talker.close()

    async def test_wrong_tokens_are_403(self, house: House, protocol: str) -> None:
        for token in ("x", house.asha.token + "x", "a.b.c", "%00", "a" * 3000):
            with pytest.raises(InvalidStatus) as refusal:
                await PROTOCOLS[protocol].open(house.server.socket_url, token)
            assert refusal.value.response.status_code == 403

    async def test_huge_and_odd_refs(self, house: House, protocol: str) -> None:
        refs: list[Any] = ["r" * 60_000, 10**30, -1, 1.5, {}, [], True]
        for ref in refs:
            talker = await opened(house, protocol)
            await talker.join(house.room_id)
            await talker.send(talker.push_frame(talker.topic(house.room_id), ref, "typing", {}))
            # Answered, or ended as not understood; the process and its other sockets live.
            await asyncio.sleep(0.05)
            if not talker.is_open:
                assert await talker.closed() == NOT_UNDERSTOOD, ref
            await talker.close()

    async def test_mutated_frames_write_nothing_and_harm_nobody(
        self, house: House, protocol: str
    ) -> None:
        chance = random.Random(SEED)
        neighbour = await opened(house, "plain", house.bruno)
        await neighbour.join(house.room_id)
        pid = house.server.pid
        sent = 0
        while sent < FUZZ_FRAMES // len(PROTOCOLS):
            talker = await opened(house, protocol, house.farid)
            try:
                for _ in range(90):
                    sent += 1
                    await talker.send(mutated(chance, seeds_of(talker, house.room_id)))
            except Gone:
                continue
            finally:
                await talker.close()
        assert house.server.is_running
        assert house.server.pid == pid
        await still_talks(house, neighbour, f"after the fuzz of {protocol}")
        await neighbour.close()


class TestTheTenthBadFrame:
    async def test_ends_a_plain_connection_with_4003(self, house: House) -> None:
        talker = await opened(house, "plain")
        for _ in range(10):
            await talker.send("{")

        assert await talker.closed() == NOT_UNDERSTOOD
        errors = [frame for frame in talker.frames if frame["type"] == "error"]
        assert [frame["error"]["code"] for frame in errors] == ["malformed_request"] * 10

    async def test_unknown_types_count(self, house: House) -> None:
        talker = await opened(house, "plain")
        kinds: list[Any] = [None, 5, {}, [], "nope", "hub", "websocket.send", "reply", "ready"]
        for kind in (*kinds, "x" * 500):
            await talker.send({"type": kind})

        assert await talker.closed() == NOT_UNDERSTOOD

    async def test_a_wrong_arity_or_a_binary_v1_frame_ends_phoenix_at_once(
        self, house: House
    ) -> None:
        two: list[Any] = [
            [],
            [1],
            [1, 2, 3, 4],
            ["1", "1", "t", "e", {}, 6],
            [None] * 5,
            b"\x05abc",
        ]
        for frame in two:
            talker = await opened(house, "phoenix-v2")
            await talker.send(frame)
            assert await talker.closed() == NOT_UNDERSTOOD, frame
        one = await opened(house, "phoenix-v1")
        await one.send(b"\x00\x01\x01\x01\x01")
        assert await one.closed() == NOT_UNDERSTOOD


def seeds_of(talker: Talker, room_id: str) -> list[str]:
    """Good frames of a stranger to the room, as text."""
    topic = talker.topic(room_id)
    return [
        json.dumps(talker.join_frame(topic, "1", {"since": 3})),
        json.dumps(talker.push_frame(topic, "2", "message", {"content": "x", "client_id": "c"})),
        json.dumps(talker.push_frame(topic, "3", "mark_read", {"seq": 1})),
        json.dumps(talker.push_frame(topic, "4", "sync", {"since": 0})),
        json.dumps([None, "5", "phoenix", "heartbeat", {}]),
        json.dumps({"type": "ping", "ref": 1}),
        json.dumps({"type": "access_token", "token": "x"}),
    ]


ODD = ["null", "[]", "{}", "-1", "1e999", '"\\u0000"', '"\\ud800"', "true", "99999999999999999999"]


def mutated(chance: random.Random, seeds: list[str]) -> str | bytes:
    """One of the frames with some of it cut, doubled, swapped or replaced."""
    text = chance.choice(seeds)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(text) + 1)
        upto = min(len(text), at + chance.randint(1, 12))
        kind = chance.randrange(5)
        if kind == 0:
            text = text[:at] + text[upto:]
        elif kind == 1:
            text = text[:upto] + text[at:]
        elif kind == 2:
            text = text[:at] + chance.choice(ODD) + text[upto:]
        elif kind == 3:
            text = text[:at] + chr(chance.randrange(1, 0xD7FF)) + text[at:]
        else:
            text = text.replace('"', chance.choice(["'", "", '""']), 1)
    return text.encode() if chance.random() < 0.1 else text
