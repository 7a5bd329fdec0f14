"""The kernel's own tasks: cleaning up, and carrying work to Celery's workers."""

from typing import Any
from uuid import UUID

import structlog
from celery import shared_task
from django.conf import settings

from marketplace.core import idempotency, job_control, job_rows
from marketplace.core.clock import now
from marketplace.core.runner import fill_slot
from marketplace.core.schedule import slot_of
from marketplace.core.task_registry import cleanup_parts, find_task, register_cleanup, tickers

logger = structlog.get_logger(__name__)

register_cleanup("idempotency_keys", idempotency.delete_expired)
register_cleanup("jobs", job_control.delete_done)


@shared_task(name="cleanup")
def cleanup(**_: Any) -> None:
    """Delete what is over, part by part; a part that fails does not stop the others."""
    instant = now()
    failure: Exception | None = None
    for name, part in sorted(cleanup_parts().items()):
        try:
            logger.info("cleaned_up", part=name, deleted=part(instant))
        except Exception as error:
            logger.exception("cleanup_failed", part=name)
            failure = error
    if failure is not None:
        raise failure


@shared_task(name="sweep_jobs")
def sweep_jobs(**_: Any) -> None:
    """Hand over again what a broker has lost."""
    job_control.sweep()


@shared_task(name="run_job")
def run_job(job_id: str) -> None:
    """Claim the row that Celery carried here, and run it."""
    job_rows.run_by_id(UUID(job_id))


@shared_task(name="run_slot")
def run_slot(name: str) -> None:
    """Fill the present slot of a scheduled task, or call a ticker; called by beat."""
    if name in tickers():
        run_ticker(name)
    elif settings.ENABLE_BACKGROUND_TASKS and name in settings.SCHEDULE and find_task(name):
        fill_slot(name, slot_of(settings.SCHEDULE[name], now()))


@shared_task(name="run_ticker")
def run_ticker(name: str) -> None:
    """Call a ticker until it has nothing more to do; called after commits that left it work."""
    function = tickers().get(name)
    turns = 0
    while function is not None and turns < 100 and function():
        turns += 1
