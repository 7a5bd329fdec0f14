"""Lists ask the database a constant number of times, however long they are."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest

from accounts.models import User
from chat import selectors
from chat.models import Message, Room
from chat.selectors import describe_rooms, list_members, list_rooms, message_page
from chat.tests.factories import make_group, make_people, say, say_many
from marketplace.events.replay import find_heads
from marketplace.realtime import joining
from marketplace.realtime.topic import parse_topic
from marketplace.tests.cast import assert_queries, signed_in

SIZES = [2, 20]


@pytest.mark.django_db
class TestQueryCounts:
    @pytest.mark.parametrize("size", SIZES)
    def test_rooms(self, buyer: User, seller: User, size: int) -> None:
        for _ in range(size):
            say(make_group(buyer, seller), seller)

        with assert_queries(5):
            described = describe_rooms(list_rooms(user=buyer), user=buyer)

        assert len(described) == size
        assert [len(room["members"]) for room in described] == [2] * size
        assert all(room["last_message"]["sender"]["name"] == "Bruno" for room in described)

    @pytest.mark.parametrize("size", SIZES)
    def test_members(self, buyer: User, size: int) -> None:
        room = make_group(buyer, *make_people(size - 1))

        with assert_queries(1):
            names = [member.user.username for member in list_members(room=room)]

        assert len(names) == size

    @pytest.mark.parametrize("size", SIZES)
    def test_messages(self, buyer: User, seller: User, size: int) -> None:
        room = make_group(buyer, seller)
        for number in range(size):
            say(room, (buyer, seller)[number % 2])

        with assert_queries(2):
            page = message_page(room=room, limit=50)

        assert len(page["items"]) == size

    @pytest.mark.parametrize("path", ["", "/{id}/members", "/{id}/messages", "/{id}"])
    def test_routes(self, buyer: User, seller: User, path: str) -> None:
        """The same number at 2 and at 20: what grows is the page, not the questions."""
        counts = []
        client = signed_in(buyer)
        for size in SIZES:
            rooms = [make_group(buyer, seller) for _ in range(size)]
            room = make_group(buyer, *make_people(size, first=100 * size))
            for one in rooms:
                say(one, seller)
            for _ in range(size):
                say(room, buyer)
            with assert_queries(8):
                answer = client.get("/api/v1/chat/rooms" + path.format(id=room.id))
            assert answer.status_code == 200
            counts.append(answer.headers.get("Server-Timing", ""))

        queries = [timing.partition('desc="')[2] for timing in counts]
        assert queries[0] == queries[1]


@pytest.mark.django_db
class TestListRooms:
    def test_has_the_newest_activity_first_and_own_rooms_only(
        self, buyer: User, seller: User, stranger: User
    ) -> None:
        older, newer = make_group(buyer, seller), make_group(buyer, seller)
        foreign = make_group(stranger)
        Room.objects.filter(id=older.id).update(active_at="2026-01-01T00:00:00Z")

        assert list(list_rooms(user=buyer)) == [newer, older]
        assert list(list_rooms(user=stranger)) == [foreign]

    def test_moves_up_with_a_message(self, buyer: User, seller: User) -> None:
        first, second = make_group(buyer, seller), make_group(buyer, seller)
        Room.objects.update(active_at="2026-01-01T00:00:00Z")

        say(first, buyer)

        assert list(list_rooms(user=buyer)) == [first, second]


@pytest.mark.django_db
class TestDescribeRooms:
    def test_shows_a_room_as_its_reader_sees_it(self, buyer: User, seller: User) -> None:
        room = make_group(buyer, seller)
        told = say_many(room, seller, 3)

        [[for_buyer], [for_seller]] = [
            describe_rooms([Room.objects.get(id=room.id)], user=user) for user in (buyer, seller)
        ]

        assert (for_buyer["my_role"], for_buyer["unread_count"]) == ("owner", 3)
        assert (for_seller["my_role"], for_seller["unread_count"]) == ("member", 0)
        assert for_seller["my_last_read_seq"] == told[-1]["seq"] == for_seller["latest_seq"]
        assert for_buyer["last_message"] == told[-1]
        assert for_buyer["last_number"] == 3


@pytest.mark.django_db
class TestMessagePage:
    def test_ascends_inside_a_page_from_every_side(self, buyer: User, seller: User) -> None:
        room = make_group(buyer, seller)
        seqs = [one["seq"] for one in say_many(room, buyer, 5)]

        newest = message_page(room=room, limit=2)
        before = message_page(room=room, limit=2, before_seq=seqs[3])
        after = message_page(room=room, limit=2, after_seq=seqs[0])
        oldest = message_page(room=room, limit=2, before_seq=seqs[2])

        pages = [[one["seq"] for one in page["items"]] for page in (newest, before, after, oldest)]
        assert pages == [seqs[3:], seqs[1:3], seqs[1:3], seqs[:2]]
        assert [page["has_more"] for page in (newest, before, after, oldest)] == [
            True,
            True,
            True,
            False,
        ]
        assert newest["latest_seq"] == seqs[-1]

    def test_shows_nothing_of_what_was_deleted(self, buyer: User) -> None:
        room = make_group(buyer)
        told = say(room, buyer, "a secret", data={"a": 1}).payload
        Message.objects.filter(id=told["id"]).update(deleted_at="2026-01-01T00:00:00Z")

        [shown] = message_page(room=room, limit=1)["items"]

        assert (shown["content"], shown["data"]) == ("", None)
        assert shown["deleted_at"] == "2026-01-01T00:00:00.000Z"


@pytest.mark.django_db
class TestWhatHappensWhileItIsRead:
    """A client joins from the seq that it is told: nothing may lie between it and what it got."""

    @pytest.fixture
    def room(self, buyer: User) -> Room:
        return make_group(buyer)

    def test_a_page_never_names_a_seq_beyond_its_items(
        self, room: Room, buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        say(room, buyer, "one")
        latest_seqs = selectors.latest_seqs

        def then_somebody_speaks(topics: Iterable[str]) -> dict[str, int]:
            found = latest_seqs(list(topics))
            say(room, buyer, "two")
            return found

        monkeypatch.setattr(selectors, "latest_seqs", then_somebody_speaks)

        page = message_page(room=room, limit=10)

        assert [message["content"] for message in page["items"]] == ["one", "two"]
        assert page["latest_seq"] == page["items"][0]["seq"]

    def test_a_join_goes_on_live_from_before_its_state_was_read(
        self, room: Room, buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = say(room, buyer, "one").payload

        def then_somebody_speaks(topics: Collection[str]) -> Any:
            heads = find_heads(topics)
            say(room, buyer, "two")
            return heads

        monkeypatch.setattr(joining, "find_heads", then_somebody_speaks)
        ref = parse_topic(f"room:{room.id}", dialect="plain", own=buyer.public_id)
        assert ref is not None

        [answer] = joining.read_topics([joining.Wish(buyer, ref, "plain", None, None)])

        assert isinstance(answer, joining.Answer)
        assert answer.state["room"]["last_message"]["content"] == "two"
        assert answer.state["room"]["latest_seq"] == first["seq"]
        assert (answer.latest_seq, answer.last_sent) == (first["seq"], first["seq"])
