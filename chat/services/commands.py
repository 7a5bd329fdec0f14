"""The assistant answers: what was said, in its order, each message once.

A job per message comes here after the commit of the message. One transaction holds everything that
an answer is: the effect, made by the services that REST calls and with the sender's rights; the
reply; the step of the dialogue. Whoever comes second finds the message answered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Case, F, QuerySet, Value, When

from chat.commands.dialogue import Turn, Wizard, turn_of
from chat.commands.registry import Call, Reply, find_command, split_word
from chat.enums import SenderType
from chat.models import Member, Message, Room
from chat.payloads import message_payload
from chat.services.asking import job_key
from marketplace.core.clock import now
from marketplace.core.db import atomic, has_transactions, run
from marketplace.core.errors import AppError
from marketplace.core.ids import uuid7
from marketplace.core.models import Job
from marketplace.core.turns import turn as one_at_a_time
from marketplace.events.record import NewEvent, insert, take_seqs

logger = structlog.get_logger(__name__)

OUR_FAULT = "❌ Something went wrong on our side. Please try again."
# So often the job tries an answer that fails for a reason of ours, before it says so.
RUNS = 3
# So often an answer is tried at once where a row of somebody else came in between.
RACES = 3


class Overtaken(Exception):
    """Another run has answered this message: what this one did is rolled back."""


@dataclass(frozen=True, slots=True)
class _Said:
    """One message, where its sender stands in his dialogue, and what it means there."""

    message: Message
    member: Member
    turn: Turn
    seen: dict[str, Any]


Speaker = Callable[[_Said], Reply | None]


def answer_upto(*, message_id: UUID) -> None:
    """Everything that the sender has said in the room up to this message is answered, in order.

    Safe to repeat, and to run beside others of the same sender. An answer that fails for a reason
    of ours raises, so that the job is repeated; in its last run it becomes a line that says so.
    """
    asked = Message.objects.filter(id=message_id, sender__isnull=False).first()
    if asked is None:
        return
    with one_at_a_time(f"wizard:{asked.room_id}:{asked.sender_id}"):
        while (message := _oldest_unanswered(asked)) is not None:
            try:
                _answer(message)
            except Exception:
                if not _is_last_run(asked):
                    raise
                logger.exception("command_failed", message_id=str(message.id))
                _once(message, lambda said: Reply(OUR_FAULT), again=True)


def _oldest_unanswered(asked: Message) -> Message | None:
    """The first message of this sender in this room that waits, `asked` at the latest."""
    member = _membership(asked).first()
    if member is None:
        return None
    waiting = Message.objects.filter(
        room_id=asked.room_id,
        sender_id=asked.sender_id,
        number__gt=member.wizard_number,
        number__lte=asked.number,
    )
    return waiting.order_by("number").first()


def _membership(message: Message) -> QuerySet[Member]:
    """That of the person who said it, as long as he is in the room."""
    sender_id: UUID = message.sender_id  # type: ignore[assignment]  # a person said it
    return Member.objects.filter(room_id=message.room_id, user_id=sender_id)


def _is_last_run(asked: Message) -> bool:
    """Whether nobody will try again."""
    runs = Job.objects.filter(key=job_key(asked)).values_list("attempts", flat=True).first()
    return runs is None or runs >= RUNS


def _answer(message: Message) -> None:
    """Let the message have its effect and its reply; a refusal becomes the reply."""
    for race in range(1, RACES + 1):
        try:
            return _once(message, _speak)
        except AppError as error:
            if error.status >= 500:
                raise
            refusal = error
            break
        except DatabaseError:
            # As a name that was taken at the same moment: the next try sees it, and refuses.
            if race == RACES:
                raise
    return _once(message, lambda said: _refused(said, refusal), again=True)


def _once(message: Message, speak: Speaker, *, again: bool = False) -> None:
    """Answer in one transaction, unless the message is answered already.

    again: the second thing that is tried after a first that failed.
    """
    seen = _look(message)
    try:
        run(lambda: _attempt(message, speak, seen=seen, again=again))
    except Overtaken:
        return


def _look(message: Message) -> dict[str, Any]:
    """What the command wants to see before the transaction begins."""
    command = find_command(split_word(message.content)[0])
    return {} if command is None or command.look is None else command.look()


def _attempt(message: Message, speak: Speaker, *, seen: dict[str, Any], again: bool) -> None:
    with atomic():
        said = _understand(message, seen=seen)
        if said is None:
            return
        if has_transactions():
            reply = _reply(said, speak)
            # The row that decides comes last, in the order in which senders lock: head, member.
            # Whoever moves it first wins, and the other one's effect is rolled back.
            _move_on(said, reply, only_from=said.member.wizard_number)
        else:
            # Nothing can be rolled back: who claims the message first is the one who acts.
            if not again:
                _claim(said)
            _move_on(said, _reply(said, speak))


def _understand(message: Message, *, seen: dict[str, Any]) -> _Said | None:
    """What the message means now; None where its sender has left the room or it is answered."""
    member = _membership(message).select_related("room", "user").first()
    if member is None or (has_transactions() and member.wizard_number >= message.number):
        return None
    if not settings.ENABLE_AI_COMMANDS or not member.user.is_active or message.deleted_at:
        return _Said(message, member, Turn(), seen)
    turn = turn_of(
        message.content,
        said_at=message.created_at,
        room_kind=member.room.kind,
        wizard=Wizard.read(member.wizard),
    )
    return _Said(message, member, turn, seen)


def _speak(said: _Said) -> Reply | None:
    """The command's own words, or the line that the message calls for, or nothing."""
    turn = said.turn
    if turn.command is None:
        return Reply(turn.text) if turn.text else None
    call = Call(
        actor=said.member.user,
        room=said.member.room,
        message=said.message,
        text=turn.text,
        step=turn.step,
        data=turn.data,
        seen=said.seen,
    )
    return turn.command.steps[turn.step](call) if turn.step else turn.command.start(call)


def _refused(said: _Said, error: AppError) -> Reply:
    """The refusal as the last line of the dialogue."""
    command = said.turn.command
    return Reply(error.message if command is None else command.refused(error))


def _reply(said: _Said, speak: Speaker) -> Reply | None:
    """Have the answer, and say it in the room."""
    reply = speak(said)
    if reply is not None:
        _say(reply.text, room=said.member.room, to=said.message)
    return reply


def _say(text: str, *, room: Room, to: Message) -> None:
    """Store and announce a message of the assistant: one per message that it answers."""
    at = now()
    entry = NewEvent(topic=room.topic, name="message.sent", payload={}, at=at)
    seqs = take_seqs([entry])
    numbers = Room.objects.filter(id=room.id)
    numbers.update(last_number=F("last_number") + 1, active_at=at)
    message = Message.objects.create(
        id=uuid7(),
        room_id=room.id,
        number=numbers.values_list("last_number", flat=True).get(),
        seq=seqs[entry.topic],
        client_id=f"to-{to.id}",
        sender_type=SenderType.AI,
        content=text,
        created_at=at,
        updated_at=at,
    )
    entry.payload = message_payload(message, sender=None)
    insert([entry], seqs)


def _claim(said: _Said) -> None:
    """Raises Overtaken where somebody has the message, or another one before it."""
    rows = Member.objects.filter(id=said.member.id, wizard_number__lt=said.message.number)
    if not rows.update(wizard_number=said.message.number):
        raise Overtaken


def _move_on(said: _Said, reply: Reply | None, *, only_from: int | None = None) -> None:
    """The sender stands behind this message, in the dialogue that the reply leaves open.

    Raises Overtaken where he does not stand at `only_from` any more.
    """
    rows = Member.objects.filter(id=said.member.id)
    if only_from is not None:
        rows = rows.filter(wizard_number=only_from)
    kept = said.member.wizard if said.turn.keeps else _wizard(said, reply)
    # Something that he has said since waits for its answer, and so does what he says next.
    all_answered = When(wizard_asked__lte=said.message.number, then=Value(kept is not None))
    moved = rows.update(
        wizard=kept,
        wizard_number=said.message.number,
        wizard_open=Case(all_answered, default=Value(True)),
    )
    if not moved:
        raise Overtaken


def _wizard(said: _Said, reply: Reply | None) -> dict[str, Any] | None:
    if reply is None or not reply.step or said.turn.command is None:
        return None
    return Wizard(said.turn.command.word, reply.step, reply.data, asked_at=now()).kept()
