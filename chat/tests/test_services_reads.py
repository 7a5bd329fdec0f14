"""Read cursors go forward only, and unread counts follow from them."""

from uuid import uuid4

import pytest

from accounts.models import User
from chat.errors import MessageNotFound, RoomNotFound
from chat.models import Member, Room
from chat.selectors import unread_counts, unread_of, unread_totals
from chat.services.reads import ReadCursor, mark_read
from chat.tests.factories import make_group, say, say_many
from marketplace.core.ids import uuid7
from marketplace.tests.cast import assert_events
from marketplace.tests.threads import together


@pytest.fixture
def room(buyer: User, seller: User) -> Room:
    return make_group(buyer, seller)


@pytest.mark.django_db
class TestMarkRead:
    def test_reads_everything_when_nothing_is_named(
        self, room: Room, buyer: User, seller: User
    ) -> None:
        newest = say_many(room, buyer, 3)[-1]

        with assert_events((room.topic, "read.moved")) as recorded:
            cursor = mark_read(actor=seller, room_id=room.id)

        assert cursor == ReadCursor(last_read_seq=newest["seq"], unread_count=0)
        payload = recorded[0].payload
        assert payload.pop("read_at").endswith("Z")
        assert payload == {
            "room_id": str(room.id),
            "user_id": seller.public_id,
            "message_id": newest["id"],
            "last_read_seq": newest["seq"],
        }

    def test_reads_up_to_the_named_message(self, room: Room, buyer: User, seller: User) -> None:
        first, second, _third = say_many(room, buyer, 3)

        cursor = mark_read(actor=seller, room_id=room.id, message_id=second["id"])

        assert cursor == ReadCursor(last_read_seq=second["seq"], unread_count=1)
        assert first["seq"] < second["seq"]

    def test_takes_the_newest_of_several(self, room: Room, buyer: User, seller: User) -> None:
        first, second, _third = say_many(room, buyer, 3)

        cursor = mark_read(
            actor=seller, room_id=room.id, message_ids=[second["id"], first["id"], uuid7()]
        )

        assert cursor.last_read_seq == second["seq"]

    def test_takes_the_newest_message_at_or_before_a_seq(
        self, room: Room, buyer: User, seller: User
    ) -> None:
        first = say(room, buyer).payload
        mark_read(actor=seller, room_id=room.id)  # an event that is no message
        say(room, buyer)

        cursor = mark_read(actor=buyer, room_id=room.id, seq=first["seq"] + 1)

        assert cursor.unread_count == 0  # his own messages had moved it further

    def test_reads_nothing_at_seq_nought(self, room: Room, buyer: User, seller: User) -> None:
        say(room, buyer)

        with assert_events():
            cursor = mark_read(actor=seller, room_id=room.id, seq=0)

        assert cursor == ReadCursor(last_read_seq=0, unread_count=1)

    def test_never_goes_back(self, room: Room, buyer: User, seller: User) -> None:
        first, second = say_many(room, buyer, 2)
        mark_read(actor=seller, room_id=room.id)

        with assert_events():
            cursor = mark_read(actor=seller, room_id=room.id, message_id=first["id"])

        assert cursor == ReadCursor(last_read_seq=second["seq"], unread_count=0)

    def test_tells_the_same_twice_once(self, room: Room, buyer: User, seller: User) -> None:
        say(room, buyer)
        mark_read(actor=seller, room_id=room.id)

        with assert_events():
            mark_read(actor=seller, room_id=room.id)

    def test_is_content_with_an_empty_room(self, room: Room, seller: User) -> None:
        with assert_events():
            cursor = mark_read(actor=seller, room_id=room.id)

        assert cursor == ReadCursor(last_read_seq=0, unread_count=0)

    def test_refuses_a_message_of_another_room(self, room: Room, buyer: User, seller: User) -> None:
        foreign = say(make_group(buyer), buyer).payload

        for key in (foreign["id"], uuid4()):
            with pytest.raises(MessageNotFound), assert_events():
                mark_read(actor=seller, room_id=room.id, message_id=key)

    def test_refuses_a_stranger(self, room: Room, buyer: User, stranger: User) -> None:
        say(room, buyer)

        with pytest.raises(RoomNotFound), assert_events():
            mark_read(actor=stranger, room_id=room.id)


@pytest.mark.django_db(transaction=True)
class TestTwoDevicesAtOnce:
    def test_end_at_the_further_message(self, room: Room, buyer: User, seller: User) -> None:
        first, second = say_many(room, buyer, 2)

        together(
            lambda: mark_read(actor=seller, room_id=room.id, message_id=second["id"]),
            lambda: mark_read(actor=seller, room_id=room.id, message_id=first["id"]),
        )

        assert Member.objects.get(room=room, user=seller).read_number == 2


@pytest.mark.django_db
class TestUnreadCounts:
    def test_count_what_others_said_since(self, room: Room, buyer: User, seller: User) -> None:
        other = make_group(buyer, seller)
        say_many(room, buyer, 3)
        say(other, seller)

        assert unread_counts(user=seller) == {str(room.id): 3}
        assert unread_counts(user=buyer) == {str(other.id): 1}

    def test_end_with_the_reading(self, room: Room, buyer: User, seller: User) -> None:
        _first, second, _third = say_many(room, buyer, 3)
        mark_read(actor=seller, room_id=room.id, message_id=second["id"])

        assert unread_counts(user=seller) == {str(room.id): 1}
        mark_read(actor=seller, room_id=room.id)
        assert unread_counts(user=seller) == {}

    def test_are_told_for_many_people_at_once(self, room: Room, buyer: User, seller: User) -> None:
        other = make_group(buyer, seller)
        say_many(room, buyer, 2)
        say(other, buyer)
        people = [buyer.public_id, seller.public_id]

        told = unread_of(room_ids=[room.id], public_ids=people)

        assert sorted(told) == sorted(
            [(buyer.public_id, room.id, 0), (seller.public_id, room.id, 2)]
        )
        assert unread_totals(public_ids=people) == {buyer.public_id: 0, seller.public_id: 3}
