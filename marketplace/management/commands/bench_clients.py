"""Prints the sockets of one benchmark mode; makes the people and rooms that are missing.

What it must print is written in benchmarks/README.md, "The four commands".
"""

from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.enums import Issuer
from accounts.models import AuthSession, User
from accounts.services import tokens
from chat.enums import RoomKind
from chat.models import Member, Room
from chat.services.rooms import create_group
from marketplace.core.clock import now
from marketplace.core.db import transactional
from marketplace.core.ids import uuid7
from marketplace.events.models import TopicHead
from marketplace.management.bench_deliveries import ensure_deliveries, watched
from marketplace.management.benchmarking import CHUNK, chunks, refuse_production

TOPIC_OF_ROOM = {"plain": "room:{}", "phoenix": "chat:room_{}", "socketio": "{}"}
TOPIC_OF_DELIVERY = {
    "plain": "delivery:{}", "phoenix": "delivery:delivery_{}", "socketio": "{}",
}  # fmt: skip
MOST_SOCKETS = 5000
TOKEN_LEFT_S = 1200  # the kit needs 600 from the start of a run


class Command(BaseCommand):
    """One line per socket on stdout, nothing else: role, token, room, topic, tabs between."""

    help = "Print the sockets of a benchmark mode (benchmarks/README.md)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The five values that the kit fills in."""
        parser.add_argument("--suite", choices=["chat", "idle", "gps"], required=True)
        parser.add_argument("--protocol", choices=sorted(TOPIC_OF_ROOM), required=True)
        parser.add_argument("--sockets", type=int, required=True)
        parser.add_argument("--senders", type=int, required=True)
        parser.add_argument("--rooms", type=int, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        """Make what is missing, then print."""
        suite, sockets, rooms = options["suite"], options["sockets"], options["rooms"]
        refuse_production()
        if not (1 <= rooms <= sockets <= MOST_SOCKETS and 0 <= options["senders"] <= sockets):
            raise CommandError(
                f"1 <= rooms <= sockets <= {MOST_SOCKETS} and 0 <= senders <= sockets must hold."
            )
        if settings.TOKEN_TTL_OTP < TOKEN_LEFT_S:
            raise CommandError(f"TOKEN_TTL_OTP must be at least {TOKEN_LEFT_S} s.")
        set_name = f"bench_{suite}_{sockets}_{rooms}"
        people = ensure_people(set_name=set_name, count=sockets)
        senders, is_gps = options["senders"], suite == "gps"
        if is_gps:
            if not 1 <= senders == rooms < sockets:
                raise CommandError("In gps every sender is a courier with a room of his own.")
            places = ensure_deliveries(set_name=set_name, people=people, couriers=senders)
        else:
            places = ensure_rooms(set_name=set_name, people=people, count=rooms)
        sessions = ensure_sessions(people=people)
        spelling = (TOPIC_OF_DELIVERY if is_gps else TOPIC_OF_ROOM)[options["protocol"]]
        for i, user in enumerate(people):
            session = sessions[user.pk]
            # As the sign-in itself signed it: no token outlives its session.
            token = tokens.issue(user, session, issued_at=session.created_at)
            if i < senders:
                role = "send" if is_gps else "both"
            else:
                role = "recv"
            if is_gps and i >= senders:
                place = places[watched(i - senders, couriers=senders, watchers=sockets - senders)]
            else:
                place = places[i % rooms]
            self.stdout.write(f"{role}\t{token}\t{place}\t{spelling.format(place)}")


def ensure_people(*, set_name: str, count: int) -> list[User]:
    """The users of this set in their order. They have no password and never sign in by one."""
    known = _people(set_name)
    missing = [name for i in range(count) if (name := f"{set_name}_{i}") not in known]
    for names in chunks(missing):
        _create_people(names)
    if missing:
        known = _people(set_name)
    return [known[f"{set_name}_{i}"] for i in range(count)]


def _people(set_name: str) -> dict[str, User]:
    found = User.objects.filter(username_key__startswith=f"{set_name}_").order_by("pk")
    return {str(user.username): user for user in found}


@transactional
def _create_people(names: Sequence[str]) -> None:
    at = now()
    people = [
        User(username=name, username_key=name, name="Benchmark", last_login=at) for name in names
    ]
    for user in people:
        user.set_unusable_password()
    # Heads first: where the database cannot roll back, a user without a head would stay so.
    TopicHead.objects.bulk_create(
        [TopicHead(topic=user.topic, epoch=uuid7().hex) for user in people], batch_size=CHUNK
    )
    User.objects.bulk_create(people, batch_size=CHUNK)


def ensure_rooms(*, set_name: str, people: Sequence[User], count: int) -> list[UUID]:
    """Ids of the groups of this set: person i is in group i mod count, and nobody else is."""
    titles = {f"{set_name}_{place}": place for place in range(count)}
    known = {
        titles[title]: key
        for title, key in Room.objects.filter(
            kind=RoomKind.GROUP,
            title__startswith=f"{set_name}_",
            owner__username_key__startswith=f"{set_name}_",
        )
        .order_by("created_at")
        .values_list("title", "id")
    }
    for title, place in titles.items():
        if place not in known:
            owner, *others = people[place::count]
            known[place] = create_group(owner=owner, title=title, members=others).id
    places = [known[place] for place in range(count)]
    _check_members(places=places, people=people)
    return places


def _check_members(*, places: Sequence[UUID], people: Sequence[User]) -> None:
    expected = {(places[i % len(places)], user.pk) for i, user in enumerate(people)}
    found: set[tuple[UUID, UUID]] = set()
    for keys in chunks(places):
        found |= set(
            Member.objects.filter(room__in=keys).order_by("pk").values_list("room", "user")
        )
    if found != expected:
        raise CommandError("A benchmark room has other members than it should: use a new database.")


def ensure_sessions(*, people: Sequence[User]) -> dict[UUID, AuthSession]:
    """A living session for everyone, with time left for a run; by the user's key."""
    living: dict[UUID, AuthSession] = {}
    for users in chunks(people):
        living |= _living_sessions(users)
        missing = [user for user in users if user.pk not in living]
        if missing:
            living |= _create_sessions(missing)
    return living


def _living_sessions(users: Sequence[User]) -> dict[UUID, AuthSession]:
    found = AuthSession.objects.filter(
        user__in=users,
        issuer=Issuer.REALTIME_MARKET,
        ended_at__isnull=True,
        expires_at__gt=now() + timedelta(seconds=TOKEN_LEFT_S),
    )
    return {session.user_id: session for session in found.order_by("created_at")}


@transactional
def _create_sessions(users: Sequence[User]) -> dict[UUID, AuthSession]:
    """What a sign-in by phone code leaves behind: one row each, without a refresh token."""
    at, ttl_s = now(), settings.TOKEN_TTL_OTP
    rows = [
        AuthSession(
            user=user,
            issuer=Issuer.REALTIME_MARKET,
            access_ttl_s=ttl_s,
            user_agent="bench_clients",
            last_used_at=at,
            expires_at=at + timedelta(seconds=ttl_s),
            created_at=at,
            updated_at=at,
        )
        for user in users
    ]
    AuthSession.objects.bulk_create(rows, batch_size=CHUNK)
    return {row.user_id: row for row in rows}
