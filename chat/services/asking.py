"""A message that may concern the assistant gets its job in the transaction that stores it.

So what was acknowledged is answered, whatever dies in between; and nobody waits for the answer who
only wanted to say something.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

from django.conf import settings
from django.db.models import BigIntegerField, Case, F, Value, When

from chat.commands.registry import find_command, split_word
from chat.enums import RoomKind
from chat.models import Member, Message, Room
from marketplace.core.jobs import enqueue

TASK = "run_command"


def job_key(message: Message) -> str:
    """The key of the job that answers this message: there is one, however often it is asked for."""
    return f"{TASK}:{message.id}"


def ask_assistant(said: Sequence[tuple[Member, Message]]) -> None:
    """Enqueue an answer to each of these messages that may want one, with its sender's membership.

    Those are: the ones that begin with a known `@word`, in a room with the assistant with any; and
    whatever a member says from there until his dialogue has ended and everything is answered.
    """
    if not settings.ENABLE_AI_COMMANDS:
        return
    words = [split_word(message.content)[0] for _, message in said]
    talked_to = _assistants_rooms(
        message for (_, message), word in zip(said, words, strict=True) if word
    )
    for (member, message), word in zip(said, words, strict=True):
        is_called = word and (find_command(word) or message.room_id in talked_to)
        if is_called or member.wizard_open:
            _ask(member, message)


def _assistants_rooms(messages: Iterable[Message]) -> set[UUID]:
    """Those of these messages' rooms that are with the assistant alone."""
    rooms = {message.room_id for message in messages}
    if not rooms:
        return set()
    found = Room.objects.filter(id__in=rooms, kind=RoomKind.ASSISTANT).order_by("id")
    return set(found.values_list("id", flat=True))


def _ask(member: Member, message: Message) -> None:
    before = Value(message.number - 1, output_field=BigIntegerField())
    Member.objects.filter(id=member.id).update(
        # Where nothing was open, everything before this message is over.
        wizard_number=Case(When(wizard_open=False, then=before), default=F("wizard_number")),
        wizard_open=True,
        wizard_asked=message.number,
    )
    # For what he says next in the same batch.
    member.wizard_open = True
    enqueue(TASK, key=job_key(message), message_id=message.id)
