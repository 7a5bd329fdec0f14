"""Products are made, changed, published, archived."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import F

from accounts.models import User
from marketplace.core.clock import now
from marketplace.core.db import transactional
from marketplace.core.errors import IllegalTransition, ValidationFailed
from marketplace.core.money import fits
from marketplace.core.turns import turn
from marketplace.events.record import NewEvent, open_topic
from shops import access
from shops.enums import ProductStatus
from shops.errors import ShopNotFound
from shops.models import Product, Shop, Sku
from shops.services import inventory, media
from shops.services.announcing import announce
from shops.services.options import checked_variances, sku_plans

WRITABLE = ("name", "description", "brand", "category", "price", "status", "media")
INDEXED = ("name_key", "brand_key", "category_key", "search_text")
LARGEST_STOCK = 1_000_000_000


@dataclass(frozen=True, slots=True)
class NewProduct:
    """What somebody wants to sell.

    variances: `[{name, options[]}]`; each choice of options is a sku. Without `skus` every choice
    is made, and `stock_quantity` is shared out evenly, so that the sum is what was said. With
    `skus` (`[{options, price?, stock_quantity?}]`) exactly those are made.
    media: `[{media_type?, tag?, url}]`.
    """

    name: str
    price: Decimal
    description: str = ""
    brand: str = ""
    category: str = ""
    stock_quantity: int = 0
    media: Sequence[dict[str, Any]] = ()
    variances: Sequence[dict[str, Any]] = ()
    skus: Sequence[dict[str, Any]] = field(default=())
    status: str = ProductStatus.PUBLISHED.value


def create_product(*, actor: User, key: str, wanted: NewProduct) -> Product:
    """The shop sells this, under its next sku number. For its staff.

    Raises ShopNotFound, Forbidden, ValidationFailed.
    """
    variances = checked_variances(wanted.variances)
    plans = sku_plans(variances, wanted.skus, stock_quantity=wanted.stock_quantity)
    links = media.checked_links(wanted.media)
    product = Product(
        name=wanted.name,
        description=wanted.description,
        brand=wanted.brand,
        category=wanted.category,
        price=wanted.price,
        media=links,
        variances=variances,
        last_number=len(plans) if variances else 0,
        status=_checked_first_status(wanted.status),
    )
    product.index()
    with turn(f"shop:{key}"):
        return _create(actor=actor, key=key, product=product, plans=plans)


@transactional
def _create(*, actor: User, key: str, product: Product, plans: list[dict[str, Any]]) -> Product:
    shop = access.shop_to_serve(actor=actor, key=key)
    check_price(product.price, currency=shop.currency)
    for place, plan in enumerate(plans):
        check_price(plan["price"], currency=shop.currency, name=f"skus.{place}.price")
    product.shop = shop
    product.currency = shop.currency
    product.sku = _next_sku(shop)
    product.save(force_insert=True)
    at = product.created_at
    Sku.objects.bulk_create(
        Sku(
            product=product,
            code=str(product.sku) if not plan["number"] else f"{product.sku}-{plan['number']}",
            created_at=at,
            updated_at=at,
            **plan,
        )
        for plan in plans
    )
    open_topic(product.topic)
    announce(product, "product.created", actor=actor)
    return product


def _next_sku(shop: Shop) -> int:
    """The next number of this shop: whoever updates the row first has the lower one."""
    row = Shop.objects.filter(id=shop.id, closed_at__isnull=True)
    if not row.update(last_sku=F("last_sku") + 1):
        raise ShopNotFound
    number: int = row.values_list("last_sku", flat=True).get()
    return number


def update_product(*, actor: User, key: str, changes: dict[str, Any]) -> Product:
    """The product with these changes. For staff of its shop.

    changes: any of name, description, brand, category, price, status, media, and stock_quantity
    where the product has one sku. Raises ProductNotFound, Forbidden, ValidationFailed.
    """
    columns = {name: changes[name] for name in WRITABLE if name in changes}
    for name in ("description", "brand", "category"):
        if name in columns:
            columns[name] = columns[name] or ""
    for name in ("name", "price", "status"):
        if name in columns and columns[name] is None:
            raise _wrong(name, "This cannot be cleared.")
    if "media" in columns:
        columns["media"] = media.checked_links(columns["media"] or ())
    return _update(
        actor=actor, key=key, columns=columns, stock_quantity=changes.get("stock_quantity")
    )


@transactional
def _update(
    *, actor: User, key: str, columns: dict[str, Any], stock_quantity: int | None
) -> Product:
    product = access.product_to_edit(actor=actor, key=key)
    if "price" in columns:
        check_price(columns["price"], currency=product.currency)
    columns = {name: new for name, new in columns.items() if getattr(product, name) != new}
    if not columns and stock_quantity is None:
        return product
    wanted = columns.get("status")
    # The update comes before the reading: from here on this product is ours until the commit.
    Product.objects.filter(id=product.id).update(**columns, updated_at=now())
    before = product.media
    product.refresh_from_db()
    check_open(product, status=wanted)
    media.forget_files(product, before)
    product.index()
    product.save(update_fields=list(INDEXED))
    events = []
    if stock_quantity is not None:
        events = _set_stock(product, stock_quantity, actor=actor)
    archived = wanted == ProductStatus.ARCHIVED
    announce(
        product, "product.archived" if archived else "product.updated", actor=actor, more=events
    )
    return product


def archive_product(*, actor: User, key: str) -> Product:
    """The product is sold no more; orders that name it keep it. For staff of its shop.

    Raises ProductNotFound, Forbidden.
    """
    return update_product(actor=actor, key=key, changes={"status": ProductStatus.ARCHIVED.value})


def check_open(product: Product, *, status: str | None) -> None:
    """Raises IllegalTransition where a shop that has closed would sell again."""
    if status == ProductStatus.PUBLISHED and product.shop.closed_at is not None:
        raise IllegalTransition("The shop has closed.")


def _set_stock(product: Product, quantity: int, *, actor: User) -> list[NewEvent]:
    keys = list(Sku.objects.filter(product=product).order_by("number").values_list("id", flat=True))
    if len(keys) != 1:
        raise _wrong("stock_quantity", "The product has several skus; each has its own stock.")
    inventory.set_quantity(sku_id=keys[0], quantity=quantity)
    return inventory.stock_events(keys, actor_id=actor.public_id)


def check_price(price: Decimal | None, *, currency: str, name: str = "price") -> None:
    """Raises ValidationFailed where an amount has more digits than its currency."""
    if price is not None and not fits(price, currency):
        raise _wrong(name, f"This has more digits than {currency} has.")


def _checked_first_status(status: str) -> str:
    if status not in (ProductStatus.DRAFT, ProductStatus.PUBLISHED):
        raise _wrong("status", "A new product is a draft or published.")
    return status


def _wrong(name: str, text: str) -> ValidationFailed:
    return ValidationFailed.for_fields({name: [text]})
