"""Fills the shop that the benchmarks sell from, and sets the stock of its ten hot products.

What it must make is written in benchmarks/README.md, "The four commands".
"""

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Max
from rich.console import Console
from rich.progress import Progress

from accounts.models import User
from marketplace.core.clock import now
from marketplace.core.db import transactional
from marketplace.core.ids import uuid7
from marketplace.core.models import Counter
from marketplace.events.models import TopicHead
from marketplace.management.benchmarking import (
    CHUNK,
    HOT,
    LARGE_STOCK,
    MARK,
    OWNER_SET,
    SHOPS,
    category_of,
    checked_count,
    chunks,
    description_of,
    name_of,
    price_of,
    product_id,
    refuse_production,
    shop_of,
    sku_id,
)
from marketplace.management.commands.bench_clients import ensure_people
from orders.enums import OrderStatus, ReservationStatus
from orders.models import Order, Reservation, ShopOrder
from shops.models import Product, Shop, Sku
from shops.services.shops import create_shop

FOR_ANOTHER = "This database holds a shop of another size; the kit gives each its own."
LAST = 16**12 - 1


class Command(BaseCommand):
    """Make what is missing; print nothing."""

    help = "Fill the shop of the benchmarks (benchmarks/README.md)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How many products there shall be, and how much there is of the hot ones."""
        parser.add_argument("--products", type=int, required=True)
        parser.add_argument("--stock", type=int, default=LARGE_STOCK)

    def handle(self, *args: Any, **options: Any) -> None:
        """Make it."""
        refuse_production()
        products = checked_count(options["products"])
        if options["stock"] < 0:
            raise CommandError("--stock must not be negative.")
        owner = ensure_people(set_name=OWNER_SET, count=1)[0]
        fill(products=products, shops=ensure_shops(owner))
        end_orders()
        for number in HOT:
            rows = Sku.objects.filter(id=sku_id(number))
            rows.update(available=options["stock"], reserved=0, updated_at=now())


def ensure_shops(owner: User) -> list[Shop]:
    """The hundred shops, in their order."""
    known = {shop.name: shop for shop in Shop.objects.filter(owner=owner).order_by("id")}
    names = [f"Benchmark {place}" for place in range(1, SHOPS + 1)]
    return [
        known.get(name)
        or create_shop(actor=owner, shop_name=name, location="Nowhere", category="all")
        for name in names
    ]


def fill(*, products: int, shops: Sequence[Shop]) -> None:
    """The products 1 to `products` are there. Raises CommandError for a shop of another size."""
    known = set(_known_numbers())
    if max(known, default=products) > products:
        raise CommandError(FOR_ANOTHER)
    missing = [number for number in range(1, products + 1) if number not in known]
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        parts = list(chunks(missing))
        for numbers in progress.track(parts, description="Products"):
            _create(numbers, products=products, shops=shops)


def _known_numbers() -> Iterator[int]:
    found = Product.objects.filter(id__gte=product_id(1), id__lte=product_id(LAST))
    for key in found.order_by("id").values_list("id", flat=True).iterator(chunk_size=5_000):
        yield key.int & LAST


@transactional
def _create(numbers: Sequence[int], *, products: int, shops: Sequence[Shop]) -> None:
    made = [_product(number, products=products, shops=shops) for number in numbers]
    # Heads first: where the database cannot roll back, a product without a head would stay so.
    TopicHead.objects.bulk_create(
        [TopicHead(topic=product.topic, epoch=uuid7().hex) for product in made], batch_size=CHUNK
    )
    Product.objects.bulk_create(made, batch_size=CHUNK)
    Sku.objects.bulk_create(
        [
            Sku(
                id=sku_id(number),
                product=product,
                number=1,
                code=f"{product.sku}-1",
                options={"Size": "M", "Color": "red"},
                options_key="M/red",
                available=LARGE_STOCK,
            )
            for number, product in zip(numbers, made, strict=True)
        ],
        batch_size=CHUNK,
    )


def _product(number: int, *, products: int, shops: Sequence[Shop]) -> Product:
    shop = shops[shop_of(number) - 1]
    product = Product(
        id=product_id(number),
        shop=shop,
        # Above every number that the shop's own counter reaches.
        sku=1_000_000 + number,
        name=name_of(number),
        description=description_of(number),
        brand=f"brand{number % 50}",
        category=category_of(number, products=products),
        price=price_of(number),
        currency=shop.currency,
        media=[
            {"media_type": "image", "tag": tag, "url": f"https://cdn.example/p/{number}{tag}.jpg"}
            for tag in ("front", "back")
        ],
        variances=[{"name": "Size", "options": ["M"]}, {"name": "Color", "options": ["red"]}],
        last_number=1,
    )
    product.index()
    return product


def end_orders() -> None:
    """Orders of earlier runs hold nothing any more, and count no more."""
    latest = Order.objects.aggregate(latest=Max("number"))["latest"] or 0
    of_runs = Order.objects.filter(user__username_key__startswith="bench_buyer_")
    open_ones = of_runs.filter(status=OrderStatus.PENDING).order_by("id")
    for keys in chunks(list(open_ones.values_list("id", flat=True))):
        _end(keys)
    Counter.objects.update_or_create(name=MARK, defaults={"value": latest})


@transactional
def _end(keys: Sequence[UUID]) -> None:
    held = Reservation.objects.filter(order__in=list(keys), status=ReservationStatus.HELD)
    held.update(status=ReservationStatus.RELEASED, updated_at=now())
    ended = {"status": OrderStatus.CANCELLED, "updated_at": now()}
    ShopOrder.objects.filter(order__in=list(keys)).update(**ended)
    Order.objects.filter(id__in=list(keys)).update(**ended)
