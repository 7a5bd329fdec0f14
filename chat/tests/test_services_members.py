"""People come into groups and go; their live connections go with them."""

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts.models import User
from chat.errors import OwnerMustHandOver, RoomNotFound
from chat.models import Member, Room
from chat.services.members import add_member, leave_room, remove_member
from chat.services.rooms import open_assistant_room, open_direct_room
from chat.tests.factories import make_group, say, say_many
from marketplace.core.db import atomic
from marketplace.core.errors import IllegalTransition
from marketplace.events import live
from marketplace.events.catalog import kind_of
from marketplace.events.live import Control
from marketplace.tests.cast import assert_events
from marketplace.tests.threads import together


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> list[Control]:
    """What was told to live connections."""
    told: list[Control] = []
    monkeypatch.setattr(live, "_publish_control", told.append)
    return told


@pytest.mark.django_db
class TestAddMember:
    def test_starts_at_the_newest_message(self, buyer: User, seller: User) -> None:
        room = make_group(buyer)
        newest = say_many(room, buyer, 3)[-1]

        member = add_member(room=room, user=seller, actor=buyer)

        assert (member.read_number, member.read_seq) == (3, newest["seq"])
        room.refresh_from_db()
        assert room.member_count == 2
        assert room.first_members[-1] == str(member.id)

    def test_tells_the_room_and_names_the_actor(self, buyer: User, seller: User) -> None:
        room = make_group(buyer)

        with assert_events((room.topic, "member.joined")) as recorded:
            add_member(room=room, user=seller, actor=buyer)

        payload = recorded[0].payload
        assert (payload["user_id"], payload["actor_id"]) == (seller.public_id, buyer.public_id)
        assert payload["user"] is None, "the log holds personal fields of the actor alone"
        assert set(payload) == set(kind_of("member.joined").fields)

    def test_leaves_one_who_is_there_as_he_is(self, buyer: User, seller: User) -> None:
        room = make_group(buyer, seller)

        with assert_events():
            member = add_member(room=room, user=seller, role="admin", actor=buyer)

        assert member.role == "member"
        room.refresh_from_db()
        assert room.member_count == 2


@pytest.mark.django_db(transaction=True)
class TestTwoAtOnce:
    @pytest.mark.transactions
    def test_adds_him_once(self, buyer: User, seller: User) -> None:
        room = make_group(buyer)

        members = together(
            *[lambda: add_member(room=Room.objects.get(id=room.id), user=seller, actor=buyer)] * 2
        )

        assert members[0].id == members[1].id
        room.refresh_from_db()
        assert room.member_count == 2
        assert Member.objects.filter(room=room).count() == 2


@pytest.mark.django_db
class TestLeaveRoom:
    def test_takes_out_the_row_the_count_and_the_connections(
        self,
        buyer: User,
        seller: User,
        orders: list[Control],
        django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    ) -> None:
        room = make_group(buyer, seller)

        with (
            assert_events((room.topic, "member.left")) as recorded,
            django_capture_on_commit_callbacks(execute=True),
        ):
            leave_room(actor=seller, room_id=room.id)

        assert not Member.objects.filter(room=room, user=seller).exists()
        room.refresh_from_db()
        assert room.member_count == 1
        assert len(room.first_members) == 1
        assert recorded[0].payload["user"]["name"] == "Bruno"
        assert orders == [
            Control("removed", topic=room.topic, user_id=seller.public_id, reason="left")
        ]

    def test_refuses_a_stranger(self, buyer: User, stranger: User, orders: list[Control]) -> None:
        room = make_group(buyer)

        with pytest.raises(RoomNotFound), assert_events():
            leave_room(actor=stranger, room_id=room.id)

        assert orders == []

    def test_keeps_the_owner_while_there_are_others(self, buyer: User, seller: User) -> None:
        room = make_group(buyer, seller)

        with pytest.raises(OwnerMustHandOver), assert_events():
            leave_room(actor=buyer, room_id=room.id)

    def test_lets_the_last_one_go(self, buyer: User) -> None:
        room = make_group(buyer)

        leave_room(actor=buyer, room_id=room.id)

        assert Member.objects.count() == 0

    def test_refuses_rooms_that_are_nobodys_to_leave(self, buyer: User, seller: User) -> None:
        direct, _ = open_direct_room(actor=buyer, other=seller)
        assistant, _ = open_assistant_room(actor=buyer)

        for room in (direct, assistant):
            with pytest.raises(IllegalTransition):
                leave_room(actor=buyer, room_id=room.id)


@pytest.mark.django_db
class TestRemoveMember:
    @pytest.mark.django_db(transaction=True)
    def test_orders_his_connections_out_after_the_commit(
        self, buyer: User, seller: User, orders: list[Control]
    ) -> None:
        room = make_group(buyer, seller)

        with atomic():
            gone = remove_member(room=room, user=seller, actor=buyer)
            early = list(orders)

        assert gone
        assert early == []
        assert orders == [
            Control("removed", topic=room.topic, user_id=seller.public_id, reason="removed")
        ]

    def test_records_who_did_it(self, buyer: User, seller: User) -> None:
        room = make_group(buyer, seller)

        with assert_events((room.topic, "member.removed")) as recorded:
            remove_member(room=room, user=seller, actor=buyer)

        assert recorded[0].payload["actor_id"] == buyer.public_id
        assert recorded[0].actor_id == buyer.public_id

    def test_says_when_he_was_not_there(self, buyer: User, stranger: User) -> None:
        room = make_group(buyer)

        with assert_events():
            assert remove_member(room=room, user=stranger) is False

    def test_ends_his_right_to_speak(self, buyer: User, seller: User) -> None:
        room = make_group(buyer, seller)
        remove_member(room=room, user=seller)

        with pytest.raises(RoomNotFound), assert_events():
            say(room, seller)
