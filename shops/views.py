"""Canonical routes of shops and products."""

from collections.abc import Collection
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import actor_of
from accounts.models import User
from marketplace.core.errors import NotFound, ValidationFailed
from marketplace.core.http import BaseViewSet, Identity
from marketplace.core.pagination import cursor_page
from marketplace.core.problems import error_response
from marketplace.core.rendering import MAX_BODY_BYTES, JsonParser
from marketplace.core.schema import PAGE
from shops import access, selectors, storage
from shops.enums import ProductSort, ProductStatus
from shops.payloads import member_payload, shop_payload, sku_payload
from shops.search import ProductQuery
from shops.serializers import (
    AddShopMemberInput,
    CreateProductInput,
    CreateShopInput,
    CreateSkuInput,
    InventoryOutput,
    MediaInput,
    MediaTagInput,
    MediaUploadInput,
    MediaUrlInput,
    ProductOutput,
    ProductPageOutput,
    ProductQueryInput,
    ProductSearchInput,
    ShopMemberOutput,
    ShopMemberPageOutput,
    ShopOutput,
    ShopPageOutput,
    ShopProductQueryInput,
    ShopQueryInput,
    ShopRoleInput,
    SkuListOutput,
    SkuOutput,
    UpdateProductInput,
    UpdateShopInput,
    UpdateSkuInput,
    given,
    new_product,
    product_query,
)
from shops.services import media, members, products, shops, skus

WORDS = OpenApiParameter("q", OpenApiTypes.STR, description="Words; every one must occur")
FILTERS = [
    OpenApiParameter("category", OpenApiTypes.STR, description="Whole, without case"),
    OpenApiParameter("brand", OpenApiTypes.STR, description="Whole, without case"),
    OpenApiParameter("min_price", OpenApiTypes.NUMBER, description="At least; also `price_min`"),
    OpenApiParameter("max_price", OpenApiTypes.NUMBER, description="At most; also `price_max`"),
    WORDS,
    OpenApiParameter("in_stock", OpenApiTypes.BOOL, description="Only what can be bought, or not"),
    OpenApiParameter("shop_id", OpenApiTypes.STR, description="An id or `shop_<number>`"),
    OpenApiParameter(
        "sort",
        OpenApiTypes.STR,
        enum=ProductSort.values,
        description="Default: with words the best first, else the newest",
    ),
]
SHOP_ID = OpenApiParameter(
    "shop_id", OpenApiTypes.STR, OpenApiParameter.PATH, description="An id or `shop_<number>`"
)


def reader_of(request: Request) -> User | None:
    """The signed-in user of a route that guests may read too."""
    return request.user if isinstance(request.user, User) else None


def product_page(request: Request, asked: ProductQuery) -> dict[str, Any]:
    """One page of products: two queries, however long it is."""
    page = cursor_page(
        selectors.list_products(asked), request=request, order=asked.order, to_wire=lambda row: row
    )
    page["items"] = selectors.describe_products(page["items"])
    return page


class ShopViewSet(BaseViewSet):
    """Shops."""

    identity_by_action: ClassVar[dict[str, Identity]] = {
        "list": "optional",
        "retrieve": "optional",
    }

    @extend_schema(
        operation_id="shops_list", tags=["shops"], summary="Shops, newest first",
        parameters=[
            *PAGE, FILTERS[0],
            OpenApiParameter("mine", OpenApiTypes.BOOL, description="Those that I work for"),
        ],
        responses={200: ShopPageOutput},
    )  # fmt: skip
    def list(self, request: Request) -> Response:
        """A page of open shops."""
        asked = self.read_query(ShopQueryInput)
        if asked.get("mine"):
            found = selectors.list_shops_of(user=actor_of(request))
        else:
            found = selectors.list_shops(category=asked.get("category") or "")
        return Response(cursor_page(found, request=request, order=("-id",), to_wire=shop_payload))

    @extend_schema(
        operation_id="shops_create", tags=["shops"], summary="Open a shop",
        description="Its name is unique without case: 409 `shop_name_taken`.",
        request=CreateShopInput, responses={201: ShopOutput},
    )  # fmt: skip
    def create(self, request: Request) -> Response:
        """Open a shop; the caller owns it."""
        shop = shops.create_shop(actor=actor_of(request), **given(self.read(CreateShopInput)))
        return Response(shop_payload(shop), status=201)

    @extend_schema(
        operation_id="shops_retrieve", tags=["shops"], summary="One shop",
        parameters=[SHOP_ID], responses={200: ShopOutput},
    )  # fmt: skip
    def retrieve(self, request: Request, shop_id: str) -> Response:
        """One open shop."""
        return Response(shop_payload(access.shop_to_read(shop_id)))

    @extend_schema(
        operation_id="shops_update", tags=["shops"], summary="Change a shop",
        description="For its owner and managers. PUT is the same.",
        parameters=[SHOP_ID], request=UpdateShopInput, responses={200: ShopOutput},
    )  # fmt: skip
    def partial_update(self, request: Request, shop_id: str) -> Response:
        """Change what is named."""
        shop = shops.update_shop(
            actor=actor_of(request), key=shop_id, changes=self.read(UpdateShopInput, partial=True)
        )
        return Response(shop_payload(shop))

    @extend_schema(
        operation_id="shops_replace", tags=["shops"], summary="Change a shop",
        parameters=[SHOP_ID], request=UpdateShopInput, responses={200: ShopOutput},
    )  # fmt: skip
    def update(self, request: Request, shop_id: str) -> Response:
        """PUT: the same as PATCH."""
        return self.partial_update(request, shop_id)

    @extend_schema(
        operation_id="shops_delete", tags=["shops"], summary="Close a shop",
        description="For its owner. Its products are archived; orders keep them.",
        parameters=[SHOP_ID], responses={204: None},
    )  # fmt: skip
    def destroy(self, request: Request, shop_id: str) -> Response:
        """Close the shop."""
        shops.close_shop(actor=actor_of(request), key=shop_id)
        return Response(status=204)


class ShopMemberViewSet(BaseViewSet):
    """Who works for a shop."""

    @extend_schema(
        operation_id="shop_members_list", tags=["shops"], summary="Who works for the shop",
        parameters=[SHOP_ID, *PAGE], responses={200: ShopMemberPageOutput},
    )  # fmt: skip
    def list(self, request: Request, shop_id: str) -> Response:
        """A page of people, for the shop's own."""
        shop = access.shop_to_serve(actor=actor_of(request), key=shop_id)
        return Response(
            cursor_page(
                selectors.list_members(shop=shop),
                request=request,
                order=("created_at", "id"),
                to_wire=member_payload,
            )
        )

    @extend_schema(
        operation_id="shop_members_add", tags=["shops"], summary="Take somebody in",
        description="The owner takes in managers and staff, a manager staff.",
        parameters=[SHOP_ID], request=AddShopMemberInput, responses={201: ShopMemberOutput},
    )  # fmt: skip
    def create(self, request: Request, shop_id: str) -> Response:
        """The person works for the shop."""
        member = members.add_member(
            actor=actor_of(request), key=shop_id, **self.read(AddShopMemberInput)
        )
        return Response(member_payload(member), status=201)

    @extend_schema(
        operation_id="shop_members_update", tags=["shops"], summary="Give another role",
        description="For the owner. PUT is the same.",
        parameters=[SHOP_ID], request=ShopRoleInput, responses={200: ShopMemberOutput},
    )  # fmt: skip
    def partial_update(self, request: Request, shop_id: str, user_id: str) -> Response:
        """The person has this role."""
        member = members.change_role(
            actor=actor_of(request), key=shop_id, user_id=user_id, **self.read(ShopRoleInput)
        )
        return Response(member_payload(member))

    @extend_schema(
        operation_id="shop_members_replace", tags=["shops"], summary="Give another role",
        parameters=[SHOP_ID], request=ShopRoleInput, responses={200: ShopMemberOutput},
    )  # fmt: skip
    def update(self, request: Request, shop_id: str, user_id: str) -> Response:
        """PUT: the same as PATCH."""
        return self.partial_update(request, shop_id, user_id)

    @extend_schema(
        operation_id="shop_members_remove", tags=["shops"], summary="Let somebody go",
        description="Anybody may go himself (`me`); else one needs a higher role than his.",
        parameters=[SHOP_ID], responses={204: None},
    )  # fmt: skip
    def destroy(self, request: Request, shop_id: str, user_id: str) -> Response:
        """The person works for the shop no more."""
        members.remove_member(actor=actor_of(request), key=shop_id, user_id=user_id)
        return Response(status=204)


class ShopProductViewSet(BaseViewSet):
    """Products of one shop."""

    identity_by_action: ClassVar[dict[str, Identity]] = {"list": "optional"}

    @extend_schema(
        operation_id="shop_products_list", tags=["products"], summary="Products of a shop",
        description="Staff of the shop see drafts and archived products too, and ask for one kind "
        "with `status`; everybody else sees what is published.",
        parameters=[
            SHOP_ID, *PAGE, *(one for one in FILTERS if one.name != "shop_id"),
            OpenApiParameter("status", OpenApiTypes.STR, enum=ProductStatus.values),
        ],
        responses={200: ProductPageOutput},
    )  # fmt: skip
    def list(self, request: Request, shop_id: str) -> Response:
        """A page of products of this shop."""
        shop = access.shop_to_read(shop_id)
        asked = self.read_query(ShopProductQueryInput)
        status = asked.pop("status", "")
        if not access.may_serve(actor=reader_of(request), shop_id=shop.id):
            status = ProductStatus.PUBLISHED.value
        query = product_query(asked, shop_id=str(shop.id), status=status)
        return Response(product_page(request, query))

    @extend_schema(
        operation_id="shop_products_create", tags=["products"], summary="Sell a product",
        description="It gets the shop's next sku number: 1, 2, 3 … without gaps.",
        parameters=[SHOP_ID], request=CreateProductInput, responses={201: ProductOutput},
    )  # fmt: skip
    def create(self, request: Request, shop_id: str) -> Response:
        """The shop sells this."""
        product = products.create_product(
            actor=actor_of(request),
            key=shop_id,
            wanted=new_product(self.read(CreateProductInput)),
        )
        return Response(selectors.describe_product(product), status=201)


class ProductViewSet(BaseViewSet):
    """Products of all shops."""

    also_answers: ClassVar[Collection[int]] = (400,)
    identity_by_action: ClassVar[dict[str, Identity]] = {
        "list": "none",
        "search": "none",
        "retrieve": "optional",
        "inventory": "optional",
    }

    @extend_schema(
        operation_id="products_list", tags=["products"], summary="Products",
        parameters=[*PAGE, *FILTERS], responses={200: ProductPageOutput},
    )  # fmt: skip
    def list(self, request: Request) -> Response:
        """A page of published products."""
        return Response(product_page(request, product_query(self.read_query(ProductQueryInput))))

    @extend_schema(
        operation_id="products_search", tags=["products"], summary="Find products by words",
        parameters=[
            *PAGE, OpenApiParameter("q", OpenApiTypes.STR, required=True, description="Words"),
            *(one for one in FILTERS if one is not WORDS),
        ],
        responses={200: ProductPageOutput},
    )  # fmt: skip
    def search(self, request: Request) -> Response:
        """A page of published products, best first."""
        return Response(product_page(request, product_query(self.read_query(ProductSearchInput))))

    @extend_schema(
        operation_id="products_retrieve", tags=["products"], summary="One product",
        responses={200: ProductOutput},
    )  # fmt: skip
    def retrieve(self, request: Request, product_id: str) -> Response:
        """One product; what is not published is there for its shop alone."""
        product = access.product_to_read(actor=reader_of(request), key=product_id)
        return Response(selectors.describe_product(product))

    @extend_schema(
        operation_id="products_update", tags=["products"], summary="Change a product",
        description="For staff of its shop. PUT is the same.",
        request=UpdateProductInput, responses={200: ProductOutput},
    )  # fmt: skip
    def partial_update(self, request: Request, product_id: str) -> Response:
        """Change what is named."""
        product = products.update_product(
            actor=actor_of(request),
            key=product_id,
            changes=self.read(UpdateProductInput, partial=True),
        )
        return Response(selectors.describe_product(product))

    @extend_schema(
        operation_id="products_replace", tags=["products"], summary="Change a product",
        request=UpdateProductInput, responses={200: ProductOutput},
    )  # fmt: skip
    def update(self, request: Request, product_id: str) -> Response:
        """PUT: the same as PATCH."""
        return self.partial_update(request, product_id)

    @extend_schema(
        operation_id="products_archive", tags=["products"], summary="Archive a product",
        description="It is sold no more; orders keep it, and its shop can publish it again.",
        responses={204: None},
    )  # fmt: skip
    def destroy(self, request: Request, product_id: str) -> Response:
        """Archive the product."""
        products.archive_product(actor=actor_of(request), key=product_id)
        return Response(status=204)

    @extend_schema(
        operation_id="products_inventory", tags=["products"], summary="How much there is",
        responses={200: InventoryOutput},
    )  # fmt: skip
    def inventory(self, request: Request, product_id: str) -> Response:
        """Stock of one product, sku by sku."""
        product = access.product_to_read(actor=reader_of(request), key=product_id)
        return Response(selectors.describe_inventory(product))


class ProductMediaViewSet(BaseViewSet):
    """What a product shows."""

    parser_classes = (JsonParser, MultiPartParser)
    # A file and what stands around it.
    max_body_bytes: ClassVar[int] = storage.LARGEST_FILE + MAX_BODY_BYTES

    def get_bucket(self) -> str | None:
        """Files are counted apart."""
        return "upload" if self._is_form() else super().get_bucket()

    def _is_form(self) -> bool:
        return (self.request.content_type or "").startswith("multipart/")

    @extend_schema(
        operation_id="product_media_add", tags=["products"], summary="Show something",
        description="A link, or a file in a form field `file`: JPEG, PNG, GIF, WebP (10 MiB), MP4 "
        "(25 MiB). What a file is, its content tells; anybody can read it from then on.",
        request={"application/json": MediaInput, "multipart/form-data": MediaUploadInput},
        responses={201: ProductOutput},
    )  # fmt: skip
    def create(self, request: Request, product_id: str) -> Response:
        """The product shows this too."""
        actor = actor_of(request)
        if self._is_form():
            file = request.FILES.get("file")
            if file is None:
                raise ValidationFailed.for_fields({"file": ["This field is required."]})
            tag = self.read(MediaTagInput).get("tag") or ""
            product = media.add_file(actor=actor, key=product_id, file=file, tag=tag)
        else:
            product = media.add_link(actor=actor, key=product_id, link=self.read(MediaInput))
        return Response(selectors.describe_product(product), status=201)

    @extend_schema(
        operation_id="product_media_remove", tags=["products"], summary="Show it no more",
        description="`url` in the query, or in the body.",
        parameters=[OpenApiParameter("url", OpenApiTypes.URI)], responses={204: None},
    )  # fmt: skip
    def destroy(self, request: Request, product_id: str) -> Response:
        """The product shows this no more."""
        asked = self.read_query(MediaUrlInput) if request.query_params else self.read(MediaUrlInput)
        media.remove_media(actor=actor_of(request), key=product_id, url=asked["url"])
        return Response(status=204)


class SkuViewSet(BaseViewSet):
    """The choices of one product."""

    identity_by_action: ClassVar[dict[str, Identity]] = {"list": "optional"}

    @extend_schema(
        operation_id="skus_list", tags=["products"], summary="Skus of a product",
        responses={200: SkuListOutput},
    )  # fmt: skip
    def list(self, request: Request, product_id: str) -> Response:
        """All skus, by their numbers."""
        product = access.product_to_read(actor=reader_of(request), key=product_id)
        described = selectors.describe_product(product)
        return Response({"items": described["skus"], "next_cursor": None})

    @extend_schema(
        operation_id="skus_create", tags=["products"], summary="Add a choice",
        request=CreateSkuInput, responses={201: SkuOutput},
    )  # fmt: skip
    def create(self, request: Request, product_id: str) -> Response:
        """The product has one more choice."""
        sku = skus.add_sku(
            actor=actor_of(request), key=product_id, values=self.read(CreateSkuInput)
        )
        return Response(sku_payload(sku, product=sku.product), status=201)

    @extend_schema(
        operation_id="skus_update", tags=["products"], summary="Change price or stock",
        description="For staff of its shop. PUT is the same.",
        request=UpdateSkuInput, responses={200: SkuOutput},
    )  # fmt: skip
    def partial_update(self, request: Request, sku_id: str) -> Response:
        """Change what is named."""
        sku = skus.update_sku(
            actor=actor_of(request), key=sku_id, changes=self.read(UpdateSkuInput, partial=True)
        )
        return Response(sku_payload(sku, product=sku.product))

    @extend_schema(
        operation_id="skus_replace", tags=["products"], summary="Change price or stock",
        request=UpdateSkuInput, responses={200: SkuOutput},
    )  # fmt: skip
    def update(self, request: Request, sku_id: str) -> Response:
        """PUT: the same as PATCH."""
        return self.partial_update(request, sku_id)


def public_file(request: HttpRequest, name: str) -> HttpResponse:
    """`/media/<name>`: a public file, for pages of every origin; it never changes."""
    found = storage.read(name) if request.method in ("GET", "HEAD") else None
    if found is None:
        return error_response(request, NotFound("There is nothing at this address."))
    content, content_type = found
    response = HttpResponse(content, content_type=content_type)
    response["Cache-Control"] = "public, max-age=31536000, immutable"
    response["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response
