"""The twin of `inventory.move_all` for PostgreSQL: the pieces are parameters, not conditions."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from marketplace.core.db import fetch_planned
from shops.models import Product, Sku
from shops.payloads import Stock

MOVE = f"""
    UPDATE {Sku._meta.db_table} AS sku SET
        available = available + %s * line.pieces,
        reserved = reserved + %s * line.pieces,
        updated_at = %s
    FROM unnest(%s::uuid[], %s::integer[]) AS line(sku_id, pieces), {Product._meta.db_table} AS p
    WHERE sku.id = line.sku_id AND p.id = sku.product_id
        AND available + least(%s * line.pieces, 0) >= 0
        AND reserved + least(%s * line.pieces, 0) >= 0
    RETURNING sku.id, sku.product_id, available, reserved, p.sku
"""  # noqa: S608  # the names of tables


def move_all(
    pieces: Sequence[tuple[UUID, int]], *, available: int, reserved: int, at: datetime
) -> list[Stock]:
    """See inventory.py; the rows are taken in the order of `pieces`."""
    ids, numbers = [sku_id for sku_id, _ in pieces], [number for _, number in pieces]
    values = [available, reserved, at, ids, numbers, available, reserved]
    return [Stock(*row) for row in fetch_planned(MOVE, values)]
