"""`unread.changed`: who is told what, once, however many rooms changed."""

from typing import Any
from uuid import UUID

import pytest

from accounts.models import User
from chat import unread
from chat.models import Room
from chat.tests.factories import make_group, say, say_many

pytestmark = pytest.mark.django_db


@pytest.fixture
def room(buyer: User, seller: User) -> Room:
    """A group of Asha and Bruno."""
    return make_group(buyer, seller)


def signals(rooms: list[Room], *people: User) -> dict[str, dict[str, Any]]:
    return unread._signals([room.id for room in rooms], [one.public_id for one in people])


class TestUnreadChanged:
    def test_tells_each_listener_his_own_counts(
        self, room: Room, buyer: User, seller: User
    ) -> None:
        say_many(room, buyer, 2)
        last = say(room, buyer, "last")

        told = signals([room], buyer, seller)

        assert sorted(told) == sorted([f"user:{buyer.public_id}", f"user:{seller.public_id}"])
        his = told[f"user:{seller.public_id}"]
        assert (his["room_id"], his["unread_count"]) == (str(room.id), 3)
        assert (his["total_unread"], his["rooms"]) == (3, {str(room.id): 3})
        assert his["last_message"]["id"] == last.payload["id"]
        assert his["last_message_at"] == last.payload["created_at"]
        assert told[f"user:{buyer.public_id}"]["rooms"] == {str(room.id): 0}

    def test_tells_a_stranger_nothing(self, room: Room, buyer: User, stranger: User) -> None:
        say(room, buyer)

        assert signals([room], stranger) == {}

    def test_counts_rooms_that_did_not_change_in_the_total_alone(
        self, room: Room, buyer: User, seller: User
    ) -> None:
        other = make_group(buyer, seller)
        say_many(other, buyer, 4)
        say(room, buyer)

        told = signals([room], seller)[f"user:{seller.public_id}"]

        assert (told["rooms"], told["total_unread"]) == ({str(room.id): 1}, 5)

    def test_drops_no_room_where_many_changed_at_once(
        self, buyer: User, seller: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(unread, "ROOMS_AT_ONCE", 2)
        rooms = [make_group(buyer, seller, title=str(number)) for number in range(5)]
        for room in rooms:
            say(room, buyer)

        told = signals(rooms, seller)

        assert list(told) == [f"user:{seller.public_id}"], "one signal, not one for each part"
        assert told[f"user:{seller.public_id}"]["rooms"] == {str(room.id): 1 for room in rooms}
        assert told[f"user:{seller.public_id}"]["room_id"] == str(rooms[-1].id)

    def test_asks_nothing_where_nobody_listens(self, room: Room) -> None:
        class Hub:
            topics = {f"room:{room.id}": None}

        class Runtime:
            hub = Hub()

            def spawn(self, work: Any) -> None:
                raise AssertionError("nobody listens")

        unread.tell_unread(Runtime(), [f"room:{room.id}"])  # type: ignore[arg-type]  # stands for one

    def test_takes_all_rooms_that_changed(self, room: Room, seller: User) -> None:
        asked: list[Any] = []

        class Hub:
            topics = {f"user:{seller.public_id}": None}

            def deliver_signal(self, signal: Any) -> None:
                raise AssertionError("nothing changed")

        class Runtime:
            hub = Hub()

            async def run(self, function: Any, rooms: list[UUID], people: list[str]) -> Any:
                asked.append((len(rooms), people))
                return {}

            def spawn(self, work: Any) -> None:
                with pytest.raises(StopIteration):
                    work.send(None)

        unread.tell_unread(Runtime(), [f"room:{UUID(int=n)}" for n in range(1200)])  # type: ignore[arg-type]

        assert asked == [(1200, [seller.public_id])]
