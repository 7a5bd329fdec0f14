"""Routes of delivery under `/api/v1`."""

from django.urls import path

from delivery.views import (
    CourierViewSet,
    DeliveryViewSet,
    LocationViewSet,
    OrderTrackingView,
    ProofViewSet,
    ShopRulesViewSet,
    TrackView,
)

ONE = "deliveries/<str:delivery_id>"

urlpatterns = [
    path("deliveries", DeliveryViewSet.as_view({"get": "list", "post": "create"})),
    path(ONE, DeliveryViewSet.as_view({"get": "retrieve"})),
    path(f"{ONE}/status", DeliveryViewSet.as_view({"post": "move"})),
    path(f"{ONE}/attempts", DeliveryViewSet.as_view({"post": "attempt"})),
    path(f"{ONE}/assign", DeliveryViewSet.as_view({"post": "assign"})),
    path(f"{ONE}/accept", DeliveryViewSet.as_view({"post": "accept"})),
    path(f"{ONE}/decline", DeliveryViewSet.as_view({"post": "decline"})),
    path(f"{ONE}/rating", DeliveryViewSet.as_view({"post": "rate"})),
    path(f"{ONE}/tracking-link", DeliveryViewSet.as_view({"post": "renew_link"})),
    path(f"{ONE}/eta", DeliveryViewSet.as_view({"get": "eta"})),
    path(f"{ONE}/proof", ProofViewSet.as_view({"post": "create"})),
    path(f"{ONE}/locations", LocationViewSet.as_view({"get": "list", "post": "create"})),
    path("track/<str:token>", TrackView.as_view()),
    path("orders/<str:order_id>/tracking", OrderTrackingView.as_view()),
    path(
        "shops/<str:shop_id>/delivery-rules",
        ShopRulesViewSet.as_view({"get": "retrieve", "put": "update"}),
    ),
    path("couriers", CourierViewSet.as_view({"get": "list"})),
    path("couriers/me", CourierViewSet.as_view({"put": "update", "patch": "partial_update"})),
    path("couriers/me/location", CourierViewSet.as_view({"post": "locate"})),
]
