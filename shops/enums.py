"""The closed sets of shops."""

from django.db import models


class ShopRole(models.TextChoices):
    """What somebody may do for one shop; each may what those below him may."""

    OWNER = "owner"
    MANAGER = "manager"
    STAFF = "staff"


class ProductStatus(models.TextChoices):
    """Who sees a product: its shop alone, everybody, its shop alone again."""

    DRAFT = "draft"
    PUBLISHED = "published"
    ARCHIVED = "archived"


class StockStatus(models.TextChoices):
    """How much can be bought, in a word."""

    IN_STOCK = "in_stock"
    LOW_STOCK = "low_stock"
    OUT_OF_STOCK = "out_of_stock"


class MediaType(models.TextChoices):
    """What a product shows."""

    IMAGE = "image"
    VIDEO = "video"


class ProductSort(models.TextChoices):
    """The orders of a list of products."""

    NEWEST = "newest"
    PRICE = "price"
    PRICE_FALLING = "-price"
    NAME = "name"
    RELEVANCE = "relevance"
