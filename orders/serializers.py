"""What comes in and goes out of orders, for REST and sockets."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from marketplace.core.inputs import AnyCaseChoiceField, IdField, InputSerializer
from marketplace.core.serializers import page_output
from orders.enums import (
    Fulfilment,
    Gateway,
    OrderStatus,
    PaymentFlow,
    PaymentState,
    PaymentStatus,
)
from orders.services.drafting import LINES, QUANTITY
from orders.services.moves import REASON_CHARACTERS
from orders.wanted import NewOrder, ShippingAddress, WantedLine

# What a client may name to pay at once; none of it is taken yet, and none of it is passed over.
PAYMENT_FIELDS = ("payment_method", "payment_method_id", "payment", "capture")


def text_field(most: int, **options: Any) -> serializers.CharField:
    """A text that may be left out."""
    return serializers.CharField(
        required=False, allow_null=True, allow_blank=True, max_length=most, **options
    )


class OrderItemInput(InputSerializer):
    """So many pieces of a sku, or of a product that has only one. A price is never read."""

    product_id = IdField(required=False, allow_null=True)
    sku_id = IdField(required=False, allow_null=True)
    quantity = serializers.IntegerField(min_value=1, max_value=QUANTITY)


class ShippingAddressInput(InputSerializer):
    """Where it goes."""

    aliases = {
        "line1": ("street",),
        "postal_code": ("zip_code", "zip"),
        "phone_number": ("phone",),
    }

    name = text_field(150)
    line1 = serializers.CharField(max_length=200)
    line2 = text_field(200)
    city = serializers.CharField(max_length=100)
    state = text_field(100)
    postal_code = serializers.CharField(max_length=20)
    country = serializers.CharField(max_length=100)
    country_code = text_field(2)
    phone_number = text_field(32)
    latitude = serializers.FloatField(required=False, allow_null=True, min_value=-90, max_value=90)
    longitude = serializers.FloatField(
        required=False, allow_null=True, min_value=-180, max_value=180
    )


EXAMPLE_ITEMS = {
    "items": [{"product_id": "019ab0c5-0b7c-7d11-8a64-1e2f3a4b5c6d", "quantity": 2}],
    "payment_flow": "on_delivery",
}


@extend_schema_serializer(examples=[OpenApiExample("Two lamps, cash at the door", EXAMPLE_ITEMS)])
class CreateOrderInput(InputSerializer):
    """What is ordered, and where it goes. Prices and totals are the server's."""

    aliases = {
        "items": ("lines",),
        "address_id": ("delivery_address_id", "shipping_address_id"),
        "shipping_address": ("address",),
    }

    items = serializers.ListField(
        child=OrderItemInput(), required=False, allow_null=True, max_length=LINES
    )
    payment_flow = text_field(32, help_text="`regular` (default) or `on_delivery`")
    fulfilment = AnyCaseChoiceField(
        choices=Fulfilment.choices, required=False, default=Fulfilment.DELIVERY.value
    )
    address_id = text_field(64, help_text="Of one's address book; default: the default address")
    shipping_address = ShippingAddressInput(required=False, allow_null=True)
    cart_id = serializers.JSONField(
        required=False, allow_null=True, help_text="No carts yet: 409 `cart_empty`"
    )
    coupon_code = text_field(64, help_text="No coupons yet: 422 `coupon_invalid`")
    payment_method = serializers.JSONField(
        required=False, allow_null=True, help_text="Only `cash`, on delivery"
    )
    payment_method_id = serializers.JSONField(required=False, allow_null=True)
    payment = serializers.JSONField(required=False, allow_null=True)
    capture = serializers.JSONField(required=False, allow_null=True)


def wanted_order(values: Mapping[str, Any]) -> NewOrder:
    """The order that a valid `CreateOrderInput` wants."""
    address = values.get("shipping_address")
    cart = values.get("cart_id")
    return NewOrder(
        lines=[WantedLine(**line) for line in values.get("items") or ()],
        payment_flow=values.get("payment_flow") or PaymentFlow.REGULAR.value,
        fulfilment=values["fulfilment"],
        address=None if address is None else ShippingAddress(**address),
        payment_method=_named_payment(values),
        coupon_code=values.get("coupon_code") or None,
        address_id=values.get("address_id") or None,
        cart_id=None if cart is None else str(cart),
    )


def _named_payment(values: Mapping[str, Any]) -> str | None:
    """How the client wants to pay, in whatever field he says it; None = he does not."""
    named = [values[name] for name in PAYMENT_FIELDS if values.get(name)]
    return str(named[0]) if named else None


@extend_schema_serializer(examples=[OpenApiExample("Cash", {"method": "cash"})])
class PayInput(InputSerializer):
    """How it was paid."""

    method = serializers.CharField(max_length=32)


class CancelInput(InputSerializer):
    """Why, for those who read it."""

    reason = text_field(REASON_CHARACTERS)


@extend_schema_serializer(examples=[OpenApiExample("On its way", {"status": "shipped"})])
class MoveInput(InputSerializer):
    """Where the order goes."""

    aliases = {"status": ("order_status",)}

    status = AnyCaseChoiceField(choices=OrderStatus.choices)


class OrderQueryInput(InputSerializer):
    """Which orders."""

    status = AnyCaseChoiceField(choices=OrderStatus.choices, required=False)


EXAMPLE_LINE = {
    "id": "019ab0c7-1c2d-7e31-9f40-5a6b7c8d9e0f",
    "product_id": "019ab0c5-0b7c-7d11-8a64-1e2f3a4b5c6d",
    "sku_id": "019ab0c5-0b7c-7d12-b0a1-2f3a4b5c6d7e",
    "shop_id": "019ab0c4-8e21-7a30-9c55-6f7a8b9c0d1e",
    "title": "Desk lamp",
    "quantity": 2,
    "unit_price": "20.00",
    "line_total": "40.00",
    "discount": "0.00",
    "tax": "3.20",
    "tax_rate": "0.08",
    "custom": False,
    "returned_quantity": 0,
    "created_at": "2026-01-10T12:00:00.000Z",
    "updated_at": "2026-01-10T12:00:00.000Z",
}
EXAMPLE_TOTALS = {
    "subtotal": "40.00",
    "coupon_discount": "0.00",
    "points_discount": "0.00",
    "discount": "0.00",
    "loyalty_discount": "0.00",
    "tax": "3.20",
    "tax_included": "0.00",
    "shipping": "5.99",
    "total": "49.19",
    "currency": "USD",
    "item_count": 2,
}
EXAMPLE_ORDER: dict[str, Any] = {
    "id": "019ab0c7-1c2d-7e30-8f31-4a5b6c7d8e9f",
    "number": 10001,
    "user_id": "019ab0c4-7d10-7cc1-8f6e-0a8d6d3e1b52",
    "custom": False,
    "status": "pending",
    "payment_status": "unpaid",
    "payment_method": None,
    "payment_flow": "on_delivery",
    "fulfilment": "delivery",
    "lines": [EXAMPLE_LINE],
    "shop_orders": [
        {
            "shop_id": "019ab0c4-8e21-7a30-9c55-6f7a8b9c0d1e",
            "status": "pending",
            "total": "43.20",
        }
    ],
    "totals": EXAMPLE_TOTALS,
    "currency": "USD",
    "coupon_code": None,
    "shipping_address": {
        "line1": "1 Market Street",
        "line2": None,
        "city": "New York",
        "state": "NY",
        "postal_code": "10001",
        "country": "United States",
        "country_code": "US",
        "name": "Asha Rao",
        "phone_number": "+15550100001",
        "latitude": None,
        "longitude": None,
    },
    "delivery_id": None,
    "tracking_number": None,
    "created_at": "2026-01-10T12:00:00.000Z",
    "updated_at": "2026-01-10T12:00:00.000Z",
}


class OrderLineOutput(serializers.Serializer[Any]):
    """So many pieces of one sku, as they were charged; `discount` and `tax` are its shares."""

    id = serializers.UUIDField()
    product_id = serializers.UUIDField(allow_null=True)
    sku_id = serializers.UUIDField(allow_null=True)
    shop_id = serializers.UUIDField(allow_null=True)
    title = serializers.CharField()
    quantity = serializers.IntegerField()
    unit_price = serializers.CharField()
    line_total = serializers.CharField()
    discount = serializers.CharField()
    tax = serializers.CharField()
    tax_rate = serializers.CharField()
    custom = serializers.BooleanField()
    returned_quantity = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class ShopOrderOutput(serializers.Serializer[Any]):
    """The part of one shop: its goods and their tax."""

    shop_id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=OrderStatus.choices)
    total = serializers.CharField()


class TotalsOutput(serializers.Serializer[Any]):
    """subtotal - discount - loyalty_discount + tax + shipping = total, to the minor unit."""

    subtotal = serializers.CharField()
    coupon_discount = serializers.CharField()
    points_discount = serializers.CharField()
    discount = serializers.CharField()
    loyalty_discount = serializers.CharField()
    tax = serializers.CharField()
    tax_included = serializers.CharField()
    shipping = serializers.CharField()
    total = serializers.CharField()
    currency = serializers.CharField()
    item_count = serializers.IntegerField()


class ShippingAddressOutput(serializers.Serializer[Any]):
    """Where it goes, as it was when it was ordered."""

    line1 = serializers.CharField(allow_blank=True)
    line2 = serializers.CharField(allow_null=True)
    city = serializers.CharField(allow_blank=True)
    state = serializers.CharField(allow_null=True)
    postal_code = serializers.CharField(allow_blank=True)
    country = serializers.CharField(allow_blank=True)
    country_code = serializers.CharField(allow_null=True)
    name = serializers.CharField(allow_null=True)
    phone_number = serializers.CharField(allow_null=True)
    latitude = serializers.FloatField(allow_null=True)
    longitude = serializers.FloatField(allow_null=True)


@extend_schema_serializer(examples=[OpenApiExample("Two lamps", EXAMPLE_ORDER)])
class OrderOutput(serializers.Serializer[Any]):
    """One order. Staff of a shop see that shop's lines and part alone."""

    id = serializers.UUIDField()
    number = serializers.IntegerField()
    user_id = serializers.CharField()
    custom = serializers.BooleanField()
    status = serializers.ChoiceField(choices=OrderStatus.choices)
    payment_status = serializers.ChoiceField(choices=PaymentStatus.choices)
    payment_method = serializers.CharField(allow_null=True)
    payment_flow = serializers.ChoiceField(choices=PaymentFlow.choices)
    fulfilment = serializers.ChoiceField(choices=Fulfilment.choices, allow_null=True)
    lines = OrderLineOutput(many=True)
    shop_orders = ShopOrderOutput(many=True)
    totals = TotalsOutput()
    currency = serializers.CharField()
    coupon_code = serializers.CharField(allow_null=True)
    shipping_address = ShippingAddressOutput(allow_null=True)
    delivery_id = serializers.UUIDField(allow_null=True)
    tracking_number = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


OrderPageOutput = page_output(OrderOutput, "A page of orders.")


class PaymentOutput(serializers.Serializer[Any]):
    """One payment."""

    id = serializers.UUIDField()
    order_id = serializers.UUIDField()
    gateway = serializers.ChoiceField(choices=Gateway.choices)
    method = serializers.CharField()
    amount = serializers.CharField()
    currency = serializers.CharField()
    status = serializers.ChoiceField(choices=PaymentState.choices)
    decline_code = serializers.CharField(allow_null=True)
    payment_url = serializers.CharField(allow_null=True)
    client_secret = serializers.CharField(allow_null=True)
    refunded_amount = serializers.CharField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class PaidOrderOutput(serializers.Serializer[Any]):
    """The order, and the payment that settled it."""

    order = OrderOutput()
    payment = PaymentOutput()


class TimelineEntryOutput(serializers.Serializer[Any]):
    """One step of an order's history; without an actor it was the clock."""

    event_id = serializers.UUIDField()
    event_seq = serializers.IntegerField()
    event = serializers.CharField()
    actor_id = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    payload = serializers.DictField()


TimelinePageOutput = page_output(
    TimelineEntryOutput, "What happened to an order, oldest first.", name="TimelinePageOutput"
)
