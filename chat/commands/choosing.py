"""Lists of which a person chooses, and how his choice is read."""

import re
from collections.abc import Iterable, Sequence

from shops.models import Shop, sort_key

LISTED = 20
"""So many are shown; whoever has more names the one he means."""

_NUMBER = re.compile(r"#?\s*([0-9]{1,18})")


def numbered(lines: Iterable[str]) -> str:
    """`1. …`, one line each."""
    return "\n".join(f"{place}. {line}" for place, line in enumerate(lines, start=1))


def read_number(text: str) -> int | None:
    """A number with or without `#`, or None for any other text."""
    found = _NUMBER.fullmatch(text.strip())
    return int(found[1]) if found else None


def is_same(text: str, name: str) -> bool:
    """Whether two names are the same without case and without the blanks around and between."""
    return sort_key(" ".join(text.split())) == sort_key(" ".join(name.split()))


def listed_shops(shops: Sequence[Shop]) -> str:
    """The numbered list of somebody's shops."""
    return numbered(f"{shop.name} ({shop.handle})" for shop in shops[:LISTED])


def choose_shop(shops: Sequence[Shop], text: str) -> Shop | None:
    """The shop of this name, `shop_<number>`, number, or place in the list."""
    for shop in shops:
        if is_same(text, shop.name) or is_same(text, shop.handle):
            return shop
    number = read_number(text)
    for shop in shops:
        if shop.number == number:
            return shop
    if number is not None and 1 <= number <= min(len(shops), LISTED):
        return shops[number - 1]
    return None
