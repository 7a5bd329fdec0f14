"""Says whether what a run of orders left behind is whole.

What it must check is written in benchmarks/README.md, "The four commands".
"""

import json
from argparse import ArgumentParser
from collections import Counter as Tally
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from marketplace.core.models import Counter
from marketplace.events.models import Event
from marketplace.management.benchmarking import (
    BUYER_SET,
    HOT,
    MARK,
    chunks,
    refuse_production,
    sku_id,
)
from orders.models import Order, OrderLine
from shops.models import Sku

LINES = 3
SHOWN = 5


class Command(BaseCommand):
    """One line of JSON: `ok`, `orders`, and what is not ok under its own name."""

    help = "Check the orders since bench_shop (benchmarks/README.md)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What the stock of each hot product was."""
        parser.add_argument("--stock", type=int, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        """Check and print."""
        refuse_production()
        mark = Counter.objects.filter(name=MARK).first()
        if mark is None:
            raise CommandError("Nothing was prepared: bench_shop comes first.")
        self.stdout.write(json.dumps(verify(after=mark.value, stock=options["stock"])))


def verify(*, after: int, stock: int) -> dict[str, Any]:
    """`{ok, orders}` of the orders with a number above `after`, and the faults that were found."""
    rows = Order.objects.filter(number__gt=after, user__username_key__startswith=f"{BUYER_SET}_")
    made = list(rows.order_by("number"))
    faults: dict[str, list[str]] = {}
    sold: Tally[Any] = Tally()
    for some in chunks(made):
        _check_orders(some, faults, sold)
    hot = {sku.id: sku for sku in Sku.objects.filter(id__in=map(sku_id, HOT)).order_by("id")}
    for number in HOT:
        sku = hot.get(sku_id(number))
        left = None if sku is None else sku.available
        if left is None or left < 0 or left + sold[sku_id(number)] != stock:
            told = f"{number}: {left} left and {sold[sku_id(number)]} sold of {stock}"
            faults.setdefault("stock", []).append(told)
    shown = {name: found[:SHOWN] for name, found in faults.items()}
    return {"ok": not faults, "orders": len(made), **shown}


def _check_orders(
    orders: Sequence[Order], faults: dict[str, list[str]], sold: "Tally[Any]"
) -> None:
    keys = [order.id for order in orders]
    lines: dict[Any, list[OrderLine]] = {key: [] for key in keys}
    for line in OrderLine.objects.filter(order__in=keys).order_by("id"):
        lines[line.order_id].append(line)
        sold[line.sku_id] += line.quantity
    logged = Tally(
        Event.objects.filter(topic__in=[order.topic for order in orders], name="order.created")
        .order_by("topic")
        .values_list("topic", flat=True)
    )
    for order in orders:
        own = lines[order.id]
        if len(own) != LINES:
            faults.setdefault("lines", []).append(f"{order.number}: {len(own)}")
        parts = order.subtotal - order.loyalty_discount - order.coupon_discount
        parts += order.tax + order.shipping - order.points_discount
        if order.subtotal != sum(line.line_total for line in own) or order.total != parts:
            faults.setdefault("totals", []).append(f"{order.number}: {order.total}")
        if logged[order.topic] != 1:
            faults.setdefault("events", []).append(f"{order.number}: {logged[order.topic]}")
