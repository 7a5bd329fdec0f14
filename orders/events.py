"""The facts that orders record, on `order:<id>`; the buyer's topic gets a copy at once."""

from marketplace.events.catalog import declare

ORDER_CREATED = "order.created"
STATUS_CHANGED = "order.status_changed"
PAYMENT_SUCCEEDED = "payment.succeeded"
PAYMENT_REFUNDED = "payment.refunded"

declare(
    ORDER_CREATED,
    "Somebody has ordered; stock is held for it.",
    "order_id", "user_id", "status", "total", "currency", "created_at",
)  # fmt: skip
declare(
    STATUS_CHANGED,
    "An order stands elsewhere. `reason` where there is one, such as `expired`.",
    "order_id", "user_id", "status", "previous_status", "updated_at", "reason",
)  # fmt: skip
declare(
    PAYMENT_SUCCEEDED,
    "An order has been paid.",
    "order_id", "amount", "currency", "payment_id",
)  # fmt: skip
declare(
    PAYMENT_REFUNDED,
    "Money for an order went back.",
    "id", "payment_id", "order_id", "amount", "currency", "status", "reason", "lines",
    "created_at", "updated_at",
)  # fmt: skip
