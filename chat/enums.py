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
