"""Canonical routes of orders."""

from collections.abc import Collection
from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import actor_of
from marketplace.core.http import BaseViewSet
from marketplace.core.pagination import cursor_page
from marketplace.core.schema import PAGE
from orders import access, selectors
from orders.enums import OrderStatus
from orders.models import Order
from orders.payloads import payment_payload, timeline_entry
from orders.serializers import (
    CancelInput,
    CreateOrderInput,
    MoveInput,
    OrderOutput,
    OrderPageOutput,
    OrderQueryInput,
    PaidOrderOutput,
    PayInput,
    TimelinePageOutput,
    wanted_order,
)
from orders.services import moves, placing
from shops.access import shop_to_serve

ORDER_ID = OpenApiParameter(
    "order_id", OpenApiTypes.STR, OpenApiParameter.PATH,
    description="An id, a number, or `ORD-<number>`",
)  # fmt: skip
SHOP_ID = OpenApiParameter(
    "shop_id", OpenApiTypes.STR, OpenApiParameter.PATH, description="An id or `shop_<number>`"
)
STATUS = OpenApiParameter("status", OpenApiTypes.STR, enum=OrderStatus.values)


def shown(request: Request, order: Order) -> dict[str, Any]:
    """The order as far as it is the caller's."""
    return selectors.order_snapshot(order, shop_ids=access.shops_shown(actor_of(request), order))


class OrderViewSet(BaseViewSet):
    """Orders."""

    also_answers: ClassVar[Collection[int]] = (404,)

    @extend_schema(
        operation_id="orders_list", tags=["orders"], summary="My orders, newest first",
        parameters=[*PAGE, STATUS], responses={200: OrderPageOutput},
    )  # fmt: skip
    def list(self, request: Request) -> Response:
        """A page of what the caller has ordered: three queries, however long it is."""
        asked = self.read_query(OrderQueryInput)
        found = selectors.orders_of(actor_of(request), status=asked.get("status", ""))
        page = cursor_page(found, request=request, order=("-id",), to_wire=lambda order: order)
        orders = selectors.with_parts(page["items"])
        page["items"] = [selectors.order_snapshot(order) for order in orders]
        return Response(page)

    @extend_schema(
        operation_id="orders_create", tags=["orders"], summary="Order something",
        description="At the prices of now; stock is held until it is paid, or accepted where "
        "it is paid on delivery. Not enough of it: 409 `out_of_stock` with `details.items`.",
        request=CreateOrderInput, responses={201: OrderOutput},
    )  # fmt: skip
    def create(self, request: Request) -> Response:
        """Place an order of the caller."""
        order = placing.place_order(
            actor=actor_of(request),
            wanted=wanted_order(self.read(CreateOrderInput)),
            key=request.headers.get("Idempotency-Key"),
        )
        return Response(selectors.order_snapshot(order), status=201)

    @extend_schema(
        operation_id="orders_retrieve", tags=["orders"], summary="One order",
        description="For its buyer, the staff of its shops, and administrators.",
        parameters=[ORDER_ID], responses={200: OrderOutput},
    )  # fmt: skip
    def retrieve(self, request: Request, order_id: str) -> Response:
        """One order."""
        return Response(shown(request, access.order_to_see(actor_of(request), order_id)))

    @extend_schema(
        operation_id="orders_pay", tags=["orders"], summary="Record a payment in cash",
        description="For the staff of its shops, of an order that is paid on delivery, once "
        "and in full. A pending order moves to `processing`.",
        parameters=[ORDER_ID], request=PayInput, responses={200: PaidOrderOutput},
    )  # fmt: skip
    def pay(self, request: Request, order_id: str) -> Response:
        """The order has been paid."""
        order, payment = moves.pay_order(
            actor=actor_of(request), order_id=order_id, method=self.read(PayInput)["method"]
        )
        return Response({"order": shown(request, order), "payment": payment_payload(payment)})

    @extend_schema(
        operation_id="orders_cancel", tags=["orders"], summary="Cancel an order",
        description="Until it is shipped, by its buyer or its shops. Its stock is free again.",
        parameters=[ORDER_ID], request=CancelInput, responses={200: OrderOutput},
    )  # fmt: skip
    def cancel(self, request: Request, order_id: str) -> Response:
        """The order is cancelled."""
        order = moves.cancel_order(
            actor=actor_of(request),
            order_id=order_id,
            reason=self.read(CancelInput).get("reason") or "",
        )
        return Response(shown(request, order))

    @extend_schema(
        operation_id="orders_status", tags=["orders"], summary="Move an order on",
        description="For the staff of its shops, each for its part: `processing` accepts an order "
        "that is paid on delivery, then `shipped`, `delivered`; `cancelled` until it is shipped.",
        parameters=[ORDER_ID], request=MoveInput, responses={200: OrderOutput},
    )  # fmt: skip
    def move(self, request: Request, order_id: str) -> Response:
        """The order stands elsewhere."""
        order = moves.move_order(
            actor=actor_of(request), order_id=order_id, status=self.read(MoveInput)["status"]
        )
        return Response(shown(request, order))

    @extend_schema(
        operation_id="orders_timeline", tags=["orders"], summary="What happened to an order",
        description="Its events in the log, oldest first, each with its actor and time.",
        parameters=[ORDER_ID, *PAGE], responses={200: TimelinePageOutput},
    )  # fmt: skip
    def timeline(self, request: Request, order_id: str) -> Response:
        """A page of its history."""
        order = access.order_to_see(actor_of(request), order_id)
        return Response(
            cursor_page(
                selectors.list_timeline(order=order),
                request=request,
                order=("seq", "id"),
                to_wire=timeline_entry,
            )
        )


class ShopOrdersViewSet(BaseViewSet):
    """Orders of one shop."""

    @extend_schema(
        operation_id="shop_orders_list", tags=["orders"], summary="Orders of a shop",
        description="For its staff; of an order with several shops its own part. `status` "
        "is that of the part.",
        parameters=[SHOP_ID, *PAGE, STATUS], responses={200: OrderPageOutput},
    )  # fmt: skip
    def list(self, request: Request, shop_id: str) -> Response:
        """A page of what was ordered of the shop."""
        shop = shop_to_serve(actor=actor_of(request), key=shop_id)
        asked = self.read_query(OrderQueryInput)
        page = cursor_page(
            selectors.parts_of_shop(shop, status=asked.get("status", "")),
            request=request,
            order=("-order_id",),
            to_wire=lambda part: part.order_id,
        )
        page["items"] = [
            selectors.order_snapshot(order, shop_ids={shop.id})
            for order in selectors.find_orders(page["items"])
        ]
        return Response(page)
