"""Rooms come into being once, whoever asks at the same time."""

import threading
from contextlib import suppress

import pytest
from django.db import connection

from accounts.models import User
from chat.errors import UserNotFound
from chat.models import Member, Room
from chat.selectors import describe_rooms
from chat.services import rooms
from chat.services.rooms import create_group, create_room, open_assistant_room, open_direct_room
from chat.tests.factories import make_people
from marketplace.core.errors import ValidationFailed
from marketplace.events.catalog import kind_of
from marketplace.events.models import Event, TopicHead
from marketplace.tests.cast import assert_events
from marketplace.tests.threads import together


@pytest.mark.django_db
class TestOpenDirectRoom:
    def test_makes_one_room_for_two_people_whoever_asks(self, buyer: User, seller: User) -> None:
        first, is_new = open_direct_room(actor=buyer, other=seller)
        second, is_new_again = open_direct_room(actor=seller, other=buyer)

        assert (is_new, is_new_again) == (True, False)
        assert second == first
        assert Room.objects.count() == 1

    def test_makes_another_room_for_another_subject(self, buyer: User, seller: User) -> None:
        subjects = [("", ""), ("order", "17"), ("order", "18"), ("offer", "17")]

        made = [
            open_direct_room(actor=buyer, other=seller, subject_type=kind, subject_id=key)[0]
            for kind, key in subjects
        ]

        assert len({room.id for room in made}) == 4

    def test_tells_subjects_apart_that_read_the_same(self, buyer: User, seller: User) -> None:
        one, _ = open_direct_room(actor=buyer, other=seller, subject_type="a:b", subject_id="c")
        two, _ = open_direct_room(actor=buyer, other=seller, subject_type="a", subject_id="b:c")

        assert one != two

    def test_starts_its_topic_with_room_created_and_both_members(
        self, buyer: User, seller: User
    ) -> None:
        room, _ = open_direct_room(actor=buyer, other=seller)

        [event] = Event.objects.filter(topic=room.topic)
        assert (event.seq, event.name, event.actor_id) == (1, "room.created", buyer.public_id)
        assert [one["user_id"] for one in event.payload["members"]] == [
            buyer.public_id,
            seller.public_id,
        ]
        assert event.payload["member_count"] == 2
        assert event.payload["last_number"] == 0
        assert event.payload["latest_seq"] == event.seq

    def test_tells_the_room_and_its_members_without_anybodys_own_fields(
        self, buyer: User, seller: User
    ) -> None:
        room, _ = open_direct_room(actor=buyer, other=seller)

        [described] = describe_rooms([room], user=buyer)
        own = {"my_role", "my_last_read_seq", "unread_count", "muted"}
        payload = Event.objects.get(topic=room.topic).payload
        assert set(payload) == set(described) - own == set(kind_of("room.created").fields)
        assert payload["members"] == [
            described["members"][0],
            described["members"][1] | {"user": None},
        ]

    def test_keeps_other_people_out_of_the_log(self, buyer: User, seller: User) -> None:
        room, _ = open_direct_room(actor=buyer, other=seller)

        own, other = Event.objects.get(topic=room.topic).payload["members"]
        assert own["user"]["name"] == "Asha"
        assert other["user"] is None

    def test_records_nothing_the_second_time(self, buyer: User, seller: User) -> None:
        open_direct_room(actor=buyer, other=seller)

        with assert_events():
            open_direct_room(actor=seller, other=buyer)


@pytest.mark.django_db(transaction=True)
class TestTwoAtOnce:
    def test_opens_one_direct_room(
        self, buyer: User, seller: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        both_have_looked(monkeypatch)

        outcomes = together(
            lambda: open_direct_room(actor=buyer, other=seller),
            lambda: open_direct_room(actor=seller, other=buyer),
        )

        assert len({room.id for room, _ in outcomes}) == 1
        assert sorted(is_new for _, is_new in outcomes) == [False, True]
        assert Room.objects.count() == 1
        assert Member.objects.count() == 2
        room = outcomes[0][0]
        assert TopicHead.objects.get(topic=room.topic).last_seq == 1
        assert Event.objects.filter(topic=room.topic).count() == 1

    def test_opens_one_assistant_room(self, buyer: User, monkeypatch: pytest.MonkeyPatch) -> None:
        both_have_looked(monkeypatch)

        outcomes = together(*[lambda: open_assistant_room(actor=buyer)] * 2)

        assert len({room.id for room, _ in outcomes}) == 1
        assert sorted(is_new for _, is_new in outcomes) == [False, True]
        assert Room.objects.count() == 1


def both_have_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither makes the room before the other has seen that there is none."""
    make, barrier = rooms._make, threading.Barrier(2)

    def wait_and_make(*args: object, **named: object) -> Room:
        # SQLite lets one writer in: the other waits outside until he has gone.
        if connection.vendor != "sqlite" and not barrier.broken:
            with suppress(threading.BrokenBarrierError):
                barrier.wait(timeout=2)
        return make(*args, **named)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(rooms, "_make", wait_and_make)


@pytest.mark.django_db
class TestOpenAssistantRoom:
    def test_is_one_per_person_and_subject(self, buyer: User, seller: User) -> None:
        own, _ = open_assistant_room(actor=buyer)
        again, is_new = open_assistant_room(actor=buyer)
        about_a_lamp, _ = open_assistant_room(actor=buyer, subject_id="lamp")
        foreign, _ = open_assistant_room(actor=seller)

        assert (again, is_new) == (own, False)
        assert len({own.id, about_a_lamp.id, foreign.id}) == 3
        assert own.owner == buyer
        assert own.member_count == 1


@pytest.mark.django_db
class TestCreateGroup:
    def test_has_its_owner_and_its_members(self, buyer: User, seller: User) -> None:
        room = create_group(owner=buyer, title="Lamps", members=[seller])

        roles = Member.objects.filter(room=room).order_by("joined_at", "id")
        assert [(one.user_id, one.role) for one in roles] == [
            (buyer.pk, "owner"),
            (seller.pk, "member"),
        ]
        assert room.member_count == 2

    def test_is_a_new_one_each_time(self, buyer: User) -> None:
        assert create_group(owner=buyer, title="Lamps") != create_group(owner=buyer, title="Lamps")

    def test_shows_the_first_ten_members_alone(self, buyer: User) -> None:
        room = create_group(owner=buyer, title="Lamps", members=make_people(11))

        assert room.member_count == 12
        assert len(room.first_members) == 10
        assert room.first_members[0] == str(Member.objects.get(room=room, user=buyer).id)

    @pytest.mark.parametrize("title", ["", "   ", "x" * 101])
    def test_refuses_a_title_of_no_use(self, buyer: User, title: str) -> None:
        with pytest.raises(ValidationFailed) as refusal, assert_events():
            create_group(owner=buyer, title=title)

        assert list(refusal.value.details["fields"]) == ["title"]
        assert Room.objects.count() == 0

    def test_keeps_its_title_in_nfc(self, buyer: User) -> None:
        room = create_group(owner=buyer, title="Cafe\u0301")

        assert Room.objects.get(id=room.id).title == "Caf\u00e9"


@pytest.mark.django_db
class TestCreateRoom:
    def test_refuses_oneself(self, buyer: User) -> None:
        with pytest.raises(ValidationFailed) as refusal:
            create_room(actor=buyer, kind="direct", member_ids=[buyer.public_id])

        assert refusal.value.details["fields"] == {
            "member_ids": ["Name somebody other than yourself."]
        }

    @pytest.mark.parametrize("count", [0, 2])
    def test_takes_exactly_one_other_person(self, buyer: User, count: int) -> None:
        people = make_people(count)

        with pytest.raises(ValidationFailed), assert_events():
            create_room(actor=buyer, kind="direct", member_ids=[one.public_id for one in people])

        assert Room.objects.count() == 0

    def test_refuses_somebody_unknown_and_somebody_inactive_alike(
        self, buyer: User, seller: User
    ) -> None:
        User.objects.filter(pk=seller.pk).update(is_active=False)

        for public_id in ("nobody", seller.public_id):
            with pytest.raises(UserNotFound):
                create_room(actor=buyer, kind="direct", member_ids=[public_id])
        assert Room.objects.count() == 0

    @pytest.mark.parametrize("kind", ["shop", "ticket"])
    def test_refuses_kinds_that_others_make(self, buyer: User, kind: str) -> None:
        with pytest.raises(ValidationFailed):
            create_room(actor=buyer, kind=kind)

    def test_refuses_members_of_a_group(self, buyer: User, seller: User) -> None:
        with pytest.raises(ValidationFailed):
            create_room(actor=buyer, kind="group", title="x", member_ids=[seller.public_id])

        assert Room.objects.count() == 0
