"""Which version of each product stands in the database now: PostgreSQL alone can tell.

It marks every row with the transaction that wrote it (`xmin`). A product and its skus are as they
were as long as those marks are: so what has been made of them once can be used again, after one
short read and whoever changed them. Other databases have no such mark; there `has_versions` is
False and everything is read.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import connection

from marketplace.core.planned import fetch_all_planned, fetch_planned
from marketplace.core.vendor import is_postgresql
from shops import search
from shops.enums import ProductStatus
from shops.models import Product, Sku
from shops.search import ProductQuery


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of what is asked for."""

    asked: ProductQuery
    offset: int
    limit: int


Version = tuple[str, str]
"""A product's id, and the mark that changes with it or with one of its skus."""

PRODUCTS, SKUS = Product._meta.db_table, Sku._meta.db_table
# The names of tables are the only parts of these statements that are not written here.
MARK = f"""p.xmin::text || ':' || coalesce((
    SELECT string_agg(s.xmin::text, ',' ORDER BY s.number) FROM {SKUS} s WHERE s.product_id = p.id
), '')"""  # noqa: S608
FIND = f"SELECT p.id::text, {MARK} FROM {PRODUCTS} p WHERE p.id = ANY(%s) AND p.status = %s"  # noqa: S608
# So many products are quickly sorted, whichever index finds them: their list is planned only once.
QUICKLY_SORTED = 2_000


def has_versions() -> bool:
    """Whether this database marks versions."""
    return is_postgresql()


def find_versions(product_ids: Collection[UUID]) -> dict[str, str]:
    """The marks of those of these products that are published."""
    return dict(fetch_planned(FIND, [list(product_ids), ProductStatus.PUBLISHED.value]))


def page_versions(pages: Sequence[Page]) -> list[tuple[int, list[Version]]]:
    """How many products there are of what each page asks for, and that page of them in order."""
    statements = [_statements(page.asked) for page in pages]
    totals = [
        rows[0][0]
        for rows in fetch_all_planned([(count, [*values]) for (count, values), _ in statements])
    ]
    found: list[list[Version]] = [[] for _ in pages]
    quick = []
    for place, page in enumerate(pages):
        statement, values = statements[place][1]
        full = (statement, [*values, page.limit, page.offset])
        if page.offset >= totals[place]:
            continue
        if totals[place] <= QUICKLY_SORTED:
            quick.append((place, full))
            continue
        with connection.cursor() as cursor:
            cursor.execute(*full)
            found[place] = cursor.fetchall()
    if quick:
        rows_of_all = fetch_all_planned([full for _, full in quick])
        for (place, _), rows in zip(quick, rows_of_all, strict=True):
            found[place] = rows
    return list(zip(totals, found, strict=True))


@lru_cache(maxsize=1024)
def _statements(asked: ProductQuery) -> tuple[tuple[str, Any], tuple[str, Any]]:
    """The question as two statements with their values: to count, and to read a page.

    Django makes them; that takes longer than running them, and shops are asked the same again and
    again.
    """
    found = search.find(asked).values("id")
    count, count_values = found.order_by().query.sql_with_params()
    page, page_values = found.query.sql_with_params()
    return (f"SELECT count(*) FROM ({count}) AS asked", count_values), (  # noqa: S608
        f"""
        SELECT p.id::text, {MARK} FROM (
            SELECT row_number() OVER () AS place, asked.id FROM ({page} LIMIT %s OFFSET %s) AS asked
        ) AS found JOIN {PRODUCTS} p ON p.id = found.id ORDER BY found.place
        """,  # noqa: S608
        page_values,
    )
