"""The rows of an order, made of its draft; nothing is stored here."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from accounts.models import User
from marketplace.core.rows import new_row
from orders.models import Order, OrderLine, ShopOrder
from orders.services.drafting import Draft
from orders.wanted import NewOrder

USER = Order._meta.get_field("user")


def make_order(
    *, actor: User, wanted: NewOrder, key: str | None, draft: Draft, at: datetime
) -> Order:
    """The order of this draft with its lines and parts, still without a number."""
    totals = draft.totals
    order = new_row(
        Order,
        number=0,
        user_id=actor.pk,
        key=key,
        payment_flow=wanted.payment_flow,
        fulfilment=wanted.fulfilment,
        currency=totals.currency,
        subtotal=totals.subtotal,
        coupon_discount=totals.coupon_discount,
        points_discount=totals.points_discount,
        loyalty_discount=totals.loyalty_discount,
        tax=totals.tax,
        tax_included=totals.tax_included,
        shipping_tax=totals.shipping_tax,
        shipping=totals.shipping,
        total=totals.total,
        item_count=totals.item_count,
        shipping_address=None if wanted.address is None else wanted.address.as_kept(),
        created_at=at,
        updated_at=at,
    )
    # As an assignment would, but for its looks at databases.
    USER.set_cached_value(order, actor)
    order.all_lines = _lines(order, draft)
    order.all_shop_orders = _parts(order, draft)
    return order


def _lines(order: Order, draft: Draft) -> list[OrderLine]:
    return [
        new_row(
            OrderLine,
            order_id=order.id,
            shop_id=offer.shop_id,
            product_id=offer.product_id,
            sku_id=offer.sku_id,
            title=offer.title,
            code=offer.code,
            category=offer.category,
            options=offer.options,
            image_url=offer.image_url or "",
            quantity=pieces,
            unit_price=offer.price,
            line_total=line.line_total,
            discount=line.discount,
            tax=line.tax,
            tax_included=line.tax_included,
            tax_rate=line.tax_rate,
            created_at=order.created_at,
            updated_at=order.created_at,
        )
        for offer, pieces, line in zip(draft.offers, draft.pieces, draft.lines, strict=True)
    ]


def _parts(order: Order, draft: Draft) -> list[ShopOrder]:
    parts: dict[UUID, ShopOrder] = {}
    for offer, line in zip(draft.offers, draft.lines, strict=True):
        part = parts.get(offer.shop_id)
        if part is None:
            part = parts[offer.shop_id] = new_row(
                ShopOrder,
                order_id=order.id,
                shop_id=offer.shop_id,
                total=Decimal(0),
                created_at=order.created_at,
                updated_at=order.created_at,
            )
        part.total += line.charged
    return list(parts.values())
