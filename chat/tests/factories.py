"""Rooms and messages as the services make them."""

from typing import Any

from accounts.models import User
from chat.models import Room
from chat.services.messages import SentMessage, send_message
from chat.services.rooms import create_group
from marketplace.tests.cast import make_user


def make_group(owner: User, *members: User, title: str = "Lamps") -> Room:
    """A group of these people."""
    return create_group(owner=owner, title=title, members=list(members))


def make_people(count: int, *, first: int = 100) -> list[User]:
    """So many users that nobody knows."""
    return [make_user(f"Person{first + number}", number=first + number) for number in range(count)]


def say(room: Room, user: User, content: str = "Good morning", **more: Any) -> SentMessage:
    """One message."""
    return send_message(actor=user, room_id=room.id, content=content, **more)


def say_many(room: Room, user: User, count: int) -> list[dict[str, Any]]:
    """Messages `1` to `count`, in their order."""
    return [say(room, user, str(number)).payload for number in range(1, count + 1)]
