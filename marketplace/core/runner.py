"""The threads that do later work where there is no broker: in `serve`, and in `run_jobs`."""

import threading
import time
from collections.abc import Callable
from datetime import datetime

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from marketplace.core.clock import now, wire_time
from marketplace.core.errors import Unavailable
from marketplace.core.job_rows import enqueue, leases, run_due_jobs, wakeup
from marketplace.core.models import Job
from marketplace.core.schedule import slot_of
from marketplace.core.task_registry import find_task, tickers

logger = structlog.get_logger(__name__)

POLL_S = 1.0
WORKERS = 2
OUTAGE_WAIT_S = 5.0

_tick = threading.Event()
_runs_here = threading.Event()
_last_sent: dict[str, float] = {}
_SEND_AT_MOST_EVERY_S = 0.1


def wake(name: str) -> None:
    """Let the ticker of this name look at once; called after a commit that left it work."""
    if _runs_here.is_set():
        _tick.set()
    elif settings.CELERY_BROKER_URL:
        _send_tick(name)


def _send_tick(name: str) -> None:
    """A burst of commits asks once per tenth of a second; beat asks every second anyway."""
    instant = time.monotonic()
    if instant - _last_sent.get(name, 0.0) < _SEND_AT_MOST_EVERY_S:
        return
    _last_sent[name] = instant
    from marketplace.core.tasks import run_ticker

    try:
        run_ticker.apply_async(args=[name], retry=False, expires=POLL_S * 5)
    except Exception as error:  # noqa: BLE001  # whatever the broker's driver raises
        logger.warning("broker_unreachable", error=type(error).__name__, job=name)


def fill_slot(name: str, slot: datetime) -> Job:
    """The job of this slot of the schedule; however many processes ask, there is one."""
    return enqueue(name, key=f"{name}:{wire_time(slot)}")


def run_tickers() -> bool:
    """Call every ticker once; whether one of them has more to do."""
    more = False
    for name, function in tickers().items():
        try:
            more = bool(function()) or more
        except (DatabaseError, InterfaceError, Unavailable):
            raise
        except Exception:
            logger.exception("ticker_failed", ticker=name)
    return more


class Schedule:
    """Fills each slot of the schedule once it has begun."""

    def __init__(self) -> None:
        self._filled: dict[str, datetime] = {}

    def fill(self, instant: datetime) -> int:
        """Enqueue the slots that began since the last call; gives their number."""
        if not settings.ENABLE_BACKGROUND_TASKS:
            return 0
        count = 0
        known = tickers()
        for name, every in settings.SCHEDULE.items():
            if name in known or find_task(name) is None:
                continue
            slot = slot_of(every, instant)
            if self._filled.get(name) == slot:
                continue
            fill_slot(name, slot)
            self._filled[name] = slot
            count += 1
        return count


class JobRunner:
    """One thread for schedule and tickers, WORKERS threads for jobs."""

    def __init__(self, *, workers: int = WORKERS) -> None:
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._loop, args=(self._clock,), name="job-clock", daemon=True)
        ]
        self._threads += [
            threading.Thread(
                target=self._loop, args=(self._work,), name=f"job-worker-{number}", daemon=True
            )
            for number in range(workers)
        ]
        self._schedule = Schedule()

    def start(self) -> None:
        """Begin; what was due while nothing ran comes first."""
        _runs_here.set()
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """Finish the jobs in hand; those not done in `timeout` seconds are handed back.

        Whether all was finished.
        """
        self._stopping.set()
        _runs_here.clear()
        wakeup.set()
        _tick.set()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        finished = not any(thread.is_alive() for thread in self._threads)
        if not finished:
            logger.warning("jobs_handed_back", number=leases.hand_back())
        return finished

    def _going_on(self) -> bool:
        return not self._stopping.is_set()

    def _loop(self, step: Callable[[], None]) -> None:
        out_of_reach = False
        try:
            while self._going_on():
                close_old_connections()
                try:
                    step()
                    out_of_reach = False
                except (DatabaseError, InterfaceError, Unavailable) as error:
                    if not out_of_reach:
                        logger.warning("jobs_wait_for_database", error=type(error).__name__)
                    out_of_reach = True
                    self._stopping.wait(OUTAGE_WAIT_S)
                except Exception:
                    logger.exception("job_loop_failed")
                    self._stopping.wait(POLL_S)
        finally:
            connection.close()

    def _clock(self) -> None:
        _tick.clear()
        self._schedule.fill(now())
        if not run_tickers():
            _tick.wait(POLL_S)

    def _work(self) -> None:
        wakeup.clear()
        if run_due_jobs(limit=20, going_on=self._going_on) == 0:
            wakeup.wait(POLL_S)
