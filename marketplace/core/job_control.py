"""What operators, the sweep and the cleanup do with job rows."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Q, QuerySet

from marketplace.core.clock import now
from marketplace.core.db import on_commit, transactional
from marketplace.core.errors import Unprocessable
from marketplace.core.ids import uuid7
from marketplace.core.job_rows import HAND_OVER_AHEAD, LEASE, announce, enqueue, hand_over
from marketplace.core.models import Job, JobState
from marketplace.core.task_registry import JobNotFound, find_task, task_names, tickers

KEPT_FOR = timedelta(days=7)

Witness = Callable[[str, Job, str | None], None]
_witnesses: list[Witness] = []


def witness_acts(witness: Witness) -> None:
    """Have `witness(action, job, actor_id)` called in the transaction of each act of an operator.

    The audit lies above this layer, so it enters itself here.
    """
    if witness not in _witnesses:
        _witnesses.append(witness)


def _tell(action: str, job: Job, actor_id: str | None) -> None:
    for witness in _witnesses:
        witness(action, job, actor_id)


def list_dead() -> QuerySet[Job]:
    """Jobs that gave up, newest first."""
    return Job.objects.filter(state=JobState.DEAD).order_by("-created_at", "-id")


def list_waiting() -> QuerySet[Job]:
    """Jobs that wait or run, the next one first."""
    return Job.objects.filter(state__in=[JobState.WAITING, JobState.RUNNING]).order_by(
        "run_at", "id"
    )


def schedule_lines() -> list[tuple[str, str]]:
    """Every task with its place in the schedule."""
    return [(name, schedule_text(name) or "when something causes it") for name in all_names()]


def all_names() -> list[str]:
    """Every task and every ticker."""
    return sorted({*task_names(), *tickers()})


def schedule_text(name: str) -> str | None:
    """`every 20 s`, `daily 03:00`, or None for what is not in the schedule."""
    every = settings.SCHEDULE.get(name)
    return f"every {every} s" if isinstance(every, int) else every


def list_tasks() -> list[dict[str, Any]]:
    """Every task with its schedule and the number of its jobs that are not done."""
    rows = Job.objects.exclude(state=JobState.DONE).order_by("name", "state")
    counts = {
        (name, state): number
        for name, state, number in rows.values_list("name", "state").annotate(number=Count("id"))
    }
    return [
        {
            "name": name,
            "schedule": schedule_text(name),
            **{
                state.value: counts.get((name, state.value), 0)
                for state in (JobState.WAITING, JobState.RUNNING, JobState.DEAD)
            },
        }
        for name in all_names()
    ]


@transactional
def retry_job(job_id: UUID, *, actor_id: str | None = None) -> Job:
    """Let a dead job run again from the start. Raises JobNotFound.

    actor_id: public id of the operator, None for a command on the server.
    """
    instant = now()
    revived = Job.objects.filter(id=job_id, state=JobState.DEAD).update(
        state=JobState.WAITING,
        attempts=0,
        run_at=instant,
        finished_at=None,
        run=None,
        handed_over_at=instant if settings.CELERY_BROKER_URL else None,
        updated_at=instant,
    )
    if revived != 1:
        raise JobNotFound
    job = Job.objects.get(id=job_id)
    on_commit(lambda: announce(job))
    _tell("jobs.retried", job, actor_id)
    return job


@transactional
def run_now(name: str, *, actor_id: str | None = None) -> Job:
    """Enqueue a scheduled task at once, beside its slots. Raises JobNotFound, Unprocessable."""
    if find_task(name) is None:
        raise JobNotFound
    if name not in settings.SCHEDULE:
        raise Unprocessable("This task needs arguments; it is enqueued by what causes it.")
    job = enqueue(name, key=f"{name}:now:{uuid7()}")
    _tell("jobs.started", job, actor_id)
    return job


def sweep() -> int:
    """Hand over again what was due and got lost on its way; gives the number of ids sent."""
    instant = now()
    lost = Q(handed_over_at__isnull=True) | Q(handed_over_at__lte=instant - 2 * LEASE)
    ahead = Q(state=JobState.WAITING, run_at__lte=instant + HAND_OVER_AHEAD / 2)
    ended = Q(state=JobState.RUNNING, lease_until__lte=instant)
    rows = list(Job.objects.filter(lost, ahead | ended).order_by("run_at", "id")[:500])
    for job in rows:
        Job.objects.filter(id=job.id).update(handed_over_at=instant)
        hand_over(job)
    return len(rows)


def delete_done(instant: datetime) -> int:
    """Forget the jobs that were done a week ago; dead ones stay until somebody looked."""
    return Job.objects.filter(state=JobState.DONE, finished_at__lte=instant - KEPT_FOR).delete()[0]
