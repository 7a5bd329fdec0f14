"""Prints the requests of one benchmark of the shop.

What it must print is written in benchmarks/README.md, "The four commands".
"""

import json
import random
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.services import tokens
from marketplace.management.benchmarking import (
    BUYER_SET,
    BUYERS,
    HOT,
    PER_CATEGORY,
    STRIDE,
    checked_count,
    product_id,
    refuse_production,
)
from marketplace.management.commands.bench_clients import (
    TOKEN_LEFT_S,
    ensure_people,
    ensure_sessions,
)
from shops.models import Product

LISTS = 600
DETAILS = 10_000
ORDERS = 5_000
LINES = 3
SEED = 42


class Command(BaseCommand):
    """One line per request on stdout, nothing else: method, path, token, body, key."""

    help = "Print the requests of a benchmark of the shop (benchmarks/README.md)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The kind of requests, and how many products there are."""
        parser.add_argument("kind", choices=["list", "detail", "order"])
        parser.add_argument("--products", type=int, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        """Print them."""
        refuse_production()
        products = checked_count(options["products"])
        if not Product.objects.filter(id=product_id(products)).exists():
            raise CommandError(f"There are fewer products: bench_shop --products {products}")
        lines = {"list": lists, "detail": details, "order": orders}[options["kind"]]
        for line in lines(products):
            self.stdout.write("\t".join(line))


def lists(products: int) -> Iterator[tuple[str, ...]]:
    """Pages of 20 within a category and a range of prices."""
    for i in range(LISTS):
        category = i * STRIDE % (products // PER_CATEGORY)
        low = 100 + 7 * i % 200
        asked = f"category=cat{category}&price_min={low}&price_max={low + 400}&page={1 + i % 3}"
        yield "GET", f"/api/products?{asked}"


def details(products: int) -> Iterator[tuple[str, ...]]:
    """One product each, all over the shop."""
    for i in range(DETAILS):
        yield "GET", f"/api/products/{product_id(1 + i * STRIDE % products)}"


def orders(products: int) -> Iterator[tuple[str, ...]]:
    """Three pieces of three hot products, by 200 buyers in turn."""
    if settings.TOKEN_TTL_OTP < TOKEN_LEFT_S:
        raise CommandError(f"TOKEN_TTL_OTP must be at least {TOKEN_LEFT_S} s.")
    people = ensure_people(set_name=BUYER_SET, count=BUYERS)
    sessions = ensure_sessions(people=people)
    # As the sign-in itself signed it: no token outlives its session.
    signed = [
        tokens.issue(user, sessions[user.pk], issued_at=sessions[user.pk].created_at)
        for user in people
    ]
    chance = random.Random(SEED)  # the same orders in every run, no secret
    for i in range(ORDERS):
        chosen = chance.sample(HOT, LINES)
        items = [{"product_id": str(product_id(number)), "quantity": 1} for number in chosen]
        body = json.dumps({"items": items}, separators=(",", ":"))
        yield "POST", "/api/orders", signed[i % BUYERS], body, "bench-{n}"
