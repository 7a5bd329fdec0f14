"""Later work: `enqueue()` in the caller's transaction, run here or by Celery's workers.

The parts: `job_rows` (the table), `job_control` (operators), `runner` (threads without a broker),
`schedule` (slots), `task_registry` (names), `tasks` (what Celery carries).
"""

from marketplace.core.job_control import (
    list_dead,
    list_tasks,
    list_waiting,
    retry_job,
    run_now,
    schedule_lines,
    sweep,
    witness_acts,
)
from marketplace.core.job_rows import enqueue, run_by_id, run_due_jobs
from marketplace.core.runner import JobRunner, Schedule, fill_slot, run_tickers, wake
from marketplace.core.schedule import beat_schedule, slot_of
from marketplace.core.task_registry import (
    JobNotFound,
    find_task,
    load_tasks,
    register_cleanup,
    register_ticker,
    task_names,
)

__all__ = [
    "JobNotFound",
    "JobRunner",
    "Schedule",
    "beat_schedule",
    "enqueue",
    "fill_slot",
    "find_task",
    "list_dead",
    "list_tasks",
    "list_waiting",
    "load_tasks",
    "register_cleanup",
    "register_ticker",
    "retry_job",
    "run_by_id",
    "run_due_jobs",
    "run_now",
    "run_tickers",
    "schedule_lines",
    "slot_of",
    "sweep",
    "task_names",
    "wake",
    "witness_acts",
]
