"""What somebody wants to order, as every entrance says it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple
from uuid import UUID

from orders.enums import Fulfilment, PaymentFlow


class WantedLine(NamedTuple):
    """So many pieces of a sku, or of a product that has only one."""

    quantity: int
    product_id: UUID | None = None
    sku_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class ShippingAddress:
    """Where an order goes. country_code: ISO 3166-1 alpha-2, where it is known."""

    line1: str = ""
    line2: str | None = None
    city: str = ""
    state: str | None = None
    postal_code: str = ""
    country: str = ""
    country_code: str | None = None
    name: str | None = None
    phone_number: str | None = None
    latitude: float | None = None
    longitude: float | None = None

    def as_kept(self) -> dict[str, Any]:
        """What the order keeps of it; an empty text is null where it may be."""
        kept = asdict(self)
        optional = ("line2", "state", "country_code", "name", "phone_number")
        return kept | {name: kept[name] or None for name in optional}


@dataclass(frozen=True, slots=True)
class NewOrder:
    """A wish to order.

    payment_flow: `regular` or `on_delivery`. address: else the one of `address_id`, else the
    buyer's default one. payment_method: only `cash`, on delivery. cart_id, coupon_code: there are
    none yet, so naming one is refused and never passed over.
    """

    lines: Sequence[WantedLine]
    payment_flow: str = PaymentFlow.REGULAR.value
    fulfilment: str = Fulfilment.DELIVERY.value
    address: ShippingAddress | None = None
    payment_method: str | None = None
    coupon_code: str | None = None
    address_id: str | None = None
    cart_id: str | None = None
