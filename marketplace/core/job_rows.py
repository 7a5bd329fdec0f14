"""Job rows: put there in the caller's transaction, claimed by a conditional UPDATE, run, settled.

A row is claimed for LEASE; while it is worked on, the lease is renewed. A process that dies lets
its leases end, and the next one runs those jobs again: tasks are idempotent.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import F, Q

from marketplace.core import context
from marketplace.core.clock import now
from marketplace.core.db import IntegrityError, atomic, in_transaction, on_commit, run
from marketplace.core.ids import uuid7
from marketplace.core.models import Job, JobState
from marketplace.core.redaction import redact_text
from marketplace.core.task_registry import JobNotFound, find_task, most_runs, queue_of

logger = structlog.get_logger(__name__)

LEASE = timedelta(seconds=60)
RENEW_EVERY_S = 20.0
FIRST_DELAY_S = 10.0
LONGEST_DELAY_S = 3600.0
HAND_OVER_AHEAD = timedelta(seconds=60)
ERROR_CHARS = 500

wakeup = threading.Event()
"""Set when this process has put a job there; the runner's threads wait for it."""


# --- enqueue --------------------------------------------------------------------------------


def enqueue(name: str, *, key: str, run_at: datetime | None = None, **arguments: Any) -> Job:
    """Put a job there in the caller's transaction; a second one with the same key is the first.

    arguments: ids as JSON types only, never secrets. Raises KeyError for an unknown task name.
    """
    if find_task(name) is None:
        raise KeyError(f"No task is called {name!r}.")
    if in_transaction():
        return _insert(name, key, run_at, arguments)
    try:
        return run(lambda: _insert(name, key, run_at, arguments))
    except IntegrityError:
        return Job.objects.get(key=key)


def _insert(name: str, key: str, run_at: datetime | None, arguments: dict[str, Any]) -> Job:
    with atomic():
        known = Job.objects.filter(key=key).order_by("id").first()
        if known is not None:
            return known
        instant = now()
        due = run_at or instant
        handed_over = instant if _is_carried(due, instant) else None
        job = Job.objects.create(
            key=key,
            name=name,
            arguments={argument: _plain(value) for argument, value in arguments.items()},
            run_at=due,
            handed_over_at=handed_over,
            request_id=context.request_id.get(),
        )
        on_commit(lambda: announce(job))
    return job


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value


def _is_carried(due: datetime, instant: datetime) -> bool:
    return bool(settings.CELERY_BROKER_URL) and due <= instant + HAND_OVER_AHEAD


def announce(job: Job) -> None:
    """After the commit: wake the runner of this process, or hand the id to the broker.

    Never raises: the row is there, so what is lost here is found by the sweep.
    """
    if not settings.CELERY_BROKER_URL:
        wakeup.set()
    elif job.handed_over_at is not None:
        hand_over(job)


def hand_over(job: Job) -> None:
    """Let Celery carry the id of this row to a worker."""
    from marketplace.core.tasks import run_job

    countdown = max(0.0, (job.run_at - now()).total_seconds())
    options: dict[str, Any] = {"countdown": countdown} if countdown > 0 else {}
    queue = queue_of(job.name)
    if queue:
        options["queue"] = queue
    try:
        run_job.apply_async(args=[str(job.id)], retry=False, **options)
    except Exception as error:  # noqa: BLE001  # whatever the broker's driver raises
        logger.warning("broker_unreachable", error=type(error).__name__, job=job.name)


# --- claim and run --------------------------------------------------------------------------


def due_ids(instant: datetime, *, limit: int) -> list[UUID]:
    """Rows that may be claimed: due, or with a lease that ended."""
    return list(
        Job.objects.filter(_claimable(instant))
        .order_by("run_at", "id")
        .values_list("id", flat=True)[:limit]
    )


def _claimable(instant: datetime) -> Q:
    return Q(state=JobState.WAITING, run_at__lte=instant) | Q(
        state=JobState.RUNNING, lease_until__lte=instant
    )


def claim(job_id: UUID) -> Job | None:
    """Take the row for LEASE, or None if it is not due or somebody else was first."""
    instant = now()
    token = uuid7()
    row = Job.objects.filter(_claimable(instant), id=job_id).order_by("id").first()
    if row is None:
        return None
    # The run that was seen is demanded, so that of two claims of an ended lease one is right.
    mine = Job.objects.filter(_claimable(instant), id=job_id, run=row.run)
    if row.attempts >= most_runs(row.name):
        # Its process died in the middle, again and again.
        mine.update(state=JobState.DEAD, finished_at=instant, lease_until=None)
        return None
    taken = mine.update(
        state=JobState.RUNNING,
        run=token,
        lease_until=instant + LEASE,
        attempts=F("attempts") + 1,
        updated_at=instant,
    )
    if taken != 1:
        return None
    row.run, row.state, row.attempts = token, JobState.RUNNING, row.attempts + 1
    return row


def run_claimed(job: Job) -> bool:
    """Run the task of a claimed row and settle the row; whether the task succeeded."""
    token = context.request_id.set(job.request_id or context.new_request_id())
    started = time.perf_counter()
    try:
        with leases.held(job):
            task = find_task(job.name)
            if task is None:
                raise JobNotFound(f"No task is called {job.name!r}.")
            task(**job.arguments)
    except Exception as error:  # noqa: BLE001  # the edge: a failed task is a row's state
        _failed(job, error)
        return False
    else:
        _settle(job, state=JobState.DONE, finished_at=now(), last_error="")
        logger.info("job_done", job=job.name, seconds=round(time.perf_counter() - started, 3))
        return True
    finally:
        context.request_id.reset(token)


def _failed(job: Job, error: Exception) -> None:
    text = redact_text(f"{type(error).__name__}: {error}")[:ERROR_CHARS]
    if job.attempts >= most_runs(job.name):
        _settle(job, state=JobState.DEAD, finished_at=now(), last_error=text)
        logger.error(
            "job_dead", job=job.name, job_id=str(job.id), runs=job.attempts, exc_info=error
        )
        return
    run_at = now() + timedelta(seconds=retry_delay_s(job.attempts))
    _settle(job, state=JobState.WAITING, run_at=run_at, last_error=text)
    logger.warning(
        "job_failed",
        job=job.name,
        job_id=str(job.id),
        runs=job.attempts,
        error=type(error).__name__,
    )
    if settings.CELERY_BROKER_URL and run_at <= now() + HAND_OVER_AHEAD:
        Job.objects.filter(id=job.id).update(handed_over_at=now())
        job.run_at = run_at
        hand_over(job)


def retry_delay_s(runs: int) -> float:
    """10 s after the first run, doubling, a quarter of jitter, never over an hour."""
    delay = min(FIRST_DELAY_S * 2.0 ** (runs - 1), LONGEST_DELAY_S)
    jitter = 0.75 + random.random() / 2  # noqa: S311  # no secret
    return min(delay * jitter, LONGEST_DELAY_S)


def _settle(job: Job, **changes: Any) -> None:
    """Write the outcome, unless the lease was lost and another run has the row."""
    mine = Job.objects.filter(id=job.id, run=job.run, state=JobState.RUNNING)
    run(lambda: mine.update(lease_until=None, updated_at=now(), **changes))


def run_due_jobs(limit: int = 100, *, going_on: Callable[[], bool] = lambda: True) -> int:
    """Claim and run what is due, at most `limit` rows; gives the number of rows run.

    going_on: asked before each row, so that a stop comes between two jobs.
    """
    ids = due_ids(now(), limit=limit)
    # Several threads and processes look at the same rows: each begins elsewhere.
    random.shuffle(ids)
    count = 0
    for job_id in ids:
        if not going_on():
            break
        job = run(lambda job_id=job_id: claim(job_id))  # type: ignore[misc]  # bound on purpose
        if job is not None:
            run_claimed(job)
            count += 1
    return count


def run_by_id(job_id: UUID) -> bool:
    """Claim this row and run it; False if there was nothing to do or it failed."""
    job = run(lambda: claim(job_id))
    return job is not None and run_claimed(job)


class Leases:
    """The rows that this process works on; a thread renews their leases."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[UUID, UUID | None] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def held(self, job: Job) -> Iterator[None]:
        """Renew the lease of this job while the block runs."""
        with self._lock:
            self._held[job.id] = job.run
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._renew_all, name="job-leases", daemon=True
                )
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._held.pop(job.id, None)

    def _renew_all(self) -> None:
        while True:
            time.sleep(RENEW_EVERY_S)
            try:
                self.renew()
            except (DatabaseError, InterfaceError) as error:
                logger.warning("lease_not_renewed", error=type(error).__name__)
            finally:
                connection.close()

    def renew(self) -> int:
        """Give every held row another LEASE; gives their number."""
        with self._lock:
            held = list(self._held.items())
        until = now() + LEASE
        return sum(
            Job.objects.filter(id=job_id, run=token, state=JobState.RUNNING).update(
                lease_until=until
            )
            for job_id, token in held
        )

    def hand_back(self) -> int:
        """Let others have the rows at once: this process ends before they are done."""
        with self._lock:
            held = list(self._held.items())
        return sum(
            Job.objects.filter(id=job_id, run=token, state=JobState.RUNNING).update(
                state=JobState.WAITING, lease_until=None, run_at=now(), run=None
            )
            for job_id, token in held
        )


leases = Leases()
