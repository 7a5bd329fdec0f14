"""Which products somebody asks for, and in which order: conditions that mean the same everywhere.

Words are looked for in a column of their own without case; whoever wants a better index behind the
same function (full text, trigrams) changes `words` alone.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Case, Exists, IntegerField, OuterRef, QuerySet, Value, When

from marketplace.core.inputs import read_id
from shops.enums import ProductSort, ProductStatus
from shops.models import Product, Sku, sort_key

WORDS = 10
ORDERS: dict[str, tuple[str, ...]] = {
    # UUIDv7: the newest first, by the key that every index ends with.
    ProductSort.NEWEST: ("-id",),
    ProductSort.PRICE: ("price", "id"),
    ProductSort.PRICE_FALLING: ("-price", "-id"),
    ProductSort.NAME: ("name_key", "id"),
    ProductSort.RELEVANCE: ("rank", "-id"),
}


@dataclass(frozen=True, slots=True)
class ProductQuery:
    """What is asked for; an empty field asks for nothing."""

    category: str = ""
    brand: str = ""
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    q: str = ""
    in_stock: bool | None = None
    # An id, or `shop_<number>`.
    shop_id: str = ""
    sort: str = ""
    status: str = ProductStatus.PUBLISHED.value

    @property
    def order(self) -> tuple[str, ...]:
        """The columns that this list is ordered by; without words nothing is more relevant."""
        if self.q.strip():
            return ORDERS[self.sort or ProductSort.RELEVANCE]
        return ORDERS[ProductSort.NEWEST if self.sort == ProductSort.RELEVANCE else self.sort]

    def __post_init__(self) -> None:
        if not self.sort:
            chosen = ProductSort.RELEVANCE if self.q.strip() else ProductSort.NEWEST
            object.__setattr__(self, "sort", chosen.value)


def shop_number(handle: str) -> int | None:
    """The number in `shop_<number>`, or None for any other text."""
    head, _, digits = handle.partition("_")
    if head.lower() == "shop" and digits.isascii() and digits.isdecimal() and len(digits) <= 18:
        return int(digits)
    return None


def find(asked: ProductQuery) -> QuerySet[Product]:
    """The products that are asked for, in the order that is asked for."""
    products = Product.objects.filter(**_conditions(asked))
    if asked.in_stock is not None:
        stocked = Exists(Sku.objects.filter(product_id=OuterRef("id"), available__gt=0))
        products = products.filter(stocked if asked.in_stock else ~stocked)
    if asked.q.strip():
        products = words(products, asked.q)
    return products.order_by(*asked.order)


def _conditions(asked: ProductQuery) -> dict[str, Any]:
    conditions: dict[str, Any] = {}
    if asked.status:
        conditions["status"] = asked.status
    if asked.shop_id:
        number = shop_number(asked.shop_id)
        if number is None:
            # A text that is no id is the shop of nothing.
            conditions["shop_id"] = read_id(asked.shop_id)
        else:
            conditions["shop__number"] = number
    if asked.category:
        conditions["category_key"] = sort_key(asked.category)
    if asked.brand:
        conditions["brand_key"] = sort_key(asked.brand)
    if asked.min_price is not None:
        conditions["price__gte"] = asked.min_price
    if asked.max_price is not None:
        conditions["price__lte"] = asked.max_price
    return conditions


def words(products: QuerySet[Product], text: str) -> QuerySet[Product]:
    """Those that hold every word; `rank` 0 where the name is or begins so, 1 where it holds it."""
    wanted = sort_key(" ".join(text.split()))
    for word in wanted.split()[:WORDS]:
        products = products.filter(search_text__contains=word)
    return products.annotate(
        rank=Case(
            When(name_key__startswith=wanted, then=Value(0)),
            When(name_key__contains=wanted, then=Value(1)),
            default=Value(2),
            output_field=IntegerField(),
        )
    )
