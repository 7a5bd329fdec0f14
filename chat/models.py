"""Rooms, who is in them, and what was said.

Unread counts are differences of ordinals (`Room.last_number` - `Member.read_number`), so a message
writes no row of any other member, however large the room.
"""

from django.conf import settings
from django.db import models

from chat.enums import MessageKind, NotificationType, RoomKind, RoomRole, SenderType
from marketplace.core.clock import now
from marketplace.core.models import BaseModel


class Room(BaseModel):
    """A place to talk. Its topic in the log is `room:<id>`."""

    kind = models.CharField(max_length=16, choices=RoomKind.choices)
    title = models.CharField(max_length=100, blank=True, default="")
    is_public = models.BooleanField(default=False)
    subject_type = models.CharField(max_length=32, blank=True, default="")
    subject_id = models.CharField(max_length=128, blank=True, default="")
    data = models.JSONField(default=dict, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    # One room per pair and subject, one assistant room per user and subject; null for groups.
    natural_key = models.CharField(max_length=400, null=True, blank=True, unique=True)
    member_count = models.IntegerField(default=0)
    # The ordinal of the newest message: it counts 1, 2, 3 … and never goes back.
    last_number = models.BigIntegerField(default=0)
    # The time of the newest message, or of the making: what lists of rooms are ordered by. Without
    # an index, since every message would move it: a person's rooms are found by membership.
    active_at = models.DateTimeField(default=now)
    # Keys of the ten members who joined first, so that a list of rooms reads them in one query.
    first_members = models.JSONField(default=list, blank=True)

    def __str__(self) -> str:
        return self.title or f"{self.kind} {self.id}"

    @property
    def topic(self) -> str:
        """Its address in the log."""
        return f"room:{self.id}"


class Member(BaseModel):
    """One person in one room."""

    # Its own index would repeat the beginning of the unique one.
    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="members", db_index=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="memberships",
        db_index=False,
    )
    role = models.CharField(max_length=16, choices=RoomRole.choices, default=RoomRole.MEMBER)
    # His read cursor: ordinal and seq of the newest message that he has read.
    read_number = models.BigIntegerField(default=0)
    read_seq = models.BigIntegerField(default=0)
    muted = models.BooleanField(default=False)
    joined_at = models.DateTimeField(default=now)
    # His dialogue with the assistant: `commands/dialogue.py: Wizard`. `wizard_open` is all that
    # storing a message looks at: what he says next may concern the assistant, because a dialogue is
    # open or an answer is still to come. The numbers are those of his newest message that has asked
    # and of the last one that was answered; between them the jobs find their work, in its order.
    wizard = models.JSONField(null=True, blank=True)
    wizard_open = models.BooleanField(default=False)
    wizard_asked = models.BigIntegerField(default=0)
    wizard_number = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["room", "user"], name="member_room_user")]
        indexes = [
            models.Index(fields=["room", "joined_at", "id"], name="member_by_joining"),
            # By either index one membership is one row, however many rooms a person is in.
            models.Index(fields=["user", "room"], name="member_by_user"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.room_id}"


class Message(BaseModel):
    """One thing said. `seq` is the place of its event in the room's topic."""

    # Each index is paid for by every message: none repeats the beginning of another, and people
    # are never deleted, so nothing asks for all messages of a sender on a hot path. Nor does the
    # database check room and sender again: the membership that a message is stored by has both.
    room = models.ForeignKey(
        Room,
        on_delete=models.CASCADE,
        related_name="messages",
        db_index=False,
        db_constraint=False,
    )
    number = models.BigIntegerField()
    seq = models.BigIntegerField()
    client_id = models.CharField(max_length=64, null=True, blank=True)
    sender = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    sender_type = models.CharField(
        max_length=8, choices=SenderType.choices, default=SenderType.USER
    )
    kind = models.CharField(max_length=8, choices=MessageKind.choices, default=MessageKind.TEXT)
    content = models.TextField(blank=True, default="")
    mentions = models.JSONField(default=list, blank=True)
    data = models.JSONField(null=True, blank=True)
    reply_to_id = models.UUIDField(null=True, blank=True)
    edited_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["room", "number"], name="message_room_number"),
            models.UniqueConstraint(fields=["room", "seq"], name="message_room_seq"),
            # A resend, on whatever protocol and however late, is the same message.
            models.UniqueConstraint(
                fields=["sender", "client_id", "room"], name="message_client_id"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.room_id} #{self.number}"


class Notification(BaseModel):
    """Something that a person is told, kept until he has read it, and after."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="notifications",
        db_index=False,
    )
    type = models.CharField(max_length=24, choices=NotificationType.choices)
    title = models.CharField(max_length=200)
    body = models.TextField(blank=True, default="")
    data = models.JSONField(default=dict, blank=True)
    # What it tells of: a person is told of one thing once. Null once it may be told of again.
    key = models.CharField(max_length=128, null=True, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="notification_user_key")
        ]
        indexes = [
            models.Index(fields=["user", "id"], name="notification_newest"),
            models.Index(fields=["user", "read_at"], name="notification_unread"),
        ]

    def __str__(self) -> str:
        return f"{self.type} for {self.user_id}"
