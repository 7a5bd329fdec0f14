"""The shop that the benchmarks sell from: which product is number n, and what it is like.

Everything follows from the number, so that a command finds what another one made without asking.
What it must be is written in benchmarks/README.md, "The four commands".
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.core.management.base import CommandError

Item = TypeVar("Item")

CHUNK = 500  # rows per statement: SQLite bounds the parameters of one
SHOPS = 100
HOT = tuple(range(1, 11))
PER_CATEGORY = 500
LARGE_STOCK = 1_000_000
BUYERS = 200
BUYER_SET = "bench_buyer"
OWNER_SET = "bench_seller"
# The newest order before this `bench_shop`, kept as a counter: later ones are this run's.
MARK = "bench_orders_before"
# Prime, so that neighbours in number are far apart in price, in every category.
STRIDE = 7919
PRICES = 99_901
WORDS = (
    "red", "blue", "green", "steel", "wood", "ultra", "mini", "max", "smart", "phone", "table",
    "lamp", "chair", "shirt", "shoe", "watch", "camera", "bottle", "laptop", "bag", "cotton",
    "leather", "solar", "wireless", "compact", "garden", "kitchen", "travel", "sport", "classic",
)  # fmt: skip
DESCRIPTION_CHARACTERS = 200


def refuse_production() -> None:
    """Raises CommandError: nothing of this belongs among people's orders."""
    if settings.PROFILE == "production":
        raise CommandError("Benchmarks do not run on the production profile.")


def checked_count(products: int) -> int:
    """A whole number of categories, so that every list has its pages. Raises CommandError."""
    if products < 2 * PER_CATEGORY or products % PER_CATEGORY:
        raise CommandError(f"--products must be a multiple of {PER_CATEGORY}, at least 1,000.")
    return products


def product_id(number: int) -> UUID:
    """The id of product `number`: older than every product that somebody made."""
    return UUID(f"00000000-0000-7000-8000-{number:012x}")


def sku_id(number: int) -> UUID:
    """The id of its one sku."""
    return UUID(f"00000000-0000-7000-8001-{number:012x}")


def shop_of(number: int) -> int:
    """Its shop, 1 to 100."""
    return 1 + number % SHOPS


def category_of(number: int, *, products: int) -> str:
    """Its category in a shop of so many products: each category has 500."""
    place = (number + (number - 1) // 10_000) % (products // PER_CATEGORY)
    return f"cat{place}"


def price_of(number: int) -> Decimal:
    """From 1.00 to 1,000.00, spread evenly and apart from the category."""
    return Decimal(100 + number * STRIDE % PRICES) / 100


def name_of(number: int) -> str:
    """Three words and the number."""
    words = [WORDS[number * factor % len(WORDS)] for factor in (7, 11, 13)]
    return " ".join([*words, str(number)])


def description_of(number: int) -> str:
    """200 characters of words."""
    words = (WORDS[(number + step * 17) % len(WORDS)] for step in range(60))
    return " ".join(words)[:DESCRIPTION_CHARACTERS]


def chunks(rows: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """The rows in parts of at most CHUNK."""
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]
