"""Storefront's order routes (SF16, SF17, SF18) in its words; every rule is in orders."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from django.urls import path
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    extend_schema,
    extend_schema_serializer,
)
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import actor_of
from delivery.selectors import orders_with_courier
from marketplace.compat.storefront import PAGING, Slice, StorefrontView
from marketplace.core.http import Identity
from marketplace.core.inputs import AnyCaseChoiceField, InputSerializer
from marketplace.core.money import money_number
from orders import access, selectors
from orders.enums import OrderStatus
from orders.models import Order, handle_of
from orders.serializers import (
    EXAMPLE_ORDER,
    CreateOrderInput,
    OrderLineOutput,
    OrderOutput,
    wanted_order,
)
from orders.services.placing import place_order
from orders.views import ORDER_ID

AMOUNTS = ("subtotal", "discount", "loyalty_discount", "tax", "shipping", "total")
LINE_AMOUNTS = ("unit_price", "line_total", "discount", "tax")
COLORS = frozenset({"color", "colour"})
SIZES = frozenset({"size"})
CONFIRMED = "confirmed"
STATUSES = (
    OrderStatus.PENDING.value,
    CONFIRMED,
    OrderStatus.PROCESSING.value,
    OrderStatus.SHIPPED.value,
    OrderStatus.DELIVERED.value,
    OrderStatus.RETURNED.value,
    OrderStatus.CANCELLED.value,
)


def storefront_orders(
    orders: Collection[Order], *, shop_ids: Collection[UUID] | None = None
) -> list[dict[str, Any]]:
    """Order of Storefront, for a whole page; with shop_ids only the part of these shops."""
    assigned = orders_with_courier(
        order_ids=[order.id for order in orders if order.status == OrderStatus.PROCESSING]
    )
    return [
        storefront_order(
            selectors.order_snapshot(order, shop_ids=shop_ids, write=_number),
            details=[
                (line.options, line.image_url)
                for line in order.all_lines
                if shop_ids is None or line.shop_id in shop_ids
            ],
            has_courier=order.id in assigned,
        )
        for order in orders
    ]


def storefront_order(
    order: dict[str, Any],
    *,
    details: Collection[tuple[Mapping[str, str], str]],
    has_courier: bool,
) -> dict[str, Any]:
    """Order of Storefront: the names that its clients read.

    order: with its amounts as numbers. details: options and picture of each line.
    """
    totals = order["totals"]
    lines = [
        _item(line, options, image)
        for line, (options, image) in zip(order["lines"], details, strict=True)
    ]
    address = order["shipping_address"]
    return {
        **order,
        **names_of(order["number"]),
        "status": shown_status(order["status"], has_courier=has_courier),
        "lines": lines,
        "items": lines,
        **{name: totals[name] for name in AMOUNTS},
        "shipping_address": None
        if address is None
        else {
            "street": address["line1"],
            "city": address["city"],
            "state": address["state"],
            "zip_code": address["postal_code"],
            "country": address["country"],
        },
    }


def names_of(number: int) -> dict[str, Any]:
    """What an order is called, for programs and for people."""
    return {"number": number, "order_number": handle_of(number)}


def shown_status(status: str, *, has_courier: bool) -> str:
    """The words of its clients: what is paid is `confirmed` until a courier is there."""
    if status == OrderStatus.FAILED:
        return OrderStatus.CANCELLED.value
    if status == OrderStatus.PROCESSING and not has_courier:
        return CONFIRMED
    return status


def _number(amount: Decimal, _currency: str) -> int | float:
    return money_number(amount)


def in_numbers(order: dict[str, Any]) -> dict[str, Any]:
    """A canonical Order with its amounts as numbers."""
    others = {"currency", "item_count"}
    return order | {
        "lines": [
            line | {name: money_number(line[name]) for name in LINE_AMOUNTS}
            for line in order["lines"]
        ],
        "shop_orders": [
            part | {"total": money_number(part["total"])} for part in order["shop_orders"]
        ],
        "totals": {
            name: value if name in others else money_number(value)
            for name, value in order["totals"].items()
        },
    }


def _item(line: dict[str, Any], options: Mapping[str, str], image: str) -> dict[str, Any]:
    return {
        **line,
        "product_name": line["title"],
        "product_image": image,
        "options": options,
        "price": line["unit_price"],
        "subtotal": line["line_total"],
        "color": _option(options, COLORS),
        "size": _option(options, SIZES),
    }


def _option(options: Mapping[str, str], names: frozenset[str]) -> str | None:
    for name, value in options.items():
        if name.casefold() in names:
            return value
    return None


class StorefrontItemOutput(OrderLineOutput):
    """A line as Storefront's clients read it."""

    unit_price = serializers.FloatField()  # type: ignore[assignment]  # another form of the same
    line_total = serializers.FloatField()  # type: ignore[assignment]
    discount = serializers.FloatField()  # type: ignore[assignment]
    tax = serializers.FloatField()  # type: ignore[assignment]
    product_name = serializers.CharField()
    product_image = serializers.CharField(allow_blank=True)
    options = serializers.DictField(child=serializers.CharField())
    price = serializers.FloatField()
    subtotal = serializers.FloatField()
    color = serializers.CharField(allow_null=True)
    size = serializers.CharField(allow_null=True)


class StorefrontPartOutput(serializers.Serializer[Any]):
    """The part of one shop."""

    shop_id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=OrderStatus.choices)
    total = serializers.FloatField()


class StorefrontTotalsOutput(serializers.Serializer[Any]):
    """Totals in numbers."""

    subtotal = serializers.FloatField()
    coupon_discount = serializers.FloatField()
    points_discount = serializers.FloatField()
    discount = serializers.FloatField()
    loyalty_discount = serializers.FloatField()
    tax = serializers.FloatField()
    tax_included = serializers.FloatField()
    shipping = serializers.FloatField()
    total = serializers.FloatField()
    currency = serializers.CharField()
    item_count = serializers.IntegerField()


class StorefrontAddressOutput(serializers.Serializer[Any]):
    """Where it goes."""

    street = serializers.CharField(allow_blank=True)
    city = serializers.CharField(allow_blank=True)
    state = serializers.CharField(allow_null=True)
    zip_code = serializers.CharField(allow_blank=True)
    country = serializers.CharField(allow_blank=True)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Two lamps",
            storefront_order(in_numbers(EXAMPLE_ORDER), details=[({}, "")], has_courier=False),
        )
    ]
)
class StorefrontOrderOutput(OrderOutput):
    """An order as Storefront's clients read it."""

    order_number = serializers.CharField()
    status = serializers.ChoiceField(choices=STATUSES)
    lines = StorefrontItemOutput(many=True)
    items = StorefrontItemOutput(many=True)
    shop_orders = StorefrontPartOutput(many=True)  # type: ignore[assignment]  # another form
    totals = StorefrontTotalsOutput()  # type: ignore[assignment]  # another form
    subtotal = serializers.FloatField()
    discount = serializers.FloatField()
    loyalty_discount = serializers.FloatField()
    tax = serializers.FloatField()
    shipping = serializers.FloatField()
    total = serializers.FloatField()
    shipping_address = StorefrontAddressOutput(allow_null=True)  # type: ignore[assignment]


class StorefrontOrderQueryInput(InputSerializer):
    """Which orders, in the words of its clients."""

    status = AnyCaseChoiceField(choices=STATUSES, required=False)


class OrderView(StorefrontView):
    """A route of orders: for whoever signed in."""

    identity: Identity = "required"
    error_texts: ClassVar[Mapping[str, str]] = {
        "order_not_found": "Order not found",
        "address_not_found": "Delivery address not found",
        "cart_empty": "Cart is empty or not found",
        "coupon_invalid": "Coupon not found or expired",
    }


class OrderListView(OrderView):
    """SF16 `GET /api/orders`, SF18 `POST /api/orders`."""

    also_answers: ClassVar[Collection[int]] = (404, 422)

    @extend_schema(
        operation_id="sf_orders", tags=["Storefront"], summary="My orders, newest first",
        parameters=[*PAGING, OpenApiParameter("status", str, enum=STATUSES)],
        responses={200: StorefrontOrderOutput(many=True)},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """One page of the caller's orders."""
        actor = actor_of(request)
        status = self.read_query(StorefrontOrderQueryInput).get("status", "")
        wanted = Slice.of(request.query_params)
        if status == CONFIRMED:
            status = OrderStatus.PROCESSING.value
        found = selectors.orders_of(actor, status=status)
        total = found.order_by().count()
        page = selectors.with_parts(found[wanted.offset : wanted.offset + wanted.limit])
        return wanted.response(request, storefront_orders(page), total=total)

    @extend_schema(
        operation_id="sf_orders_create", tags=["Storefront"], summary="Order something",
        description="By `items`. Prices and totals are the server's. Not enough in stock: 400.",
        request=CreateOrderInput, responses={201: StorefrontOrderOutput},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Place an order of the caller."""
        actor = actor_of(request)
        order = place_order(
            actor=actor,
            wanted=wanted_order(self.read(CreateOrderInput)),
            key=request.headers.get("Idempotency-Key"),
        )
        return Response(storefront_orders([order])[0], status=201)


class OrderDetailView(OrderView):
    """SF17 `GET /api/orders/{id}`."""

    @extend_schema(
        operation_id="sf_order", tags=["Storefront"], summary="One order",
        parameters=[ORDER_ID], responses={200: StorefrontOrderOutput},
    )  # fmt: skip
    def get(self, request: Request, order_id: str) -> Response:
        """One order that the caller may see."""
        actor = actor_of(request)
        order = access.order_to_see(actor, order_id)
        shown = access.shops_shown(actor, order)
        return Response(storefront_orders([order], shop_ids=shown)[0])


urlpatterns = [
    path("orders", OrderListView.as_view()),
    path("orders/<str:order_id>", OrderDetailView.as_view()),
]
