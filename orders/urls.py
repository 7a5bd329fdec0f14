"""Routes of orders under `/api/v1`."""

from django.urls import path

from orders.views import OrderViewSet, ShopOrdersViewSet

urlpatterns = [
    path("orders", OrderViewSet.as_view({"get": "list", "post": "create"})),
    path("orders/<str:order_id>", OrderViewSet.as_view({"get": "retrieve"})),
    path("orders/<str:order_id>/pay", OrderViewSet.as_view({"post": "pay"})),
    path("orders/<str:order_id>/cancel", OrderViewSet.as_view({"post": "cancel"})),
    path("orders/<str:order_id>/status", OrderViewSet.as_view({"post": "move"})),
    path("orders/<str:order_id>/timeline", OrderViewSet.as_view({"get": "timeline"})),
    path("shops/<str:shop_id>/orders", ShopOrdersViewSet.as_view({"get": "list"})),
]
