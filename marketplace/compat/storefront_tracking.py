"""Storefront's view of where an order is (SF19); every rule is in delivery."""

from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import actor_of
from delivery.order_tracking import order_tracking
from delivery.selectors import orders_with_courier
from delivery.serializers import OrderTrackingOutput
from marketplace.compat.storefront_orders import STATUSES, OrderView, shown_status
from orders.access import order_to_see
from orders.views import ORDER_ID


class StorefrontTrackingOutput(OrderTrackingOutput):
    """Where an order is, with the status that Storefront's clients read."""

    status = serializers.ChoiceField(choices=STATUSES)  # type: ignore[assignment]  # of these words


class OrderTrackingView(OrderView):
    """SF19 `GET /api/orders/{id}/tracking`."""

    @extend_schema(
        operation_id="sf_order_tracking", tags=["Storefront"], summary="Where an order is",
        parameters=[ORDER_ID], responses={200: StorefrontTrackingOutput},
    )  # fmt: skip
    def get(self, request: Request, order_id: str) -> Response:
        """The tracking view of an order that the caller may see."""
        actor = actor_of(request)
        order = order_to_see(actor, order_id)
        tracking: dict[str, Any] = order_tracking(order, actor=actor)
        has_courier = order.id in orders_with_courier(order_ids=[order.id])
        return Response(tracking | {"status": shown_status(order.status, has_courier=has_courier)})


urlpatterns = [path("orders/<str:order_id>/tracking", OrderTrackingView.as_view())]
