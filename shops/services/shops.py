"""Shops open, change and close."""

import re
from typing import Any

from django.conf import settings

from accounts.models import User
from marketplace.core.clock import now
from marketplace.core.counters import next_numbers
from marketplace.core.db import IntegrityError, in_transaction, transactional
from marketplace.core.errors import ValidationFailed
from marketplace.core.money import CURRENCIES
from marketplace.core.text import clean_text
from marketplace.events.audit import record_audit
from marketplace.events.record import open_topic, record
from shops import access, selectors
from shops.enums import ProductStatus, ShopRole
from shops.errors import ShopNameTaken, ShopNotFound
from shops.models import (
    LABEL_CHARACTERS,
    NAME_CHARACTERS,
    Product,
    Shop,
    ShopMember,
    sort_key,
)
from shops.payloads import shop_payload

SHOP_NUMBERS = "shop"
FIRST_NUMBER = 10_001
NAME_LEAST = 2
LOCATION_CHARACTERS = 200
PLAN_FORM = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


def checked_name(text: str) -> str:
    """The name as it is kept: blanks joined. Raises ValidationFailed under `shop_name`."""
    name = " ".join(clean_text(text, field="shop_name").split())
    if not NAME_LEAST <= len(name) <= NAME_CHARACTERS:
        raise _wrong("shop_name", f"A shop name has {NAME_LEAST} to {NAME_CHARACTERS} characters.")
    return name


def create_shop(
    *,
    actor: User,
    shop_name: str,
    location: str,
    category: str,
    subscription_plan: str = "free",
    **place: str,
) -> Shop:
    """The actor owns a new shop of this name, with the next number of the instance.

    place: any of currency, country_code, region. Raises ShopNameTaken, ValidationFailed.
    """
    shop = Shop(
        name=checked_name(shop_name),
        location=_checked("location", location, LOCATION_CHARACTERS),
        category=_checked("category", category, LABEL_CHARACTERS),
        subscription_plan=_checked_plan(subscription_plan),
        currency=_checked_currency(place.get("currency") or settings.DEFAULT_CURRENCY),
        country_code=_checked_country(place.get("country_code") or ""),
        region=_checked("region", place.get("region") or "", LABEL_CHARACTERS, least=0),
        owner=actor,
    )
    _index(shop)
    try:
        return _create(actor=actor, shop=shop)
    except IntegrityError as error:
        if selectors.find_shop_by_name(shop.name) is not None:
            raise ShopNameTaken from error
        if in_transaction():
            raise
        # The very first two shops made the counter at the same moment.
        return _create(actor=actor, shop=shop)


@transactional
def _create(*, actor: User, shop: Shop) -> Shop:
    if selectors.find_shop_by_name(shop.name) is not None:
        raise ShopNameTaken
    shop.number = next_numbers(SHOP_NUMBERS, first=FIRST_NUMBER)
    shop.save(force_insert=True)
    ShopMember.objects.create(shop=shop, user=actor, role=ShopRole.OWNER)
    open_topic(shop.topic)
    record(shop.topic, "shop.created", shop_payload(shop), actor_id=actor.public_id)
    return shop


def update_shop(*, actor: User, key: str, changes: dict[str, Any]) -> Shop:
    """The shop with these changes; for its owner and managers.

    changes: any of shop_name, location, category, subscription_plan, currency, country_code,
    region. Raises ShopNotFound, Forbidden, ShopNameTaken, ValidationFailed.
    """
    checked = {
        CHANGEABLE[field][0]: CHANGEABLE[field][1](value or "")
        for field, value in changes.items()
        if field in CHANGEABLE
    }
    try:
        return _update(actor=actor, key=key, changes=checked)
    except IntegrityError as error:
        raise ShopNameTaken from error


@transactional
def _update(*, actor: User, key: str, changes: dict[str, str]) -> Shop:
    shop = access.shop_to_serve(actor=actor, key=key, least=ShopRole.MANAGER)
    changes = {field: value for field, value in changes.items() if getattr(shop, field) != value}
    if not changes:
        return shop
    if "currency" in changes and shop.last_sku:
        raise _wrong("currency", "The shop has prices in its currency already.")
    if "name" in changes:
        other = selectors.find_shop_by_name(changes["name"])
        if other is not None and other.id != shop.id:
            raise ShopNameTaken
    for field, value in changes.items():
        setattr(shop, field, value)
    _index(shop)
    shop.save(update_fields=[*changes, "name_key", "category_key"])
    record(shop.topic, "shop.updated", shop_payload(shop), actor_id=actor.public_id)
    return shop


@transactional
def close_shop(*, actor: User, key: str) -> Shop:
    """The shop is there no more: its products are archived, its name is free; for its owner.

    Raises ShopNotFound, Forbidden.
    """
    shop = access.shop_to_serve(actor=actor, key=key, least=ShopRole.OWNER)
    shop.closed_at = now()
    shop.name_key = None
    open_still = Shop.objects.filter(id=shop.id, closed_at__isnull=True)
    if not open_still.update(closed_at=shop.closed_at, name_key=None, updated_at=shop.closed_at):
        raise ShopNotFound
    Product.objects.filter(shop=shop).exclude(status=ProductStatus.ARCHIVED).update(
        status=ProductStatus.ARCHIVED, updated_at=shop.closed_at
    )
    record_audit(actor_id=actor.public_id, action="shop.deleted", target=shop.topic)
    record(
        shop.topic,
        "shop.deleted",
        {"shop_id": str(shop.id), "number": shop.number},
        actor_id=actor.public_id,
    )
    return shop


def _index(shop: Shop) -> None:
    shop.name_key = sort_key(shop.name)
    shop.category_key = sort_key(shop.category)


def _checked(field: str, text: str, most: int, *, least: int = 1) -> str:
    kept = " ".join(clean_text(text, field=field).split())
    if not least <= len(kept) <= most:
        raise _wrong(field, f"This has {least} to {most} characters.")
    return kept


def _checked_plan(text: str) -> str:
    plan = text.strip().lower() or "free"
    if not PLAN_FORM.fullmatch(plan):
        raise _wrong("subscription_plan", "This is one word of up to 32 letters and digits.")
    return plan


def _checked_currency(text: str) -> str:
    currency = text.strip().upper()
    if currency not in CURRENCIES:
        raise _wrong("currency", "This is no currency code, such as USD.")
    return currency


def _checked_country(text: str) -> str:
    country = text.strip().upper()
    if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
        raise _wrong("country_code", "This is no country code of two letters, such as US.")
    return country


def _wrong(field: str, text: str) -> ValidationFailed:
    return ValidationFailed.for_fields({field: [text]})


# What a client calls it → the column, and how a value of it is checked.
CHANGEABLE: dict[str, tuple[str, Any]] = {
    "shop_name": ("name", checked_name),
    "location": ("location", lambda text: _checked("location", text, LOCATION_CHARACTERS)),
    "category": ("category", lambda text: _checked("category", text, LABEL_CHARACTERS)),
    "subscription_plan": ("subscription_plan", _checked_plan),
    "currency": ("currency", _checked_currency),
    "country_code": ("country_code", _checked_country),
    "region": ("region", lambda text: _checked("region", text, LABEL_CHARACTERS, least=0)),
}
