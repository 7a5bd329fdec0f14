"""Fills rooms with messages, through the service that every sender uses, in large batches.

What it must make is written in benchmarks/README.md, "Lists and admin pages".
"""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress

from accounts.models import User
from chat.enums import RoomKind
from chat.models import Member, Room
from chat.services.messages import SendCommand, send_messages
from chat.services.rooms import create_group
from marketplace.core.errors import AppError
from marketplace.management.benchmarking import WORDS, chunks, refuse_production
from marketplace.management.commands.bench_clients import ensure_people

READER_SET = "bench_reader"
# In every room but the first, which everybody is in.
MEMBERS = 10
SENTENCE = 12


class Command(BaseCommand):
    """Make what is missing; print nothing."""

    help = "Fill rooms with messages (benchmarks/README.md)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How many messages in how many rooms, and how many people there are."""
        parser.add_argument("--messages", type=int, required=True)
        parser.add_argument("--rooms", type=int, default=100)
        parser.add_argument("--people", type=int, default=1_000)

    def handle(self, *args: Any, **options: Any) -> None:
        """Make it."""
        refuse_production()
        count, rooms, people = options["messages"], options["rooms"], options["people"]
        if count < 0 or rooms < 2 or people < 2:
            raise CommandError("At least two rooms and two people, and no fewer messages than 0.")
        fill(messages=count, rooms=rooms, people=ensure_people(set_name=READER_SET, count=people))


def fill(*, messages: int, rooms: int, people: Sequence[User]) -> None:
    """Half of the messages are in the first room, with everybody; the others share the rest.

    The first of the people owns all rooms, so that his list of rooms has them all.
    """
    places = ensure_rooms(count=rooms, people=people)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        for place, room in enumerate(progress.track(places, description="Messages")):
            _say(room, upto=_share(place, messages=messages, rooms=rooms))


def ensure_rooms(*, count: int, people: Sequence[User]) -> list[Room]:
    """The groups of this set, in their order."""
    owner, *others = people
    found = Room.objects.filter(kind=RoomKind.GROUP, owner=owner).order_by("created_at", "id")
    known = {room.title: room for room in found}
    rooms = []
    for place in range(count):
        title = f"{READER_SET} {place}"
        members = others if place == 0 else [*others, *others][place % len(others) :][: MEMBERS - 1]
        rooms.append(
            known.get(title)
            or create_group(owner=owner, title=title, members=list(dict.fromkeys(members)))
        )
    return rooms


def _share(place: int, *, messages: int, rooms: int) -> int:
    rest, others = messages // 2, rooms - 1
    if place == 0:
        return messages - rest
    return rest // others + (place <= rest % others)


def _say(room: Room, *, upto: int) -> None:
    """The room has so many messages: its members speak in turn."""
    rows = Member.objects.filter(room=room).select_related("user").order_by("joined_at", "id")
    speakers = [member.user for member in rows[:MEMBERS]]
    said = Room.objects.get(pk=room.pk).last_number
    for numbers in chunks(range(said + 1, upto + 1)):
        commands = [
            SendCommand(
                actor=speakers[number % len(speakers)],
                room_id=room.id,
                content=sentence_of(number),
                # Nobody's rate: these are said by no person.
                charged=True,
            )
            for number in numbers
        ]
        for outcome in send_messages(commands):
            if isinstance(outcome, AppError):
                raise CommandError(f"A message was refused: {outcome.code}")


def sentence_of(number: int) -> str:
    """Twelve words and the number."""
    words = (WORDS[(number * 7 + step * step) % len(WORDS)] for step in range(SENTENCE))
    return " ".join([*words, str(number)])
