"""The demo data: five people and their rooms, made by the services that everybody uses.

Every step stands by itself and does nothing the second time, so that it may be stopped anywhere
and started again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.contrib.auth.hashers import make_password
from django.db.models import Q

from accounts.enums import Role
from accounts.models import User
from chat.enums import RoomKind
from chat.models import Room
from chat.services.messages import send_message
from chat.services.reads import mark_read
from chat.services.rooms import create_group, open_assistant_room, open_direct_room
from marketplace.core.clock import now
from marketplace.core.db import transactional
from marketplace.events.record import open_topic
from marketplace.web.people import (
    ASHA,
    BRUNO,
    CHIARA,
    DEMO_PASSWORD,
    DMITRI,
    PEOPLE,
    DemoPerson,
)

TEAM_TITLE = "Corner Lamp team"
Line = tuple[DemoPerson, str]

ABOUT_A_LAMP: list[Line] = [
    (ASHA, "Hello Bruno! Is the brass reading lamp still there?"),
    (BRUNO, "Hello Asha. Yes, two of them. One has a small scratch on the foot."),
    (ASHA, "The one without, please. Can it be here by Friday?"),
    (BRUNO, "Dmitri drives on Thursday. I will put it aside for you."),
]
IN_THE_TEAM: list[Line] = [
    (BRUNO, "Asha takes the brass reading lamp. Dmitri, Thursday?"),
    (DMITRI, "Thursday is fine, I am in her street at four anyway."),
    (CHIARA, "Then I close her question at the support desk. Thank you both!"),
]
TO_ASSISTANT: list[Line] = [(ASHA, "Remember: measure the desk before Friday.")]


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it is called on the progress bar, and the work."""

    title: str
    work: Callable[[], None]


def steps() -> Iterator[Step]:
    """Everything that makes the demo data, in order."""
    people: dict[str, User] = {}
    password = _HashedOnce()
    for person in PEOPLE:
        yield Step(person.name, _person_step(person, people, password))
    yield Step("Asha and Bruno", lambda: _direct_room(people))
    yield Step(TEAM_TITLE, lambda: _team(people))
    for person in PEOPLE:
        yield Step(f"{person.name}'s assistant", _assistant_step(person, people))


class _HashedOnce:
    """The one password of all of them: hashing is slow on purpose, once is enough."""

    _hash: str | None = None

    def get(self) -> str:
        """The hash, made at the first need."""
        if self._hash is None:
            self._hash = make_password(DEMO_PASSWORD)
        return self._hash


def _person_step(
    person: DemoPerson, people: dict[str, User], password: _HashedOnce
) -> Callable[[], None]:
    def work() -> None:
        wanted = Q(phone_number=person.phone_number) | Q(email=person.email)
        found = User.objects.filter(wanted).order_by("pk").first()
        people[person.username] = found or _create_person(person, password.get())

    return work


@transactional
def _create_person(person: DemoPerson, password_hash: str) -> User:
    user = User(
        username=person.username,
        name=person.name,
        email=person.email,
        phone_number=person.phone_number,
        role=person.role,
        side=person.side,
        is_staff=person.role in (Role.ADMIN, Role.EMPLOYEE),
        is_superuser=person.role == Role.ADMIN,
        email_verified_at=now(),
        phone_verified_at=now(),
        password=password_hash,
    )
    user.save(force_insert=True)
    open_topic(user.topic)
    return user


def _direct_room(people: dict[str, User]) -> None:
    asha, bruno = people[ASHA.username], people[BRUNO.username]
    room, is_new = open_direct_room(actor=asha, other=bruno)
    _say(room, ABOUT_A_LAMP, people)
    if is_new:
        mark_read(actor=bruno, room_id=room.id)


def _team(people: dict[str, User]) -> None:
    bruno = people[BRUNO.username]
    room = (
        Room.objects.filter(kind=RoomKind.GROUP, owner=bruno, title=TEAM_TITLE)
        .order_by("created_at", "id")
        .first()
    )
    if room is None:
        members = [people[CHIARA.username], people[DMITRI.username]]
        room = create_group(owner=bruno, title=TEAM_TITLE, members=members)
    _say(room, IN_THE_TEAM, people)


def _assistant_step(person: DemoPerson, people: dict[str, User]) -> Callable[[], None]:
    def work() -> None:
        room, _ = open_assistant_room(actor=people[person.username])
        if person is ASHA:
            _say(room, TO_ASSISTANT, people)

    return work


def _say(room: Room, lines: list[Line], people: dict[str, User]) -> None:
    for number, (person, content) in enumerate(lines, start=1):
        # The client_id makes the line the same message, however often this runs.
        send_message(
            actor=people[person.username],
            room_id=room.id,
            content=content,
            client_id=f"demo-{number}",
        )
