"""What the log and every wire say of orders: canonical shapes, JSON types only."""

from collections.abc import Callable, Collection
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from marketplace.core.clock import wire_time
from marketplace.core.money import money_text
from marketplace.events.models import Event
from orders.models import Order, OrderLine, Payment, Refund
from orders.pricing import Totals

TRACKING_DIGITS = 12
# How an amount of a currency is written.
WriteAmount = Callable[[Decimal, str], Any]


def order_payload(
    order: Order, *, shop_ids: Collection[UUID] | None = None, write: WriteAmount = money_text
) -> dict[str, Any]:
    """Order. shop_ids: only the lines and parts of these shops, for people who work there.

    write: for systems that know another form of an amount.
    """
    lines, parts = order.all_lines, order.all_shop_orders
    if shop_ids is not None:
        lines = [line for line in lines if line.shop_id in shop_ids]
        parts = [part for part in parts if part.shop_id in shop_ids]
    return {
        "id": str(order.id),
        "number": order.number,
        "user_id": order.user.public_id,
        "custom": order.custom,
        "status": order.status,
        "payment_status": order.payment_status,
        "payment_method": order.payment_method or None,
        "payment_flow": order.payment_flow,
        "fulfilment": order.fulfilment or None,
        "lines": [line_payload(line, currency=order.currency, write=write) for line in lines],
        "shop_orders": [
            {
                "shop_id": str(part.shop_id),
                "status": part.status,
                "total": write(part.total, order.currency),
            }
            for part in parts
        ],
        "totals": totals_payload(totals_of(order), write=write),
        "currency": order.currency,
        "coupon_code": order.coupon_code or None,
        "shipping_address": order.shipping_address,
        "delivery_id": None if order.delivery_id is None else str(order.delivery_id),
        "tracking_number": tracking_number(order.delivery_id),
        "created_at": wire_time(order.created_at),
        "updated_at": wire_time(order.updated_at),
    }


def line_payload(line: OrderLine, *, currency: str, write: WriteAmount) -> dict[str, Any]:
    """OrderLine."""
    return {
        "id": str(line.id),
        "product_id": None if line.product_id is None else str(line.product_id),
        "sku_id": None if line.sku_id is None else str(line.sku_id),
        "shop_id": None if line.shop_id is None else str(line.shop_id),
        "title": line.title,
        "quantity": line.quantity,
        "unit_price": write(line.unit_price, currency),
        "line_total": write(line.line_total, currency),
        "discount": write(line.discount, currency),
        "tax": write(line.tax, currency),
        "tax_rate": rate_text(line.tax_rate),
        "custom": line.custom,
        "returned_quantity": line.returned_quantity,
        "created_at": wire_time(line.created_at),
        "updated_at": wire_time(line.updated_at),
    }


@lru_cache
def rate_text(rate: Decimal) -> str:
    """A rate without trailing zeros: `"0.08"`."""
    return f"{rate.normalize():f}"


def totals_of(order: Order) -> Totals:
    """What the order was charged."""
    return Totals(
        subtotal=order.subtotal,
        coupon_discount=order.coupon_discount,
        points_discount=order.points_discount,
        loyalty_discount=order.loyalty_discount,
        tax=order.tax,
        tax_included=order.tax_included,
        shipping_tax=order.shipping_tax,
        shipping=order.shipping,
        total=order.total,
        currency=order.currency,
        item_count=order.item_count,
    )


def totals_payload(totals: Totals, *, write: WriteAmount) -> dict[str, Any]:
    """Totals."""
    amounts = (
        "subtotal", "coupon_discount", "points_discount", "discount", "loyalty_discount", "tax",
        "tax_included", "shipping", "total",
    )  # fmt: skip
    return {
        **{name: write(getattr(totals, name), totals.currency) for name in amounts},
        "currency": totals.currency,
        "item_count": totals.item_count,
    }


def tracking_number(delivery_id: UUID | None) -> str | None:
    """The number that people are told; it opens nothing."""
    return None if delivery_id is None else f"TRK-{delivery_id.hex[-TRACKING_DIGITS:].upper()}"


def payment_payload(payment: Payment) -> dict[str, Any]:
    """Payment."""
    return {
        "id": str(payment.id),
        "order_id": str(payment.order_id),
        "gateway": payment.gateway,
        "method": payment.method,
        "amount": money_text(payment.amount, payment.currency),
        "currency": payment.currency,
        "status": payment.status,
        "decline_code": payment.decline_code or None,
        "payment_url": None,
        "client_secret": None,
        "refunded_amount": money_text(payment.refunded_amount, payment.currency),
        "created_at": wire_time(payment.created_at),
        "updated_at": wire_time(payment.updated_at),
    }


def created_event(order: Order) -> dict[str, Any]:
    """`order.created`."""
    return {
        "order_id": str(order.id),
        "user_id": order.user.public_id,
        "status": order.status,
        "total": money_text(order.total, order.currency),
        "currency": order.currency,
        "created_at": wire_time(order.created_at),
    }


def status_event(order: Order, *, previous: str, reason: str | None) -> dict[str, Any]:
    """`order.status_changed`; the order stands at its new status already."""
    return {
        "order_id": str(order.id),
        "user_id": order.user.public_id,
        "status": order.status,
        "previous_status": previous,
        "updated_at": wire_time(order.updated_at),
        "reason": reason,
    }


def payment_event(payment: Payment) -> dict[str, Any]:
    """`payment.succeeded`."""
    return {
        "order_id": str(payment.order_id),
        "amount": money_text(payment.amount, payment.currency),
        "currency": payment.currency,
        "payment_id": str(payment.id),
    }


def refund_payload(refund: Refund) -> dict[str, Any]:
    """Refund, also as `payment.refunded` tells it."""
    return {
        "id": str(refund.id),
        "payment_id": str(refund.payment_id),
        "order_id": str(refund.order_id),
        "amount": money_text(refund.amount, refund.currency),
        "currency": refund.currency,
        "status": refund.status,
        "reason": refund.reason or None,
        "lines": refund.lines,
        "created_at": wire_time(refund.created_at),
        "updated_at": wire_time(refund.updated_at),
    }


def timeline_entry(event: Event) -> dict[str, Any]:
    """One step of an order's history: what, when, by whom (null = by the clock)."""
    return {
        "event_id": str(event.event_id),
        "event_seq": event.seq,
        "event": event.name,
        "actor_id": event.actor_id,
        "created_at": wire_time(event.created_at),
        "payload": event.payload,
    }
