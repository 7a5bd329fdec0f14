"""What comes in and goes out of chat, for REST and sockets."""

from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from accounts.serializers import PublicUserOutput
from chat.enums import MessageKind, RoomKind, RoomRole, SenderType
from chat.services.messages import (
    CLIENT_ID_CHARACTERS,
    MENTIONS,
    SENDABLE_KINDS,
    SendCommand,
    checked_content,
)
from marketplace.core.errors import ValidationFailed
from marketplace.core.inputs import (
    AnyCaseChoiceField,
    IdField,
    InputSerializer,
    clean_json,
    read_id,
)
from marketplace.core.serializers import page_output
from marketplace.core.text import clean_text

if TYPE_CHECKING:
    from accounts.models import User

CLIENT_ID_NAMES = ("client_id", "clientId", "client_message_id", "clientMessageId", "tempId")


@extend_schema_serializer(
    examples=[OpenApiExample("A direct room", {"kind": "direct", "member_ids": ["019ab0c4-…"]})]
)
class CreateRoomInput(InputSerializer):
    """A room to be made; one that exists already is given back."""

    kind = AnyCaseChoiceField(choices=RoomKind.choices)
    member_ids = serializers.ListField(
        child=serializers.CharField(max_length=128), required=False, max_length=100
    )
    shop_id = serializers.CharField(
        required=False, allow_blank=True, allow_null=True, max_length=64
    )
    title = serializers.CharField(required=False, allow_blank=True, allow_null=True, max_length=100)
    is_public = serializers.BooleanField(required=False)
    subject_type = serializers.CharField(
        required=False, allow_blank=True, allow_null=True, max_length=32
    )
    subject_id = serializers.CharField(
        required=False, allow_blank=True, allow_null=True, max_length=128
    )


@extend_schema_serializer(
    examples=[OpenApiExample("Hello", {"content": "Hello world!", "client_id": "c-1"})]
)
class SendMessageInput(InputSerializer):
    """A message; a `client_id` makes a resend the same message. Read by `read_send_message`."""

    content = serializers.CharField(max_length=10_000)
    kind = serializers.ChoiceField(choices=sorted(SENDABLE_KINDS), required=False)
    client_id = serializers.CharField(required=False, max_length=CLIENT_ID_CHARACTERS)
    reply_to_id = IdField(required=False, allow_null=True)
    mentions = serializers.ListField(
        child=serializers.CharField(max_length=128), required=False, max_length=MENTIONS
    )
    data = serializers.DictField(required=False, allow_null=True)  # type: ignore[assignment]  # a field of that name, as DRF allows


def read_send_message(payload: dict[str, Any]) -> SendCommand:
    """The command in a message's payload, without actor and room, which the entrance adds.

    Written out by hand: it runs for every message of every socket, and DRF's fields take longer
    than the database. Raises ContentRequired, ContentTooLong, ValidationFailed.
    """
    command = SendCommand(
        actor=cast("User", None),
        room_id=cast(UUID, None),
        content=checked_content(payload.get("content")),
    )
    if len(payload) == 1:
        return command
    for name in CLIENT_ID_NAMES:
        if payload.get(name) is not None:
            command.client_id = _client_id(payload[name], name)
            break
    if payload.get("kind") is not None:
        command.kind = _kind(payload["kind"])
    mentions = payload.get("mentions")
    if mentions is not None:
        command.mentions = _mentions(mentions)
    data = payload.get("data")
    if data is not None:
        if not isinstance(data, dict):
            raise _wrong("data", "This must be an object.")
        command.data = clean_json(data, field="data")
    for name in ("reply_to_id", "replyToId", "reply_to", "replyTo"):
        if payload.get(name) is not None:
            command.reply_to_id = _id(payload[name], name)
            break
    return command


def _client_id(value: object, name: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 1 <= len(value) <= CLIENT_ID_CHARACTERS:
        raise _wrong(name, f"This must be text of 1 to {CLIENT_ID_CHARACTERS} characters.")
    return clean_text(value, field=name)


def _kind(value: object) -> str:
    kind = value.lower() if isinstance(value, str) else ""
    if kind not in SENDABLE_KINDS:
        raise _wrong("kind", f"This must be one of {', '.join(sorted(SENDABLE_KINDS))}.")
    return kind


def _mentions(value: object) -> list[str]:
    if (
        not isinstance(value, list)
        or len(value) > MENTIONS
        or not all(isinstance(one, str) and 1 <= len(one) <= 128 for one in value)
    ):
        raise _wrong("mentions", f"This must be a list of up to {MENTIONS} user ids.")
    return [clean_text(one, field="mentions") for one in dict.fromkeys(value)]


def _id(value: object, name: str) -> UUID:
    found = read_id(value)
    if found is None:
        raise _wrong(name, "This must be the id of a message.")
    return found


def _wrong(field: str, text: str) -> ValidationFailed:
    return ValidationFailed.for_fields({field: [text]})


class MarkReadInput(InputSerializer):
    """Up to where somebody has read; nothing named = everything."""

    aliases = {"message_id": ("id",)}

    message_id = IdField(required=False, allow_null=True)
    message_ids = serializers.ListField(
        child=IdField(), required=False, allow_null=True, max_length=100
    )
    seq = serializers.IntegerField(required=False, allow_null=True, min_value=0)


class MemberOutput(serializers.Serializer[Any]):
    """One person in a room."""

    user_id = serializers.CharField()
    user = PublicUserOutput()
    role = serializers.ChoiceField(choices=RoomRole.choices)
    read_number = serializers.IntegerField()
    last_read_seq = serializers.IntegerField()
    muted = serializers.BooleanField()
    joined_at = serializers.DateTimeField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


MESSAGE_EXAMPLE = {
    "id": "019ab0c5-1f9a-7d53-9a41-3a2f8c7b6e10",
    "room_id": "019ab0c4-9a2e-7b0c-8f11-5c1d2e3f4a5b",
    "number": 1,
    "seq": 2,
    "client_id": "c-1",
    "sender_type": "user",
    "sender_id": "019ab0c4-7d10-7cc1-8f6e-0a8d6d3e1b52",
    "sender": {
        "id": "019ab0c4-7d10-7cc1-8f6e-0a8d6d3e1b52",
        "username": "asha",
        "name": "Asha Rao",
        "avatar_url": None,
    },
    "kind": "text",
    "content": "Hello world!",
    "mentions": [],
    "attachments": [],
    "data": None,
    "reply_to_id": None,
    "reactions": {},
    "edited_at": None,
    "deleted_at": None,
    "created_at": "2026-01-10T12:00:00.000Z",
    "updated_at": "2026-01-10T12:00:00.000Z",
    "duplicate": False,
}


@extend_schema_serializer(examples=[OpenApiExample("Hello", MESSAGE_EXAMPLE)])
class MessageOutput(serializers.Serializer[Any]):
    """One message; `duplicate` only in the answer to a send."""

    id = serializers.UUIDField()
    room_id = serializers.UUIDField()
    number = serializers.IntegerField()
    seq = serializers.IntegerField()
    client_id = serializers.CharField(allow_null=True)
    sender_type = serializers.ChoiceField(choices=SenderType.choices)
    sender_id = serializers.CharField(allow_null=True)
    sender = PublicUserOutput(allow_null=True)
    kind = serializers.ChoiceField(choices=MessageKind.choices)
    content = serializers.CharField(allow_blank=True)
    mentions = serializers.ListField(child=serializers.CharField())
    attachments = serializers.ListField(child=serializers.DictField())
    data = serializers.DictField(allow_null=True)  # type: ignore[assignment]  # a field of that name, as DRF allows
    reply_to_id = serializers.UUIDField(allow_null=True)
    reactions = serializers.DictField()
    edited_at = serializers.DateTimeField(allow_null=True)
    deleted_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    duplicate = serializers.BooleanField(required=False)


class RoomOutput(serializers.Serializer[Any]):
    """One room as its reader sees it."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=RoomKind.choices)
    title = serializers.CharField(allow_null=True)
    is_public = serializers.BooleanField()
    subject_type = serializers.CharField(allow_null=True)
    subject_id = serializers.CharField(allow_null=True)
    data = serializers.DictField()  # type: ignore[assignment]  # a field of that name, as DRF allows
    owner_id = serializers.CharField(allow_null=True)
    member_count = serializers.IntegerField()
    members = MemberOutput(many=True)
    my_role = serializers.ChoiceField(choices=RoomRole.choices, allow_null=True)
    my_last_read_seq = serializers.IntegerField()
    unread_count = serializers.IntegerField()
    muted = serializers.BooleanField()
    last_message = MessageOutput(allow_null=True)
    last_message_at = serializers.DateTimeField(allow_null=True)
    last_number = serializers.IntegerField()
    latest_seq = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


RoomPageOutput = page_output(RoomOutput, "A page of rooms.")


MemberPageOutput = page_output(MemberOutput, "A page of members.")


@extend_schema_serializer(many=False)
class MessagePageOutput(serializers.Serializer[Any]):
    """A page of messages, ascending."""

    items = MessageOutput(many=True)
    has_more = serializers.BooleanField()
    latest_seq = serializers.IntegerField()


@extend_schema_serializer(examples=[OpenApiExample("Left", {"message": "Left"})])
class LeftOutput(serializers.Serializer[Any]):
    """The caller is in the group no more."""

    message = serializers.CharField()


class ReadCursorOutput(serializers.Serializer[Any]):
    """Where the reader stands."""

    last_read_seq = serializers.IntegerField()
    unread_count = serializers.IntegerField()


class UnreadOutput(serializers.Serializer[Any]):
    """Unread messages: in all, and by room; rooms without any are left out."""

    total = serializers.IntegerField()
    rooms = serializers.DictField(child=serializers.IntegerField())
