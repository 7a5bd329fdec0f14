"""What an order costs. Pure: amounts and terms in, amounts out, exact to the minor unit.

Discounts, tax and shipping are computed on sums and spread over the lines by largest remainder, so
that the lines add up to the order, to the cent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from django.conf import settings

from marketplace.core.money import minor_unit

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Terms:
    """Rates in force. shipping_flat, shipping_free_over: in `currency`; None = never free."""

    tax_rate: Decimal
    tax_inclusive: bool
    tax_shipping: bool
    shipping_flat: Decimal
    shipping_free_over: Decimal | None
    currency: str


def terms_in_force() -> Terms:
    """The terms of the settings."""
    return Terms(
        tax_rate=settings.TAX_RATE,
        tax_inclusive=settings.TAX_INCLUSIVE,
        tax_shipping=settings.TAX_SHIPPING,
        shipping_flat=settings.SHIPPING_FLAT,
        shipping_free_over=settings.SHIPPING_FREE_OVER,
        currency=settings.DEFAULT_CURRENCY,
    )


class PricedLine(NamedTuple):
    """What one line comes to; discount, tax and tax_included are its shares."""

    line_total: Decimal
    discount: Decimal
    tax: Decimal
    tax_included: Decimal
    tax_rate: Decimal

    @property
    def charged(self) -> Decimal:
        """What the buyer pays for this line."""
        return self.line_total - self.discount + self.tax


class Totals(NamedTuple):
    """subtotal - discount - loyalty_discount + tax + shipping = total."""

    subtotal: Decimal
    coupon_discount: Decimal
    points_discount: Decimal
    loyalty_discount: Decimal
    tax: Decimal
    tax_included: Decimal
    shipping_tax: Decimal
    shipping: Decimal
    total: Decimal
    currency: str
    item_count: int

    @property
    def discount(self) -> Decimal:
        """What coupon and points take off."""
        return self.coupon_discount + self.points_discount


def price(
    amounts: Sequence[tuple[Decimal, int]],
    *,
    currency: str,
    terms: Terms,
    ships: bool,
    loyalty_percentage: Decimal = ZERO,
) -> tuple[Totals, list[PricedLine]]:
    """The order of these (unit price, pieces), and its lines in their order.

    ships: whether the goods are sent; what is picked up costs no shipping. loyalty_percentage: of
    the subtotal, 0 to 100.
    """
    line_totals = [unit * pieces for unit, pieces in amounts]
    subtotal = sum(line_totals, ZERO)
    loyalty = rounded(subtotal * loyalty_percentage / 100, currency)
    discounts = spread(loyalty, line_totals, currency=currency)
    bases = [total - off for total, off in zip(line_totals, discounts, strict=True)]
    shipping = shipping_of(subtotal, currency=currency, terms=terms) if ships else ZERO
    goods_tax = tax_of(sum(bases, ZERO), currency=currency, terms=terms)
    shipping_tax = tax_of(shipping, currency=currency, terms=terms) if terms.tax_shipping else ZERO
    shares = spread(goods_tax, bases, currency=currency)
    all_tax = goods_tax + shipping_tax
    tax, tax_included = (ZERO, all_tax) if terms.tax_inclusive else (all_tax, ZERO)
    lines = [
        PricedLine(
            line_total=total,
            discount=off,
            tax=ZERO if terms.tax_inclusive else share,
            tax_included=share if terms.tax_inclusive else ZERO,
            tax_rate=terms.tax_rate,
        )
        for total, off, share in zip(line_totals, discounts, shares, strict=True)
    ]
    totals = Totals(
        subtotal=subtotal,
        coupon_discount=ZERO,
        points_discount=ZERO,
        loyalty_discount=loyalty,
        tax=tax,
        tax_included=tax_included,
        shipping_tax=shipping_tax,
        shipping=shipping,
        total=subtotal - loyalty + tax + shipping,
        currency=currency,
        item_count=sum(pieces for _, pieces in amounts),
    )
    return totals, lines


def tax_of(base: Decimal, *, currency: str, terms: Terms) -> Decimal:
    """The tax on this sum: beside it, or inside it where prices contain it."""
    rate = terms.tax_rate
    return rounded(base * rate / (1 + rate) if terms.tax_inclusive else base * rate, currency)


def shipping_of(goods: Decimal, *, currency: str, terms: Terms) -> Decimal:
    """What sending goods of this worth, before discounts, costs.

    Nothing above `shipping_free_over`, and nothing in another currency than that of the terms.
    """
    if currency != terms.currency:
        return ZERO
    if terms.shipping_free_over is not None and goods > terms.shipping_free_over:
        return ZERO
    return rounded(terms.shipping_flat, currency)


def rounded(amount: Decimal, currency: str) -> Decimal:
    """The amount in whole minor units, half up."""
    return amount.quantize(minor_unit(currency), ROUND_HALF_UP)


def spread(amount: Decimal, weights: Sequence[Decimal], *, currency: str) -> list[Decimal]:
    """The amount shared out by these weights, in whole minor units, by largest remainder.

    The shares add up to it exactly; of equal remainders the earlier one gets the unit. Without any
    weight the first one gets all.
    """
    if not weights:
        return []
    unit = minor_unit(currency)
    if not amount:
        return [0 * unit] * len(weights)
    units = int(amount / unit)
    whole = sum(weights, ZERO)
    if not whole:
        return [units * unit, *[ZERO] * (len(weights) - 1)]
    exact = [units * weight / whole for weight in weights]
    shares = [int(one) for one in exact]
    by_remainder = sorted(
        range(len(weights)), key=lambda place: (shares[place] - exact[place], place)
    )
    for place in by_remainder[: units - sum(shares)]:
        shares[place] += 1
    return [share * unit for share in shares]
