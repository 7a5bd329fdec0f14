"""The closed sets of chat."""

from django.db import models


class RoomKind(models.TextChoices):
    """What a room is for; the wire names of Realtime Market stand in the shapes."""

    DIRECT = "direct"
    SHOP = "shop"
    ASSISTANT = "assistant"
    GROUP = "group"
    TICKET = "ticket"


class RoomRole(models.TextChoices):
    """What a member may do in one room."""

    OWNER = "owner"
    ADMIN = "admin"
    MODERATOR = "moderator"
    MEMBER = "member"


class SenderType(models.TextChoices):
    """Who speaks."""

    USER = "user"
    AI = "ai"
    SYSTEM = "system"


class MessageKind(models.TextChoices):
    """How a message is to be shown."""

    TEXT = "text"
    IMAGE = "image"
    FILE = "file"
    BORROW = "borrow"
    CARD = "card"
    SYSTEM = "system"


class NotificationType(models.TextChoices):
    """What a notification is about."""

    INVITE_RECEIVED = "invite_received"
    INVITE_ACCEPTED = "invite_accepted"
    INVITE_DECLINED = "invite_declined"
    MESSAGE = "message"
    MENTION = "mention"
    MEMBER_JOINED = "member_joined"
    MEMBER_REMOVED = "member_removed"
    ROLE_CHANGED = "role_changed"
    GROUP_UPDATED = "group_updated"
    GROUP_DELETED = "group_deleted"
    BORROW_REQUESTED = "borrow_requested"
    BORROW_UPDATED = "borrow_updated"
    ORDER_UPDATED = "order_updated"
    PAYMENT_SUCCEEDED = "payment_succeeded"
    PAYMENT_FAILED = "payment_failed"
    PAYMENT_REFUNDED = "payment_refunded"
    DELIVERY_UPDATED = "delivery_updated"
    TICKET_UPDATED = "ticket_updated"
    LOW_STOCK = "low_stock"
    POINTS_EARNED = "points_earned"
    SYSTEM = "system"
