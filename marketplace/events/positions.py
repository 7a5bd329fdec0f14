"""How far each subscriber has come in each topic, and what happens where it cannot go on."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db.models import QuerySet

from marketplace.core.clock import now
from marketplace.core.db import (
    RETRY_LIMIT_S,
    IntegrityError,
    atomic,
    has_transactions,
    run,
    transactional,
)
from marketplace.core.errors import Unavailable
from marketplace.core.pace import giving_way
from marketplace.core.questions import Question, ask
from marketplace.core.rows import insert_rows, new_row
from marketplace.events.audit import record_audit
from marketplace.events.models import Event, Position, TopicHead

logger = structlog.get_logger(__name__)

Effect = Callable[[list[Event]], None]

MAX_FAILURES = 5
FIRST_REST_S = 1
# So long many topics are tried together where others are in the way: alone they come through.
PATIENCE_S = 1.0
LAST_ERROR_MAX_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class Subscription:
    """What one subscriber wants and does. topics: how those that it reads begin.

    from_now: what was recorded before it came is not for it. alone: one topic at a time.
    """

    subscriber: str
    names: frozenset[str]
    topics: str
    effect: Effect
    from_now: bool
    alone: bool


class PositionMoved(Exception):
    """Another runner has had these events: what this one did is rolled back."""


@dataclass(slots=True)
class Reader:
    """One subscriber in one topic, for the length of one visit.

    since: events from before it are not for this one, which is new here. taken: how many events it
    has had in this visit.
    """

    subscription: Subscription
    topic: str
    seq: int = 0
    failures: int = 0
    failed_at: datetime | None = None
    parked: bool = False
    stored: bool = False
    since: datetime | None = None
    taken: int = 0

    def may_read(self) -> bool:
        """Not parked, and no failure so fresh that it rests: 1 s after the first, then doubling."""
        if self.parked:
            return False
        rest = timedelta(seconds=FIRST_REST_S * 2 ** (self.failures - 1))
        return self.failed_at is None or self.failed_at + rest <= now()

    def share_of(self, events: Sequence[Event], upto: int) -> "Share":
        """What it is to have of all that was read up to `upto`.

        An event that failed before is taken alone.
        """
        names = self.subscription.names
        share = [event for event in events if event.name in names]
        if self.since is not None:
            share = _after_the_last_before(self.since, share)
        if self.failures and len(share) > 1:
            return Share(self, share[:1], share[0].seq)
        return Share(self, share, upto)

    def note_failure(self, event: Event, error: Exception) -> None:
        """Stand before this event, which rests or, after the fifth time, waits for somebody."""
        failures = self.failures + 1
        parked = failures >= MAX_FAILURES
        values: dict[str, Any] = {
            "seq": event.seq - 1,
            "failures": failures,
            "parked_at": now() if parked else None,
            "last_error": f"{event}: {type(error).__name__}: {error}"[:LAST_ERROR_MAX_CHARS],
            "updated_at": now(),
        }
        try:
            if self.stored:
                run(lambda: self._row().update(**values))
            else:
                run(lambda: insert_rows([self.new_position(**values)]))
        except IntegrityError:
            return  # another runner has had this event
        self.seq, self.failures, self.parked, self.stored = event.seq - 1, failures, parked, True
        tell = logger.error if parked else logger.warning
        tell(
            "subscriber_parked" if parked else "subscriber_failed",
            subscriber=self.subscription.subscriber,
            topic=event.topic,
            seq=event.seq,
            name=event.name,
            failures=failures,
            exc_info=error,
        )

    def new_position(self, **values: Any) -> Position:
        """The row of one that has none yet."""
        name = self.subscription.subscriber
        return new_row(Position, subscriber=name, topic=self.topic, **values)

    def _row(self) -> QuerySet[Position]:
        return Position.objects.filter(
            subscriber=self.subscription.subscriber,
            topic=self.topic,
            seq=self.seq,
            parked_at__isnull=True,
        )


def _after_the_last_before(since: datetime, events: list[Event]) -> list[Event]:
    earlier = [place for place, event in enumerate(events) if event.created_at < since]
    return events[earlier[-1] + 1 :] if earlier else events


@dataclass(frozen=True, slots=True)
class Share:
    """Events of one topic for one reader, in order, and where it stands once it has had them."""

    reader: Reader
    events: list[Event]
    upto: int

    def is_taken(self) -> None:
        """The reader stands there."""
        reader = self.reader
        reader.seq, reader.failures, reader.stored = self.upto, 0, True
        reader.taken += len(self.events)

    def singly(self) -> Iterator["Share"]:
        """The same, event by event."""
        return (Share(self.reader, [event], event.seq) for event in self.events)


def take(shares: Sequence[Share]) -> bool:
    """Let one subscriber's effect happen, once for all these topics; whether all were taken.

    What fails together is tried by halves, a topic alone, and event by event, so that the one that
    fails is found, and keeps back nothing but what comes after it in its topic. Raises Unavailable
    where the database lets not even that one through, which is not the event's fault.
    """
    if len(shares) > 1:
        # Without transactions what a failure leaves behind stays, so it shall be little.
        if has_transactions() and _try(shares) is None:
            return True
        middle = len(shares) // 2
        return all([take(shares[:middle]), take(shares[middle:])])
    [share] = shares
    error = _try(shares)
    if error is not None and len(share.events) > 1:
        return all(take([single]) for single in share.singly())
    if isinstance(error, Unavailable):
        raise error
    if error is not None and not isinstance(error, PositionMoved):
        share.reader.note_failure(share.events[0], error)
    return error is None


def _try(shares: Sequence[Share]) -> Exception | None:
    """Take these in one transaction; what it failed by."""
    try:
        with giving_way():
            run(lambda: _apply(shares), limit_s=RETRY_LIMIT_S if len(shares) == 1 else PATIENCE_S)
    except Exception as error:  # noqa: BLE001  # an effect may raise anything, and is logged
        return error
    for share in shares:
        share.is_taken()
    return None


def _apply(shares: Sequence[Share]) -> None:
    events = [event for share in shares for event in share.events]
    with atomic():
        # First, so that the rows' locks keep a second runner out of the effect. Without
        # transactions last: a crash may then repeat an effect, but never lose one.
        if has_transactions():
            _move(shares)
        shares[0].reader.subscription.effect(events)
        if not has_transactions():
            _move(shares)


def _move(shares: Sequence[Share]) -> None:
    stored = [share for share in shares if share.reader.stored]
    new = [share for share in shares if not share.reader.stored]
    if stored and ask(_moving(stored)) != len(stored):
        raise PositionMoved
    try:
        insert_rows([share.reader.new_position(seq=share.upto) for share in new])
    except IntegrityError as error:
        raise PositionMoved from error


def pass_over(shares: Sequence[Share]) -> None:
    """Move readers, of whatever subscribers, behind stretches in which nothing is theirs."""
    stored = [share for share in shares if share.reader.stored]
    new = [share for share in shares if not share.reader.stored]
    if stored:
        run(lambda: ask(_moving(stored)))
        for share in stored:
            share.is_taken()
    try:
        run(lambda: insert_rows([share.reader.new_position(seq=share.upto) for share in new]))
    except IntegrityError:
        return  # another runner made some of them: the next visit reads them
    for share in new:
        share.is_taken()


def _moving(shares: Sequence[Share]) -> Question[int]:
    """Move the positions that stand where they were read; how many that are."""
    at = now()
    moves = sorted(
        (share.reader.subscription.subscriber, share.reader.topic, share.reader.seq, share.upto)
        for share in shares
    )

    def elsewhere() -> int:
        # Mostly all stand at the same seq and move to the same.
        alike: dict[tuple[str, int, int], list[str]] = defaultdict(list)
        for subscriber, topic, seq, upto in moves:
            alike[subscriber, seq, upto].append(topic)
        return sum(
            Position.objects.filter(
                subscriber=subscriber, topic__in=topics, seq=seq, parked_at__isnull=True
            ).update(seq=upto, failures=0, last_error="", updated_at=at)
            for (subscriber, seq, upto), topics in alike.items()
        )

    return Question(MOVE, [at, *map(list, zip(*moves, strict=True))], read=len, elsewhere=elsewhere)


# Who moves several takes them in one order, so that nobody waits for one who waits for him.
MOVE = f"""
    UPDATE {Position._meta.db_table} AS position SET
        seq = new.upto, failures = 0, last_error = '', updated_at = %s
    FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[])
        AS new(subscriber, topic, seq, upto)
    WHERE position.subscriber = new.subscriber AND position.topic = new.topic
        AND position.seq = new.seq AND parked_at IS NULL
    RETURNING position.seq
"""  # noqa: S608  # the name of a table


@transactional
def retry_parked(*, position_id: UUID, actor_id: str | None, skip: bool = False) -> bool:
    """Let a parked subscriber go on, at the event that it failed at or, with `skip`, after it.

    False where the position is not parked (any more).
    """
    position = Position.objects.filter(pk=position_id, parked_at__isnull=False).first()
    if position is None:
        return False
    failed_seq = position.seq + 1
    freed = Position.objects.filter(pk=position_id, seq=position.seq, parked_at__isnull=False)
    seq = failed_seq if skip else position.seq
    if not freed.update(seq=seq, failures=0, parked_at=None, last_error="", updated_at=now()):
        return False
    TopicHead.objects.filter(topic=position.topic).update(subscribers_pending=True)
    record_audit(
        actor_id=actor_id,
        action="subscriber.skipped" if skip else "subscriber.retried",
        target=position.topic,
        details={"subscriber": position.subscriber, "seq": failed_seq},
    )
    return True
