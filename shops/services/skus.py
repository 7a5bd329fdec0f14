"""Skus: a new choice of a product, another price, another stock."""

from typing import Any

from django.db.models import F

from accounts.models import User
from marketplace.core.clock import now
from marketplace.core.db import IntegrityError, transactional
from marketplace.core.errors import ValidationFailed
from shops import access
from shops.models import Product, Sku
from shops.services import inventory
from shops.services.announcing import announce
from shops.services.options import OPTIONS, SKUS, chosen, options_key
from shops.services.products import check_price


def add_sku(*, actor: User, key: str, values: dict[str, Any]) -> Sku:
    """The product has one more choice, and its options grow by what is new in it.

    values: options, price?, stock_quantity?. For staff of its shop.
    Raises ProductNotFound, Forbidden, ValidationFailed.
    """
    try:
        return _add(actor=actor, key=key, values=values)
    except IntegrityError as error:
        raise _taken() from error


@transactional
def _add(*, actor: User, key: str, values: dict[str, Any]) -> Sku:
    product = access.product_to_edit(actor=actor, key=key)
    check_price(values.get("price"), currency=product.currency)
    # The update comes before the reading: from here on this product is ours until the commit.
    Product.objects.filter(id=product.id).update(last_number=F("last_number") + 1, updated_at=now())
    product.refresh_from_db()
    if not product.variances:
        raise _wrong("options", "The product has no options, so it has one sku.")
    if product.last_number > SKUS:
        raise _wrong("options", f"A product has at most {SKUS} skus.")
    options = chosen(
        product.variances, values.get("options") or {}, where="options", may_be_new=True
    )
    choice = options_key(options)
    if Sku.objects.filter(product=product, options_key=choice).exists():
        raise _taken()
    _grow(product, options)
    sku = Sku.objects.create(
        product=product,
        number=product.last_number,
        code=f"{product.sku}-{product.last_number}",
        options=options,
        options_key=choice,
        price=values.get("price"),
        available=values.get("stock_quantity") or 0,
    )
    announce(product, "product.updated", actor=actor)
    return sku


def _grow(product: Product, options: dict[str, str]) -> None:
    for variance in product.variances:
        if options[variance["name"]] not in variance["options"]:
            variance["options"].append(options[variance["name"]])
        if len(variance["options"]) > OPTIONS:
            raise _wrong("options", f"{variance['name']} has {OPTIONS} options already.")
    product.save(update_fields=["variances"])


@transactional
def update_sku(*, actor: User, key: str, changes: dict[str, Any]) -> Sku:
    """The sku with this price or this stock; a price of None is the product's again.

    changes: price, stock_quantity. For staff of its shop.
    Raises SkuNotFound, Forbidden, ValidationFailed.
    """
    sku = access.sku_to_edit(actor=actor, key=key)
    if "price" in changes:
        check_price(changes["price"], currency=sku.product.currency)
        Sku.objects.filter(id=sku.id).update(price=changes["price"], updated_at=now())
    events = []
    if changes.get("stock_quantity") is not None:
        inventory.set_quantity(sku_id=sku.id, quantity=changes["stock_quantity"])
        events = inventory.stock_events([sku.id], actor_id=actor.public_id)
    sku.refresh_from_db(fields=["price", "available", "reserved", "updated_at"])
    announce(sku.product, "product.updated", actor=actor, more=events)
    return sku


def _taken() -> ValidationFailed:
    return _wrong("options", "This choice is there already.")


def _wrong(name: str, text: str) -> ValidationFailed:
    return ValidationFailed.for_fields({name: [text]})
