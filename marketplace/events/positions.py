"""How far each subscriber has come in each topic, and what happens where it cannot go on."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db.models import QuerySet

from marketplace.core.clock import now
from marketplace.core.db import IntegrityError, atomic, has_transactions, run, transactional
from marketplace.core.errors import Unavailable
from marketplace.events.audit import record_audit
from marketplace.events.models import Event, Position, TopicHead

logger = structlog.get_logger(__name__)

Effect = Callable[[list[Event]], None]

MAX_FAILURES = 5
FIRST_REST_S = 1
LAST_ERROR_MAX_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class Subscription:
    """What one subscriber wants and does. topics: how those that it reads begin."""

    subscriber: str
    names: frozenset[str]
    topics: str
    effect: Effect
    from_now: bool


class PositionMoved(Exception):
    """Another runner has had these events: what this one did is rolled back."""


@dataclass(slots=True)
class Reader:
    """One subscriber in one topic, for the length of one visit."""

    subscription: Subscription
    topic: str
    seq: int = 0
    failures: int = 0
    failed_at: datetime | None = None
    parked: bool = False
    stored: bool = False

    @classmethod
    def at(cls, position: Position, subscription: Subscription) -> "Reader":
        """The reader that goes on where this row stands."""
        return cls(
            subscription=subscription,
            topic=position.topic,
            seq=position.seq,
            failures=position.failures,
            failed_at=position.updated_at if position.failures else None,
            parked=position.parked_at is not None,
            stored=True,
        )

    def may_read(self) -> bool:
        """Not parked, and no failure so fresh that it rests: 1 s after the first, then doubling."""
        if self.parked:
            return False
        rest = timedelta(seconds=FIRST_REST_S * 2 ** (self.failures - 1))
        return self.failed_at is None or self.failed_at + rest <= now()

    def next_batch(self, events: list[Event], upto: int) -> tuple[list[Event], int]:
        """Its share of what was read up to `upto`, and where the position goes with it.

        An event that failed before is taken alone.
        """
        share = [event for event in events if event.name in self.subscription.names]
        if self.failures and len(share) > 1:
            return share[:1], share[0].seq
        return share, upto

    def take(self, events: list[Event], upto: int) -> int:
        """Let the effect happen; how many events were taken.

        A batch that fails is tried event by event, so that the one that fails is found.
        """
        if self._try(events, upto):
            return len(events)
        if len(events) == 1:
            return 0
        for count, event in enumerate(events):
            if not self._try([event], event.seq):
                return count
        return len(events)

    def _try(self, events: list[Event], upto: int) -> bool:
        try:
            run(lambda: self._apply(events, upto))
        except (PositionMoved, Unavailable):
            return False  # not the event's fault: the next visit reads the position anew
        except Exception as error:  # noqa: BLE001  # an effect may raise anything, and is logged
            if len(events) == 1:
                self._note_failure(events[0], error)
            return False
        self.seq, self.failures, self.stored = upto, 0, True
        return True

    def _apply(self, events: list[Event], upto: int) -> None:
        with atomic():
            # First, so that the row's lock keeps a second runner out of the effect. Without
            # transactions last: a crash may then repeat an effect, but never lose one.
            if has_transactions():
                self._move(upto)
            self.subscription.effect(events)
            if not has_transactions():
                self._move(upto)

    def _move(self, upto: int) -> None:
        if not self.stored:
            try:
                self._create(seq=upto)
            except IntegrityError as error:
                raise PositionMoved from error
        elif not self._row().update(seq=upto, failures=0, last_error="", updated_at=now()):
            raise PositionMoved

    def _note_failure(self, event: Event, error: Exception) -> None:
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
                run(lambda: self._create(**values))
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

    def _row(self) -> QuerySet[Position]:
        return Position.objects.filter(
            subscriber=self.subscription.subscriber,
            topic=self.topic,
            seq=self.seq,
            parked_at__isnull=True,
        )

    def _create(self, **values: Any) -> None:
        Position.objects.create(subscriber=self.subscription.subscriber, topic=self.topic, **values)


def pass_over(readers: list[Reader], upto: int) -> None:
    """Move readers that stand at the same seq behind a stretch in which nothing is theirs."""
    if not readers:
        return
    topic, seq = readers[0].topic, readers[0].seq
    stored = [reader.subscription.subscriber for reader in readers if reader.stored]
    rows = Position.objects.filter(
        topic=topic, seq=seq, subscriber__in=stored, parked_at__isnull=True
    )
    new = [
        Position(subscriber=reader.subscription.subscriber, topic=topic, seq=upto)
        for reader in readers
        if not reader.stored
    ]
    if stored:
        run(lambda: rows.update(seq=upto, failures=0, last_error="", updated_at=now()))
    try:
        run(lambda: Position.objects.bulk_create(new))
    except IntegrityError:
        return  # another runner made some of them: the next visit reads them
    for reader in readers:
        reader.seq, reader.stored = upto, True


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
