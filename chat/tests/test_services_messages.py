"""Messages are stored once and announced once, one at a time or many senders' together."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.db import DataError
from pytest_django import Settings

from accounts.models import User
from chat.errors import ContentRequired, ContentTooLong, MessageNotFound, RoomNotFound
from chat.models import Member, Message, Room
from chat.payloads import message_payload
from chat.serializers import read_send_message
from chat.services import messages, messages_postgres
from chat.services.messages import (
    Outcome,
    SendCommand,
    SentMessage,
    checked_content,
    send_message,
    send_messages,
)
from chat.tests.conftest import WAYS
from chat.tests.factories import make_group, say
from marketplace.core import limits
from marketplace.core.db import atomic
from marketplace.core.errors import AppError, RateLimited, ValidationFailed
from marketplace.core.ids import uuid7
from marketplace.events import live
from marketplace.events.live import LiveEvent
from marketplace.events.models import Event, TopicHead
from marketplace.tests.cast import assert_events
from marketplace.tests.plugin import forget_limits
from marketplace.tests.threads import together

only_on_postgresql = pytest.mark.skipif(
    settings.DATABASE_ENGINE != "postgresql", reason="about PostgreSQL alone"
)


@pytest.fixture
def room(buyer: User, seller: User) -> Room:
    return make_group(buyer, seller)


def command(room: Room, user: User, content: str = "Good morning", **more: Any) -> SendCommand:
    return SendCommand(actor=user, room_id=room.id, content=content, **more)


def codes(outcomes: Sequence[Outcome]) -> list[str]:
    """What became of each: `sent`, `duplicate`, or the code of its refusal."""
    return [
        one.code if isinstance(one, AppError) else ("duplicate" if one.duplicate else "sent")
        for one in outcomes
    ]


def sent(outcome: Outcome) -> dict[str, Any]:
    assert isinstance(outcome, SentMessage), outcome
    return outcome.payload


@pytest.mark.django_db
@pytest.mark.usefixtures("way")
class TestSendMessage:
    def test_counts_messages_and_takes_the_seq_of_its_event(
        self, room: Room, buyer: User, seller: User
    ) -> None:
        with assert_events(*[(room.topic, "message.sent")] * 3):
            told = [say(room, buyer), say(room, seller), say(room, buyer)]

        assert [one.payload["number"] for one in told] == [1, 2, 3]
        assert [one.payload["seq"] for one in told] == [2, 3, 4]
        rows = Message.objects.filter(room=room).order_by("number")
        assert [(row.number, row.seq) for row in rows] == [(1, 2), (2, 3), (3, 4)]
        room.refresh_from_db()
        assert room.last_number == 3

    def test_answers_what_the_log_holds_but_for_the_address(self, room: Room, buyer: User) -> None:
        told = say(room, buyer, client_id="c-1", data={"lamp": 7})

        event = Event.objects.get(topic=room.topic, name="message.sent")
        assert event.payload == told.payload | {"sender_email": "asha@example.com"}
        assert (event.seq, event.actor_id) == (told.payload["seq"], buyer.public_id)
        assert told.payload["sender"] == {
            "id": buyer.public_id,
            "username": "asha",
            "name": "Asha",
            "avatar_url": None,
        }
        assert "sender_email" not in told.payload

    def test_stores_what_it_answers(self, room: Room, buyer: User) -> None:
        told = say(room, buyer, "Good evening", client_id="c-1", kind="card", data={"lamp": [7]})

        row = Message.objects.select_related("sender").get(id=told.payload["id"])
        assert message_payload(row, sender=row.sender) == told.payload
        assert (row.kind, row.data, row.client_id) == ("card", {"lamp": [7]}, "c-1")

    def test_moves_the_senders_own_cursor_alone(
        self, room: Room, buyer: User, seller: User
    ) -> None:
        told = say(room, buyer).payload

        own, other = (Member.objects.get(room=room, user=user) for user in (buyer, seller))
        assert (own.read_number, own.read_seq) == (1, told["seq"])
        assert (other.read_number, other.read_seq) == (0, 0)

    def test_gives_a_resend_the_first_message_and_announces_nothing(
        self, room: Room, buyer: User
    ) -> None:
        first = say(room, buyer, "Good morning", client_id="c-1")

        with assert_events():
            again = say(room, buyer, "Good night", client_id="c-1")

        assert (first.duplicate, again.duplicate) == (False, True)
        assert again.payload == first.payload
        assert Message.objects.count() == 1

    def test_keeps_the_client_ids_of_people_and_rooms_apart(
        self, room: Room, buyer: User, seller: User
    ) -> None:
        other = make_group(buyer)

        told = [
            say(room, buyer, client_id="1"),
            say(room, seller, client_id="1"),
            say(other, buyer, client_id="1"),
        ]

        assert [one.duplicate for one in told] == [False, False, False]

    def test_refuses_a_stranger_and_a_room_that_does_not_exist_alike(
        self, room: Room, buyer: User, stranger: User
    ) -> None:
        for user, room_id in ((stranger, room.id), (buyer, uuid7())):
            with pytest.raises(RoomNotFound) as refusal, assert_events():
                send_message(actor=user, room_id=room_id, content="Let me in")
            assert refusal.value.details == {}

        assert Message.objects.count() == 0
        room.refresh_from_db()
        assert room.last_number == 0

    def test_refuses_somebody_who_is_inactive(self, room: Room, seller: User) -> None:
        User.objects.filter(pk=seller.pk).update(is_active=False)

        with pytest.raises(RoomNotFound), assert_events():
            say(room, seller)

    def test_answers_to_a_message_of_the_same_room(self, room: Room, buyer: User) -> None:
        first = say(room, buyer).payload

        told = say(room, buyer, reply_to_id=UUID(first["id"])).payload

        assert told["reply_to_id"] == first["id"]

    def test_refuses_to_answer_a_message_of_another_room(self, room: Room, buyer: User) -> None:
        foreign = say(make_group(buyer), buyer).payload

        with pytest.raises(MessageNotFound), assert_events():
            say(room, buyer, reply_to_id=UUID(foreign["id"]))

    def test_names_members_only(
        self, room: Room, buyer: User, seller: User, stranger: User
    ) -> None:
        told = say(room, buyer, mentions=[seller.public_id]).payload
        assert told["mentions"] == [seller.public_id]

        with pytest.raises(ValidationFailed) as refusal, assert_events():
            say(room, buyer, mentions=[seller.public_id, stranger.public_id])
        assert list(refusal.value.details["fields"]) == ["mentions"]

    @pytest.mark.django_db(transaction=True)
    def test_is_announced_after_the_commit_with_the_payload_of_the_log(
        self, room: Room, buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        heard: list[LiveEvent] = []
        monkeypatch.setattr(live, "publish", heard.extend)

        with atomic():
            say(room, buyer, data={"lamp": 7})
            early = list(heard)

        assert early == []
        [announced] = heard
        event = Event.objects.get(topic=room.topic, name="message.sent")
        assert (announced.event_id, announced.seq) == (event.event_id, event.seq)
        assert announced.payload == event.payload
        assert announced.created_at == event.created_at

    def test_keeps_the_request_id_of_its_command(self, room: Room, buyer: User) -> None:
        send_messages([command(room, buyer, request_id="req-1")])

        assert Event.objects.get(name="message.sent").request_id == "req-1"


@pytest.mark.django_db
@pytest.mark.usefixtures("way")
class TestSendMessages:
    def test_answers_in_the_order_of_the_commands(
        self, room: Room, buyer: User, seller: User
    ) -> None:
        other = make_group(seller, buyer)

        outcomes = send_messages(
            [
                command(room, buyer, "1"),
                command(other, buyer, "2"),
                command(room, seller, "3"),
                command(room, buyer, "4"),
            ]
        )

        assert [sent(one)["content"] for one in outcomes] == ["1", "2", "3", "4"]
        assert [sent(one)["number"] for one in outcomes] == [1, 1, 2, 3]
        assert [sent(one)["seq"] for one in outcomes] == [2, 2, 3, 4]

    def test_fails_one_bad_command_alone(
        self, room: Room, buyer: User, seller: User, stranger: User
    ) -> None:
        say(room, seller, client_id="old")

        with assert_events(*[(room.topic, "message.sent")] * 2):
            outcomes = send_messages(
                [
                    command(room, buyer, "1"),
                    command(room, stranger, "2"),
                    command(room, buyer, "3", reply_to_id=uuid7()),
                    command(room, seller, "4", client_id="old"),
                    command(room, buyer, "5", mentions=["nobody"]),
                    command(room, seller, "6"),
                ]
            )

        assert codes(outcomes) == [
            "sent",
            "room_not_found",
            "message_not_found",
            "duplicate",
            "validation_failed",
            "sent",
        ]

    def test_stores_one_of_two_with_the_same_client_id(self, room: Room, buyer: User) -> None:
        with assert_events((room.topic, "message.sent")):
            outcomes = send_messages([command(room, buyer, str(n), client_id="c") for n in (1, 2)])

        assert codes(outcomes) == ["sent", "duplicate"]
        assert sent(outcomes[0]) == sent(outcomes[1])

    def test_moves_each_senders_cursor_to_his_last_message(
        self, room: Room, buyer: User, seller: User
    ) -> None:
        send_messages([command(room, buyer), command(room, seller), command(room, buyer)])

        cursors = {m.user_id: m.read_number for m in Member.objects.filter(room=room)}
        assert cursors == {buyer.pk: 3, seller.pk: 2}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("way")
class TestBrokenRow:
    @only_on_postgresql
    def test_fails_a_row_that_the_database_refuses_alone(self, room: Room, buyer: User) -> None:
        too_long = "x" * 65

        outcomes = send_messages(
            [command(room, buyer, "1"), command(room, buyer, "2", client_id=too_long)]
        )

        assert codes(outcomes) == ["sent", "internal_error"]
        assert Message.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.usefixtures("way")
class TestRateLimit:
    def test_refuses_the_message_after_the_last(
        self, room: Room, buyer: User, settings: Settings
    ) -> None:
        settings.MESSAGE_RATE_LIMIT = 2
        say(room, buyer)
        say(room, buyer)

        with pytest.raises(RateLimited) as refusal, assert_events():
            say(room, buyer)

        assert 1 <= refusal.value.details["retry_after"] <= 60
        assert Message.objects.count() == 2

    def test_counts_a_batch_one_by_one(
        self, room: Room, buyer: User, seller: User, settings: Settings
    ) -> None:
        settings.MESSAGE_RATE_LIMIT = 2

        outcomes = send_messages(
            [*[command(room, buyer, str(n)) for n in (1, 2, 3)], command(room, seller)]
        )

        assert codes(outcomes) == ["sent", "sent", "rate_limited", "sent"]

    def test_takes_nothing_for_a_resend(self, room: Room, buyer: User, settings: Settings) -> None:
        settings.MESSAGE_RATE_LIMIT = 2
        for _ in range(5):
            say(room, buyer, client_id="c-1")

        assert codes(send_messages([command(room, buyer)])) == ["sent"]

    def test_takes_one_for_two_of_the_same_in_one_batch(
        self, room: Room, buyer: User, settings: Settings
    ) -> None:
        settings.MESSAGE_RATE_LIMIT = 2

        outcomes = send_messages(
            [
                command(room, buyer, client_id="c-1"),
                command(room, buyer, client_id="c-1"),
                command(room, buyer, client_id="c-2"),
            ]
        )

        assert codes(outcomes) == ["sent", "duplicate", "sent"]

    def test_tells_a_stranger_nothing_else_for_trying_often(
        self, room: Room, stranger: User, settings: Settings
    ) -> None:
        settings.MESSAGE_RATE_LIMIT = 2

        outcomes = send_messages([command(room, stranger)] * 4)

        assert codes(outcomes) == ["room_not_found"] * 4

    def test_charges_once_for_a_batch_that_has_to_be_tried_again(
        self, room: Room, buyer: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.MESSAGE_RATE_LIMIT = 2
        store, failures = messages._store, [DataError("one bad row")]

        def fail_first(commands: Sequence[SendCommand]) -> list[Outcome]:
            if failures and len(commands) > 1:
                for one in commands:
                    limits.check_message(one.actor.public_id)
                    one.charged = True
                raise failures.pop()
            return store(commands)

        monkeypatch.setattr(messages, "_store", fail_first)

        outcomes = send_messages([command(room, buyer, "1"), command(room, buyer, "2")])

        assert codes(outcomes) == ["sent", "sent"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("way")
class TestTwoAtOnce:
    def test_make_one_message_of_one_client_id(self, room: Room, buyer: User) -> None:
        outcomes = together(*[lambda: say(room, buyer, client_id="c-1")] * 2)

        assert outcomes[0].payload == outcomes[1].payload
        assert sorted(one.duplicate for one in outcomes) == [False, True]
        assert Message.objects.count() == 1
        assert Event.objects.filter(name="message.sent").count() == 1
        head = TopicHead.objects.get(topic=room.topic)
        assert (head.last_seq, Room.objects.get(id=room.id).last_number) == (2, 1)

    @pytest.mark.transactions
    def test_number_and_seq_stay_gapless(
        self, room: Room, buyer: User, seller: User, settings: Settings
    ) -> None:
        settings.MESSAGE_RATE_LIMIT = 0

        def talk(user: User) -> list[str]:
            return [say(room, user, str(number)).payload["id"] for number in range(10)]

        together(lambda: talk(buyer), lambda: talk(seller))

        rows = list(
            Message.objects.filter(room=room).order_by("number").values_list("number", "seq")
        )
        assert rows == [(n, n + 1) for n in range(1, 21)]
        events = Event.objects.filter(topic=room.topic).order_by("seq")
        assert [event.seq for event in events] == list(range(1, 22))


@pytest.mark.django_db(transaction=True)
class TestBothWays:
    """PostgreSQL's one statement and the portable one are the same service."""

    @only_on_postgresql
    @pytest.mark.parametrize("limit", [0, 3])
    def test_give_the_same_rows_events_and_outcomes(
        self,
        buyer: User,
        seller: User,
        stranger: User,
        settings: Settings,
        monkeypatch: pytest.MonkeyPatch,
        limit: int,
    ) -> None:
        User.objects.filter(pk=seller.pk).update(avatar_url="https://example.com/a.png", name="")
        seller.refresh_from_db()
        settings.MESSAGE_RATE_LIMIT = limit
        told = []
        for way in WAYS:
            forget_limits()
            with monkeypatch.context() as patch:
                if way == "portable":
                    patch.setattr(messages_postgres, "applies", lambda commands: False)
                told.append(self._tell(make_group(buyer, seller), buyer, seller, stranger))

        assert told[0] == told[1]

    @staticmethod
    def _tell(room: Room, buyer: User, seller: User, stranger: User) -> list[Any]:
        """Everything that scenarios leave behind, without ids and times."""
        batches = [
            [command(room, buyer, "1"), command(room, seller, "2", client_id="a")],
            [command(room, stranger, "3"), command(room, buyer, "4", data={"ä": [1, None, "x"]})],
            [
                command(room, seller, "5", client_id="a"),
                command(room, seller, "6", client_id="b"),
                command(room, seller, "7", client_id="b"),
                command(room, buyer, "8", kind="card"),
            ],
            [command(room, seller, "9 \U0001f4a1 Caf\u00e9", data={}), command(room, buyer, "10")],
        ]
        outcomes = [send_messages(batch) for batch in batches]
        rows = Message.objects.filter(room=room).order_by("number").values()
        events = Event.objects.filter(topic=room.topic).order_by("seq").values()
        members = Member.objects.filter(room=room).order_by("user_id").values()
        head = TopicHead.objects.filter(topic=room.topic).values()
        return [
            [[anonymous(one) for one in outcome] for outcome in outcomes],
            *[[anonymous(row) for row in found] for found in (rows, events, members, head)],
            Room.objects.get(id=room.id).last_number,
        ]


CHANGING = frozenset({"id", "room_id", "created_at", "updated_at", "active_at", "event_id"})
CHANGING |= {"joined_at", "topic", "epoch", "request_id", "retry_after", "last_message_at"}


def anonymous(value: Any) -> Any:
    """The value without what differs from one run to the next; what must be there stays named."""
    if isinstance(value, AppError):
        return value.code
    if isinstance(value, SentMessage):
        return [value.duplicate, anonymous(value.payload)]
    if isinstance(value, dict):
        return {
            key: (type(item).__name__ if key in CHANGING and item else anonymous(item))
            for key, item in value.items()
        }
    return [anonymous(item) for item in value] if isinstance(value, list) else value


class TestCheckedContent:
    def test_is_nfc(self) -> None:
        assert checked_content("Cafe\u0301") == "Caf\u00e9"

    def test_keeps_what_stands_around_it(self) -> None:
        assert checked_content("  two\n lines ") == "  two\n lines "

    @pytest.mark.parametrize("content", ["  \n\t", "\u3000"])
    def test_takes_blanks_for_characters(self, content: str) -> None:
        assert checked_content(content) == content

    @pytest.mark.parametrize("content", [None, ""])
    def test_refuses_nothing(self, content: object) -> None:
        with pytest.raises(ContentRequired):
            checked_content(content)

    @pytest.mark.parametrize("content", [True, ["x"], {"text": "x"}, b"x"])
    def test_refuses_what_is_no_text(self, content: object) -> None:
        with pytest.raises(ValidationFailed):
            checked_content(content)

    @pytest.mark.parametrize("content", ["a\x00b", "\x00", "\u00e9\x00", "a\ud800", "\udfff"])
    def test_refuses_what_no_store_takes(self, content: str) -> None:
        with pytest.raises(ValidationFailed) as refusal:
            checked_content(content)
        assert list(refusal.value.details["fields"]) == ["content"]

    def test_takes_ten_thousand_characters_and_not_one_more(self) -> None:
        assert len(checked_content("\U0001f4a1" * 10_000)) == 10_000
        with pytest.raises(ContentTooLong) as refusal:
            checked_content("x" * 10_001)
        assert refusal.value.details == {"limit": 10_000}

    def test_counts_characters_as_they_are_stored(self) -> None:
        assert len(checked_content("e\u0301" * 10_000)) == 10_000

    def test_takes_a_number_as_its_text(self) -> None:
        assert checked_content(7) == "7"


class TestReadSendMessage:
    @pytest.mark.parametrize(
        "name", ["client_id", "clientId", "client_message_id", "clientMessageId", "tempId"]
    )
    def test_knows_every_name_of_the_client_id(self, name: str) -> None:
        assert read_send_message({"content": "x", name: "c-1"}).client_id == "c-1"

    @pytest.mark.parametrize("client_id", ["", "x" * 65, True, ["c"], {}, "a\x00"])
    def test_refuses_a_client_id_of_no_use(self, client_id: object) -> None:
        with pytest.raises(ValidationFailed):
            read_send_message({"content": "x", "client_id": client_id})

    @pytest.mark.parametrize("name", ["reply_to_id", "replyToId", "reply_to", "replyTo"])
    def test_knows_every_name_of_the_answered_message(self, name: str) -> None:
        key = uuid7()

        assert read_send_message({"content": "x", name: str(key)}).reply_to_id == key

    @pytest.mark.parametrize(
        "wrong",
        [
            {"kind": "system"},
            {"kind": "borrow"},
            {"kind": 1},
            {"mentions": "asha"},
            {"mentions": [1]},
            {"mentions": [""]},
            {"mentions": ["x"] * 51},
            {"data": []},
            {"data": {"a": "\x00"}},
            {"data": {"a": [{"\x00": 1}]}},
            {"data": {"a": "\ud800"}},
            {"reply_to_id": "nothing"},
            {"reply_to_id": 7},
        ],
    )
    def test_names_the_field_that_is_wrong(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValidationFailed) as refusal:
            read_send_message({"content": "x"} | wrong)
        assert list(refusal.value.details["fields"]) == list(wrong)

    def test_passes_over_what_it_does_not_know(self) -> None:
        command = read_send_message({"content": "x", "sender_id": "me", "number": 7, "data": None})

        assert (command.content, command.data, command.kind) == ("x", None, "text")

    def test_keeps_one_of_each_mention(self) -> None:
        assert read_send_message({"content": "x", "mentions": ["a", "b", "a"]}).mentions == [
            "a",
            "b",
        ]
