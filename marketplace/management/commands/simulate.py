"""`manage.py simulate --seed 7 --hours 24 --speed 600`: a market that plays itself."""

import json
import logging
import signal
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress

from marketplace.simulation.market import simulate

COMES_AGAIN_S = 1.0


class Command(BaseCommand):
    """Play a market and print one line of JSON: what happened, and the hash of the story."""

    help = "Simulate buyers, sellers and couriers; the same seed gives the same event hash."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The seed, how long, how fast, how many."""
        parser.add_argument("--seed", type=int, default=7)
        parser.add_argument("--hours", type=float, default=24, help="of the market's own time")
        parser.add_argument(
            "--speed", type=float, default=0,
            help="seconds of the market in one second here; 0 = as fast as it goes",
        )  # fmt: skip
        for name, count in (("sellers", 2), ("buyers", 6), ("couriers", 2)):
            parser.add_argument(f"--{name}", type=int, default=count)

    def handle(self, *args: Any, **options: Any) -> None:
        """Play it. Exit code 1 where something was lost or made on the way."""
        if settings.PROFILE == "production":
            raise CommandError("Simulated people do not belong among real ones.")
        if not 0 < options["hours"] <= 24 * 31:
            raise CommandError("--hours is more than 0 and at most 744.")
        if not 1 <= options["sellers"] <= 50:
            raise CommandError("--sellers is 1 to 50.")
        if options["verbosity"] < 2:
            # A line per request would be the whole story; `-v 2` tells it.
            structlog.configure(
                wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING)
            )
        console = Console(stderr=True)
        names = ("seed", "hours", "speed", "sellers", "buyers", "couriers")
        try:
            with (
                insisting_on_ctrl_c(),
                Progress(
                    console=console, transient=True, disable=not console.is_terminal
                ) as progress,
            ):
                task = progress.add_task("The market's day", total=1.0)
                report = simulate(
                    **{name: options[name] for name in names},
                    on_progress=lambda part: progress.update(task, completed=part),
                )
        except KeyboardInterrupt:
            raise CommandError("Stopped. What was sold stays sold.", returncode=130) from None
        self.stdout.write(json.dumps(asdict(report)))
        if report.faults:
            raise CommandError("Stock does not add up: " + "; ".join(report.faults))


@contextmanager
def insisting_on_ctrl_c() -> Iterator[None]:
    """A Ctrl-C that falls where Python or a library ignores what is raised comes again.

    For the main thread, as all handlers of signals.
    """

    def interrupt(*_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, COMES_AGAIN_S)
        raise KeyboardInterrupt

    before = {name: signal.signal(name, interrupt) for name in (signal.SIGINT, signal.SIGALRM)}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for name, handler in before.items():
            signal.signal(name, handler)
