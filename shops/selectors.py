"""What shops read. Every list has an order and an index behind it."""

from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.db.models import Q, QuerySet

from accounts.models import User
from marketplace.core.inputs import read_id
from marketplace.core.libpq import Rows
from marketplace.core.questions import Question, ask, ask_all
from shops import search
from shops.enums import MediaType, ProductStatus
from shops.models import Product, Shop, ShopMember, Sku, sort_key
from shops.payloads import (
    PRODUCT_COLUMNS,
    SKU_COLUMNS,
    ProductRow,
    SkuRow,
    inventory_payload,
    product_payload,
)
from shops.search import ProductQuery


class Offer(NamedTuple):
    """A sku as a buyer gets it now: everything that an order line has to remember."""

    sku_id: UUID
    product_id: UUID
    shop_id: UUID
    code: str
    title: str
    options: dict[str, str]
    price: Decimal
    currency: str
    category: str
    image_url: str | None
    available: int


def open_shops() -> QuerySet[Shop]:
    """Shops that have not closed."""
    return Shop.objects.filter(closed_at__isnull=True).select_related("owner")


def find_shop(key: str) -> Shop | None:
    """The open shop with this id or `shop_<number>`."""
    number = search.shop_number(key)
    if number is not None:
        return open_shops().filter(number=number).first()
    shop_id = read_id(key)
    return None if shop_id is None else open_shops().filter(id=shop_id).first()


def find_shops(shop_ids: Collection[UUID]) -> dict[UUID, Shop]:
    """Those of these shops that are open, by id."""
    found = open_shops().filter(id__in=list(shop_ids)).order_by("id")
    return {shop.id: shop for shop in found}


def find_shop_by_name(name: str) -> Shop | None:
    """The open shop of this name, in whatever case."""
    return open_shops().filter(name_key=sort_key(" ".join(name.split()))).first()


def list_shops(*, category: str = "") -> QuerySet[Shop]:
    """Open shops, newest first."""
    shops = open_shops()
    if category:
        shops = shops.filter(category_key=sort_key(category))
    return shops.order_by("-id")


def list_shops_of(*, user: User) -> QuerySet[Shop]:
    """Open shops that this user works for, newest first."""
    return open_shops().filter(members__user=user).order_by("-id")


def list_members(*, shop: Shop) -> QuerySet[ShopMember]:
    """Everybody of the shop, who came first comes first."""
    return ShopMember.objects.filter(shop=shop).select_related("user").order_by("created_at", "id")


def find_member(*, shop_id: UUID, user: User) -> ShopMember | None:
    """What this user is in the shop."""
    return ShopMember.objects.filter(shop_id=shop_id, user=user).select_related("user").first()


def staff_ids(*, shop_ids: Collection[UUID]) -> dict[UUID, list[str]]:
    """The public ids of everybody who works for each of these shops."""
    found: dict[UUID, list[str]] = {shop_id: [] for shop_id in shop_ids}
    rows = (
        ShopMember.objects.filter(shop_id__in=list(shop_ids))
        .order_by("shop_id", "created_at", "id")
        .values_list("shop_id", "user__public_id")
    )
    for shop_id, public_id in rows:
        found[shop_id].append(public_id)
    return found


def who_works_where(
    *, shop_ids: Collection[UUID], users: Collection[User]
) -> set[tuple[UUID, UUID]]:
    """Pairs of shop and user, by their keys: who of these works for which of these."""
    members = ShopMember.objects.filter(
        shop_id__in=list(shop_ids), user_id__in=[user.pk for user in users]
    )
    return set(members.order_by("id").values_list("shop_id", "user_id"))


def find_product(product_id: UUID) -> Product | None:
    """One product with its shop."""
    return Product.objects.filter(id=product_id).select_related("shop", "shop__owner").first()


def find_product_row(product_id: UUID) -> Any:
    """One product as a row of the columns that are told; `Any`: a ProductRow or None."""
    rows = Product.objects.filter(id=product_id).values_list(*PRODUCT_COLUMNS, named=True)
    return rows.order_by("id").first()


def list_products(asked: ProductQuery) -> QuerySet[Any]:
    """The products that are asked for, as rows of the columns that are told, in their order."""
    extra = [name for name in ("name_key", "rank") if name in asked.order]
    found: QuerySet[Any] = search.find(asked).values_list(*PRODUCT_COLUMNS, *extra, named=True)
    return found


def list_products_of(*, user: User) -> QuerySet[Any]:
    """What the open shops sell that this user works for, newest first; nothing archived."""
    shops = list_shops_of(user=user).values_list("id", flat=True)
    found: QuerySet[Any] = (
        Product.objects.filter(shop_id__in=list(shops))
        .exclude(status=ProductStatus.ARCHIVED)
        .order_by("-id")
        .values_list(*PRODUCT_COLUMNS, named=True)
    )
    return found


def count_products(asked: ProductQuery) -> int:
    """How many products there are of what is asked for."""
    return search.find(asked).order_by().count()


def which_are_published(product_ids: Collection[UUID]) -> Question[list[Any]]:
    """These products that are published, as rows of the columns that are told, by id."""
    asked = list(product_ids)

    def elsewhere() -> list[Any]:
        found = Product.objects.filter(id__in=asked, status=ProductStatus.PUBLISHED)
        return list(found.order_by("id").values_list(*PRODUCT_COLUMNS, named=True))

    return Question(
        PUBLISHED_PRODUCTS,
        [asked, ProductStatus.PUBLISHED.value],
        read=lambda rows: _named(PRODUCT_COLUMNS, ("media", "variances"), rows),
        elsewhere=elsewhere,
    )


def which_skus(product_ids: Collection[UUID]) -> Question[dict[UUID, list[SkuRow]]]:
    """The skus of each of these products, by their numbers."""
    asked = list(product_ids)

    def by_product(rows: Iterable[Any]) -> dict[UUID, list[SkuRow]]:
        found: dict[UUID, list[SkuRow]] = {product_id: [] for product_id in asked}
        for row in rows:
            found[row.product_id].append(row)
        return found

    def elsewhere() -> dict[UUID, list[SkuRow]]:
        found = Sku.objects.filter(product_id__in=asked).order_by("product_id", "number")
        return by_product(found.values_list(*SKU_COLUMNS, named=True))

    return Question(
        SKUS_OF_PRODUCTS,
        [asked],
        read=lambda rows: by_product(_named(SKU_COLUMNS, ("options",), rows)),
        elsewhere=elsewhere,
    )


PUBLISHED_PRODUCTS = f"""
    SELECT {", ".join(PRODUCT_COLUMNS)} FROM {Product._meta.db_table}
    WHERE id = ANY(%s) AND status = %s ORDER BY id
"""  # noqa: S608  # names of a table and of its columns
SKUS_OF_PRODUCTS = f"""
    SELECT {", ".join(SKU_COLUMNS)} FROM {Sku._meta.db_table}
    WHERE product_id = ANY(%s) ORDER BY product_id, number
"""  # noqa: S608


def _named(names: Sequence[str], in_json: Sequence[str], rows: Rows) -> list[Any]:
    """Rows by the names of their columns, of which those `in_json` are still texts."""
    found = []
    for row in rows:
        columns = dict(zip(names, row, strict=True))
        for name in in_json:
            columns[name] = orjson.loads(columns[name])
        found.append(SimpleNamespace(**columns))
    return found


def list_skus(*, product_ids: Collection[UUID]) -> dict[UUID, list[SkuRow]]:
    """The answer to `which_skus`."""
    return ask(which_skus(product_ids))


def describe_published(product_ids: Collection[UUID]) -> list[dict[str, Any]]:
    """Product of each of these that is published, by id."""
    products, skus = ask_all(which_are_published(product_ids), which_skus(product_ids))
    return [product_payload(product, skus[product.id]) for product in products]


def describe_products(products: Iterable[ProductRow]) -> list[dict[str, Any]]:
    """Product, for a whole page, in one query however long the page is."""
    page = list(products)
    skus = list_skus(product_ids=[product.id for product in page])
    return [product_payload(product, skus[product.id]) for product in page]


def describe_product(product: ProductRow) -> dict[str, Any]:
    """Product."""
    return describe_products([product])[0]


def describe_inventory(product: ProductRow) -> dict[str, Any]:
    """Inventory of one product."""
    return inventory_payload(product, list_skus(product_ids=[product.id])[product.id])


def find_sku(sku_id: UUID) -> Sku | None:
    """One sku with its product and shop."""
    return Sku.objects.filter(id=sku_id).select_related("product", "product__shop").first()


def list_offers(
    *, sku_ids: Collection[UUID] = (), product_ids: Collection[UUID] = ()
) -> list[Offer]:
    """The answer to `which_offers`."""
    return ask(which_offers(sku_ids=sku_ids, product_ids=product_ids))


def which_offers(
    *, sku_ids: Collection[UUID] = (), product_ids: Collection[UUID] = ()
) -> Question[list[Offer]]:
    """What these skus, and all skus of these products, are sold for now; only published ones.

    In one query, by product and number. Of a product without options exactly one comes.
    """
    skus, products = list(sku_ids), list(product_ids)

    def elsewhere() -> list[Offer]:
        rows = Sku.objects.filter(
            Q(id__in=skus) | Q(product_id__in=products), product__status=ProductStatus.PUBLISHED
        ).order_by("product_id", "number")
        return [_offer(row) for row in rows.values_list(*OFFER_COLUMNS)]

    return Question(
        OFFERS,
        [skus, products, ProductStatus.PUBLISHED.value],
        read=lambda rows: [_offer(_loaded(row)) for row in rows],
        elsewhere=elsewhere,
    )


OFFER_COLUMNS = (
    "id", "product_id", "product__shop_id", "code", "product__name", "price", "product__price",
    "product__currency", "product__category", "available", "options", "product__media",
)  # fmt: skip
# NOT DISTINCT FROM is an equality that no index serves: else a planner without statistics reads all
# products that are sold to find those of ten skus.
OFFERS = f"""
    SELECT sku.id, p.id, p.shop_id, sku.code, p.name, sku.price, p.price,
        p.currency, p.category, sku.available, sku.options, p.media
    FROM {Sku._meta.db_table} sku JOIN {Product._meta.db_table} p ON p.id = sku.product_id
    WHERE (sku.id = ANY(%s) OR sku.product_id = ANY(%s)) AND p.status IS NOT DISTINCT FROM %s
    ORDER BY p.id, sku.number
"""  # noqa: S608  # the names of tables


def _loaded(row: Sequence[Any]) -> Iterable[Any]:
    """A row whose last two columns are still JSON texts."""
    *values, options, media = row
    return (*values, orjson.loads(options), orjson.loads(media))


def _offer(row: Iterable[Any]) -> Offer:
    (
        sku_id, product_id, shop_id, code, title, own_price, price,
        currency, category, available, options, media,
    ) = row  # fmt: skip
    images = (one["url"] for one in media if one["media_type"] == MediaType.IMAGE)
    return Offer(
        sku_id=sku_id,
        product_id=product_id,
        shop_id=shop_id,
        code=code,
        title=title,
        options=options,
        price=price if own_price is None else own_price,
        currency=currency,
        category=category,
        image_url=next(images, None),
        available=available,
    )
