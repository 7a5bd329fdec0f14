"""Shops and what they sell, as staff see them. Changes go through the services."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import TabularInline

from accounts.authentication import actor_of
from marketplace.core.admin import HistoryAdmin, column, operation
from marketplace.core.errors import AppError
from marketplace.core.money import money_text
from shops.enums import ProductStatus
from shops.models import Product, Shop, ShopMember, Sku
from shops.payloads import stock_status
from shops.search import shop_number
from shops.services import products, shops

STATUS_COLOURS = {"published": "success", "draft": "info", "archived": "warning"}
STOCK_COLOURS = {"in_stock": "success", "low_stock": "warning", "out_of_stock": "danger"}
STATE_COLOURS = {"open": "success", "closed": "danger"}
ROLE_COLOURS = {"owner": "success", "manager": "info", "staff": "primary"}


class OpenFilter(admin.SimpleListFilter):
    """Shops that are open, or have closed."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Open or closed."""
        return [("open", "Open"), ("closed", "Closed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """By `closed_at`."""
        if self.value() in ("open", "closed"):
            return queryset.filter(closed_at__isnull=self.value() == "open")
        return queryset


@admin.register(Shop)
class ShopAdmin(HistoryAdmin):
    """Places to sell. Their owners open and change them."""

    list_display = ("name", "handle_label", "state", "category", "owner", "last_sku", "created_at")
    list_filter = (OpenFilter, "subscription_plan", "currency")
    list_select_related = ("owner",)
    ordering = ("-id",)  # UUIDv7: the newest first, by the index that is there anyway
    search_fields = ("name_key__startswith", "owner__email__exact")
    search_help_text = (
        "The beginning of a name, a number, the e-mail address of an owner, or a whole id."
    )
    key_fields = ("pk", "owner_id")
    text_key_fields = ("owner__public_id",)
    fields = (
        "id",
        "number",
        "name",
        "state",
        "owner",
        "location",
        "category",
        "subscription_plan",
        "currency",
        "country_code",
        "region",
        "rating",
        "response_time_s",
        "last_sku",
        "created_at",
        "updated_at",
        "closed_at",
        "links",
    )
    readonly_fields = fields
    actions = ("close_chosen",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """`10001` and `shop_10001` are a number; other text is looked for as everywhere."""
        text = search_term.strip()
        number = shop_number(text) or shop_number(f"shop_{text}")
        if number is not None:
            return queryset.filter(number=number), False
        return super().get_search_results(request, queryset, search_term)

    @column("Number", ordering="number")
    def handle_label(self, shop: Shop) -> str:
        """The id that people read."""
        return shop.handle

    @column("State", colours=STATE_COLOURS)
    def state(self, shop: Shop) -> str:
        """Whether it is there for everybody."""
        return "open" if shop.closed_at is None else "closed"

    @column("Look at")
    def links(self, shop: Shop) -> str:
        """The ways to its people, products and events."""
        return format_html(
            '<a class="text-primary-600 underline" href="{}?shop__id__exact={}">People</a> · '
            '<a class="text-primary-600 underline" href="{}?shop__id__exact={}">Products</a> · '
            '<a class="text-primary-600 underline" href="{}?q={}">Events</a>',
            reverse("admin:shops_shopmember_changelist"),
            shop.id,
            reverse("admin:shops_product_changelist"),
            shop.id,
            reverse("admin:events_event_changelist"),
            shop.topic,
        )

    @operation("Close the chosen shops")
    def close_chosen(self, request: HttpRequest, queryset: QuerySet[Shop]) -> None:
        """Their products are archived, their names are free."""
        chosen = queryset.filter(closed_at__isnull=True).order_by("pk")
        closed = [shops.close_shop(actor=actor_of(request), key=str(one.id)) for one in chosen]
        self.message_user(request, f"{len(closed)} closed.", messages.SUCCESS)


@admin.register(ShopMember)
class ShopMemberAdmin(HistoryAdmin):
    """Who works for which shop."""

    list_display = ("user", "shop", "role_label", "created_at")
    list_filter = ("role",)
    list_select_related = ("user", "shop")
    ordering = ("-id",)
    search_fields = (
        "shop__name_key__startswith",
        "user__email__exact",
        "user__username_key__exact",
    )
    search_help_text = (
        "The beginning of a shop's name, a whole e-mail address or user name, or an id."
    )
    key_fields = ("pk", "shop_id", "user_id")
    text_key_fields = ("user__public_id",)

    @column("Role", ordering="role", colours=ROLE_COLOURS)
    def role_label(self, member: ShopMember) -> str:
        """The role, in its colour."""
        return member.role


class SkuInline(TabularInline):
    """The choices of a product, below it."""

    model = Sku
    extra = 0
    can_delete = False
    ordering = ("number",)
    fields = ("code", "options", "price", "available", "reserved", "updated_at")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: a new choice is told to the shop too."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: stock moves by conditional updates."""
        return False


@admin.register(Product)
class ProductAdmin(HistoryAdmin):
    """What shops sell."""

    list_display = (
        "name",
        "sku",
        "shop",
        "status_label",
        "category",
        "price_label",
        "stock_label",
        "created_at",
    )
    list_filter = ("status", "currency")
    list_select_related = ("shop",)
    ordering = ("-id",)  # UUIDv7: the newest first, by the index that is there anyway
    search_fields = ("name_key__startswith", "brand_key__exact", "category_key__exact")
    search_help_text = (
        "The beginning of a name, a whole brand or category in lower case, or the id of a product, "
        "shop or sku."
    )
    key_fields = ("pk", "shop_id", "skus__id")
    inlines = (SkuInline,)
    fields = (
        "id",
        "sku",
        "shop",
        "status_label",
        "name",
        "description",
        "brand",
        "category",
        "price_label",
        "media",
        "variances",
        "created_at",
        "updated_at",
    )
    readonly_fields = fields
    actions = ("publish_chosen", "withdraw_chosen", "archive_chosen")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With the skus of a page in one query, so that no row asks for its own."""
        products: QuerySet[Any] = super().get_queryset(request)
        return products.prefetch_related("skus")

    @column("Status", ordering="status", colours=STATUS_COLOURS)
    def status_label(self, product: Product) -> str:
        """The status, in its colour."""
        return product.status

    @column("Price", ordering="price")
    def price_label(self, product: Product) -> str:
        """Amount and currency."""
        return f"{money_text(product.price, product.currency)} {product.currency}"

    @column("Stock", colours=STOCK_COLOURS)
    def stock_label(self, product: Product) -> tuple[str, str]:
        """How many can be bought."""
        pieces = sum(sku.available for sku in product.skus.all())
        return stock_status(pieces), str(pieces)

    @operation("Publish the chosen products")
    def publish_chosen(self, request: HttpRequest, queryset: QuerySet[Product]) -> None:
        """Everybody sees them."""
        self._move(request, queryset, ProductStatus.PUBLISHED)

    @operation("Take the chosen products back into draft")
    def withdraw_chosen(self, request: HttpRequest, queryset: QuerySet[Product]) -> None:
        """Their shop alone sees them."""
        self._move(request, queryset, ProductStatus.DRAFT)

    @operation("Archive the chosen products")
    def archive_chosen(self, request: HttpRequest, queryset: QuerySet[Product]) -> None:
        """They are sold no more."""
        self._move(request, queryset, ProductStatus.ARCHIVED)

    def _move(
        self, request: HttpRequest, queryset: QuerySet[Product], status: ProductStatus
    ) -> None:
        moved = 0
        for key in list(
            queryset.exclude(status=status).order_by("pk").values_list("pk", flat=True)
        ):
            try:
                products.update_product(
                    actor=actor_of(request), key=str(key), changes={"status": status.value}
                )
                moved += 1
            except AppError as error:
                self.message_user(request, f"{key}: {error.message}", messages.ERROR)
        self.message_user(request, f"{moved} {status.value}.", messages.SUCCESS)
