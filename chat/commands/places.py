"""Where something shall go, as people write it."""

import math
import re
from typing import Any

from accounts.models import Address
from delivery.models import TEXT_CHARACTERS
from delivery.services.creating import Destination
from orders.wanted import ShippingAddress

ADDRESS_CHARACTERS = 200
_COORDINATES = re.compile(r"(-?[0-9]{1,3}(?:\.[0-9]+)?)\s*[,;]\s*(-?[0-9]{1,3}(?:\.[0-9]+)?)")


def read_place(text: str) -> ShippingAddress | None:
    """An address in words, or coordinates such as `40.7128, -74.0060`."""
    found = _COORDINATES.fullmatch(text)
    if found:
        return place_at(found[1], found[2])
    line = " ".join(text.split())
    return ShippingAddress(line1=line) if 1 <= len(line) <= ADDRESS_CHARACTERS else None


def place_at(latitude: Any, longitude: Any) -> ShippingAddress | None:
    """The place at these degrees, numbers or their texts; None where there is none such."""
    if isinstance(latitude, bool) or isinstance(longitude, bool):
        return None
    try:
        north, east = float(latitude), float(longitude)
    except (TypeError, ValueError):
        return None
    if not (math.isfinite(north) and math.isfinite(east)):
        return None
    if abs(north) > 90 or abs(east) > 180:
        return None
    return ShippingAddress(line1=f"{north:.6f}, {east:.6f}", latitude=north, longitude=east)


def place_of(address: Address) -> ShippingAddress:
    """A saved address."""
    return ShippingAddress(
        line1=address.line1,
        line2=address.line2 or None,
        city=address.city,
        state=address.state or None,
        postal_code=address.postal_code,
        country=address.country,
        country_code=address.country_code or None,
        name=address.name or None,
        phone_number=address.phone_number or None,
        latitude=address.latitude,
        longitude=address.longitude,
    )


def destination_of(place: ShippingAddress) -> Destination:
    """The same for a delivery: a point, where there is one, and the lines in one text."""
    town = f"{place.postal_code} {place.city}".strip()
    lines = [place.line1, place.line2, town, place.state, place.country]
    text = ", ".join(line for line in lines if line)[:TEXT_CHARACTERS]
    return Destination(latitude=place.latitude, longitude=place.longitude, text=text)
