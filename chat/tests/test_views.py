"""Chat over REST: status, shape, error codes, pages; and nothing for a stranger."""

from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.models import User
from chat.models import Member, Message, Room
from chat.services.rooms import open_direct_room
from chat.tests.factories import make_group, make_people, say, say_many
from marketplace.core.ids import uuid7
from marketplace.events.models import Event
from marketplace.tests.cast import assert_events, signed_in

ROOMS = "/api/v1/chat/rooms"
ROOM_FIELDS = {
    "id", "kind", "title", "is_public", "subject_type", "subject_id", "data", "owner_id",
    "member_count", "members", "my_role", "my_last_read_seq", "unread_count", "muted",
    "last_message", "last_message_at", "last_number", "latest_seq", "created_at", "updated_at",
}  # fmt: skip
MESSAGE_FIELDS = {
    "id", "room_id", "number", "seq", "client_id", "sender_type", "sender_id", "sender", "kind",
    "content", "mentions", "attachments", "data", "reply_to_id", "reactions", "edited_at",
    "deleted_at", "created_at", "updated_at",
}  # fmt: skip
MEMBER_FIELDS = {
    "user_id", "user", "role", "read_number", "last_read_seq", "muted", "joined_at",
    "created_at", "updated_at",
}  # fmt: skip


@pytest.fixture
def room(buyer: User, seller: User) -> Room:
    return make_group(buyer, seller)


@pytest.fixture
def client(buyer: User) -> APIClient:
    return signed_in(buyer)


def post(client: APIClient, path: str, body: Any = None) -> Any:
    return client.post(path, body, format="json")


ROUTES = [
    ("get", "/{room}", None),
    ("get", "/{room}/members", None),
    ("post", "/{room}/leave", None),
    ("get", "/{room}/messages", None),
    ("post", "/{room}/messages", {"content": "Let me in"}),
    ("post", "/{room}/messages", {"content": "Let me in", "client_id": "c-1"}),
    ("get", "/{room}/messages/{message}", None),
    ("post", "/{room}/read", None),
    ("post", "/{room}/read", {"seq": 1}),
]


@pytest.mark.django_db
class TestAccess:
    @pytest.mark.parametrize(("method", "path", "body"), ROUTES)
    def test_tells_a_stranger_that_there_is_no_room(
        self, room: Room, buyer: User, stranger: User, method: str, path: str, body: Any
    ) -> None:
        message = say(room, buyer).payload
        client = signed_in(stranger)
        paths = [path.format(room=one, message=message["id"]) for one in (room.id, uuid7())]

        with assert_events():
            answers = [getattr(client, method)(ROOMS + one, body, format="json") for one in paths]

        assert [answer.status_code for answer in answers] == [404, 404]
        foreign, missing = (answer.json() for answer in answers)
        assert foreign["code"] == "room_not_found"
        for changing in ("request_id", "instance"):
            foreign.pop(changing), missing.pop(changing)
        assert foreign == missing, "a room that exists and one that does not look the same"
        assert Message.objects.count() == 1
        assert Member.objects.filter(room=room).count() == 2
        room.refresh_from_db()
        assert room.last_number == 1

    @pytest.mark.parametrize(("method", "path", "body"), ROUTES)
    def test_finds_no_room_behind_an_id_of_no_form(
        self, client: APIClient, method: str, path: str, body: Any
    ) -> None:
        path = path.format(room="not-a-room", message="x")

        answer = getattr(client, method)(ROOMS + path, body, format="json")

        assert (answer.status_code, answer.json()["code"]) == (404, "room_not_found")

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [*ROUTES, ("get", "", None), ("post", "", {"kind": "assistant"})],
    )
    def test_asks_a_guest_to_sign_in(
        self, room: Room, buyer: User, guest: APIClient, method: str, path: str, body: Any
    ) -> None:
        message = say(room, buyer).payload
        path = path.format(room=room.id, message=message["id"])

        with assert_events():
            answer = getattr(guest, method)(ROOMS + path, body, format="json")

        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")

    def test_shows_nobody_the_rooms_and_counts_of_others(
        self, room: Room, buyer: User, stranger: User
    ) -> None:
        say(room, buyer)
        client = signed_in(stranger)

        assert client.get(ROOMS).json() == {"items": [], "next_cursor": None}
        assert client.get("/api/v1/chat/unread").json() == {"total": 0, "rooms": {}}


@pytest.mark.django_db
class TestRooms:
    def test_opens_a_direct_room_and_gives_it_back(self, client: APIClient, seller: User) -> None:
        body = {"kind": "direct", "memberIds": [seller.public_id]}

        first, second = post(client, ROOMS, body), post(client, ROOMS, body)

        assert (first.status_code, second.status_code) == (201, 200)
        assert first.json()["id"] == second.json()["id"]
        assert set(first.json()) == ROOM_FIELDS
        assert [set(one) for one in first.json()["members"]] == [MEMBER_FIELDS] * 2

    def test_opens_an_assistant_room_once(self, client: APIClient) -> None:
        answers = [post(client, ROOMS, {"kind": "assistant"}) for _ in range(2)]

        assert [answer.status_code for answer in answers] == [201, 200]
        assert answers[0].json()["my_role"] == "owner"

    def test_makes_a_group(self, client: APIClient, buyer: User) -> None:
        answer = post(client, ROOMS, {"kind": "group", "title": "Lamps", "is_public": True})

        made = answer.json()
        assert answer.status_code == 201
        assert (made["title"], made["is_public"], made["member_count"]) == ("Lamps", True, 1)
        assert made["owner_id"] == buyer.public_id
        assert (made["latest_seq"], made["last_number"], made["last_message"]) == (1, 0, None)

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({}, 400, "validation_failed"),
            ({"kind": "party"}, 400, "validation_failed"),
            ({"kind": "group"}, 400, "validation_failed"),
            ({"kind": "group", "title": "x" * 101}, 400, "validation_failed"),
            ({"kind": "group", "title": "a\x00"}, 400, "validation_failed"),
            ({"kind": "direct"}, 400, "validation_failed"),
            ({"kind": "direct", "member_ids": "x"}, 400, "validation_failed"),
            ({"kind": "direct", "member_ids": ["nobody"]}, 404, "user_not_found"),
            ({"kind": "shop"}, 400, "validation_failed"),
            ([], 400, "malformed_request"),
            ("direct", 400, "malformed_request"),
        ],
    )
    def test_refuses_what_is_no_room(
        self, client: APIClient, body: Any, status: int, code: str
    ) -> None:
        with assert_events():
            answer = post(client, ROOMS, body)

        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert Room.objects.count() == 0

    def test_pages_by_activity(self, client: APIClient, buyer: User) -> None:
        made = [make_group(buyer, title=str(number)) for number in range(5)]
        for room in (made[1], made[3], made[0]):
            say(room, buyer)

        found, path = [], f"{ROOMS}?limit=2"
        while True:
            page = client.get(path).json()
            found += [room["title"] for room in page["items"]]
            if page["next_cursor"] is None:
                break
            path = f"{ROOMS}?limit=2&cursor={page['next_cursor']}"

        assert sorted(found) == ["0", "1", "2", "3", "4"]
        assert set(found[:3]) == {"0", "1", "3"}

    @pytest.mark.parametrize(
        ("query", "code"),
        [("limit=0", "validation_failed"), ("limit=x", "validation_failed"),
         ("cursor=x", "cursor_invalid")],
    )  # fmt: skip
    def test_refuses_a_page_that_is_none(self, client: APIClient, query: str, code: str) -> None:
        answer = client.get(f"{ROOMS}?{query}")

        assert (answer.status_code, answer.json()["code"]) == (400, code)

    def test_shows_one_room(self, client: APIClient, room: Room, seller: User) -> None:
        told = say(room, seller).payload

        shown = client.get(f"{ROOMS}/{room.id}").json()

        assert set(shown) == ROOM_FIELDS
        assert shown["last_message"] == told
        assert (shown["unread_count"], shown["my_role"]) == (1, "owner")

    def test_pages_its_members_who_came_first_first(self, client: APIClient, buyer: User) -> None:
        people = make_people(4)
        room = make_group(buyer, *people)

        first = client.get(f"{ROOMS}/{room.id}/members?limit=3").json()
        rest = client.get(f"{ROOMS}/{room.id}/members?cursor={first['next_cursor']}").json()

        assert set(first["items"][0]) == MEMBER_FIELDS
        found = [one["user_id"] for one in first["items"] + rest["items"]]
        assert set(found) == {one.public_id for one in (buyer, *people)}
        assert len(found) == 5
        assert rest["next_cursor"] is None


@pytest.mark.django_db
class TestIds:
    """An id has one spelling: another one would be a second name of the same topic."""

    @pytest.mark.parametrize("form", ["{{{}}}", "urn:uuid:{}", "{}-", "hex"])
    def test_knows_a_room_by_one_spelling(self, client: APIClient, room: Room, form: str) -> None:
        spelled = room.id.hex if form == "hex" else form.format(room.id)

        answer = client.get(f"{ROOMS}/{spelled}")

        assert (answer.status_code, answer.json()["code"]) == (404, "room_not_found")

    def test_reads_it_in_any_case(self, client: APIClient, room: Room) -> None:
        answer = client.get(f"{ROOMS}/{str(room.id).upper()}")

        assert (answer.status_code, answer.json()["id"]) == (200, str(room.id))

    def test_names_a_topic_by_one_spelling(self, client: APIClient, room: Room) -> None:
        answers = [
            client.get(f"/api/v1/topics/room:{spelled}/events")
            for spelled in (str(room.id).upper(), room.id.hex, f"urn:uuid:{room.id}")
        ]

        assert [answer.status_code for answer in answers] == [200, 404, 404]
        assert answers[0].json()["topic"] == room.topic

    @pytest.mark.parametrize("field", ["message_id", "message_ids"])
    def test_reads_no_number_as_the_id_of_a_message(
        self, client: APIClient, room: Room, field: str
    ) -> None:
        value: Any = 7 if field == "message_id" else [7]

        answer = post(client, f"{ROOMS}/{room.id}/read", {field: value})

        assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")


@pytest.mark.django_db
class TestLeave:
    def test_takes_the_caller_out(self, room: Room, seller: User) -> None:
        client = signed_in(seller)

        with assert_events((room.topic, "member.left")):
            answer = post(client, f"{ROOMS}/{room.id}/leave")

        assert (answer.status_code, answer.json()) == (200, {"message": "Left"})
        assert client.get(f"{ROOMS}/{room.id}").status_code == 404

    def test_keeps_the_owner(self, client: APIClient, room: Room) -> None:
        answer = post(client, f"{ROOMS}/{room.id}/leave")

        assert (answer.status_code, answer.json()["code"]) == (409, "illegal_transition")

    def test_keeps_two_people_in_their_room(
        self, client: APIClient, buyer: User, seller: User
    ) -> None:
        direct, _ = open_direct_room(actor=buyer, other=seller)

        assert post(client, f"{ROOMS}/{direct.id}/leave").status_code == 409


@pytest.mark.django_db
class TestMessages:
    def test_sends(self, client: APIClient, room: Room, buyer: User) -> None:
        with assert_events((room.topic, "message.sent")) as recorded:
            answer = post(client, f"{ROOMS}/{room.id}/messages", {"content": "Cafe\u0301"})

        told = answer.json()
        assert answer.status_code == 201
        assert set(told) == MESSAGE_FIELDS | {"duplicate"}
        assert (told["content"], told["number"], told["seq"]) == ("Caf\u00e9", 1, 2)
        assert told.pop("duplicate") is False
        assert recorded[0].payload == told | {"sender_email": buyer.email}
        assert recorded[0].request_id == answer.headers["X-Request-ID"]

    def test_takes_blanks_for_what_they_are(self, client: APIClient, room: Room) -> None:
        answer = post(client, f"{ROOMS}/{room.id}/messages", {"content": " \n"})

        assert (answer.status_code, answer.json()["content"]) == (201, " \n")

    def test_answers_a_resend_with_200_and_the_first_message(
        self, client: APIClient, room: Room
    ) -> None:
        path = f"{ROOMS}/{room.id}/messages"
        first = post(client, path, {"content": "Good morning", "tempId": "c-1"})

        with assert_events():
            again = post(client, path, {"content": "changed", "client_id": "c-1"})

        assert (first.status_code, again.status_code) == (201, 200)
        assert again.json() == first.json() | {"duplicate": True}

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({}, "content_required"),
            ({"content": None}, "content_required"),
            ({"content": ""}, "content_required"),
            ({"content": "x" * 10_001}, "content_too_long"),
            ({"content": "a\x00"}, "validation_failed"),
            ({"content": ["x"]}, "validation_failed"),
            ({"content": "x", "client_id": "c" * 65}, "validation_failed"),
            ({"content": "x", "kind": "system"}, "validation_failed"),
            ({"content": "x", "mentions": ["nobody"]}, "validation_failed"),
            ({"content": "x", "data": {"a": "\x00"}}, "validation_failed"),
            (["x"], "malformed_request"),
        ],
    )
    def test_refuses_what_is_no_message(
        self, client: APIClient, room: Room, body: Any, code: str
    ) -> None:
        with assert_events():
            answer = post(client, f"{ROOMS}/{room.id}/messages", body)

        assert (answer.status_code, answer.json()["code"]) == (400, code)
        assert Message.objects.count() == 0

    def test_refuses_a_lone_surrogate(self, client: APIClient, room: Room) -> None:
        with assert_events():
            answer = client.post(
                f"{ROOMS}/{room.id}/messages",
                '{"content": "a\\ud800"}',
                content_type="application/json",
            )

        assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")

    def test_counts_the_rate_over_rest(
        self, client: APIClient, room: Room, settings: Settings
    ) -> None:
        settings.MESSAGE_RATE_LIMIT = 1
        path = f"{ROOMS}/{room.id}/messages"
        first = post(client, path, {"content": "x", "client_id": "c-1"})

        refused = post(client, path, {"content": "y"})
        resent = post(client, path, {"content": "x", "client_id": "c-1"})

        assert [one.status_code for one in (first, refused, resent)] == [201, 429, 200]
        assert refused.json()["code"] == "rate_limited"
        assert int(refused.headers["Retry-After"]) == refused.json()["details"]["retry_after"]
        assert Event.objects.filter(name="message.sent").count() == 1

    def test_lists_pages_of_the_room(self, client: APIClient, room: Room, buyer: User) -> None:
        told = say_many(room, buyer, 4)
        path = f"{ROOMS}/{room.id}/messages"

        newest = client.get(f"{path}?limit=3").json()
        older = client.get(f"{path}?limit=3&before_seq={newest['items'][0]['seq']}").json()
        later = client.get(f"{path}?afterSeq={told[1]['seq']}").json()

        assert newest == {"items": told[1:], "has_more": True, "latest_seq": told[-1]["seq"]}
        assert (older["items"], older["has_more"]) == (told[:1], False)
        assert later["items"] == told[2:]

    @pytest.mark.parametrize("query", ["before_seq=x", "after_seq=-1", "limit=0"])
    def test_refuses_a_bound_that_is_none(self, client: APIClient, room: Room, query: str) -> None:
        answer = client.get(f"{ROOMS}/{room.id}/messages?{query}")

        assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")

    def test_shows_one(self, client: APIClient, room: Room, seller: User) -> None:
        told = say(room, seller).payload

        assert client.get(f"{ROOMS}/{room.id}/messages/{told['id']}").json() == told

    @pytest.mark.parametrize("key", ["not-a-message", "019ab0c5-1f9a-7d53-9a41-3a2f8c7b6e10"])
    def test_finds_no_other(self, client: APIClient, room: Room, key: str) -> None:
        answer = client.get(f"{ROOMS}/{room.id}/messages/{key}")

        assert (answer.status_code, answer.json()["code"]) == (404, "message_not_found")

    def test_finds_none_of_another_room(self, client: APIClient, room: Room, buyer: User) -> None:
        foreign = say(make_group(buyer), buyer).payload

        assert client.get(f"{ROOMS}/{room.id}/messages/{foreign['id']}").status_code == 404


@pytest.mark.django_db
class TestRead:
    def test_moves_the_cursor(self, room: Room, buyer: User, seller: User) -> None:
        first, second = say_many(room, buyer, 2)
        client = signed_in(seller)

        partly = post(client, f"{ROOMS}/{room.id}/read", {"messageId": first["id"]})
        wholly = post(client, f"{ROOMS}/{room.id}/read", {})
        back = post(client, f"{ROOMS}/{room.id}/read", {"seq": first["seq"]})

        assert partly.json() == {"last_read_seq": first["seq"], "unread_count": 1}
        assert wholly.json() == {"last_read_seq": second["seq"], "unread_count": 0}
        assert back.json() == wholly.json()
        assert [one.status_code for one in (partly, wholly, back)] == [200, 200, 200]

    def test_takes_no_body_at_all(self, room: Room, buyer: User, seller: User) -> None:
        say(room, buyer)

        answer = signed_in(seller).post(f"{ROOMS}/{room.id}/read")

        assert answer.json()["unread_count"] == 0

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"message_id": "x"}, 400, "validation_failed"),
            ({"seq": "x"}, 400, "validation_failed"),
            ({"seq": -1}, 400, "validation_failed"),
            ({"message_ids": "x"}, 400, "validation_failed"),
            ({"message_id": "019ab0c5-1f9a-7d53-9a41-3a2f8c7b6e10"}, 404, "message_not_found"),
        ],
    )
    def test_refuses_what_is_no_message(
        self, client: APIClient, room: Room, body: Any, status: int, code: str
    ) -> None:
        with assert_events():
            answer = post(client, f"{ROOMS}/{room.id}/read", body)

        assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.django_db
class TestUnread:
    def test_counts_rooms_and_all(self, room: Room, buyer: User, seller: User) -> None:
        say_many(room, buyer, 2)
        other = make_group(buyer, seller)
        say(other, buyer)

        assert signed_in(seller).get("/api/v1/chat/unread").json() == {
            "total": 3,
            "rooms": {str(room.id): 2, str(other.id): 1},
        }
