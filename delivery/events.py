"""The facts that delivery records, on `delivery:<id>` with a copy on the order's own topic."""

from marketplace.events.catalog import declare

STATUS_CHANGED = "delivery.status_changed"
MILESTONE = "delivery.milestone"
OFFERED = "delivery.offered"

declare(
    STATUS_CHANGED,
    "A delivery stands elsewhere; its first one tells that it was made.",
    "delivery_id", "order_id", "status", "previous_status", "milestone", "message", "at",
    "updated_at", "delivered_at", "reason",
)  # fmt: skip
declare(
    MILESTONE,
    "The courier is near, or an attempt has failed.",
    "delivery_id", "milestone", "message", "at",
)  # fmt: skip
declare(
    OFFERED,
    "A courier may take a delivery, on his own topic `user:<id>`.",
    "delivery_id", "courier_id", "shop_id", "distance_m", "expires_at",
)  # fmt: skip
