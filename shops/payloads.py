"""What the log and every wire say of shops' rows: canonical shapes, JSON types only.

Rows of products and skus are read as models or as named tuples of the same columns: lists take
the second, which is quicker.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from marketplace.core.clock import wire_time
from marketplace.core.money import money_text
from shops.enums import StockStatus
from shops.models import Shop, ShopMember

LOW_STOCK = 10
"""Fewer than so many are low."""

PRODUCT_COLUMNS = (
    "id", "sku", "shop_id", "name", "description", "brand", "category", "price", "currency",
    "media", "variances", "status", "created_at", "updated_at",
)  # fmt: skip
SKU_COLUMNS = (
    "id", "product_id", "code", "options", "price", "available", "reserved", "created_at",
    "updated_at",
)  # fmt: skip


class ProductRow(Protocol):
    """The columns of a product that are told."""

    id: UUID
    sku: int
    shop_id: UUID
    name: str
    description: str
    brand: str
    category: str
    price: Decimal
    currency: str
    media: Any
    variances: Any
    status: str
    created_at: datetime
    updated_at: datetime


class SkuRow(Protocol):
    """The columns of a sku that are told."""

    id: UUID
    product_id: UUID
    code: str
    options: Any
    price: Decimal | None
    available: int
    reserved: int
    created_at: datetime
    updated_at: datetime


def shop_payload(shop: Shop) -> dict[str, Any]:
    """Shop."""
    return {
        "id": str(shop.id),
        "number": shop.number,
        "shop_name": shop.name,
        "location": shop.location,
        "category": shop.category,
        "subscription_plan": shop.subscription_plan,
        "owner_id": shop.owner.public_id,
        "currency": shop.currency,
        "country_code": shop.country_code or None,
        "region": shop.region or None,
        "rating": None if shop.rating is None else float(shop.rating),
        "response_time_s": shop.response_time_s,
        "created_at": wire_time(shop.created_at),
        "updated_at": wire_time(shop.updated_at),
    }


def member_payload(member: ShopMember) -> dict[str, Any]:
    """Somebody of a shop, with the person; not for the log."""
    user = member.user
    return {
        "user_id": user.public_id,
        "user": {
            "id": user.public_id,
            "username": user.username,
            "name": user.name or None,
            "avatar_url": user.avatar_url or None,
        },
        "role": member.role,
        "joined_at": wire_time(member.created_at),
    }


def member_event(
    member: ShopMember, *, actor_id: str, previous_role: str | None = None
) -> dict[str, Any]:
    """Somebody of a shop as the log tells of him: by id."""
    return {
        "shop_id": str(member.shop_id),
        "user_id": member.user.public_id,
        "role": member.role,
        "previous_role": previous_role,
        "actor_id": actor_id,
    }


def stock_status(available: int) -> str:
    """The word for so many pieces that can be bought."""
    if available <= 0:
        return StockStatus.OUT_OF_STOCK.value
    return (StockStatus.LOW_STOCK if available < LOW_STOCK else StockStatus.IN_STOCK).value


def sku_payload(sku: SkuRow, *, product: ProductRow) -> dict[str, Any]:
    """Sku; its price is the product's where it has none of its own."""
    price = product.price if sku.price is None else sku.price
    return {
        "id": str(sku.id),
        "code": sku.code,
        "options": sku.options,
        "price": money_text(price, product.currency),
        "stock_quantity": sku.available + sku.reserved,
        "available": sku.available,
        "created_at": wire_time(sku.created_at),
        "updated_at": wire_time(sku.updated_at),
    }


def product_payload(product: ProductRow, skus: Sequence[SkuRow]) -> dict[str, Any]:
    """Product with its skus, in the order of their numbers."""
    return {
        "id": str(product.id),
        "sku": product.sku,
        "shop_id": str(product.shop_id),
        "name": product.name,
        "description": product.description,
        "brand": product.brand or None,
        "category": product.category or None,
        "price": money_text(product.price, product.currency),
        "currency": product.currency,
        "stock_quantity": sum(sku.available + sku.reserved for sku in skus),
        "stock_status": stock_status(sum(sku.available for sku in skus)),
        "media": product.media,
        "variances": product.variances,
        "skus": [sku_payload(sku, product=product) for sku in skus],
        "status": product.status,
        "created_at": wire_time(product.created_at),
        "updated_at": wire_time(product.updated_at),
    }


def inventory_payload(product: ProductRow, skus: Sequence[SkuRow]) -> dict[str, Any]:
    """Inventory: how much of a product is there, sku by sku."""
    available = sum(sku.available for sku in skus)
    reserved = sum(sku.reserved for sku in skus)
    return {
        "product_id": str(product.id),
        "quantity": available + reserved,
        "reserved": reserved,
        "available": available,
        "stock_status": stock_status(available),
        "warehouses": [],
        "skus": [
            {
                "sku_id": str(sku.id),
                "code": sku.code,
                "quantity": sku.available + sku.reserved,
                "reserved": sku.reserved,
                "available": sku.available,
            }
            for sku in skus
        ],
        "updated_at": wire_time(max([sku.updated_at for sku in skus], default=product.updated_at)),
    }


class Stock(NamedTuple):
    """How much there is of a sku. number: the `sku` of its product."""

    id: UUID
    product_id: UUID
    available: int
    reserved: int
    number: int


def stock_event(stock: Stock) -> dict[str, Any]:
    """How much there is of a sku now."""
    return {
        "product_id": str(stock.product_id),
        "sku_id": str(stock.id),
        "sku": stock.number,
        "warehouse_id": None,
        "quantity": stock.available + stock.reserved,
        "available": stock.available,
        "stock_status": stock_status(stock.available),
    }


STOCK_EVENT_SQL = f"""jsonb_build_object(
        'product_id', p.id,
        'sku_id', sku.id,
        'sku', p.sku,
        'warehouse_id', NULL,
        'quantity', sku.available + sku.reserved,
        'available', sku.available,
        'stock_status', CASE
            WHEN sku.available <= 0 THEN '{StockStatus.OUT_OF_STOCK.value}'
            WHEN sku.available < {LOW_STOCK} THEN '{StockStatus.LOW_STOCK.value}'
            ELSE '{StockStatus.IN_STOCK.value}' END)"""
"""The same, as PostgreSQL makes it of a row `sku` and its product `p`."""
