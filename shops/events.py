"""The facts that shops record: on `product:<id>` what a product is, on `shop:<id>` all of it."""

from marketplace.events.catalog import declare

SHOP_FIELDS = (
    "id", "number", "shop_name", "location", "category", "subscription_plan", "owner_id",
    "currency", "country_code", "region", "rating", "response_time_s", "created_at", "updated_at",
)  # fmt: skip
PRODUCT_FIELDS = (
    "id", "sku", "shop_id", "name", "description", "brand", "category", "price", "currency",
    "stock_quantity", "stock_status", "media", "variances", "skus", "status", "created_at",
    "updated_at",
)  # fmt: skip
STOCK_CHANGED = "stock.changed"
MEMBER_FIELDS = ("shop_id", "user_id", "role", "previous_role", "actor_id")

declare("shop.created", "A shop has opened.", *SHOP_FIELDS)
declare("shop.updated", "A shop says something else about itself.", *SHOP_FIELDS)
declare("shop.deleted", "A shop has closed; its products are archived.", "shop_id", "number")
declare("shop.member_added", "Somebody works for the shop now.", *MEMBER_FIELDS)
declare("shop.member_removed", "Somebody works for the shop no more.", *MEMBER_FIELDS)
declare("shop.role_changed", "Somebody may do more or less for the shop.", *MEMBER_FIELDS)
declare("product.created", "A shop sells something new.", *PRODUCT_FIELDS)
declare("product.updated", "A product has changed.", *PRODUCT_FIELDS)
declare("product.archived", "A product is sold no more.", *PRODUCT_FIELDS)
declare(
    STOCK_CHANGED,
    "There is more or less of a sku.",
    "product_id", "sku_id", "sku", "warehouse_id", "quantity", "available", "stock_status",
)  # fmt: skip
