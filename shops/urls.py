"""Routes of shops under `/api/v1`."""

from typing import Any

from django.urls import path

from shops.views import (
    ProductMediaViewSet,
    ProductViewSet,
    ShopMemberViewSet,
    ShopProductViewSet,
    ShopViewSet,
    SkuViewSet,
)

CHANGE: Any = {"put": "update", "patch": "partial_update"}

urlpatterns = [
    path("shops", ShopViewSet.as_view({"get": "list", "post": "create"})),
    path(
        "shops/<str:shop_id>",
        ShopViewSet.as_view({"get": "retrieve", **CHANGE, "delete": "destroy"}),
    ),
    path(
        "shops/<str:shop_id>/members",
        ShopMemberViewSet.as_view({"get": "list", "post": "create"}),
    ),
    path(
        "shops/<str:shop_id>/members/<str:user_id>",
        ShopMemberViewSet.as_view({**CHANGE, "delete": "destroy"}),
    ),
    path(
        "shops/<str:shop_id>/products",
        ShopProductViewSet.as_view({"get": "list", "post": "create"}),
    ),
    path("products", ProductViewSet.as_view({"get": "list"})),
    path("products/search", ProductViewSet.as_view({"get": "search"})),
    path(
        "products/<str:product_id>",
        ProductViewSet.as_view({"get": "retrieve", **CHANGE, "delete": "destroy"}),
    ),
    path(
        "products/<str:product_id>/media",
        ProductMediaViewSet.as_view({"post": "create", "delete": "destroy"}),
    ),
    path(
        "products/<str:product_id>/skus",
        SkuViewSet.as_view({"get": "list", "post": "create"}),
    ),
    path("products/<str:product_id>/inventory", ProductViewSet.as_view({"get": "inventory"})),
    path("skus/<str:sku_id>", SkuViewSet.as_view(CHANGE)),
]
