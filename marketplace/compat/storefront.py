"""Storefront's REST routes (SF6, SF7, SF9) in its words; every rule is in shops."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    extend_schema,
    extend_schema_serializer,
)
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from marketplace.core.errors import AppError, error_body
from marketplace.core.http import ApiView, Identity
from marketplace.core.inputs import InputSerializer, read_id
from marketplace.core.money import money_number
from marketplace.core.problems import Place, Wire, register_dialect
from marketplace.core.rendering import plain_request
from marketplace.core.schema import register_error_schema
from shops import selectors
from shops.enums import ProductStatus
from shops.errors import ProductNotFound
from shops.search import ProductQuery
from shops.serializers import (
    EXAMPLE_PRODUCT,
    ProductOutput,
    ProductQueryInput,
    ProductSearchInput,
    SkuOutput,
    product_query,
)
from shops.views import FILTERS

DEFAULT_PAGE = 20
MAX_PAGE = 100
LARGEST_OFFSET = 1_000_000_000

TEXTS = {
    "unauthorized": "Not authenticated",
    "token_revoked": "Token has been revoked",
    "product_not_found": "Product not found",
    "out_of_stock": "Insufficient stock",
    "internal_error": "Internal server error",
}
# Existing clients compare the status, so some codes have another one here than elsewhere.
STATUSES = {
    "validation_failed": 422,
    "email_taken": 400,
    "username_taken": 400,
    "out_of_stock": 400,
    "cart_empty": 400,
    "payment_declined": 400,
    "order_not_returnable": 400,
    "points_insufficient": 400,
}
ERROR_PROPERTIES = {
    "error": {"type": "string"},
    "status_code": {"type": "integer"},
    "detail": {"description": "The text; for wrong input a list of {loc, msg, type}."},
    "details": {"description": "An object; for wrong input a list of {field, message, type}."},
}


def storefront(error: AppError, place: Place) -> Wire:
    """`error` = `detail` = `message`; wrong input is told as FastAPI tells it."""
    message = place.texts.get(error.code) or TEXTS.get(error.code) or error.message
    status = _status(error)
    body: dict[str, Any] = {
        "error": message,
        "status_code": status,
        "detail": message,
        **error_body(error),
        "message": message,
    }
    if error.code == "validation_failed":
        faults = [
            (name, text)
            for name, texts in error.details.get("fields", {}).items()
            for text in texts
        ]
        body["error"] = "Validation failed"
        body["details"] = [
            {"field": f"body.{name}", "message": text, "type": "value_error"}
            for name, text in faults
        ]
        body["detail"] = [
            {"loc": ["body", *name.split(".")], "msg": text, "type": "value_error"}
            for name, text in faults
        ]
    return Wire(status, body)


def _status(error: AppError) -> int:
    if error.code == "coupon_invalid":
        return 404 if error.details.get("reason") == "unknown" else 400
    return STATUSES.get(error.code, error.status)


register_dialect("sf", storefront)
register_error_schema(
    "sf",
    name="StorefrontError",
    properties=ERROR_PROPERTIES,
    errors={422: ("validation_failed", "The request is not valid.", "Wrong input.")},
)


class StorefrontView(ApiView):
    """A route of Storefront: its wrapper; products are for everybody."""

    dialect = "sf"
    identity: Identity = "none"
    also_answers: ClassVar[Collection[int]] = (422,)


class PageInput(InputSerializer):
    """Where a page begins, and how long it is: `page` from 1, or `offset` from 0."""

    aliases = {"limit": ("page_size", "per_page")}

    limit = serializers.IntegerField(required=False, min_value=1)
    offset = serializers.IntegerField(required=False, min_value=0, max_value=LARGEST_OFFSET)
    page = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_OFFSET)


@dataclass(frozen=True, slots=True)
class Slice:
    """One page of a list that is a bare array; what a client has to know stands in headers."""

    limit: int
    offset: int

    @classmethod
    def of(cls, query: Mapping[str, Any]) -> "Slice":
        """The page that a query asks for; longer ones are cut. Raises ValidationFailed."""
        asked = PageInput.read(query)
        limit = min(asked.get("limit", DEFAULT_PAGE), MAX_PAGE)
        if "offset" in asked:
            return cls(limit, asked["offset"])
        return cls(limit, (asked.get("page", 1) - 1) * limit)

    @property
    def page(self) -> int:
        """Its number, from 1."""
        return self.offset // self.limit + 1

    def response(self, request: Request, items: Sequence[Any], *, total: int) -> Response:
        """The array with its headers."""
        url = plain_request(request).build_absolute_uri(request.path)
        return Response(items, headers=self.headers(request.query_params, url=url, total=total))

    def headers(self, query: Mapping[str, str], *, url: str, total: int) -> dict[str, str]:
        """`X-Total-Count`, `X-Page`, `X-Limit` and `Link`. url: what was asked, without query."""
        return {
            "X-Total-Count": str(total),
            "X-Page": str(self.page),
            "X-Limit": str(self.limit),
            "Link": ", ".join(
                f'<{url}?{self._query(query, offset)}>; rel="{name}"'
                for name, offset in self._neighbours(total)
            ),
        }

    def _neighbours(self, total: int) -> list[tuple[str, int]]:
        last = max(0, (total - 1) // self.limit * self.limit)
        found = [("first", 0)]
        if self.offset > 0:
            found.append(("prev", max(0, min(self.offset - self.limit, last))))
        if self.offset + self.limit < total:
            found.append(("next", self.offset + self.limit))
        return [*found, ("last", last)]

    def _query(self, query: Mapping[str, str], offset: int) -> str:
        """The same list from there; in pages where it was asked for in pages."""
        spelled = {"limit", "page_size", "pageSize", "per_page", "perPage", "offset", "page"}
        kept = [(k, v) for k, v in query.items() if k not in spelled]
        place = ("offset", offset)
        if "offset" not in query:
            place = ("page", offset // self.limit + 1)
        return urlencode([*kept, ("limit", self.limit), place])


COLORS = frozenset({"color", "colors", "colour", "colours"})
SIZES = frozenset({"size", "sizes"})


def storefront_product(product: dict[str, Any]) -> dict[str, Any]:
    """Product of Storefront: money as numbers, and the names that its clients read."""
    skus = [sku | {"price": money_number(sku["price"])} for sku in product["skus"]]
    return product | {
        "price": money_number(product["price"]),
        "skus": skus,
        "images": [one["url"] for one in product["media"] if one["media_type"] == "image"],
        "colors": _options(product, COLORS),
        "sizes": _options(product, SIZES),
        "stock": sum(sku["available"] for sku in skus),
        "rating": 0,
        "reviews_count": 0,
    }


def _options(product: Mapping[str, Any], names: frozenset[str]) -> list[str]:
    return [
        option
        for variance in product["variances"]
        if variance["name"].casefold() in names
        for option in variance["options"]
    ]


class StorefrontSkuOutput(SkuOutput):
    """A sku with its price as a number."""

    price = serializers.FloatField()  # type: ignore[assignment]  # another form of the same


@extend_schema_serializer(examples=[OpenApiExample("A lamp", storefront_product(EXAMPLE_PRODUCT))])
class StorefrontProductOutput(ProductOutput):
    """A product as Storefront's clients read it."""

    price = serializers.FloatField()  # type: ignore[assignment]  # another form of the same
    skus = StorefrontSkuOutput(many=True)
    images = serializers.ListField(child=serializers.CharField())
    colors = serializers.ListField(child=serializers.CharField())
    sizes = serializers.ListField(child=serializers.CharField())
    stock = serializers.IntegerField()
    rating = serializers.FloatField()
    reviews_count = serializers.IntegerField()


PAGING = [
    OpenApiParameter("limit", OpenApiTypes.INT, description="1-100, default 20; also `page_size`"),
    OpenApiParameter("page", OpenApiTypes.INT, description="From 1"),
    OpenApiParameter("offset", OpenApiTypes.INT, description="From 0; instead of `page`"),
    *(
        OpenApiParameter(
            name, kind, OpenApiParameter.HEADER, response=True, description=description
        )
        for name, kind, description in (
            ("X-Total-Count", OpenApiTypes.INT, "How many there are in all"),
            ("X-Page", OpenApiTypes.INT, "The number of this page"),
            ("X-Limit", OpenApiTypes.INT, "The length of a page"),
            ("Link", OpenApiTypes.STR, "first, prev, next, last"),
        )
    ),
]


class ProductListView(StorefrontView):
    """SF6 `GET /api/products`."""

    @extend_schema(
        operation_id="sf_products", tags=["Storefront"], summary="Products",
        description="Published products. A number that is none: 422.",
        parameters=[*PAGING, *FILTERS],
        responses={200: StorefrontProductOutput(many=True)},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """One page of what is asked for."""
        return product_list(request, product_query(self.read_query(ProductQueryInput)))


class ProductSearchView(StorefrontView):
    """SF7 `GET /api/products/search`."""

    @extend_schema(
        operation_id="sf_products_search", tags=["Storefront"], summary="Find products by words",
        description="Published products, best first. Without `q`: 422.",
        parameters=[*PAGING, *FILTERS],
        responses={200: StorefrontProductOutput(many=True)},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """One page of what the words find."""
        return product_list(request, product_query(self.read_query(ProductSearchInput)))


def product_list(request: Request, asked: ProductQuery) -> Response:
    """One page as a bare array: three queries, however long it is."""
    wanted = Slice.of(request.query_params)
    total = selectors.count_products(asked)
    rows = selectors.list_products(asked)[wanted.offset : wanted.offset + wanted.limit]
    items = [storefront_product(one) for one in selectors.describe_products(rows)]
    return wanted.response(request, items, total=total)


class ProductView(StorefrontView):
    """SF9 `GET /api/products/{id}`."""

    @extend_schema(
        operation_id="sf_product", tags=["Storefront"], summary="One product",
        responses={200: StorefrontProductOutput},
    )  # fmt: skip
    def get(self, request: Request, product_id: str) -> Response:
        """One published product."""
        key = read_id(product_id)
        product = None if key is None else selectors.find_product_row(key)
        if product is None or product.status != ProductStatus.PUBLISHED:
            raise ProductNotFound
        return Response(storefront_product(selectors.describe_product(product)))


urlpatterns = [
    path("products", ProductListView.as_view()),
    path("products/search", ProductSearchView.as_view()),
    path("products/<str:product_id>", ProductView.as_view()),
]
