"""What can be run by name: Celery shared tasks of the apps, tickers, parts of the cleanup."""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from celery import current_app
from django.utils.module_loading import autodiscover_modules

from marketplace.core.errors import NotFound

Ticker = Callable[[], Any]
CleanupPart = Callable[[datetime], int]

SEND_RUNS = 5
RUNS = 8

_tickers: dict[str, Ticker] = {}
_cleanup_parts: dict[str, CleanupPart] = {}
_loaded = threading.Event()


class JobNotFound(NotFound):
    """404: no task, or no job, of this name."""

    code = "job_not_found"
    default_message = "There is no such job."


def register_ticker(name: str, function: Ticker) -> None:
    """Call `function` about every second, in whichever process runs the schedule.

    It claims its own work and writes no job rows; a true result means: more is waiting, call again.
    """
    _tickers[name] = function


def register_cleanup(name: str, function: CleanupPart) -> None:
    """Let the daily `cleanup` call `function(now)`, which gives the number of rows it deleted."""
    _cleanup_parts[name] = function


def tickers() -> dict[str, Ticker]:
    """All tickers by name."""
    return dict(_tickers)


def cleanup_parts() -> dict[str, CleanupPart]:
    """All parts of the cleanup by name."""
    return dict(_cleanup_parts)


def load_tasks() -> None:
    """Import `tasks.py` of every app, once, so that each shared task is known by its name."""
    if not _loaded.is_set():
        autodiscover_modules("tasks")
        _loaded.set()


def task_names() -> list[str]:
    """Every name that a job may have, in order."""
    load_tasks()
    names = {name for name in current_app.tasks if not name.startswith("celery.")}
    return sorted(names - CARRIERS)


CARRIERS = frozenset({"run_job", "run_slot", "run_ticker"})
"""Tasks that only bring work to a worker; they are never job rows themselves."""


def find_task(name: str) -> Callable[..., Any] | None:
    """The function behind a name, or None."""
    load_tasks()
    task = None if name in CARRIERS else current_app.tasks.get(name)
    return _tickers.get(name) if task is None else task


def queue_of(name: str) -> str | None:
    """The Celery queue that the task names, if it names one."""
    return getattr(find_task(name), "queue", None)


def most_runs(name: str) -> int:
    """After how many failed runs a job is dead."""
    return SEND_RUNS if name.startswith("send_") else RUNS
