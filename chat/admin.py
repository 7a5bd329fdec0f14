"""Rooms, their members, messages and notifications, as staff see them.

An administrator may do everything except read a direct room that nobody has reported.
"""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from chat.enums import RoomKind
from chat.models import Member, Message, Notification, Room
from marketplace.core.admin import HistoryAdmin, column, read_uuid

HIDDEN = "(hidden: direct room)"
PREVIEW_CHARACTERS = 80
KIND_COLOURS = {
    "direct": "info",
    "group": "success",
    "assistant": "warning",
    "shop": "primary",
    "ticket": "danger",
}


def room_name(room: Room) -> str:
    """Its title, or its kind and the last digits of its id, which people can tell apart."""
    return room.title or f"{room.kind} {room.id.hex[-12:]}"


def may_be_read(room: Room) -> bool:
    """Whether staff may read what was said in this room."""
    return room.kind != RoomKind.DIRECT


@admin.register(Room)
class RoomAdmin(HistoryAdmin):
    """Places to talk."""

    list_display = ("name", "kind_label", "member_count", "last_number", "created_at", "owner")
    list_filter = ("kind", "is_public")
    list_select_related = ("owner",)
    ordering = ("-id",)  # UUIDv7: the newest first, by the index that is there anyway
    search_fields = ("title__icontains", "subject_id__exact")
    search_help_text = "A part of a title, or the whole id of a room or of what it is about."
    text_key_fields = ("subject_id",)
    fields = (
        "id",
        "kind",
        "title",
        "is_public",
        "owner",
        "subject_type",
        "subject_id",
        "member_count",
        "last_number",
        "created_at",
        "updated_at",
        "links",
    )
    readonly_fields = fields

    @column("Room", ordering="title")
    def name(self, room: Room) -> str:
        """Its title, or what it is and its last digits."""
        return room_name(room)

    @column("Kind", ordering="kind", colours=KIND_COLOURS)
    def kind_label(self, room: Room) -> str:
        """The kind, in its colour."""
        return room.kind

    @column("Look at")
    def links(self, room: Room) -> str:
        """The ways to its members, messages and events."""
        return format_html(
            '<a class="text-primary-600 underline" href="{}?room__id__exact={}">Members</a> · '
            '<a class="text-primary-600 underline" href="{}?room__id__exact={}">Messages</a> · '
            '<a class="text-primary-600 underline" href="{}?q={}">Events</a>',
            reverse("admin:chat_member_changelist"),
            room.id,
            reverse("admin:chat_message_changelist"),
            room.id,
            reverse("admin:events_event_changelist"),
            room.topic,
        )


@admin.register(Member)
class MemberAdmin(HistoryAdmin):
    """Who is in which room."""

    list_display = ("user", "room_label", "role", "read_number", "muted", "dialogue", "joined_at")
    list_filter = ("role", "muted", "wizard_open", "room__kind")
    list_select_related = ("user", "room")
    ordering = ("-joined_at", "-id")
    search_fields = ("user__email__exact", "user__username_key__exact", "user__phone_number__exact")
    search_help_text = "The id of a room or a user, or a whole e-mail address, user name or phone."
    key_fields = ("pk", "room_id", "user_id")
    text_key_fields = ("user__public_id",)
    # Not what he has answered so far: that was said in the room, which may be nobody's business.
    fields = (
        "id",
        "room",
        "user",
        "role",
        "read_number",
        "read_seq",
        "muted",
        "joined_at",
        "dialogue",
        "dialogue_since",
        "wizard_open",
        "wizard_asked",
        "wizard_number",
    )
    readonly_fields = fields

    @column("Room", ordering="room")
    def room_label(self, member: Member) -> str:
        """The room, in short."""
        return room_name(member.room)

    @column("Dialogue", ordering="wizard_open")
    def dialogue(self, member: Member) -> str:
        """The command and the step that his next message answers."""
        wizard = member.wizard
        return f"@{wizard['command']}: {wizard['step']}" if wizard else "-"

    @column("Asked at")
    def dialogue_since(self, member: Member) -> str:
        """When the assistant asked the question that is open."""
        return str(member.wizard["asked_at"]) if member.wizard else "-"


@admin.register(Message)
class MessageAdmin(HistoryAdmin):
    """What was said, where staff may read it."""

    list_display = ("created_at", "room_label", "number", "speaker", "kind", "preview")
    list_filter = ("kind", "sender_type", "room__kind")
    list_select_related = ("room", "sender")
    ordering = ("-id",)  # UUIDv7: the newest first, by the index that is there anyway
    search_fields = ("content__icontains",)
    search_help_text = "Words (direct rooms are left out), or the id of a message, room or user."
    key_fields = ("pk", "room_id", "sender_id")
    text_key_fields = ("sender__public_id",)
    fields = (
        "id",
        "room",
        "number",
        "seq",
        "speaker",
        "sender_type",
        "kind",
        "text",
        "client_id",
        "reply_to_id",
        "created_at",
        "edited_at",
        "deleted_at",
    )
    readonly_fields = fields

    @column("Room", ordering="room")
    def room_label(self, message: Message) -> str:
        """The room, in short."""
        return room_name(message.room)

    @column("From", ordering="sender")
    def speaker(self, message: Message) -> str:
        """The person, the assistant or the system."""
        return str(message.sender) if message.sender else message.sender_type

    @column("Text")
    def preview(self, message: Message) -> str:
        """The beginning of the text."""
        text = self.text(message)
        return text if len(text) <= PREVIEW_CHARACTERS else f"{text[:PREVIEW_CHARACTERS]}…"

    @column("Text")
    def text(self, message: Message) -> str:
        """The text, unless it was deleted or is none of the staff's business."""
        if not may_be_read(message.room):
            return HIDDEN
        return "(deleted)" if message.deleted_at else message.content or "-"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Words are looked for only where they may be read: a search is a way of reading too."""
        found, repeats = super().get_search_results(request, queryset, search_term)
        if search_term.strip() and read_uuid(search_term.strip()) is None:
            # Not by a join: the database would match every message with every room.
            direct = Room.objects.filter(kind=RoomKind.DIRECT).order_by("id").values("id")
            found = found.exclude(room_id__in=direct).filter(deleted_at__isnull=True)
        return found, repeats


@admin.register(Notification)
class NotificationAdmin(HistoryAdmin):
    """What people were told."""

    list_display = ("created_at", "user", "type", "title", "body", "read_at")
    list_filter = ("type",)
    list_select_related = ("user",)
    ordering = ("-id",)  # UUIDv7: the newest first, by the index that is there anyway
    search_fields = ("user__email__exact", "user__username_key__exact", "user__phone_number__exact")
    search_help_text = "A whole id, e-mail address, user name or phone."
    key_fields = ("pk", "user_id")
    text_key_fields = ("user__public_id",)
