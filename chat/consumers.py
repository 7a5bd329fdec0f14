"""The topics `room:` and `user:`: what a socket may do there, and how each dialect says it."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from accounts.models import User
from chat import access, selectors
from chat.enums import RoomKind
from chat.errors import RoomNotFound
from chat.models import Member
from chat.serializers import MarkReadInput, read_send_message
from chat.services import reads
from chat.services.messages import SendCommand, SentMessage, send_messages
from chat.services.typing import typing_changed
from chat.shapes import (
    group_message,
    group_notification,
    market_message,
    market_notification,
    market_read,
    market_room,
    market_room_event,
    member_shape,
    sent_to_group,
)
from marketplace.core.errors import AppError, Forbidden, Unauthorized
from marketplace.core.inputs import read_id
from marketplace.realtime.presence import DIFF, JOINED, LEFT
from marketplace.realtime.topic import (
    JOINS_TOGETHER,
    Call,
    CommandRow,
    EventRow,
    Joined,
    Joiner,
    Spelling,
    Spoken,
    TopicConsumer,
    TopicRef,
    outcome_of,
)

GROUP = "group"
NOTIFICATION = "notification"
PHOENIX = frozenset({"phoenix"})


def answer_sent(sent: SentMessage, voice: str) -> dict[str, Any]:
    """The reply to a sent message: Message + `duplicate`; on `group:` + `status: pending`."""
    shape = sent_to_group if voice == GROUP else market_message
    return shape(sent.payload) | {"duplicate": sent.duplicate}


class RoomConsumer(TopicConsumer):
    """One room: messages, typing, read cursors, presence."""

    kind: ClassVar[str] = "room"
    summary: ClassVar[str] = "One room: its messages, its members, who is typing, who has read."
    shows_presence: ClassVar[bool] = True
    joins_together: ClassVar[int] = JOINS_TOGETHER
    spellings = (
        Spelling("plain", "room:"),
        Spelling("phoenix", "chat:room_"),
        Spelling("phoenix", "group:", voice=GROUP),
        Spelling("feed", "room:"),
    )
    commands = (
        CommandRow(
            "message",
            "message_send",
            "Send a message; the reply comes after it is stored.",
            fields={
                "content": "1-10,000 characters",
                "client_id": "1-64 characters; a resend with it is the same message",
                "kind": "text (default), image, file, card",
                "reply_to_id": "a message of this room",
                "mentions": "up to 50 user ids of members",
                "data": "a free object",
            },
            voices={GROUP: ("send_text_msg", "send_message", "text", "text_message")},
            batch=send_messages,
            answer=answer_sent,
            failure="message_send_failed",
        ),
        CommandRow(
            "typing",
            "typing",
            "Say that one is typing; the others hear it.",
            fields={"is_typing": "boolean, default true"},
            inline=True,
            signal=True,
        ),
        CommandRow(
            "mark_read",
            "mark_read",
            "Move the read cursor; it never goes back.",
            fields={
                "message_id": "a message",
                "message_ids": "messages; the newest counts",
                "seq": "the newest message at or before it counts; nothing named: everything",
            },
        ),
    )
    events = (
        EventRow(
            "message.sent",
            Spoken(("new_message",), market_message),
            "Somebody said something.",
            voices={GROUP: Spoken(("recived_message",), group_message)},
        ),
        EventRow(
            "read.moved", Spoken(("message_read",), market_read), "A member has read further."
        ),
        EventRow("member.joined", Spoken(("member_joined",), member_shape), "Somebody came in."),
        EventRow("member.left", Spoken(("member_left",), member_shape), "Somebody went."),
        EventRow(
            "member.removed", Spoken(("member_removed",), member_shape), "Somebody was taken out."
        ),
        EventRow(
            "room.created",
            Spoken(("room_created",), market_room_event),
            "The room exists.",
            voices={GROUP: Spoken(("group_created",), market_room_event)},
        ),
        EventRow("typing", Spoken(("user_typing",)), "Somebody is typing.", durable=False),
        EventRow(JOINED, Spoken(("user_joined",)), "Somebody is here now.", durable=False),
        EventRow(LEFT, Spoken(("user_left",)), "Somebody is here no more.", durable=False),
        EventRow(
            DIFF,
            Spoken(("presence_diff",)),
            "Connections came and went.",
            durable=False,
            dialects=PHOENIX,
        ),
    )

    @classmethod
    def normal_id(cls, text: str, *, own: str | None) -> str | None:
        """A UUID in lower case with hyphens."""
        found = read_id(text)
        return None if found is None else str(found)

    @classmethod
    def authorise(cls, actor: User | None, topic_id: str, action: str) -> None:
        """Members only. Raises Unauthorized, RoomNotFound."""
        if actor is None:
            raise Unauthorized
        if not topic_id:
            raise RoomNotFound
        access.membership(actor=actor, room_id=UUID(topic_id))

    @classmethod
    def join_all(cls, joiners: Sequence[Joiner]) -> list[Joined | AppError]:
        """The room as each member sees it; Phoenix clients without `since` get the last 50."""
        seats = cls._seats(joiners)
        let_in = [
            (joiner, seat)
            for joiner, seat in zip(joiners, seats, strict=True)
            if isinstance(seat, Member)
        ]
        shown = iter(cls._show(let_in))
        return [next(shown) if isinstance(seat, Member) else seat for seat in seats]

    @classmethod
    def _seats(cls, joiners: Sequence[Joiner]) -> list[Member | AppError]:
        """The membership of each, or why he is not let in."""
        asked = [(one.actor, UUID(one.ref.id)) for one in joiners if one.actor and one.ref.id]
        found = iter(access.memberships(asked))
        seats: list[Member | AppError] = []
        for one in joiners:
            seat: Member | AppError
            if one.actor is None:
                seat = Unauthorized()
            elif not one.ref.id:
                seat = RoomNotFound()
            else:
                seat = next(found)
            if (
                one.ref.voice == GROUP
                and isinstance(seat, Member)
                and seat.room.kind != RoomKind.GROUP
            ):
                seat = RoomNotFound()
            seats.append(seat)
        return seats

    @classmethod
    def _show(cls, let_in: Sequence[tuple[Joiner, Member]]) -> list[Joined]:
        described = selectors.describe_seats(
            [(seat.room, seat) for _, seat in let_in],
            latest={joiner.ref.topic: joiner.latest_seq for joiner, _ in let_in},
        )
        asked = [joiner.with_history and joiner.ref.voice != GROUP for joiner, _ in let_in]
        rooms = {seat.room_id for (_, seat), wants in zip(let_in, asked, strict=True) if wants}
        told = selectors.histories(rooms) if rooms else {}
        histories = {
            key: [("messages_history", {"messages": [market_message(one) for one in messages]})]
            for key, messages in told.items()
        }
        return [
            Joined(
                state={"room": market_room(room)},
                history=histories[seat.room_id] if wants else [],
                snapshot="room",
            )
            for (_, seat), room, wants in zip(let_in, described, asked, strict=True)
        ]

    @classmethod
    def refusal_reason(cls, error: AppError, voice: str) -> str:
        """Beat Messaging's clients compare a word of their own."""
        if voice == GROUP:
            return "group_not_authorized"
        return "unauthorized" if error.status == 401 else error.code

    @classmethod
    def message_send(cls, call: Call) -> SendCommand:
        """What is to be stored; the batch does it."""
        command = read_send_message(call.payload)
        command.actor = call.actor
        command.room_id = UUID(call.ref.id)
        command.request_id = call.request_id
        return command

    @classmethod
    def typing(cls, call: Call) -> dict[str, Any]:
        """Tell the others."""
        typing_changed(
            actor=call.actor,
            room_id=UUID(call.ref.id),
            is_typing=call.payload.get("is_typing", call.payload.get("isTyping", True)),
        )
        return {}

    @classmethod
    async def mark_read(cls, call: Call) -> dict[str, Any]:
        """Move the caller's cursor."""
        asked = MarkReadInput.read(call.payload)
        cursor = await call.session.runtime.run(
            lambda: reads.mark_read(actor=call.actor, room_id=UUID(call.ref.id), **asked)
        )
        return {"last_read_seq": cursor.last_read_seq, "unread_count": cursor.unread_count}


class AnnouncementsConsumer(TopicConsumer):
    """What the house has to say to everybody, guests too."""

    kind: ClassVar[str] = "announcements"
    summary: ClassVar[str] = "What concerns everybody; guests hear it too."
    joins_together: ClassVar[int] = JOINS_TOGETHER
    is_single: ClassVar[bool] = True
    is_for_guests: ClassVar[bool] = True
    spellings = (
        Spelling("plain", "announcements"),
        Spelling("phoenix", "announcements"),
        Spelling("feed", "announcements"),
    )
    events = (
        EventRow("announcement.created", Spoken(("announcement",)), "Something to be announced."),
    )

    @classmethod
    def normal_id(cls, text: str, *, own: str | None) -> str | None:
        """It has none."""
        return None

    @classmethod
    def authorise(cls, actor: User | None, topic_id: str, action: str) -> None:
        """Everybody."""

    @classmethod
    def join(cls, actor: User | None, ref: TopicRef, *, with_history: bool) -> Joined:
        """There is nothing but the log."""
        return Joined(state={})


class UserConsumer(TopicConsumer):
    """A person's own feed: notifications, unread counts."""

    kind: ClassVar[str] = "user"
    summary: ClassVar[str] = "A person's own feed: notifications, unread counts on all devices."
    joins_together: ClassVar[int] = JOINS_TOGETHER
    spellings = (
        Spelling("plain", "user:", own="me"),
        Spelling("phoenix", "notification:", voice=NOTIFICATION, own="me"),
        Spelling("feed", "user:", own="me"),
    )
    events = (
        EventRow(
            "unread.changed",
            Spoken(("unread_changed",)),
            "Unread counts of the rooms that changed; at most once a second.",
            durable=False,
        ),
        EventRow(
            "notification.created",
            Spoken(("notification",), market_notification),
            "Somebody is told something; `unread_count` of his notifications.",
            voices={NOTIFICATION: Spoken(("send_notification",), group_notification)},
        ),
        EventRow("order.created", Spoken(("order_created",)), "One has ordered."),
        EventRow(
            "order.status_changed",
            Spoken(("order_updated",)),
            "An order stands elsewhere.",
        ),
        EventRow("payment.succeeded", Spoken(("payment_succeeded",)), "An order has been paid."),
        EventRow("payment.refunded", Spoken(("payment_refunded",)), "Money went back."),
        EventRow(
            "delivery.offered",
            Spoken(("delivery_offered",)),
            "A courier may take a delivery.",
        ),
    )

    @classmethod
    def normal_id(cls, text: str, *, own: str | None) -> str | None:
        """Any text: people from elsewhere keep their ids."""
        return text or None

    @classmethod
    def authorise(cls, actor: User | None, topic_id: str, action: str) -> None:
        """Oneself only. Raises Unauthorized, Forbidden (the same for people who do not exist)."""
        if actor is None:
            raise Unauthorized
        if topic_id != actor.public_id:
            raise Forbidden

    @classmethod
    def join_all(cls, joiners: Sequence[Joiner]) -> list[Joined | AppError]:
        """The unread counts of this moment."""
        refusals = [outcome_of(cls.authorise, one.actor, one.ref.id, "join") for one in joiners]
        unread = selectors.unread_counts_of(
            one.actor
            for one, refusal in zip(joiners, refusals, strict=True)
            if refusal is None and one.actor is not None
        )
        return [
            refusal or cls._feed(one.ref.id, unread)
            for one, refusal in zip(joiners, refusals, strict=True)
        ]

    @classmethod
    def _feed(cls, public_id: str, unread: Mapping[str, dict[str, int]]) -> Joined:
        rooms = unread[public_id]
        total = sum(rooms.values())
        state = {"unread_count": total, "total_unread": total, "rooms": rooms}
        return Joined(state=state | {"user_id": public_id}, snapshot="rooms")

    @classmethod
    def refusal_reason(cls, error: AppError, voice: str) -> str:
        """Beat Messaging's clients compare a word of their own."""
        return "user_not_authorized" if voice == NOTIFICATION else error.code
