"""Prints every list that the benchmark of lists asks for; makes what it is to show.

What it must print is written in benchmarks/README.md, "Lists and admin pages".
"""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from marketplace.management.bench_history import Sizes, fill
from marketplace.management.bench_pages import every_list
from marketplace.management.benchmarking import refuse_production
from marketplace.management.commands.bench_clients import TOKEN_LEFT_S, ensure_people
from marketplace.management.commands.bench_messages import READER_SET


class Command(BaseCommand):
    """One line per list on stdout, nothing else: kind, name, path, header, tabs between."""

    help = "Print the lists of the benchmark of lists (benchmarks/README.md)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How many orders and deliveries there shall be, and how many people."""
        parser.add_argument("--orders", type=int, default=3_000)
        parser.add_argument("--people", type=int, default=1_000)

    def handle(self, *args: Any, **options: Any) -> None:
        """Make what is missing, then print."""
        refuse_production()
        if settings.TOKEN_TTL_OTP < TOKEN_LEFT_S:
            raise CommandError(f"TOKEN_TTL_OTP must be at least {TOKEN_LEFT_S} s.")
        people = ensure_people(set_name=READER_SET, count=options["people"])
        orders = options["orders"]
        market = fill(sizes=Sizes(orders=orders, deliveries=orders), people=people)
        for one in every_list(market):
            self.stdout.write(f"{one.kind}\t{one.name}\t{one.path}\t{one.header}")
