"""What comes in and goes out of shops, for REST and sockets."""

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from accounts.serializers import PublicUserOutput
from marketplace.core.inputs import AnyCaseChoiceField, InputSerializer
from marketplace.core.money import DECIMAL_PLACES, MAX_DIGITS
from marketplace.core.serializers import page_output
from shops.enums import MediaType, ProductSort, ProductStatus, ShopRole, StockStatus
from shops.models import LABEL_CHARACTERS, PRODUCT_NAME_CHARACTERS
from shops.search import ProductQuery
from shops.services.media import MEDIA, TAG_CHARACTERS, URL_CHARACTERS
from shops.services.options import OPTION_CHARACTERS, OPTIONS, SKUS, VARIANCES
from shops.services.products import LARGEST_STOCK, NewProduct

DESCRIPTION_CHARACTERS = 10_000
WORDS_CHARACTERS = 200


def money_field(**options: Any) -> serializers.DecimalField:
    """An amount that is not negative; whether it suits its currency, the service knows."""
    return serializers.DecimalField(
        max_digits=MAX_DIGITS, decimal_places=DECIMAL_PLACES, min_value=Decimal(0), **options
    )


def stock_field(**options: Any) -> serializers.IntegerField:
    """So many pieces."""
    return serializers.IntegerField(min_value=0, max_value=LARGEST_STOCK, **options)


def label_field(**options: Any) -> serializers.CharField:
    """A category or a brand."""
    return serializers.CharField(
        required=False, allow_null=True, allow_blank=True, max_length=LABEL_CHARACTERS, **options
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Corner Lamp",
            {
                "shop_name": "Corner Lamp",
                "location": "New York",
                "category": "home",
                "subscription_plan": "free",
            },
        )
    ]
)
class CreateShopInput(InputSerializer):
    """A shop to be opened; its name is unique without case."""

    aliases = {"shop_name": ("name",)}

    shop_name = serializers.CharField()
    location = serializers.CharField()
    category = serializers.CharField()
    subscription_plan = serializers.CharField(required=False, allow_null=True, allow_blank=True)
    currency = serializers.CharField(required=False, allow_null=True, allow_blank=True)
    country_code = serializers.CharField(required=False, allow_null=True, allow_blank=True)
    region = serializers.CharField(required=False, allow_null=True, allow_blank=True)


@extend_schema_serializer(examples=[OpenApiExample("A move", {"location": "Boston"})])
class UpdateShopInput(CreateShopInput):
    """What an owner or manager may change; a missing key stays, null clears what may be empty.

    The currency stays once the shop has had a product.
    """


@extend_schema_serializer(
    examples=[OpenApiExample("A manager", {"user_id": "019ab0c4-…", "role": "manager"})]
)
class AddShopMemberInput(InputSerializer):
    """Somebody who shall work for the shop."""

    user_id = serializers.CharField(max_length=128)
    role = AnyCaseChoiceField(
        choices=[ShopRole.MANAGER.value, ShopRole.STAFF.value], default=ShopRole.STAFF.value
    )


@extend_schema_serializer(examples=[OpenApiExample("Up", {"role": "manager"})])
class ShopRoleInput(InputSerializer):
    """What he may do from now on."""

    role = AnyCaseChoiceField(choices=[ShopRole.MANAGER.value, ShopRole.STAFF.value])


class VarianceInput(InputSerializer):
    """Something that a buyer chooses, such as a size."""

    name = serializers.CharField(max_length=OPTION_CHARACTERS)
    options = serializers.ListField(
        child=serializers.CharField(max_length=OPTION_CHARACTERS),
        min_length=1,
        max_length=OPTIONS,
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A link", {"media_type": "image", "tag": "front", "url": "https://example.com/a.jpg"}
        )
    ]
)
class MediaInput(InputSerializer):
    """A link; the server never follows it. Without `media_type` its ending tells."""

    media_type = AnyCaseChoiceField(choices=MediaType.choices, required=False)
    tag = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, max_length=TAG_CHARACTERS
    )
    url = serializers.CharField(max_length=URL_CHARACTERS)


class MediaUploadInput(InputSerializer):
    """A file: JPEG, PNG, GIF or WebP of 10 MiB at most, MP4 of 25 MiB at most."""

    file = serializers.FileField()
    tag = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, max_length=TAG_CHARACTERS
    )


class MediaTagInput(InputSerializer):
    """What comes beside a file."""

    tag = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, max_length=TAG_CHARACTERS
    )


class MediaUrlInput(InputSerializer):
    """Which of a product's media is meant."""

    url = serializers.CharField(max_length=URL_CHARACTERS)


class SkuFields(InputSerializer):
    """Price and stock of one choice; no price = the product's."""

    price = money_field(required=False, allow_null=True)
    stock_quantity = stock_field(required=False, allow_null=True)


@extend_schema_serializer(
    examples=[OpenApiExample("XL", {"options": {"Size": "XL"}, "stock_quantity": 5})]
)
class CreateSkuInput(SkuFields):
    """One more choice of a product; an option that it does not know yet is added to it."""

    options = serializers.DictField(child=serializers.CharField(max_length=OPTION_CHARACTERS))


@extend_schema_serializer(examples=[OpenApiExample("More", {"stock_quantity": 25})])
class UpdateSkuInput(SkuFields):
    """Another price (null: the product's again), another stock."""


PRODUCT_INPUT_EXAMPLE = {
    "name": "T-shirt",
    "description": "Cotton.",
    "price": "19.90",
    "stock_quantity": 60,
    "media": [{"media_type": "image", "tag": "front", "url": "https://example.com/a.jpg"}],
    "variances": [
        {"name": "Size", "options": ["S", "M", "L"]},
        {"name": "Color", "options": ["red", "blue"]},
    ],
}


@extend_schema_serializer(examples=[OpenApiExample("Six skus", PRODUCT_INPUT_EXAMPLE)])
class CreateProductInput(InputSerializer):
    """A product to be sold, under the shop's next sku number.

    Every choice of options is a sku; `stock_quantity` is shared out evenly among them. With `skus`
    exactly those are made, each with its own stock. Published unless `status` says `draft`.
    """

    name = serializers.CharField(max_length=PRODUCT_NAME_CHARACTERS)
    description = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, max_length=DESCRIPTION_CHARACTERS
    )
    brand = label_field()
    category = label_field()
    price = money_field()
    stock_quantity = stock_field(required=False, allow_null=True)
    media = serializers.ListField(
        child=MediaInput(), required=False, allow_null=True, max_length=MEDIA
    )
    variances = serializers.ListField(
        child=VarianceInput(), required=False, allow_null=True, max_length=VARIANCES
    )
    skus = serializers.ListField(
        child=CreateSkuInput(), required=False, allow_null=True, max_length=SKUS
    )
    status = AnyCaseChoiceField(
        choices=[ProductStatus.DRAFT.value, ProductStatus.PUBLISHED.value], required=False
    )


@extend_schema_serializer(examples=[OpenApiExample("Cheaper", {"price": "17.90"})])
class UpdateProductInput(InputSerializer):
    """What staff may change; a missing key stays, null clears what may be empty.

    `stock_quantity` where the product has one sku; `media` takes the place of all that is there.
    """

    name = serializers.CharField(required=False, max_length=PRODUCT_NAME_CHARACTERS)
    description = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, max_length=DESCRIPTION_CHARACTERS
    )
    brand = label_field()
    category = label_field()
    price = money_field(required=False)
    stock_quantity = stock_field(required=False)
    media = serializers.ListField(
        child=MediaInput(), required=False, allow_null=True, max_length=MEDIA
    )
    status = AnyCaseChoiceField(choices=ProductStatus.choices, required=False)


class ShopQueryInput(InputSerializer):
    """Which shops."""

    category = label_field()
    mine = serializers.BooleanField(required=False)


class ProductQueryInput(InputSerializer):
    """Which products, in which order."""

    aliases = {
        "min_price": ("price_min",),
        "max_price": ("price_max",),
        "q": ("search", "query"),
    }

    category = label_field()
    brand = label_field()
    min_price = money_field(required=False)
    max_price = money_field(required=False)
    q = serializers.CharField(required=False, allow_blank=True, max_length=WORDS_CHARACTERS)
    in_stock = serializers.BooleanField(required=False, allow_null=True)
    shop_id = serializers.CharField(required=False, allow_blank=True, max_length=64)
    sort = AnyCaseChoiceField(choices=ProductSort.choices, required=False)


class ShopProductQueryInput(ProductQueryInput):
    """The same in one shop, whose staff also see what is not published."""

    status = AnyCaseChoiceField(choices=ProductStatus.choices, required=False)


class ProductSearchInput(ProductQueryInput):
    """The same, with words."""

    q = serializers.CharField(max_length=WORDS_CHARACTERS)


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Without what is null: on making, null is the same as absent."""
    return {name: value for name, value in values.items() if value is not None}


def new_product(values: dict[str, Any]) -> NewProduct:
    """The product that a valid `CreateProductInput` wants."""
    return NewProduct(**given(values))


def product_query(values: dict[str, Any], **fixed: Any) -> ProductQuery:
    """What a valid `ProductQueryInput` asks for."""
    return ProductQuery(**{**given(values), **fixed})


EXAMPLE_SHOP = {
    "id": "019ab0c4-8e21-7a30-9c55-6f7a8b9c0d1e",
    "number": 10001,
    "shop_name": "Corner Lamp",
    "location": "New York",
    "category": "home",
    "subscription_plan": "free",
    "owner_id": "019ab0c4-7d10-7cc1-8f6e-0a8d6d3e1b52",
    "currency": "USD",
    "country_code": None,
    "region": None,
    "rating": None,
    "response_time_s": None,
    "created_at": "2026-01-10T12:00:00.000Z",
    "updated_at": "2026-01-10T12:00:00.000Z",
}
EXAMPLE_PRODUCT = {
    "id": "019ab0c5-0b7c-7d11-8a64-1e2f3a4b5c6d",
    "sku": 1,
    "shop_id": EXAMPLE_SHOP["id"],
    "name": "Desk lamp",
    "description": "Brass, with a dimmer.",
    "brand": "Corner",
    "category": "lamps",
    "price": "49.90",
    "currency": "USD",
    "stock_quantity": 12,
    "stock_status": "in_stock",
    "media": [{"media_type": "image", "tag": "front", "url": "https://example.com/lamp.jpg"}],
    "variances": [],
    "skus": [
        {
            "id": "019ab0c5-0b7c-7d12-b0a1-2f3a4b5c6d7e",
            "code": "1",
            "options": {},
            "price": "49.90",
            "stock_quantity": 12,
            "available": 12,
            "created_at": "2026-01-10T12:00:00.000Z",
            "updated_at": "2026-01-10T12:00:00.000Z",
        }
    ],
    "status": "published",
    "created_at": "2026-01-10T12:00:00.000Z",
    "updated_at": "2026-01-10T12:00:00.000Z",
}


@extend_schema_serializer(examples=[OpenApiExample("Corner Lamp", EXAMPLE_SHOP)])
class ShopOutput(serializers.Serializer[Any]):
    """One shop."""

    id = serializers.UUIDField()
    number = serializers.IntegerField()
    shop_name = serializers.CharField()
    location = serializers.CharField()
    category = serializers.CharField()
    subscription_plan = serializers.CharField()
    owner_id = serializers.CharField()
    currency = serializers.CharField()
    country_code = serializers.CharField(allow_null=True)
    region = serializers.CharField(allow_null=True)
    rating = serializers.FloatField(allow_null=True)
    response_time_s = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


ShopPageOutput = page_output(ShopOutput, "A page of shops.")


class ShopMemberOutput(serializers.Serializer[Any]):
    """One person of a shop."""

    user_id = serializers.CharField()
    user = PublicUserOutput()
    role = serializers.ChoiceField(choices=ShopRole.choices)
    joined_at = serializers.DateTimeField()


ShopMemberPageOutput = page_output(ShopMemberOutput, "A page of people.")


class MediaOutput(serializers.Serializer[Any]):
    """Something that a product shows."""

    media_type = serializers.ChoiceField(choices=MediaType.choices)
    tag = serializers.CharField(allow_blank=True)
    url = serializers.CharField()


class VarianceOutput(serializers.Serializer[Any]):
    """Something that a buyer chooses."""

    name = serializers.CharField()
    options = serializers.ListField(child=serializers.CharField())


@extend_schema_serializer(examples=[OpenApiExample("One", EXAMPLE_PRODUCT["skus"][0])])  # type: ignore[index]  # a list
class SkuOutput(serializers.Serializer[Any]):
    """One choice of a product, with its own stock."""

    id = serializers.UUIDField()
    code = serializers.CharField()
    options = serializers.DictField(child=serializers.CharField())
    price = serializers.CharField()
    stock_quantity = serializers.IntegerField()
    available = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


SkuListOutput = page_output(
    SkuOutput, "All skus of a product; the list is short and has one page.", name="SkuListOutput"
)


@extend_schema_serializer(examples=[OpenApiExample("A lamp", EXAMPLE_PRODUCT)])
class ProductOutput(serializers.Serializer[Any]):
    """One product with its skus; `stock_quantity` is their sum."""

    id = serializers.UUIDField()
    sku = serializers.IntegerField()
    shop_id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    brand = serializers.CharField(allow_null=True)
    category = serializers.CharField(allow_null=True)
    price = serializers.CharField()
    currency = serializers.CharField()
    stock_quantity = serializers.IntegerField()
    stock_status = serializers.ChoiceField(choices=StockStatus.choices)
    media = MediaOutput(many=True)
    variances = VarianceOutput(many=True)
    skus = SkuOutput(many=True)
    status = serializers.ChoiceField(choices=ProductStatus.choices)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


ProductPageOutput = page_output(ProductOutput, "A page of products.")


class SkuStockOutput(serializers.Serializer[Any]):
    """How much there is of one sku."""

    sku_id = serializers.UUIDField()
    code = serializers.CharField()
    quantity = serializers.IntegerField()
    reserved = serializers.IntegerField()
    available = serializers.IntegerField()


class InventoryOutput(serializers.Serializer[Any]):
    """How much there is of a product."""

    product_id = serializers.UUIDField()
    quantity = serializers.IntegerField()
    reserved = serializers.IntegerField()
    available = serializers.IntegerField()
    stock_status = serializers.ChoiceField(choices=StockStatus.choices)
    warehouses = serializers.ListField(child=serializers.DictField())
    skus = SkuStockOutput(many=True)
    updated_at = serializers.DateTimeField()
