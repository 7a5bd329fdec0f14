"""What can be chosen of a product, and the skus that follow from it. Pure: no database."""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from marketplace.core.errors import ValidationFailed
from shops.models import sort_key

VARIANCES = 5
OPTIONS = 50
SKUS = 200
OPTION_CHARACTERS = 60


def checked_variances(variances: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`[{name, options[]}]` as it is kept: blanks joined, nothing twice.

    Raises ValidationFailed under `variances.<n>…`.
    """
    if len(variances) > VARIANCES:
        raise _wrong("variances", f"A product has at most {VARIANCES} of these.")
    kept: list[dict[str, Any]] = []
    for place, variance in enumerate(variances):
        name = _text(variance.get("name"), f"variances.{place}.name")
        if any(sort_key(name) == sort_key(one["name"]) for one in kept):
            raise _wrong(f"variances.{place}.name", "This name is there already.")
        kept.append({"name": name, "options": _options(variance.get("options"), place)})
    count = 1
    for one in kept:
        count *= len(one["options"])
    if count > SKUS:
        raise _wrong("variances", f"These are {count} choices; a product has at most {SKUS}.")
    return kept


def _options(options: Any, place: int) -> list[str]:
    where = f"variances.{place}.options"
    if not isinstance(options, list | tuple) or not 1 <= len(options) <= OPTIONS:
        raise _wrong(where, f"Name 1 to {OPTIONS} options.")
    kept: list[str] = []
    for number, option in enumerate(options):
        text = _text(option, f"{where}.{number}")
        if any(sort_key(text) == sort_key(one) for one in kept):
            raise _wrong(f"{where}.{number}", "This option is there already.")
        kept.append(text)
    return kept


def _text(value: Any, where: str) -> str:
    text = " ".join(str(value).split()) if isinstance(value, str | int) else ""
    if not 1 <= len(text) <= OPTION_CHARACTERS:
        raise _wrong(where, f"This has 1 to {OPTION_CHARACTERS} characters.")
    return text


def sku_plans(
    variances: Sequence[Mapping[str, Any]],
    asked: Sequence[Mapping[str, Any]] = (),
    *,
    stock_quantity: int = 0,
) -> list[dict[str, Any]]:
    """Number, options, key, price and stock of every sku that a new product gets.

    Raises ValidationFailed under `skus.<n>.options`.
    """
    if asked:
        return _asked_for(variances, asked)
    if not variances:
        return [_plan(0, {}, stock=stock_quantity)]
    names = [variance["name"] for variance in variances]
    choices = list(itertools.product(*(variance["options"] for variance in variances)))
    share, rest = divmod(stock_quantity, len(choices))
    return [
        _plan(
            place + 1,
            dict(zip(names, choice, strict=True)),
            stock=share + (1 if place < rest else 0),
        )
        for place, choice in enumerate(choices)
    ]


def _asked_for(
    variances: Sequence[Mapping[str, Any]], asked: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    if not variances and len(asked) > 1:
        raise _wrong("skus", "A product without options has one sku.")
    plans: list[dict[str, Any]] = []
    for place, one in enumerate(asked):
        options = chosen(variances, one.get("options") or {}, where=f"skus.{place}.options")
        plan = _plan(
            place + 1 if variances else 0,
            options,
            stock=one.get("stock_quantity") or 0,
            price=one.get("price"),
        )
        if any(plan["options_key"] == other["options_key"] for other in plans):
            raise _wrong(f"skus.{place}.options", "This choice is there already.")
        plans.append(plan)
    return plans


def chosen(
    variances: Sequence[Mapping[str, Any]],
    options: Mapping[str, Any],
    *,
    where: str,
    may_be_new: bool = False,
) -> dict[str, str]:
    """The choice `{name: option}` in the product's own spelling, names and options without case.

    may_be_new: an option that the product does not know yet is taken as it is.
    Raises ValidationFailed under `where`.
    """
    given = {sort_key(str(name).strip()): option for name, option in options.items()}
    found: dict[str, str] = {}
    for variance in variances:
        wanted = given.pop(sort_key(variance["name"]), None)
        if wanted is None:
            raise _wrong(where, f"Choose one of {variance['name']}.")
        text = _text(wanted, where)
        known = next((one for one in variance["options"] if sort_key(one) == sort_key(text)), None)
        if known is None and not may_be_new:
            raise _wrong(where, f"{variance['name']} has no option {text}.")
        found[variance["name"]] = known or text
    if given:
        raise _wrong(where, "The product has no such option: " + ", ".join(sorted(given)) + ".")
    return found


def options_key(options: Mapping[str, str]) -> str:
    """The same for the same choice, however it is spelled; empty for none."""
    if not options:
        return ""
    plain = sorted((sort_key(name), sort_key(option)) for name, option in options.items())
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


def _plan(number: int, options: dict[str, str], *, stock: int, price: Any = None) -> dict[str, Any]:
    return {
        "number": number,
        "options": options,
        "options_key": options_key(options),
        "price": price,
        "available": stock,
    }


def _wrong(where: str, text: str) -> ValidationFailed:
    return ValidationFailed.for_fields({where: [text]})
