"""Many who join at one moment are read for together, and each is told what he would be alone."""

from collections.abc import Sequence
from typing import Any

import pytest

from accounts.models import User
from chat.consumers import RoomConsumer, UserConsumer
from chat.models import Room
from chat.tests.factories import make_group, make_people, say, say_many
from marketplace.core.errors import AppError
from marketplace.realtime.joining import Answer, Wish, read_topics
from marketplace.realtime.topic import Joined, Joiner, TopicRef, parse_topic
from marketplace.tests.cast import queries_of

pytestmark = pytest.mark.django_db


def ref_of(spelled: str, *, user: User | None = None, dialect: str = "plain") -> TopicRef:
    found = parse_topic(spelled, dialect=dialect, own=None if user is None else user.public_id)
    assert found is not None
    return found


def wish(user: User | None, room: Room, *, since: int | None = None, phoenix: bool = False) -> Wish:
    dialect, prefix = ("phoenix", "chat:room_") if phoenix else ("plain", "room:")
    return Wish(user, ref_of(f"{prefix}{room.id}", dialect=dialect), dialect, since, None)


def joiner(user: User | None, spelled: str, dialect: str = "plain") -> Joiner:
    return Joiner(user, ref_of(spelled, user=user, dialect=dialect), False, 1)


def told(found: Sequence[Any]) -> list[str]:
    """The code of each refusal, `joined` for the others."""
    return [one.code if isinstance(one, AppError) else "joined" for one in found]


class TestQueryCounts:
    """The same for one, two and twenty."""

    def counts(self, wishes: list[Wish]) -> set[int]:
        return {queries_of(read_topics, wishes[:size]) for size in (1, 2, 20)}

    def test_of_members_of_one_room(self, buyer: User) -> None:
        people = make_people(20)
        room = make_group(buyer, *people)
        say(room, buyer)

        [most] = self.counts([wish(one, room) for one in people])

        assert most <= 4

    def test_of_members_of_many_rooms(self, buyer: User) -> None:
        people = make_people(20)
        rooms = [make_group(buyer, one) for one in people]
        for room in rooms:
            say(room, buyer)

        [most] = self.counts([wish(*one) for one in zip(people, rooms, strict=True)])

        assert most <= 4

    def test_of_those_who_have_missed_the_same(self, buyer: User) -> None:
        people = make_people(20)
        room = make_group(buyer, *people)
        say_many(room, buyer, 3)

        [most] = self.counts([wish(one, room, since=1) for one in people])

        assert most <= 5

    def test_of_phoenix_clients_that_get_the_last_messages(self, buyer: User) -> None:
        people = make_people(20)
        room = make_group(buyer, *people)
        say_many(room, buyer, 3)

        [most] = self.counts([wish(one, room, phoenix=True) for one in people])

        assert most <= 5

    def test_of_people_and_their_own_feeds(self, buyer: User) -> None:
        people = make_people(20)
        say(make_group(buyer, *people), buyer)

        [most] = self.counts(
            [Wish(one, ref_of("user:me", user=one), "plain", None, None) for one in people]
        )

        assert most <= 2


class TestJoinsOfRooms:
    def test_tell_each_what_he_is_told_alone(
        self, buyer: User, seller: User, stranger: User
    ) -> None:
        lamps, books = make_group(buyer, seller), make_group(seller, stranger, title="Books")
        say_many(lamps, seller, 3)
        say(books, stranger, "Have you read it?")
        wishes = [
            wish(buyer, lamps),
            wish(seller, lamps, since=1),
            wish(seller, books, phoenix=True),
            wish(stranger, books),
            wish(stranger, lamps, since=1),
        ]

        together = read_topics(wishes)

        alone = [read_topics([one])[0] for one in wishes]
        assert told(together) == ["joined"] * 4 + ["room_not_found"]
        for one, other in zip(together[:4], alone[:4], strict=True):
            assert one == other
        shown = [one.state["room"] for one in together if isinstance(one, Answer)]
        assert [(room["title"], room["my_role"], room["unread_count"]) for room in shown] == [
            ("Lamps", "owner", 3), ("Lamps", "member", 0),
            ("Books", "owner", 1), ("Books", "member", 0),
        ]  # fmt: skip

    def test_refuse_each_for_his_own_reason(
        self, buyer: User, seller: User, stranger: User
    ) -> None:
        room = make_group(buyer, seller)
        direct = make_group(buyer, seller)
        Room.objects.filter(id=direct.id).update(kind="direct")

        found = RoomConsumer.join_all(
            [
                joiner(buyer, f"room:{room.id}"),
                joiner(None, f"room:{room.id}"),
                joiner(stranger, f"room:{room.id}"),
                joiner(buyer, "room:nothing"),
                joiner(buyer, f"group:{direct.id}", "phoenix"),
                joiner(buyer, f"group:{room.id}", "phoenix"),
                joiner(seller, f"room:{room.id}"),
            ]
        )

        assert told(found) == [
            "joined", "unauthorized", "room_not_found", "room_not_found", "room_not_found",
            "joined", "joined",
        ]  # fmt: skip

    def test_give_two_connections_of_one_person_each_its_own_state(
        self, buyer: User, seller: User
    ) -> None:
        room = make_group(buyer, seller)

        one, other = RoomConsumer.join_all([joiner(buyer, f"room:{room.id}")] * 2)

        assert isinstance(one, Joined)
        assert isinstance(other, Joined)
        assert one.state == other.state
        assert one.state is not other.state

    def test_tell_a_room_without_messages_an_empty_history(self, buyer: User, seller: User) -> None:
        room, spoken = make_group(buyer), make_group(seller)
        say(spoken, seller)

        found = read_topics([wish(buyer, room, phoenix=True), wish(seller, spoken, phoenix=True)])

        histories = [one.history for one in found if isinstance(one, Answer)]
        assert [len(history[0][1]["messages"]) for history in histories] == [0, 1]


class TestJoinsOfFeeds:
    def test_tell_each_his_own_counts(self, buyer: User, seller: User, stranger: User) -> None:
        room = make_group(buyer, seller)
        say_many(room, seller, 2)
        feed = f"user:{seller.public_id}"

        found = UserConsumer.join_all(
            [
                joiner(buyer, "user:me"),
                joiner(stranger, feed),
                joiner(None, feed),
                joiner(seller, feed),
                joiner(stranger, "user:me"),
            ]
        )

        assert told(found) == ["joined", "forbidden", "unauthorized", "joined", "joined"]
        counts = [one.state["rooms"] for one in found if isinstance(one, Joined)]
        assert counts == [{str(room.id): 2}, {}, {}]
