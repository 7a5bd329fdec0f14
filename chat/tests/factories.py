"""Rooms and messages as the services make them."""

from typing import Any

from accounts.models import User
from chat.enums import SenderType
from chat.models import Message, Room
from chat.services.messages import SentMessage, send_message
from chat.services.rooms import create_group, open_assistant_room
from marketplace.core.jobs import run_due_jobs
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


def make_talk(user: User, subject_id: str = "") -> Room:
    """This person's room with the assistant."""
    return open_assistant_room(actor=user, subject_id=subject_id)[0]


def answers(room: Room) -> list[str]:
    """Everything that the assistant has said here, in order."""
    said = Message.objects.filter(room=room, sender_type=SenderType.AI).order_by("number")
    return [message.content for message in said]


def talk(room: Room, user: User, *lines: str, data: dict[str, Any] | None = None) -> list[str]:
    """Say each line and let the jobs run after it; what the assistant said to that."""
    before = len(answers(room))
    for line in lines:
        say(room, user, line, data=data)
        run_due_jobs()
    return answers(room)[before:]
