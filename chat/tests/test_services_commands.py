"""Every message is answered once and in its order, whatever dies, repeats or runs beside it."""

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from uuid import UUID

import pytest
import time_machine
from django.db import OperationalError

from accounts.models import User
from chat.commands import createshop, registry
from chat.commands.registry import Call, Command, Reply
from chat.models import Member, Message, Room
from chat.services import commands
from chat.services.asking import job_key
from chat.services.commands import OUR_FAULT, answer_upto
from chat.services.members import remove_member
from chat.services.messages import SendCommand, send_messages
from chat.tests.factories import answers, make_group, make_talk, say, talk
from marketplace.core.clock import now
from marketplace.core.errors import Unavailable
from marketplace.core.ids import uuid7
from marketplace.core.jobs import run_due_jobs
from marketplace.core.models import Job, JobState
from marketplace.events.models import Event
from marketplace.tests.cast import assert_events
from marketplace.tests.threads import together
from shops.models import Shop
from shops.tests.factories import make_shop

ASK_NAME = createshop.ASK_NAME
ASK_LOCATION = createshop.ASK_LOCATION
ASK_CATEGORY = createshop.ASK_CATEGORY
OPENED = "✅ Shop created successfully! ID: shop_10001"


@pytest.fixture
def room(buyer: User) -> Room:
    return make_talk(buyer)


@pytest.fixture
def registered() -> Iterator[None]:
    """What a test registers is forgotten after it."""
    before = dict(registry._commands)
    yield
    registry._commands.clear()
    registry._commands.update(before)


def newest(room: Room) -> Message:
    return Message.objects.filter(room=room, sender__isnull=False).order_by("-number")[0]


def open_of(room: Room, user: User) -> bool:
    return Member.objects.get(room=room, user=user).wizard_open


@pytest.mark.django_db
@pytest.mark.usefixtures("way")
class TestAsking:
    """A message is stored as ever; whether it concerns the assistant decides about a job alone."""

    def test_stores_the_message_and_its_job_and_answers_nothing_yet(
        self, room: Room, buyer: User
    ) -> None:
        with assert_events((room.topic, "message.sent")):
            told = say(room, buyer, "@createshop", client_id="c-1")

        assert (told.payload["number"], told.payload["content"]) == (1, "@createshop")
        job = Job.objects.get()
        assert (job.name, job.arguments) == ("run_command", {"message_id": told.payload["id"]})
        assert answers(room) == []
        assert open_of(room, buyer)

    def test_leaves_plain_messages_alone(self, room: Room, buyer: User, seller: User) -> None:
        group = make_group(buyer, seller)
        for line in ("hello", "a@b.example", "cancel", "2 @help"):
            say(room, buyer, line)
            say(group, seller, line)
        say(group, buyer, "@bruno look")

        assert not Job.objects.exists()
        assert not Member.objects.filter(wizard_open=True).exists()

    def test_asks_once_for_a_resend(self, room: Room, buyer: User) -> None:
        for _ in range(2):
            say(room, buyer, "@help", client_id="c-1")
            run_due_jobs()

        assert Job.objects.count() == 1
        assert len(answers(room)) == 1

    def test_hears_what_follows_before_the_first_is_answered(self, room: Room, buyer: User) -> None:
        for line in ("@createshop", "Lamp", "New York", "food"):
            say(room, buyer, line)

        while run_due_jobs():
            pass

        assert answers(room) == [ASK_NAME, ASK_LOCATION, ASK_CATEGORY, OPENED]
        assert not open_of(room, buyer)

    def test_hears_a_whole_dialogue_in_one_batch(
        self, room: Room, buyer: User, seller: User
    ) -> None:
        group = make_group(buyer, seller)
        lines = ("@createshop", "Lamp", "New York", "food", "thanks")
        batch = [SendCommand(actor=buyer, room_id=room.id, content=line) for line in lines]
        batch += [SendCommand(actor=seller, room_id=group.id, content="hi") for _ in range(2)]

        send_messages(batch)
        run_due_jobs()

        said = Message.objects.filter(room=room, sender=buyer).order_by("number")
        assert [one.content for one in said] == list(lines)
        assert answers(room) == [ASK_NAME, ASK_LOCATION, ASK_CATEGORY, OPENED]
        assert Message.objects.filter(room=group).count() == 2

    def test_hears_the_one_whose_dialogue_is_open_and_stores_the_others_as_ever(
        self, buyer: User, seller: User
    ) -> None:
        group = make_group(buyer, seller)
        talk(group, buyer, "@createshop")

        batch = [
            SendCommand(actor=one, room_id=group.id, content=line)
            for one, line in ((seller, "x"), (buyer, "Lamp"), (seller, "y"), (buyer, "NY"))
        ]
        send_messages(batch)
        run_due_jobs()

        assert answers(group) == [ASK_NAME, ASK_LOCATION, ASK_CATEGORY]
        numbers = Message.objects.filter(room=group).order_by("number")
        assert [one.number for one in numbers] == list(range(1, 9))
        seqs = Event.objects.filter(topic=group.topic).order_by("seq")
        assert [one.seq for one in seqs] == list(range(1, 10))

    def test_is_quiet_again_after_the_end(self, room: Room, buyer: User) -> None:
        talk(room, buyer, "@help", "hello", "there")

        assert Job.objects.count() == 1
        assert not open_of(room, buyer)

    def test_forgets_what_was_said_before_the_next_beginning(self, room: Room, buyer: User) -> None:
        talk(room, buyer, "@createshop", "cancel", "plain", "another")

        assert talk(room, buyer, "@createshop") == [ASK_NAME]
        assert talk(room, buyer, "Lamp") == [ASK_LOCATION]


@pytest.mark.django_db
class TestReply:
    def test_is_a_message_of_the_assistant_after_the_one_it_answers(
        self, room: Room, buyer: User
    ) -> None:
        with assert_events(*[(room.topic, "message.sent")] * 2):
            asked = say(room, buyer, "@cancel").payload
            run_due_jobs()

        told = Message.objects.get(room=room, number=2)
        assert (told.sender_type, told.sender_id, told.kind) == ("ai", None, "text")
        assert told.client_id == f"to-{asked['id']}"
        event = Event.objects.get(topic=room.topic, seq=told.seq)
        assert (event.payload["sender_id"], event.payload["sender"]) == ("ai_system", None)
        assert (event.actor_id, event.payload["content"]) == (None, "There is nothing to cancel.")
        room.refresh_from_db()
        assert room.last_number == 2

    def test_costs_the_sender_no_rate_and_is_unread(self, room: Room, buyer: User) -> None:
        talk(room, buyer, "@cancel")

        member = Member.objects.select_related("room").get(room=room)
        assert member.room.last_number - member.read_number == 1


@pytest.mark.django_db
class TestOnce:
    def test_a_job_that_runs_twice_answers_once(self, room: Room, buyer: User) -> None:
        talk(room, buyer, "@createshop", "Lamp", "NY", "food")
        Job.objects.update(state=JobState.WAITING, run_at=now())

        with assert_events():
            assert run_due_jobs() == 4

        assert len(answers(room)) == 4
        assert Shop.objects.count() == 1

    def test_nothing_is_lost_between_message_and_answer(self, room: Room, buyer: User) -> None:
        say(room, buyer, "@createshop")

        # The process died here; the next one finds the job.
        assert answers(room) == []
        assert run_due_jobs() == 1
        assert answers(room) == [ASK_NAME]

    @pytest.mark.transactions
    def test_an_answer_is_there_whole_or_not_at_all(
        self, room: Room, buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        talk(room, buyer, "@createshop", "Lamp", "NY")

        def die(*args: object, **named: object) -> None:
            raise RuntimeError("The process dies before it commits.")

        with monkeypatch.context() as patch:
            patch.setattr(commands, "_move_on", die)
            say(room, buyer, "food")
            run_due_jobs()

        job = Job.objects.get(key=job_key(newest(room)))
        assert (job.state, job.attempts) == ("waiting", 1)
        with time_machine.travel(job.run_at + timedelta(seconds=1)):
            run_due_jobs()
        assert answers(room)[3:] == [OPENED]
        assert Shop.objects.count() == 1

    def test_a_message_without_a_job_can_be_answered_too(self, room: Room, buyer: User) -> None:
        say(room, buyer, "@cancel")
        Job.objects.all().delete()

        answer_upto(message_id=newest(room).id)

        assert answers(room) == ["There is nothing to cancel."]

    def test_answers_no_message_that_is_not_there(self) -> None:
        with assert_events():
            answer_upto(message_id=uuid7())


@pytest.mark.django_db
class TestWhoIsGone:
    def test_gets_no_answer(self, buyer: User, seller: User) -> None:
        group = make_group(buyer, seller)
        say(group, seller, "@help")
        remove_member(room=group, user=seller)

        run_due_jobs()

        assert answers(group) == []
        assert Job.objects.get().state == "done"

    def test_gets_none_when_he_is_inactive(self, room: Room, buyer: User) -> None:
        say(room, buyer, "@createshop")
        User.objects.filter(pk=buyer.pk).update(is_active=False)

        run_due_jobs()

        assert answers(room) == []


@pytest.mark.django_db
@pytest.mark.usefixtures("registered")
class TestFailure:
    def fail(self, error: Exception) -> list[int]:
        """A command whose every start fails so; the runs are counted."""
        runs: list[int] = []

        def start(call: Call) -> Reply:
            runs.append(call.message.number)
            raise error

        registry.register(Command(word="fail", summary="", start=start))
        return runs

    @pytest.mark.parametrize("error", [RuntimeError("x"), Unavailable(), OperationalError("x")])
    def test_of_ours_is_tried_again_and_then_told(
        self, room: Room, buyer: User, error: Exception
    ) -> None:
        runs = self.fail(error)
        say(room, buyer, "@fail")
        job = Job.objects.get()

        for _ in range(2):
            with time_machine.travel(max(job.run_at, now()) + timedelta(seconds=1)):
                run_due_jobs()
            job.refresh_from_db()
            assert (job.state, answers(room)) == ("waiting", [])
        with time_machine.travel(job.run_at + timedelta(seconds=1)):
            run_due_jobs()

        job.refresh_from_db()
        assert (job.state, job.attempts) == ("done", 3)
        assert answers(room) == [OUR_FAULT]
        assert len(runs) in (3, 9), "a database that fails is asked again at once"
        assert not open_of(room, buyer)

    def test_holds_back_what_was_said_after_it(self, room: Room, buyer: User) -> None:
        self.fail(RuntimeError("x"))
        say(room, buyer, "@fail")
        run_due_jobs()

        say(room, buyer, "@cancel")
        run_due_jobs()
        assert answers(room) == []
        for minute in (5, 10):
            with time_machine.travel(now() + timedelta(minutes=minute)):
                run_due_jobs()

        assert answers(room) == [OUR_FAULT, "There is nothing to cancel."]


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    """Without the queue that threads of one process stand in: the database alone decides."""

    @pytest.fixture(autouse=True)
    def _no_queue(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(commands, "one_at_a_time", lambda key: nullcontext())

    def test_two_runs_of_one_job_open_one_shop(self, room: Room, buyer: User) -> None:
        talk(room, buyer, "@createshop", "Lamp", "NY")
        say(room, buyer, "food")
        key = newest(room).id

        together(*[lambda: answer_upto(message_id=key)] * 4)

        assert answers(room)[3:] == [OPENED]
        assert Shop.objects.count() == 1

    def test_two_answers_to_one_question_open_one_shop(self, room: Room, buyer: User) -> None:
        talk(room, buyer, "@createshop", "Lamp", "NY")
        together(*[lambda line=line: say(room, buyer, line) for line in ("food", "toys")])

        together(run_due_jobs, run_due_jobs)

        assert answers(room)[3:] == [OPENED]
        assert Shop.objects.count() == 1
        first = Message.objects.filter(room=room, content__in=["food", "toys"]).order_by("number")
        assert Shop.objects.get().category == first[0].content
        assert not open_of(room, buyer)

    def test_are_answered_in_their_order(self, room: Room, buyer: User) -> None:
        for line in ("@createshop", "Lamp", "NY", "food", "@cancel"):
            say(room, buyer, line)
        keys = [
            one.id for one in Message.objects.filter(room=room, sender=buyer).order_by("number")
        ]

        together(*[lambda key=key: answer_upto(message_id=key) for key in reversed(keys)])

        assert answers(room) == [
            ASK_NAME,
            ASK_LOCATION,
            ASK_CATEGORY,
            OPENED,
            "There is nothing to cancel.",
        ]

    def test_of_two_people_with_one_name_one_gets_it(
        self, room: Room, buyer: User, seller: User
    ) -> None:
        make_shop(seller, "The first one makes the counter")
        other = make_talk(seller)
        people = ((room, buyer), (other, seller))
        for place, user in people:
            talk(place, user, "@createshop", "Lamp", "NY")
        keys = [UUID(say(place, user, "food").payload["id"]) for place, user in people]

        together(*[lambda key=key: answer_upto(message_id=key) for key in keys])

        last = sorted([answers(room)[-1], answers(other)[-1]])
        assert last == [
            "✅ Shop created successfully! ID: shop_10002",
            "❌ Failed to create shop: This shop name is taken.",
        ]

    def test_what_is_said_while_an_answer_is_made_is_heard(self, room: Room, buyer: User) -> None:
        say(room, buyer, "@createshop")
        key = newest(room).id

        together(
            lambda: answer_upto(message_id=key),
            lambda: say(room, buyer, "Lamp"),
        )
        while run_due_jobs():
            pass

        assert answers(room) == [ASK_NAME, ASK_LOCATION]
        assert open_of(room, buyer)
