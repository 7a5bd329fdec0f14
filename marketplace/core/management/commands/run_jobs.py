"""`manage.py run_jobs`: run due jobs and the schedule; list, run now, show the dead, retry."""

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from marketplace.core import jobs
from marketplace.core.clock import now, wire_time
from marketplace.core.errors import AppError
from marketplace.core.inputs import read_id
from marketplace.core.keys import check_keys
from marketplace.core.models import Job
from marketplace.core.observe import configure_logging


class Command(BaseCommand):
    """Without an option it runs until it is told to stop."""

    help = "Run due jobs and the schedule."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """At most one of them."""
        choice = parser.add_mutually_exclusive_group()
        choice.add_argument("--once", action="store_true", help="run what is due now, then end")
        choice.add_argument("--list", action="store_true", help="show the tasks and open jobs")
        choice.add_argument("--run", metavar="NAME", help="run a scheduled task now")
        choice.add_argument("--dead", action="store_true", help="show the jobs that gave up")
        choice.add_argument("--retry", metavar="ID", help="let a dead job run again")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what was asked."""
        if options["list"]:
            self._list()
        elif options["dead"]:
            self._show(jobs.list_dead()[:100])
        elif options["run"]:
            self._act(lambda: jobs.run_now(options["run"]), run=True)
        elif options["retry"]:
            job_id = read_id(options["retry"])
            if job_id is None:
                raise CommandError("This is not the id of a job.")
            self._act(lambda: jobs.retry_job(job_id), run=False)
        else:
            check_keys()
            self._once() if options["once"] else self._run_on()

    def _list(self) -> None:
        for name, every in jobs.schedule_lines():
            self.stdout.write(f"{name:<24} {every}")
        self._show(jobs.list_waiting()[:100])

    def _show(self, rows: Any) -> None:
        for job in rows:
            error = f"  {job.last_error}" if job.last_error else ""
            self.stdout.write(
                f"{job.id}  {job.name:<20} {job.state:<8} {wire_time(job.run_at)} "
                f"runs {job.attempts}{error}"
            )

    def _act(self, action: Any, *, run: bool) -> None:
        try:
            job: Job = action()
        except AppError as error:
            raise CommandError(error.message) from error
        if run and not jobs.run_by_id(job.id):
            job.refresh_from_db()
            raise CommandError(f"{job.name} failed: {job.last_error or job.state}")
        self._show([Job.objects.get(id=job.id)])

    def _once(self) -> None:
        jobs.Schedule().fill(now())
        while jobs.run_tickers():
            pass
        count = 0
        while done := jobs.run_due_jobs():
            count += done
        self.stdout.write(f"{count} jobs run.")

    def _run_on(self) -> None:
        configure_logging("jobs")
        stopping = threading.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: stopping.set())
        runner = jobs.JobRunner()
        runner.start()
        stopping.wait()
        runner.stop()
