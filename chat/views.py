"""Canonical routes of chat."""

from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import actor_of
from chat import access, selectors
from chat.errors import MessageNotFound, RoomNotFound
from chat.payloads import member_payload, message_payload
from chat.serializers import (
    CreateRoomInput,
    LeftOutput,
    MarkReadInput,
    MemberPageOutput,
    MessageOutput,
    MessagePageOutput,
    ReadCursorOutput,
    RoomOutput,
    RoomPageOutput,
    SendMessageInput,
    UnreadOutput,
    read_send_message,
)
from chat.services import members, messages, reads, rooms
from marketplace.core.errors import AppError, MalformedRequest
from marketplace.core.http import BaseViewSet
from marketplace.core.inputs import InputSerializer, read_id
from marketplace.core.pagination import cursor_page, page_limit
from marketplace.core.schema import PAGE


def path_id(text: str, missing: type[AppError]) -> UUID:
    """The id in a path; one without a valid form names nothing."""
    found = read_id(text)
    if found is None:
        raise missing
    return found


class RoomViewSet(BaseViewSet):
    """Rooms of the caller."""

    @extend_schema(
        operation_id="rooms_list", tags=["chat"], summary="My rooms, newest activity first",
        parameters=PAGE, responses={200: RoomPageOutput},
    )  # fmt: skip
    def list(self, request: Request) -> Response:
        """A page of the caller's rooms."""
        actor = actor_of(request)
        page = cursor_page(
            selectors.list_rooms(user=actor),
            request=request,
            order=("-active_at", "-id"),
            to_wire=lambda room: room,
        )
        page["items"] = selectors.describe_rooms(page["items"], user=actor)
        return Response(page)

    @extend_schema(
        operation_id="rooms_create", tags=["chat"], summary="Open a room",
        description="`direct` takes one other person, one room per pair and subject; `assistant` "
        "is one per person and subject; `shop` takes `shop_id`, is one per person and shop, with "
        "the shop's people in it; `group` starts with its owner. A room that exists is answered "
        "with 200.",
        request=CreateRoomInput, responses={201: RoomOutput, 200: RoomOutput},
    )  # fmt: skip
    def create(self, request: Request) -> Response:
        """Open a room, or give back the one that exists."""
        actor = actor_of(request)
        given = {k: v for k, v in self.read(CreateRoomInput).items() if v is not None}
        room, created = rooms.create_room(actor=actor, **given)
        [described] = selectors.describe_rooms([room], user=actor)
        return Response(described, status=201 if created else 200)

    @extend_schema(
        operation_id="rooms_retrieve", tags=["chat"], summary="One room",
        responses={200: RoomOutput},
    )  # fmt: skip
    def retrieve(self, request: Request, room_id: str) -> Response:
        """One room of the caller."""
        actor = actor_of(request)
        member = access.membership(actor=actor, room_id=path_id(room_id, RoomNotFound))
        [described] = selectors.describe_rooms([member.room], user=actor)
        return Response(described)

    @extend_schema(
        operation_id="rooms_members", tags=["chat"], summary="Who is in the room",
        parameters=PAGE, responses={200: MemberPageOutput},
    )  # fmt: skip
    def members(self, request: Request, room_id: str) -> Response:
        """A page of members, who came first comes first."""
        member = access.membership(actor=actor_of(request), room_id=path_id(room_id, RoomNotFound))
        return Response(
            cursor_page(
                selectors.list_members(room=member.room),
                request=request,
                order=("joined_at", "id"),
                to_wire=member_payload,
            )
        )

    @extend_schema(
        operation_id="rooms_leave", tags=["chat"], summary="Leave a group",
        request=None, responses={200: LeftOutput},
    )  # fmt: skip
    def leave(self, request: Request, room_id: str) -> Response:
        """The caller is in the group no more."""
        members.leave_room(actor=actor_of(request), room_id=path_id(room_id, RoomNotFound))
        return Response({"message": "Left"})

    @extend_schema(
        operation_id="rooms_read", tags=["chat"], summary="Move the read cursor",
        request=MarkReadInput, responses={200: ReadCursorOutput},
    )  # fmt: skip
    def read_up_to(self, request: Request, room_id: str) -> Response:
        """Everything up to the named message is read."""
        cursor = reads.mark_read(
            actor=actor_of(request),
            room_id=path_id(room_id, RoomNotFound),
            **self.read(MarkReadInput),
        )
        return Response(
            {"last_read_seq": cursor.last_read_seq, "unread_count": cursor.unread_count}
        )

    @extend_schema(
        operation_id="chat_unread", tags=["chat"], summary="Unread messages",
        responses={200: UnreadOutput},
    )  # fmt: skip
    def unread(self, request: Request) -> Response:
        """Unread messages of all rooms."""
        counts = selectors.unread_counts(user=actor_of(request))
        return Response({"total": sum(counts.values()), "rooms": counts})


class MessageBounds(InputSerializer):
    """Where a page of messages begins."""

    before_seq = serializers.IntegerField(required=False, min_value=0)
    after_seq = serializers.IntegerField(required=False, min_value=0)


class MessageViewSet(BaseViewSet):
    """Messages of one room."""

    @extend_schema(
        operation_id="messages_list", tags=["chat"], summary="Messages of a room",
        description="Ascending inside a page; without a bound the newest page.",
        parameters=[
            OpenApiParameter("before_seq", OpenApiTypes.INT),
            OpenApiParameter("after_seq", OpenApiTypes.INT),
            PAGE[0],
        ],
        responses={200: MessagePageOutput},
    )  # fmt: skip
    def list(self, request: Request, room_id: str) -> Response:
        """A page of messages."""
        member = access.membership(actor=actor_of(request), room_id=path_id(room_id, RoomNotFound))
        bounds = self.read_query(MessageBounds)
        limit = page_limit(request.query_params)
        return Response(selectors.message_page(room=member.room, limit=limit, **bounds))

    @extend_schema(
        operation_id="messages_send", tags=["chat"], summary="Send a message",
        description="A resend with the same `client_id`, on whatever protocol, is answered with "
        "200, the first message and `duplicate: true`. A text that begins with a command such as "
        "`@createshop` is stored like any other; the assistant answers in the same room.",
        request=SendMessageInput, responses={201: MessageOutput, 200: MessageOutput},
    )  # fmt: skip
    def create(self, request: Request, room_id: str) -> Response:
        """Store a message and announce it."""
        sent = messages.send_message_command(
            command=read_send_message(_object(request.data)),
            actor=actor_of(request),
            room_id=path_id(room_id, RoomNotFound),
        )
        status = 200 if sent.duplicate else 201
        return Response(sent.payload | {"duplicate": sent.duplicate}, status=status)

    @extend_schema(
        operation_id="messages_retrieve", tags=["chat"], summary="One message",
        responses={200: MessageOutput},
    )  # fmt: skip
    def retrieve(self, request: Request, room_id: str, message_id: str) -> Response:
        """One message of a room of the caller."""
        message = access.message_to_read(
            actor=actor_of(request),
            room_id=path_id(room_id, RoomNotFound),
            message_id=path_id(message_id, MessageNotFound),
        )
        return Response(message_payload(message, sender=message.sender))


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise MalformedRequest("An object is expected.")
    return body
