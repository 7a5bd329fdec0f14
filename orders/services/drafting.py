"""From a wish to an order that could be placed: which skus, at what price, whether they are there.

Nothing is written here. What is there may be gone a moment later: the stock's own update decides.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

import orjson
from django.conf import settings

from accounts.errors import AddressNotFound
from accounts.models import Address, User
from accounts.selectors import default_address, find_address
from accounts.services.addresses import country_code_of
from marketplace.core.errors import ValidationFailed
from marketplace.core.questions import Question
from orders.enums import Fulfilment, PaymentFlow
from orders.errors import CartEmpty, CouponInvalid, UnsupportedPaymentFlow
from orders.pricing import PricedLine, Totals, price, terms_in_force
from orders.wanted import NewOrder, ShippingAddress, WantedLine
from shops.errors import OutOfStock, ProductNotFound, SkuNotFound
from shops.selectors import Offer, which_offers
from shops.services.inventory import StockLine

LINES = 100
QUANTITY = 1_000
# What a column of sums keeps exactly on every database.
LARGEST_TOTAL = Decimal(10) ** 12
CASH = "cash"
FULFILMENTS = frozenset(Fulfilment.values)
FLOWS = {
    PaymentFlow.REGULAR.value: PaymentFlow.REGULAR,
    # What Order System's clients call it.
    "frontend": PaymentFlow.REGULAR,
    PaymentFlow.ON_DELIVERY.value: PaymentFlow.ON_DELIVERY,
}


@dataclass(frozen=True, slots=True)
class Draft:
    """An order that could be placed: offers with their pieces, priced."""

    offers: list[Offer]
    pieces: list[int]
    totals: Totals
    lines: list[PricedLine]

    @property
    def stock_lines(self) -> list[StockLine]:
        """What it takes of the stock."""
        return [
            StockLine(offer.sku_id, pieces)
            for offer, pieces in zip(self.offers, self.pieces, strict=True)
        ]


def checked(*, actor: User, wanted: NewOrder) -> NewOrder:
    """The wish with everything that can be said of it without looking at a product.

    Raises ValidationFailed, CartEmpty, UnsupportedPaymentFlow, CouponInvalid, AddressNotFound.
    """
    if wanted.cart_id is not None:
        raise CartEmpty
    if not wanted.lines:
        raise _wrong("items", "Name what is ordered.")
    if len(wanted.lines) > LINES:
        raise _wrong("items", f"An order has at most {LINES} lines.")
    for place, line in enumerate(wanted.lines):
        if not 1 <= line.quantity <= QUANTITY:
            raise _wrong(f"items.{place}.quantity", f"This is a number from 1 to {QUANTITY}.")
        if line.product_id is None and line.sku_id is None:
            raise _wrong(f"items.{place}.product_id", "Name a product or a sku.")
    if wanted.fulfilment not in FULFILMENTS:
        raise _wrong("fulfilment", "This is delivery or pickup.")
    flow = _checked_flow(wanted)
    if wanted.coupon_code:
        raise CouponInvalid(reason="unknown")
    address = None if wanted.fulfilment == Fulfilment.PICKUP else _address(actor, wanted)
    if flow == wanted.payment_flow and address == wanted.address:
        return wanted
    return replace(wanted, payment_flow=flow, address=address)


def _checked_flow(wanted: NewOrder) -> PaymentFlow:
    flow = FLOWS.get(wanted.payment_flow.strip().lower())
    if flow is None:
        raise UnsupportedPaymentFlow
    on_delivery = flow == PaymentFlow.ON_DELIVERY
    if on_delivery and not settings.ALLOW_PAY_ON_DELIVERY:
        raise UnsupportedPaymentFlow("Orders are not paid on delivery here.")
    method = wanted.payment_method
    if method and not (on_delivery and method.strip().lower() == CASH):
        raise UnsupportedPaymentFlow(
            "Orders take no payment yet. Leave it out, and choose `payment_flow` `on_delivery` to "
            "pay in cash."
        )
    return flow


def _address(actor: User, wanted: NewOrder) -> ShippingAddress | None:
    """Where it goes. Raises AddressNotFound for an id that is not the buyer's, ValidationFailed."""
    if wanted.address is not None:
        given = wanted.address
        return replace(given, country_code=country_code_of(given.country, given.country_code))
    if wanted.address_id is not None:
        found = find_address(user=actor, key=wanted.address_id)
        if found is None:
            raise AddressNotFound
        return _copied(found)
    found = None if actor.default_address_id is None else default_address(user=actor)
    return None if found is None else _copied(found)


def _copied(address: Address) -> ShippingAddress:
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


def digest_of(*, actor_id: str, wanted: NewOrder, key: str) -> str:
    """One text for who (`public_id`) wants what under which key: the same wish has the same."""
    # Lines are tuples with names, which this writer does not know as tuples.
    return hashlib.sha256(orjson.dumps((actor_id, key, wanted), default=tuple)).hexdigest()


def which_offers_of(lines: Iterable[WantedLine]) -> Question[list[Offer]]:
    """What is offered now of everything that these lines name."""
    wanted = list(lines)
    return which_offers(
        sku_ids={line.sku_id for line in wanted if line.sku_id is not None},
        product_ids={
            line.product_id
            for line in wanted
            if line.sku_id is None and line.product_id is not None
        },
    )


class Catalogue:
    """What was offered when it was read; what one draft takes is gone for the next.

    offers: answer `which_offers_of` all lines that will be drafted.
    """

    def __init__(self, offers: Iterable[Offer]) -> None:
        self._by_sku: dict[UUID, Offer] = {}
        self._by_product: dict[UUID, list[Offer]] = {}
        for offer in offers:
            self._by_sku[offer.sku_id] = offer
            self._by_product.setdefault(offer.product_id, []).append(offer)
        self._terms = terms_in_force()
        self._left = {sku_id: offer.available for sku_id, offer in self._by_sku.items()}

    def draft(self, wanted: NewOrder) -> Draft:
        """The order that this wish makes. Lines of one sku are one line.

        Raises ProductNotFound, SkuNotFound, ValidationFailed, OutOfStock with `items`.
        """
        pieces: dict[UUID, int] = {}
        for place, line in enumerate(wanted.lines):
            offer = self._offer(line, where=f"items.{place}")
            pieces[offer.sku_id] = together = pieces.get(offer.sku_id, 0) + line.quantity
            if together > QUANTITY:
                raise _wrong(f"items.{place}.quantity", f"At most {QUANTITY} pieces of one sku.")
        offers = [self._by_sku[sku_id] for sku_id in pieces]
        currency = _one_currency(offers)
        self._take(pieces)
        totals, lines = price(
            [(offer.price, count) for offer, count in zip(offers, pieces.values(), strict=True)],
            currency=currency,
            terms=self._terms,
            ships=wanted.fulfilment != Fulfilment.PICKUP,
        )
        if max(totals.subtotal, totals.total) >= LARGEST_TOTAL:
            raise _wrong("items", "This is more than one order can hold.")
        return Draft(offers, list(pieces.values()), totals, lines)

    def _offer(self, line: WantedLine, *, where: str) -> Offer:
        if line.sku_id is not None:
            offer = self._by_sku.get(line.sku_id)
            if offer is None:
                raise SkuNotFound
            if line.product_id not in (None, offer.product_id):
                raise _wrong(f"{where}.sku_id", "This sku is of another product.")
            return offer
        offers = [] if line.product_id is None else self._by_product.get(line.product_id, [])
        if not offers:
            raise ProductNotFound
        if len(offers) > 1:
            raise _wrong(f"{where}.sku_id", "This product has options: name the sku.")
        return offers[0]

    def _take(self, pieces: dict[UUID, int]) -> None:
        short = [sku_id for sku_id, wanted in pieces.items() if self._left[sku_id] < wanted]
        if short:
            raise OutOfStock(
                items=[
                    {
                        "sku_id": str(sku_id),
                        "product_id": str(self._by_sku[sku_id].product_id),
                        "requested": pieces[sku_id],
                        "available": self._left[sku_id],
                    }
                    for sku_id in sorted(short)
                ]
            )
        for sku_id, wanted in pieces.items():
            self._left[sku_id] -= wanted


def _one_currency(offers: Sequence[Offer]) -> str:
    currencies: Collection[str] = {offer.currency for offer in offers}
    if len(currencies) > 1:
        raise _wrong("items", "An order has one currency; order these one by one.")
    return offers[0].currency


def _wrong(name: str, text: str) -> ValidationFailed:
    return ValidationFailed.for_fields({name: [text]})
