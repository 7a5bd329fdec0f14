"""The address book of a user. One address is his default as long as he has any."""

from typing import Any
from uuid import UUID

import pycountry

from accounts import selectors
from accounts.errors import AddressNotFound, TooManyAddresses
from accounts.models import Address, User
from marketplace.core.clock import now
from marketplace.core.db import transactional
from marketplace.core.errors import ValidationFailed

MAX_ADDRESSES = 50
WRITABLE = frozenset(
    {
        "label", "name", "line1", "line2", "city", "state", "postal_code", "country",
        "country_code", "phone_number", "latitude", "longitude",
    }
)  # fmt: skip


@transactional
def add_address(*, actor: User, fields: dict[str, Any]) -> Address:
    """A new address; the first one, or one with `is_default`, becomes the default.

    fields: those of Address, and `is_default`. Raises TooManyAddresses, ValidationFailed.
    """
    if selectors.addresses_of(actor).count() >= MAX_ADDRESSES:
        raise TooManyAddresses(limit=MAX_ADDRESSES)
    values = _complete({name: fields[name] for name in WRITABLE if fields.get(name) is not None})
    address = Address.objects.create(user=actor, **values)
    if fields.get("is_default"):
        _choose(actor, address.id)
    else:
        _choose_instead_of(actor, None, address.id)
    return address


@transactional
def change_address(*, actor: User, key: str, changes: dict[str, Any]) -> Address:
    """The address with these changes; what is not named stays, None clears.

    `is_default: False` changes nothing: another address becomes the default by being chosen.
    Raises AddressNotFound, ValidationFailed.
    """
    address = _own(actor, key)
    named = {name: changes[name] for name in WRITABLE if name in changes}
    if "country" in named and "country_code" not in named:
        named["country_code"] = None
    if named:
        kept = {name: getattr(address, name) for name in WRITABLE}
        for name, value in _complete({**kept, **named}).items():
            setattr(address, name, value)
        address.updated_at = now()
        address.save()
    if changes.get("is_default"):
        _choose(actor, address.id)
    return address


@transactional
def remove_address(*, actor: User, key: str) -> None:
    """The address is gone; if it was the default, the newest of the others takes its place.

    Raises AddressNotFound.
    """
    address = _own(actor, key)
    selectors.addresses_of(actor).filter(id=address.id).delete()
    newest = selectors.addresses_of(actor).order_by("-id").first()
    _choose_instead_of(actor, address.id, newest.id if newest else None)


def _own(actor: User, key: str) -> Address:
    address = selectors.find_address(user=actor, key=key)
    if address is None:
        raise AddressNotFound
    return address


def _choose(actor: User, chosen: UUID | None) -> None:
    """Make this the default."""
    User.objects.filter(pk=actor.pk).update(default_address_id=chosen)
    actor.default_address_id = chosen


def _choose_instead_of(actor: User, former: UUID | None, chosen: UUID | None) -> None:
    """Make this the default if `former` is it so far; None = if there is none."""
    found = {"default_address_id": former} if former else {"default_address_id__isnull": True}
    if User.objects.filter(pk=actor.pk, **found).update(default_address_id=chosen):
        actor.default_address_id = chosen


def _complete(values: dict[str, Any]) -> dict[str, Any]:
    """The values as they are stored: country and its code agree, a place has both coordinates."""
    if (values.get("latitude") is None) != (values.get("longitude") is None):
        missing = "longitude" if values.get("longitude") is None else "latitude"
        raise ValidationFailed.for_fields({missing: ["Give both coordinates, or none."]})
    values["country_code"] = country_code_of(values["country"], values.get("country_code"))
    coordinates = {name: values.get(name) for name in ("latitude", "longitude")}
    return {**{name: value or "" for name, value in values.items()}, **coordinates}


def country_code_of(country: str, code: str | None = None) -> str:
    """ISO 3166-1 alpha-2 by the code, else by the name; "" for a country that is not known.

    Raises ValidationFailed under `country_code` for a code that is none.
    """
    try:
        return str(pycountry.countries.lookup(code or country).alpha_2)
    except LookupError:
        if code:
            raise ValidationFailed.for_fields(
                {"country_code": ["Use the two letters of ISO 3166-1, such as US."]}
            ) from None
        return ""
