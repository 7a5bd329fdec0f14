"""`manage.py stack start|stop|status`: all parts in the background, by pid files in RUN_DIR."""

import http.client
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor

from marketplace.serving import parts
from marketplace.serving.listening import host_header, is_answered, reachable

READY_WITHIN_S = 60.0
STOP_MARGIN_S = 5.0
POLL_S = 0.1


class Command(BaseCommand):
    """Start what does not run, stop what runs, say what runs."""

    help = "Start, stop or show the parts: server, and with a broker worker and beat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do."""
        parser.add_argument("action", choices=("start", "stop", "status"))

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it; one `stack` at a time per RUN_DIR."""
        run_dir = Path(settings.RUN_DIR)
        with parts.locked(run_dir):
            wanted = parts.parts_of(
                run_dir=run_dir,
                folder=Path(settings.BASE_DIR),
                broker_url=settings.CELERY_BROKER_URL,
            )
            if options["action"] == "start":
                self._start(wanted)
            elif options["action"] == "status":
                self._status(wanted)
            else:
                self._stop(parts.parts_in(run_dir))

    def _start(self, wanted: tuple[parts.BackgroundPart, ...]) -> None:
        server = wanted[0]
        if server.pid() is None and is_answered(settings.BIND_HOST, settings.PORT):
            raise CommandError(
                f"Port {settings.PORT} is taken by a process that is not of {settings.RUN_DIR}. "
                "Stop it, or set another PORT."
            )
        self._migrate()
        if settings.BUS_ENABLED:
            self.stdout.write("A bus is set; nothing is started for it in this release.")
        for part in wanted:
            pid = part.pid()
            if pid is None:
                pid = part.start(folder=Path(settings.BASE_DIR))
                self.stdout.write(f"{part.name} started, pid {pid}")
            else:
                self.stdout.write(f"{part.name} runs already, pid {pid}")
        self._wait_until_ready(server)
        self._check_alive(wanted)
        self.stdout.write(f"Ready: {settings.PUBLIC_URL}")

    def _migrate(self) -> None:
        try:
            connection = connections[DEFAULT_DB_ALIAS]
            executor = MigrationExecutor(connection)
            if executor.migration_plan(executor.loader.graph.leaf_nodes()):
                call_command("migrate", interactive=False, verbosity=0)
        except DatabaseError as problem:
            raise CommandError(
                f"The database does not answer: {str(problem).splitlines()[0]}"
            ) from problem

    def _wait_until_ready(self, server: parts.BackgroundPart) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while True:
            if server.pid() is None:
                server.forget()
                raise CommandError(f"The server has ended:\n{server.last_words()}")
            if is_ready():
                return
            if time.monotonic() > deadline:
                raise CommandError(
                    f"The server is not ready after {READY_WITHIN_S:.0f} s:\n{server.last_words()}"
                )
            time.sleep(POLL_S)

    def _check_alive(self, wanted: tuple[parts.BackgroundPart, ...]) -> None:
        for part in wanted:
            if part.pid() is None:
                part.forget()
                raise CommandError(f"The {part.name} has ended:\n{part.last_words()}")

    def _stop(self, known: tuple[parts.BackgroundPart, ...]) -> None:
        asked = [(part, part.ask_to_stop()) for part in known]
        deadline = time.monotonic() + settings.DRAIN_LIMIT + STOP_MARGIN_S
        stuck = []
        for part, pid in asked:
            if pid is None:
                continue
            if parts.wait_until_gone(pid, timeout_s=max(deadline - time.monotonic(), POLL_S)):
                part.forget()
                self.stdout.write(f"{part.name} stopped")
            else:
                stuck.append(f"{part.name} (pid {pid})")
        if not any(pid for _, pid in asked):
            self.stdout.write("Nothing runs.")
        if stuck:
            raise CommandError(f"Still running after SIGTERM: {', '.join(stuck)}")

    def _status(self, wanted: tuple[parts.BackgroundPart, ...]) -> None:
        missing = [part.name for part in wanted if part.pid() is None]
        for part in wanted:
            pid = part.pid()
            state = f"runs, pid {pid}" if pid is not None else "does not run"
            if part is wanted[0] and pid is not None:
                state += f", {'ready' if is_ready() else 'not ready'}, {settings.PUBLIC_URL}"
            self.stdout.write(f"{part.name:<8} {state}")
        if missing:
            raise CommandError(f"Not running: {', '.join(missing)}", returncode=3)


def is_ready() -> bool:
    """Whether `/readyz` answers 200."""
    connection = http.client.HTTPConnection(reachable(settings.BIND_HOST), settings.PORT, timeout=2)
    try:
        connection.request("GET", "/readyz", headers={"Host": host_header(settings.PUBLIC_URL)})
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
