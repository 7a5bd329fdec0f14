"""Positions are stored, judged and told: one courier's at a time, or many couriers' together.

A batch costs one update that takes the deliveries, one look at them and one insert, whoever sent
how many. What a trail came to is kept in this process between two batches; the number that the
update moves tells whether somebody else has added to it meanwhile, and then it is read again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import structlog
from django.conf import settings
from django.db import DatabaseError
from django.db.models import F

from accounts.models import User
from delivery import access
from delivery.enums import MOVING, DeliveryStatus, Rejection
from delivery.errors import DeliveryNotFound
from delivery.models import Delivery, Location
from delivery.selectors import attempt_began, fix_of
from delivery.services import fixes_postgres, moves
from delivery.services.announcing import Place, tell_positions
from delivery.trail import TAKEN, Fix, Trail, own_fault
from marketplace.core import limits
from marketplace.core.clock import now
from marketplace.core.db import IntegrityError, atomic, is_lost_race, is_unreachable, on_commit, run
from marketplace.core.errors import AppError, Forbidden, IllegalTransition, Unavailable
from marketplace.core.failpoints import reach
from marketplace.core.ids import uuid7
from marketplace.events.record import NewEvent, record_all

logger = structlog.get_logger(__name__)

POINTS = 100
BUCKET = "location"
# How much of a trail is read where this process does not know it: enough for the speeds of five
# minutes and for every dwell.
READ_BEFORE = 300
# A late position is judged with what came after it, as far as this.
READ_AFTER = 10_000
KNOWN_TRAILS = 5_000
# What took part in a trail: good ones, and those that only their neighbours spoke against.
IN_TRAIL = (TAKEN, Rejection.SPEED.value)

COLUMNS = (
    "id", "courier_id", "status", "attempts", "started_at", "attempt_at", "nearby_at",
    "destination_latitude", "destination_longitude", "fixes_version",
)  # fmt: skip


@dataclass(slots=True)
class NewFix:
    """One position as a courier's device tells it; metres, metres per second, degrees."""

    latitude: float
    longitude: float
    recorded_at: datetime
    accuracy: float | None = None
    speed_mps: float | None = None
    heading: float | None = None


@dataclass(slots=True)
class FixCommand:
    """What one courier sends at one time; `actor` is the connection's user.

    as_list: it came as `points`, and is answered so.
    """

    actor: User
    delivery_id: UUID
    fixes: list[NewFix]
    received_at: datetime
    as_list: bool = False
    # A repeated transaction must not charge the courier's rate again.
    charged: bool = False


class Verdict(NamedTuple):
    """What became of one position. late: a later good one was known already."""

    rejected: str
    late: bool

    @property
    def accepted(self) -> bool:
        """Whether it is part of the trail."""
        return self.rejected == TAKEN


class RecordedFixes(NamedTuple):
    """The verdicts of one command, in its order."""

    verdicts: list[Verdict]
    as_list: bool


Outcome = RecordedFixes | AppError


def record_fixes(commands: Sequence[FixCommand]) -> list[Outcome]:
    """Store the positions of all of these, each command accepted or refused by itself.

    The outcomes stand in their order: RecordedFixes, or DeliveryNotFound, Forbidden (who sees the
    delivery and does not carry it), IllegalTransition (it is not on its way), RateLimited; then
    nothing of that command is stored. One transaction for all; where it fails, each is tried alone.
    """
    outcomes: dict[int, Outcome] = {}
    if fixes_postgres.applies():
        _record_kept(commands, outcomes)
    left = [place for place in range(len(commands)) if place not in outcomes]
    if left:
        others = _record_all([commands[place] for place in left])
        outcomes.update(zip(left, others, strict=True))
    return [outcomes[place] for place in range(len(commands))]


def _record_all(commands: Sequence[FixCommand]) -> list[Outcome]:
    try:
        return run(lambda: _record(commands))
    except AppError as error:
        if len(commands) == 1 or isinstance(error, Unavailable):
            return [error for _ in commands]
    except IntegrityError:
        if len(commands) == 1:
            raise
    except DatabaseError as error:
        if is_unreachable(error) and not is_lost_race(error):
            logger.error("fixes_failed", commands=len(commands), reason=type(error).__name__)
            return [Unavailable() for _ in commands]
        if len(commands) == 1:
            raise
    return [_record_alone(command) for command in commands]


def _record_alone(command: FixCommand) -> Outcome:
    try:
        return _record_all([command])[0]
    except Exception:
        logger.exception("fixes_failed", commands=1)
        return AppError()


def record_command(command: FixCommand) -> RecordedFixes:
    """The same for one. Raises what `record_fixes` gives."""
    [outcome] = record_fixes([command])
    if isinstance(outcome, AppError):
        raise outcome
    return outcome


# --- one batch ------------------------------------------------------------------------------


@dataclass(slots=True)
class Entry:
    """One position on its way in: as it came, as the trail takes it, and what became of it.

    step: the place of its command among those of its delivery.
    """

    id: UUID
    one: NewFix
    fix: Fix
    step: int
    rejected: str
    late: bool = False


@dataclass(slots=True)
class Known:
    """What a trail came to with the batch that moved the version to this, and whose it is."""

    version: int
    courier_id: UUID
    attempts: int
    status: str
    started_at: float
    trail: Trail
    is_nearby_told: bool


@dataclass(slots=True)
class _Unit:
    """All that a batch holds for one delivery: the commands' places in it, in their order."""

    courier: User
    places: list[int]
    commands: list[FixCommand]
    row: Any = None


@dataclass(slots=True)
class _Stored:
    """What a batch writes and, after the commit, tells."""

    rows: list[Location] = field(default_factory=list)
    events: list[NewEvent] = field(default_factory=list)
    flips: dict[str, list[UUID]] = field(default_factory=dict)
    known: dict[int, Known | None] = field(default_factory=dict)
    shown: list[Place] = field(default_factory=list)


# There are few different ones.
_verdict = lru_cache(Verdict)
# By `UUID.int` of the delivery: a UUID's own hash is made in Python, and asked for all the time.
_trails: dict[int, Known] = {}


def _record(commands: Sequence[FixCommand]) -> list[Outcome]:
    with atomic():
        outcomes, units = _sort_out(commands)
        stored = _Stored()
        for unit in units.values():
            _answer(unit, _take(unit, stored), outcomes)
        _write(stored)
        reach("before_commit")
    return [outcomes[place] for place in range(len(commands))]


def _write(stored: _Stored) -> None:
    if stored.rows:
        Location.objects.bulk_create(stored.rows)
    for rejected, ids in stored.flips.items():
        Location.objects.filter(id__in=ids).update(rejected=rejected)
    on_commit(lambda: _settle(stored))
    if stored.events:
        record_all(stored.events)


def _settle(stored: _Stored) -> None:
    """After the commit: remember what the trails came to, and show the newest positions."""
    for key, known in stored.known.items():
        if known is None:
            _trails.pop(key, None)
        else:
            _keep(key, known)
    if stored.shown:
        tell_positions(stored.shown)


def _keep(key: int, known: Known) -> None:
    """Remember it, unless something newer is known."""
    present = _trails.get(key)
    if present is None or present.version < known.version:
        if len(_trails) >= KNOWN_TRAILS:
            _trails.clear()
        _trails[key] = known


def _answer(unit: _Unit, entries: Sequence[Entry], outcomes: dict[int, Outcome]) -> None:
    """The verdicts of each command, at its place in the batch."""
    if len(entries) == 1:
        [place], [command], [only] = unit.places, unit.commands, entries
        outcomes[place] = RecordedFixes([_verdict(only.rejected, only.late)], command.as_list)
        return
    verdicts: list[list[Verdict]] = [[] for _ in unit.commands]
    for one in entries:
        verdicts[one.step].append(_verdict(one.rejected, one.late))
    for place, command, found in zip(unit.places, unit.commands, verdicts, strict=True):
        outcomes[place] = RecordedFixes(found, command.as_list)


def _sort_out(
    commands: Sequence[FixCommand],
) -> tuple[dict[int, Outcome], dict[int, _Unit]]:
    """Who may send: one update that holds the deliveries until the commit, and one query."""
    rows = _lock(commands)
    outcomes: dict[int, Outcome] = {}
    units: dict[int, _Unit] = {}
    for place, command in enumerate(commands):
        row = rows.get(command.delivery_id)
        refusal = _refusal(command, row)
        if refusal is not None:
            outcomes[place] = refusal
            continue
        _add(units, place, command).row = row
    return outcomes, units


def _add(units: dict[int, _Unit], place: int, command: FixCommand) -> _Unit:
    """One more command of a batch."""
    key = command.delivery_id.int
    unit = units.get(key)
    if unit is None:
        unit = units[key] = _Unit(command.actor, [place], [command])
    else:
        unit.places.append(place)
        unit.commands.append(command)
    return unit


def _lock(commands: Sequence[FixCommand]) -> dict[UUID, Any]:
    ids = sorted({command.delivery_id for command in commands})
    couriers = {command.actor.pk for command in commands}
    Delivery.objects.filter(id__in=ids, status__in=MOVING, courier_id__in=couriers).update(
        fixes_version=F("fixes_version") + 1
    )
    found = Delivery.objects.filter(id__in=ids).order_by("id")
    return {row.id: row for row in found.values_list(*COLUMNS, named=True)}


def _refusal(command: FixCommand, row: Any) -> AppError | None:
    if row is None:
        return DeliveryNotFound()
    if row.courier_id != command.actor.pk:
        try:
            access.delivery_to_see(actor=command.actor, key=command.delivery_id)
        except AppError as error:
            return error
        return Forbidden("Only its courier tells where it is.")
    if row.status not in MOVING:
        return IllegalTransition("This delivery is not on its way.", status=row.status)
    return _charge(command)


def _charge(command: FixCommand) -> AppError | None:
    """Take the courier's rate, once for each command."""
    if command.charged:
        return None
    try:
        limits.check(BUCKET, command.delivery_id.hex)
    except AppError as error:
        return error
    command.charged = True
    return None


# --- trails that this process knows, on PostgreSQL ------------------------------------------


class Judged(NamedTuple):
    """What one courier sends, judged and not stored. before: when his last good one was."""

    unit: _Unit
    known: Known
    entries: list[Entry]
    before: float | None


def _record_kept(commands: Sequence[FixCommand], outcomes: dict[int, Outcome]) -> None:
    """PostgreSQL's short way, for trails that go on where this process left them.

    Who is not in `outcomes` afterwards is answered by the portable one: his trail has to be read,
    something happens by his position, or he is no more what he was.
    """
    _learn(commands)
    judged = _judge_kept(_known_units(commands, outcomes))
    if not judged:
        return
    try:
        held = run(lambda: fixes_postgres.store(judged))
    except (AppError, DatabaseError):
        return  # the portable way meets it again, and tells it
    stored = _Stored()
    for number in held:
        unit, known, entries, before = judged[number]
        known.version += 1
        delivery_id = unit.commands[0].delivery_id
        stored.known[delivery_id.int] = known
        _show(delivery_id, known.trail, entries, before, stored)
        _answer(unit, entries, outcomes)
    on_commit(lambda: _settle(stored))


def _learn(commands: Sequence[FixCommand]) -> None:
    """Read the trails of these couriers that this process does not know, all by one statement.

    Nothing is held meanwhile: who adds to one of them moves the version that was read.
    """
    unknown = {
        (one.delivery_id, one.actor.pk) for one in commands if one.delivery_id.int not in _trails
    }
    if not unknown:
        return
    try:
        found = run(lambda: fixes_postgres.read_trails(unknown, limit=READ_BEFORE))
    except (AppError, DatabaseError):
        return  # the portable way meets it again, and tells it
    for row in found:
        trail = Trail(destination=_destination(row), since=_since(row))
        fixes = orjson.loads(row.fixes or "[]")
        for at, latitude, longitude, speed_mps, rejected in fixes:
            trail.trust(Fix(at, latitude, longitude, speed_mps), rejected=rejected)
        if trail.last is None and fixes:
            continue  # the last good one lies further back
        _keep(
            row.id.int,
            Known(
                version=row.fixes_version,
                courier_id=row.courier_id,
                attempts=row.attempts,
                status=row.status,
                started_at=row.started_at.timestamp(),
                trail=trail,
                is_nearby_told=row.is_nearby_told,
            ),
        )


def _known_units(
    commands: Sequence[FixCommand], outcomes: dict[int, Outcome]
) -> Iterable[tuple[int, _Unit]]:
    """What comes from couriers whose trail is known, by the key of the trail."""
    units: dict[int, _Unit] = {}
    for place, command in enumerate(commands):
        known = _trails.get(command.delivery_id.int)
        if known is None or known.courier_id != command.actor.id:
            continue
        refusal = _charge(command)
        if refusal is not None:
            outcomes[place] = refusal
        else:
            _add(units, place, command)
    return units.items()


def _judge_kept(units: Iterable[tuple[int, _Unit]]) -> list[Judged]:
    """Those that follow upon what is known, and by which nothing happens.

    The trails are taken out until they are stored: where that fails, they are read again.
    """
    judged = []
    for key, unit in units:
        known = _trails.pop(key, None)
        if known is None:
            continue
        before = _last_at(known.trail)
        entries = _entries(unit, started_at=known.started_at)
        if _go_on(known.trail, entries) and not _is_crossing(known):
            _mark_late(entries, before)
            judged.append(Judged(unit, known, entries, before))
    return judged


def _is_crossing(known: Known) -> bool:
    """Whether a fence has something to say."""
    trail = known.trail
    if known.status == DeliveryStatus.ARRIVED:
        return bool(settings.GEOFENCE_AUTO_DELIVER) and trail.door.has_fired
    return trail.arrived.has_fired or (trail.nearby.has_fired and not known.is_nearby_told)


# --- one delivery of a batch ----------------------------------------------------------------


def _take(unit: _Unit, stored: _Stored) -> list[Entry]:
    """Judge all positions of this delivery together, in the order in which they came."""
    row = unit.row
    started_at = row.started_at.timestamp()
    entries = _entries(unit, started_at=started_at)
    # Nobody else uses this trail while the delivery is held; it is put back after the commit.
    key = row.id.int
    known = _trails.pop(key, None)
    is_kept = (
        known is not None
        and known.version == row.fixes_version - 1
        and known.attempts == row.attempts
    )
    before = _last_at(known.trail) if known is not None and is_kept else None
    is_whole = True
    if known is not None and is_kept and _go_on(known.trail, entries):
        trail = known.trail
    else:
        trail, before, is_whole = _join_trail(row, entries, stored)
    _mark_late(entries, before)
    stored.rows += [_location(row.id, one) for one in entries]
    _show(row.id, trail, entries, before, stored)
    events, status = _crossings(row, trail, courier=unit.courier)
    stored.events += events
    stored.known[key] = None
    if is_whole:
        stored.known[key] = Known(
            version=row.fixes_version,
            courier_id=row.courier_id,
            attempts=row.attempts,
            status=status,
            started_at=started_at,
            trail=trail,
            is_nearby_told=row.nearby_at is not None or trail.nearby.has_fired,
        )
    return entries


def _entries(unit: _Unit, *, started_at: float) -> list[Entry]:
    entries = []
    for step, command in enumerate(unit.commands):
        received_at = command.received_at.timestamp()
        for one in command.fixes:
            fix = Fix(one.recorded_at.timestamp(), one.latitude, one.longitude, one.speed_mps)
            fault = own_fault(
                fix, accuracy_m=one.accuracy, received_at=received_at, started_at=started_at
            )
            verdict = TAKEN if fault is None else fault.value
            entries.append(Entry(uuid7(), one, fix, step, verdict))
    return entries


def _location(delivery_id: UUID, entry: Entry) -> Location:
    one, at = entry.one, now()
    return Location(
        id=entry.id,
        delivery_id=delivery_id,
        latitude=one.latitude,
        longitude=one.longitude,
        accuracy=one.accuracy,
        speed_mps=one.speed_mps,
        heading=one.heading,
        recorded_at=one.recorded_at,
        rejected=entry.rejected,
        late=entry.late,
        created_at=at,
        updated_at=at,
    )


def _last_at(trail: Trail) -> float | None:
    return None if trail.last is None else trail.last.at


def _by_time(entries: Sequence[Entry]) -> list[Entry]:
    """Those that take part in the trail, in order; of one instant the first that came first."""
    good = [one for one in entries if one.rejected == TAKEN]
    return good if len(good) < 2 else sorted(good, key=lambda one: one.fix.at)


def _go_on(trail: Trail, entries: Sequence[Entry]) -> bool:
    """Add these to the trail, if all of them come after what it has seen; whether they did."""
    fresh = _by_time(entries)
    newest = trail.newest_at
    for one in fresh:
        if newest is not None and one.fix.at <= newest:
            return False
        newest = one.fix.at
    for one in fresh:
        one.rejected = trail.take(one.fix)
    return True


def _join_trail(
    row: Any, entries: Sequence[Entry], stored: _Stored
) -> tuple[Trail, float | None, bool]:
    """Read the trail around these, and judge them and what follows them anew, in order of time.

    Gives the trail with them, when its last good position was before them, and whether it has been
    read to its end. Positions whose verdict changes by what has come late are written again.
    """
    fresh = _by_time(entries)
    trail = Trail(destination=_destination(row), since=_since(row))
    in_trail = Location.objects.filter(delivery_id=row.id, rejected__in=IN_TRAIL)
    newest = in_trail.filter(rejected=TAKEN).order_by("-recorded_at", "-id").first()
    good_before = None if newest is None else newest.recorded_at.timestamp()
    first = fresh[0].one.recorded_at if fresh else None
    earlier = in_trail if first is None else in_trail.filter(recorded_at__lt=first)
    for known in reversed(list(earlier.order_by("-recorded_at", "-id")[:READ_BEFORE])):
        trail.trust(fix_of(known), rejected=known.rejected)
    if first is None:
        return trail, good_before, True
    after = in_trail.filter(recorded_at__gte=first).order_by("recorded_at", "id")
    later = list(after[: READ_AFTER + 1])
    for fix, one in _merged(fresh, later):
        verdict = trail.take(fix)
        if isinstance(one, Entry):
            one.rejected = verdict
        elif one.rejected != verdict:
            stored.flips.setdefault(verdict, []).append(one.id)
    return trail, good_before, len(later) <= READ_AFTER


def _merged(
    fresh: Sequence[Entry], later: Sequence[Location]
) -> list[tuple[Fix, Entry | Location]]:
    """Both in order of time, one for each instant: the first that came; others are duplicates."""
    merged: dict[float, tuple[Fix, Entry | Location]] = {}
    for known in later:
        fix = fix_of(known)
        merged.setdefault(fix.at, (fix, known))
    for entry in fresh:
        if entry.fix.at in merged:
            entry.rejected = Rejection.DUPLICATE.value
        else:
            merged[entry.fix.at] = (entry.fix, entry)
    return [merged[at] for at in sorted(merged)]


def _destination(row: Any) -> tuple[float, float] | None:
    if row.destination_latitude is None or row.destination_longitude is None:
        return None
    return (row.destination_latitude, row.destination_longitude)


def _since(row: Any) -> float | None:
    since = attempt_began(attempts=row.attempts, attempt_at=row.attempt_at)
    return None if since is None else since.timestamp()


def _mark_late(entries: Sequence[Entry], before: float | None) -> None:
    """Late is what is older than the last good position of the commands before its own."""
    newest, newest_of_step, step = before, before, 0
    for one in entries:
        if one.step != step:
            step, newest = one.step, newest_of_step
        one.late = newest is not None and one.fix.at < newest
        is_newer = newest_of_step is None or one.fix.at > newest_of_step
        if one.rejected == TAKEN and is_newer:
            newest_of_step = one.fix.at


def _show(
    delivery_id: UUID,
    trail: Trail,
    entries: Sequence[Entry],
    before: float | None,
    stored: _Stored,
) -> None:
    """The newest good position is shown, if it is one of these and of this attempt."""
    last = trail.last
    if last is None or (before is not None and last.at <= before):
        return
    if trail.since is not None and last.at < trail.since:
        return
    for one in entries:
        if one.fix is last:
            stored.shown.append(Place(delivery_id, one.one, trail))
            return


def _crossings(row: Any, trail: Trail, *, courier: User) -> tuple[list[NewEvent], str]:
    """What the fences say now and nobody has been told yet; and where the delivery stands then."""
    events: list[NewEvent] = []
    who: Mapping[str, Any] = {"actor": courier, "attempts": row.attempts}
    status = str(row.status)
    if status == DeliveryStatus.IN_TRANSIT:
        if row.nearby_at is None and trail.nearby.has_fired:
            events += moves.pass_by(row.id, **who)
        if trail.arrived.has_fired:
            arrived = moves.arrive(row.id, **who)
            status = DeliveryStatus.ARRIVED.value if arrived else status
            events += arrived
    if status == DeliveryStatus.ARRIVED and settings.GEOFENCE_AUTO_DELIVER and trail.door.has_fired:
        events += moves.hand_over(row.id, **who)
    return events, status
