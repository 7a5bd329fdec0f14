"""`manage.py demo`: the demo people and their rooms. A second run changes nothing."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from marketplace.web.demonstration import Step, steps
from marketplace.web.people import DEMO_PASSWORD, PEOPLE


class Command(BaseCommand):
    """Make the demo data, and say how to use it."""

    help = "Make the demo people and their rooms; refused in production."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--silent`: for `make run`, which prints the accounts itself when the server is up."""
        parser.add_argument("--silent", action="store_true", help="print nothing but errors")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run all steps; Ctrl-C stops between two of them."""
        if settings.PROFILE == "production":
            raise CommandError("Demo accounts with a public password are not made in production.")
        try:
            self._run(list(steps()), silent=options["silent"])
        except KeyboardInterrupt:
            self.stderr.write("Stopped. What is there stays; run it again to make the rest.")
            sys.exit(130)
        if not options["silent"]:
            self.stdout.write(summary())

    def _run(self, todo: list[Step], *, silent: bool) -> None:
        columns = (
            TextColumn("{task.description:24}"),
            BarColumn(),
            MofNCompleteColumn(),
        )
        console = Console(stderr=True)
        with Progress(
            *columns, console=console, transient=True, disable=silent or not console.is_terminal
        ) as progress:
            task = progress.add_task("Demo data", total=len(todo))
            for step in todo:
                progress.update(task, description=step.title)
                step.work()
                progress.advance(task)


def summary() -> str:
    """The accounts and where to use them."""
    url = settings.PUBLIC_URL.rstrip("/")
    rows = [
        f"  {person.username:8} {person.part:10} {person.phone_number:14} {person.email}"
        for person in PEOPLE
    ]
    return "\n".join(
        [
            "Demo accounts:",
            *rows,
            f"  password of all: {DEMO_PASSWORD}",
            "",
            f"  {url}/            what runs here, and where",
            f"  {url}/demo        sign in by phone code and talk",
            f"  {url}/demo/inbox  the codes that were sent",
            f"  {url}/admin/      for edith, by e-mail address and password",
        ]
    )
