"""Messages are stored and announced: one at a time, or many senders' in one transaction.

A batch is what makes the room fast: whatever waits while one commit runs is stored by the next.
The single form is a batch of one, so there is one set of rules.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Case, F, Q, Value, When

from accounts.models import User
from chat.commands.registry import is_addressed
from chat.enums import MessageKind, SenderType
from chat.errors import ContentRequired, ContentTooLong, MessageNotFound, RoomNotFound
from chat.models import Member, Message, Room
from chat.payloads import message_payload
from chat.services import messages_postgres
from chat.services.asking import ask_assistant
from marketplace.core import limits
from marketplace.core.clock import now
from marketplace.core.db import IntegrityError, atomic, is_lost_race, is_unreachable, run
from marketplace.core.errors import AppError, Unavailable, ValidationFailed
from marketplace.core.failpoints import reach
from marketplace.core.ids import uuid7
from marketplace.core.text import clean_text
from marketplace.events.record import NewEvent, insert, take_seqs

logger = structlog.get_logger(__name__)

CLIENT_ID_CHARACTERS = 64
MENTIONS = 50
SENDABLE_KINDS = frozenset(
    {MessageKind.TEXT, MessageKind.IMAGE, MessageKind.FILE, MessageKind.CARD}
)
BATCH = 256


@dataclass(slots=True)
class SendCommand:
    """What one sender asks for; `actor` is the connection's user, never the client's word."""

    actor: User
    room_id: UUID
    content: str
    client_id: str | None = None
    kind: str = MessageKind.TEXT
    mentions: list[str] = field(default_factory=list)
    data: dict[str, Any] | None = None
    reply_to_id: UUID | None = None
    request_id: str = ""
    # A repeated transaction must not charge the sender's rate again.
    charged: bool = False


@dataclass(frozen=True, slots=True)
class SentMessage:
    """The stored message as every wire shows it; `duplicate` when it was there before."""

    payload: dict[str, Any]
    duplicate: bool


Outcome = SentMessage | AppError
Store = Callable[[Sequence[SendCommand]], list[Outcome]]


def checked_content(content: object) -> str:
    """The text of a message: 1 to MESSAGE_MAX_CHARS characters, NFC; blanks are characters too.

    Raises ContentRequired, ContentTooLong, ValidationFailed for what is no text.
    """
    if content is None or content == "":
        raise ContentRequired
    if isinstance(content, bool) or not isinstance(content, (str, int, float)):
        raise ValidationFailed.for_fields({"content": ["This must be text."]})
    text = clean_text(content if isinstance(content, str) else str(content), field="content")
    if len(text) > settings.MESSAGE_MAX_CHARS:
        raise ContentTooLong(limit=settings.MESSAGE_MAX_CHARS)
    return text


def send_message(
    *,
    actor: User,
    room_id: UUID,
    content: str,
    client_id: str | None = None,
    kind: str = MessageKind.TEXT,
    mentions: list[str] | None = None,
    data: dict[str, Any] | None = None,
    reply_to_id: UUID | None = None,
) -> SentMessage:
    """Store one message and announce it to its room.

    content: see `checked_content`. client_id: a resend gives back the first message and announces
    nothing. Raises RoomNotFound (also for a non-member), MessageNotFound for a foreign
    `reply_to_id`, RateLimited.
    """
    command = SendCommand(
        actor=actor,
        room_id=room_id,
        content=checked_content(content),
        client_id=client_id,
        kind=kind,
        mentions=mentions or [],
        data=data,
        reply_to_id=reply_to_id,
    )
    return send_message_command(command=command, actor=actor, room_id=room_id)


def send_message_command(*, command: SendCommand, actor: User, room_id: UUID) -> SentMessage:
    """The same for a command that an entrance has read already; its sender is `actor`."""
    command.actor, command.room_id = actor, room_id
    [outcome] = send_messages([command])
    if isinstance(outcome, AppError):
        raise outcome
    return outcome


def send_messages(commands: Sequence[SendCommand]) -> list[Outcome]:
    """Store all of these, each accepted or refused by itself; the outcomes stand in their order.

    One transaction for all; where it fails, each command is tried alone, so that one bad row fails
    its own sender only.
    """
    short = messages_postgres.applies(commands)
    return _send(commands, _store_in_one_statement if short else _store)


def _send(commands: Sequence[SendCommand], store: Store) -> list[Outcome]:
    try:
        return run(lambda: store(commands))
    except AppError as error:
        if len(commands) == 1 or isinstance(error, Unavailable):
            return [error for _ in commands]
    except IntegrityError:
        if len(commands) == 1:
            # The same client_id was stored at the same moment: now it is found.
            return run(lambda: store(commands))
    except DatabaseError as error:
        if is_unreachable(error) and not is_lost_race(error):
            logger.error("send_failed", commands=len(commands), reason=type(error).__name__)
            return [Unavailable() for _ in commands]
        if len(commands) == 1:
            raise
    return [_send_alone(command, store) for command in commands]


def _send_alone(command: SendCommand, store: Store) -> Outcome:
    try:
        return _send([command], store)[0]
    except Exception:
        logger.exception("send_failed", commands=1)
        return AppError()


def _store(commands: Sequence[SendCommand]) -> list[Outcome]:
    with atomic():
        outcomes, fresh = _sort_out(commands)
        if fresh:
            _write(fresh, outcomes)
        reach("before_commit")
    return [outcomes[index] for index in range(len(commands))]


def _store_in_one_statement(commands: Sequence[SendCommand]) -> list[Outcome]:
    """PostgreSQL's short way; who is not stored by it is answered by the portable one."""
    outcomes: dict[int, Outcome] = {}
    if settings.MESSAGE_RATE_LIMIT:
        _charge(commands, outcomes)
    # A room in which somebody may be calling the assistant goes the portable way, in its order.
    asking = {one.room_id for one in commands if is_addressed(one.content)}
    chosen: dict[tuple[UUID, UUID, str | int], tuple[int, SendCommand]] = {}
    for index, command in enumerate(commands):
        if index not in outcomes and command.room_id not in asking:
            key = (command.room_id, command.actor.pk, command.client_id or index)
            chosen.setdefault(key, (index, command))
    if chosen:
        for placed in messages_postgres.store(list(chosen.values())):
            outcomes[placed.index] = SentMessage(placed.payload, duplicate=False)
    left = [index for index in range(len(commands)) if index not in outcomes]
    if len(left) == 1:
        outcomes[left[0]] = _send_alone(commands[left[0]], _store)
    elif left:
        # Its own failures are settled in there: what the statement stored must not be repeated.
        others = _send([commands[index] for index in left], _store)
        outcomes.update(zip(left, others, strict=True))
    return [outcomes[index] for index in range(len(commands))]


def _charge(commands: Sequence[SendCommand], outcomes: dict[int, Outcome]) -> None:
    """Take each sender's rate, for what will be stored: not of strangers, not for resends."""
    members = _memberships(commands)
    taken = set(_known_messages(commands))
    for index, command in enumerate(commands):
        key = (command.room_id, command.actor.pk, command.client_id or "")
        if command.charged or key in taken or key[:2] not in members:
            continue
        if command.client_id is not None:
            taken.add(key)
        try:
            limits.check_message(command.actor.public_id)
            command.charged = True
        except AppError as error:
            outcomes[index] = error


@dataclass(slots=True)
class _Fresh:
    """A command that will be stored: its place in the batch, its sender's membership."""

    index: int
    command: SendCommand
    member: Member
    twins: list[int] = field(default_factory=list)


def _sort_out(commands: Sequence[SendCommand]) -> tuple[dict[int, Outcome], list[_Fresh]]:
    """Who may send, and what is there already: two queries for the whole batch."""
    members = _memberships(commands)
    known = _known_messages(commands)
    outcomes: dict[int, Outcome] = {}
    fresh: list[_Fresh] = []
    first_of: dict[tuple[UUID, UUID, str], _Fresh] = {}
    for index, command in enumerate(commands):
        member = members.get((command.room_id, command.actor.pk))
        if member is None:
            outcomes[index] = RoomNotFound()
            continue
        if command.client_id is not None:
            key = (command.room_id, command.actor.pk, command.client_id)
            stored = known.get(key)
            if stored is not None:
                outcomes[index] = SentMessage(
                    message_payload(stored, sender=member.user), duplicate=True
                )
                continue
            if key in first_of:
                first_of[key].twins.append(index)
                continue
        refusal = _refusal(command, member)
        if refusal is not None:
            outcomes[index] = refusal
            continue
        one = _Fresh(index, command, member)
        fresh.append(one)
        if command.client_id is not None:
            first_of[key] = one
    return outcomes, fresh


def _memberships(commands: Sequence[SendCommand]) -> dict[tuple[UUID, UUID], Member]:
    rooms = {command.room_id for command in commands}
    users = {command.actor.pk for command in commands}
    rows = (
        Member.objects.filter(room_id__in=rooms, user_id__in=users, user__is_active=True)
        .select_related("user")
        .order_by("id")
    )
    return {(member.room_id, member.user_id): member for member in rows}


def _known_messages(commands: Sequence[SendCommand]) -> dict[tuple[UUID, UUID, str], Message]:
    client_ids = {command.client_id for command in commands if command.client_id is not None}
    if not client_ids:
        return {}
    rows = Message.objects.filter(
        room_id__in={command.room_id for command in commands},
        sender_id__in={command.actor.pk for command in commands},
        client_id__in=client_ids,
    ).order_by("id")
    return {(m.room_id, m.sender_id, m.client_id): m for m in rows}  # type: ignore[misc]  # filtered: neither is null


def _refusal(command: SendCommand, member: Member) -> AppError | None:
    try:
        if not command.charged:
            limits.check_message(command.actor.public_id)
            command.charged = True
        if command.reply_to_id is not None:
            _check_reply(command)
        if command.mentions:
            _check_mentions(command)
    except AppError as error:
        return error
    return None


def _check_reply(command: SendCommand) -> None:
    wanted = Message.objects.filter(room_id=command.room_id)
    if command.reply_to_id is not None and not wanted.filter(id=command.reply_to_id).exists():
        raise MessageNotFound("There is no such message to reply to.")


def _check_mentions(command: SendCommand) -> None:
    named = set(command.mentions)
    found = Member.objects.filter(room_id=command.room_id, user__public_id__in=named).count()
    if found != len(named):
        raise ValidationFailed.for_fields({"mentions": ["Only members of the room can be named."]})


def _write(fresh: Sequence[_Fresh], outcomes: dict[int, Outcome]) -> None:
    """Heads first, since a message carries its seq; then numbers, rows, events, own cursors."""
    at = now()
    entries = [
        NewEvent(
            topic=f"room:{one.command.room_id}",
            name="message.sent",
            payload={},
            actor_id=one.command.actor.public_id,
            at=at,
            request_id=one.command.request_id or None,
        )
        for one in fresh
    ]
    seqs = take_seqs(entries)
    numbers = _take_numbers(fresh, at=at)
    messages: list[Message] = []
    said: list[tuple[Member, Message]] = []
    cursors: dict[UUID, tuple[int, int]] = {}
    next_seq, next_number = dict(seqs), dict(numbers)
    for one, entry in zip(fresh, entries, strict=True):
        command, member = one.command, one.member
        seq, number = next_seq[entry.topic], next_number[command.room_id]
        next_seq[entry.topic], next_number[command.room_id] = seq + 1, number + 1
        message = Message(
            id=uuid7(),
            room_id=command.room_id,
            number=number,
            seq=seq,
            client_id=command.client_id,
            sender_id=command.actor.pk,
            sender_type=SenderType.USER,
            kind=command.kind,
            content=command.content,
            mentions=command.mentions,
            data=command.data,
            reply_to_id=command.reply_to_id,
            created_at=at,
            updated_at=at,
        )
        messages.append(message)
        said.append((member, message))
        cursors[member.id] = (number, seq)
        payload = message_payload(message, sender=member.user)
        entry.payload = payload | {"sender_email": member.user.email}
        outcomes[one.index] = SentMessage(payload, duplicate=False)
        for twin in one.twins:
            outcomes[twin] = SentMessage(payload, duplicate=True)
    Message.objects.bulk_create(messages)
    insert(entries, seqs)
    _move_own_cursors(cursors)
    ask_assistant(said)


def _take_numbers(fresh: Sequence[_Fresh], *, at: Any) -> dict[UUID, int]:
    """Advance the ordinals of these rooms; gives the first new number of each."""
    counts: dict[UUID, int] = {}
    for one in fresh:
        counts[one.command.room_id] = counts.get(one.command.room_id, 0) + 1
    rooms = Room.objects.filter(id__in=list(counts))
    same = len(set(counts.values())) == 1
    step: Any = (
        next(iter(counts.values()))
        if same
        else Case(*(When(id=room_id, then=Value(n)) for room_id, n in counts.items()))
    )
    rooms.update(last_number=F("last_number") + step, active_at=at)
    return {
        room_id: last - counts[room_id] + 1
        for room_id, last in rooms.order_by("id").values_list("id", "last_number")
    }


def _move_own_cursors(cursors: dict[UUID, tuple[int, int]]) -> None:
    """A sender has read what he said, and so everything before it."""
    if len(cursors) == 1:
        [(member_id, (number, seq))] = cursors.items()
        Member.objects.filter(id=member_id).update(read_number=number, read_seq=seq)
        return
    whens = [(Q(id=member_id), cursor) for member_id, cursor in cursors.items()]
    Member.objects.filter(id__in=list(cursors)).update(
        read_number=Case(*(When(which, then=Value(number)) for which, (number, _) in whens)),
        read_seq=Case(*(When(which, then=Value(seq)) for which, (_, seq) in whens)),
    )
