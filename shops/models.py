"""Shops, who works for them, what they sell, and how much of it is there."""

from django.conf import settings
from django.db import models

from marketplace.core.models import BaseModel
from marketplace.core.money import DECIMAL_PLACES, MAX_DIGITS
from shops.enums import ProductStatus, ShopRole

NAME_CHARACTERS = 80
PRODUCT_NAME_CHARACTERS = 200
LABEL_CHARACTERS = 60


def sort_key(text: str) -> str:
    """The form of a text in which it is compared and sorted: without case."""
    return text.casefold()


class Shop(BaseModel):
    """Somebody's place to sell. Its topic in the log is `shop:<id>`."""

    # The human form is `shop_<number>`.
    number = models.BigIntegerField(unique=True)
    name = models.CharField(max_length=NAME_CHARACTERS)
    # Unique without case; null once the shop has closed, so that its name is free again.
    name_key = models.CharField(
        max_length=3 * NAME_CHARACTERS, null=True, unique=True, editable=False
    )
    location = models.CharField(max_length=200)
    category = models.CharField(max_length=LABEL_CHARACTERS)
    category_key = models.CharField(max_length=3 * LABEL_CHARACTERS, editable=False)
    subscription_plan = models.CharField(max_length=32, default="free")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="shops"
    )
    currency = models.CharField(max_length=3)
    country_code = models.CharField(max_length=2, blank=True, default="")
    region = models.CharField(max_length=LABEL_CHARACTERS, blank=True, default="")
    rating = models.DecimalField(max_digits=3, decimal_places=2, null=True, blank=True)
    response_time_s = models.IntegerField(null=True, blank=True)
    # The newest sku of this shop. Its update is the one door to a new number: what comes through
    # it and commits has the next one, so the numbers have no gap.
    last_sku = models.IntegerField(default=0)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["closed_at", "id"], name="shop_newest"),
            models.Index(fields=["closed_at", "category_key", "id"], name="shop_category"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def topic(self) -> str:
        """Its address in the log."""
        return f"shop:{self.id}"

    @property
    def handle(self) -> str:
        """The id that people read and type."""
        return f"shop_{self.number}"


class ShopMember(BaseModel):
    """One person who works for one shop; the owner is one of them."""

    # Its own index would repeat the beginning of the unique one.
    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="members", db_index=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="shop_memberships"
    )
    role = models.CharField(max_length=8, choices=ShopRole.choices, default=ShopRole.STAFF)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["shop", "user"], name="shop_member_user")]
        indexes = [models.Index(fields=["shop", "created_at", "id"], name="shop_member_oldest")]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.shop_id}"


class Product(BaseModel):
    """Something that a shop sells. Its topic in the log is `product:<id>`; nobody joins it.

    media: `[{media_type, tag, url}]`. variances: `[{name, options[]}]`.
    """

    shop = models.ForeignKey(
        Shop, on_delete=models.CASCADE, related_name="products", db_index=False
    )
    sku = models.IntegerField()
    name = models.CharField(max_length=PRODUCT_NAME_CHARACTERS)
    name_key = models.CharField(max_length=3 * PRODUCT_NAME_CHARACTERS, editable=False)
    description = models.TextField(blank=True, default="")
    brand = models.CharField(max_length=LABEL_CHARACTERS, blank=True, default="")
    brand_key = models.CharField(
        max_length=3 * LABEL_CHARACTERS, blank=True, default="", editable=False
    )
    category = models.CharField(max_length=LABEL_CHARACTERS, blank=True, default="")
    category_key = models.CharField(
        max_length=3 * LABEL_CHARACTERS, blank=True, default="", editable=False
    )
    price = models.DecimalField(max_digits=MAX_DIGITS, decimal_places=DECIMAL_PLACES)
    # The shop's, so that no list has to ask the shop.
    currency = models.CharField(max_length=3)
    media = models.JSONField(default=list, blank=True)
    variances = models.JSONField(default=list, blank=True)
    # The newest `number` of its skus.
    last_number = models.IntegerField(default=0)
    status = models.CharField(
        max_length=16, choices=ProductStatus.choices, default=ProductStatus.PUBLISHED
    )
    # Name, brand, category and description without case: what words are looked for in.
    search_text = models.TextField(blank=True, default="", editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["shop", "sku"], name="product_shop_sku")]
        indexes = [
            models.Index(fields=["status", "id"], name="product_newest"),
            models.Index(fields=["status", "price", "id"], name="product_price"),
            models.Index(fields=["status", "name_key", "id"], name="product_name"),
            models.Index(fields=["status", "category_key", "id"], name="product_category_newest"),
            models.Index(fields=["status", "category_key", "price", "id"], name="product_category"),
            models.Index(fields=["status", "brand_key", "price", "id"], name="product_brand"),
            models.Index(fields=["shop", "status", "id"], name="product_shop"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def topic(self) -> str:
        """Its address in the log."""
        return f"product:{self.id}"

    def index(self) -> None:
        """Bring the columns that are searched and sorted by in line with what people read."""
        self.name_key = sort_key(self.name)
        self.brand_key = sort_key(self.brand)
        self.category_key = sort_key(self.category)
        self.search_text = sort_key(
            f"{self.name}\n{self.brand}\n{self.category}\n{self.description}"
        )


class Sku(BaseModel):
    """What is really bought: a product with one choice of its options, and its own stock.

    `available` can be bought; `reserved` is held for orders that are not settled yet. Both change
    by conditional updates alone (`services/inventory.py`). What lies there is their sum.
    """

    product = models.ForeignKey(
        Product, on_delete=models.CASCADE, related_name="skus", db_index=False
    )
    # 1, 2, 3 … among the skus of its product; 0 for the one of a product without options.
    number = models.IntegerField()
    code = models.CharField(max_length=24)
    options = models.JSONField(default=dict, blank=True)
    options_key = models.CharField(max_length=64, blank=True, default="", editable=False)
    # Null = the product's.
    price = models.DecimalField(
        max_digits=MAX_DIGITS, decimal_places=DECIMAL_PLACES, null=True, blank=True
    )
    available = models.IntegerField(default=0)
    reserved = models.IntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["product", "number"], name="sku_product_number"),
            models.UniqueConstraint(fields=["product", "options_key"], name="sku_product_options"),
            # MongoDB does not enforce these two; the conditions of the updates do, everywhere.
            models.CheckConstraint(condition=models.Q(available__gte=0), name="sku_available"),
            models.CheckConstraint(condition=models.Q(reserved__gte=0), name="sku_reserved"),
        ]

    def __str__(self) -> str:
        return self.code

    @property
    def quantity(self) -> int:
        """How many pieces lie there."""
        return self.available + self.reserved
