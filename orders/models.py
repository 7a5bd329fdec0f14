"""Orders: what was bought, what it cost, what was held for it, how it was paid.

An order keeps what it was charged: titles, prices, rates and addresses are copies of the moment in
which it was placed.

The database checks no reference of the rows that are written with an order: order, lines, parts and
reservation come in one transaction, which also holds the rows of the skus that they name, and
users, orders, shops, products and skus are never deleted. Three lines of three shops would need 20
checks.
"""

from typing import Any

from django.conf import settings
from django.db import models
from django.utils.functional import cached_property

from marketplace.core.models import BaseModel
from marketplace.core.money import DECIMAL_PLACES, MAX_DIGITS
from orders.enums import (
    Fulfilment,
    Gateway,
    OrderStatus,
    PaymentFlow,
    PaymentState,
    PaymentStatus,
    RefundState,
    ReservationStatus,
)
from shops.models import LABEL_CHARACTERS, PRODUCT_NAME_CHARACTERS

# SQLite keeps so many digits exactly.
SUM_DIGITS = 15
RATE_DIGITS, RATE_PLACES = 8, 5


def sum_column(**options: Any) -> Any:
    """An amount that many lines add up to."""
    return models.DecimalField(max_digits=SUM_DIGITS, decimal_places=DECIMAL_PLACES, **options)


def handle_of(number: int) -> str:
    """An order's number as people read it."""
    return f"ORD-{number:08d}"


class Order(BaseModel):
    """What one person has bought at one time, of one shop or several.

    Its topic in the log is `order:<id>`, which is also its timeline.
    """

    # 10001, 10002 … over the whole instance. The human form is `ORD-00010001`.
    number = models.BigIntegerField(unique=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="orders",
        db_index=False,
        db_constraint=False,
    )
    # A digest of who asked for what under which key of his, so that one wish is one order.
    key = models.CharField(max_length=64, null=True, editable=False)
    # Lines of a title and a price alone: no stock, no shop, neither tax nor shipping.
    custom = models.BooleanField(default=False)
    status = models.CharField(
        max_length=16, choices=OrderStatus.choices, default=OrderStatus.PENDING
    )
    payment_status = models.CharField(
        max_length=24, choices=PaymentStatus.choices, default=PaymentStatus.UNPAID
    )
    payment_method = models.CharField(max_length=32, blank=True, default="")
    payment_flow = models.CharField(
        max_length=16, choices=PaymentFlow.choices, default=PaymentFlow.REGULAR
    )
    fulfilment = models.CharField(
        max_length=16, choices=Fulfilment.choices, blank=True, default=Fulfilment.DELIVERY
    )
    currency = models.CharField(max_length=3)
    subtotal = sum_column()
    coupon_discount = sum_column(default=0)
    points_discount = sum_column(default=0)
    loyalty_discount = sum_column(default=0)
    tax = sum_column(default=0)
    # The part of the prices that is tax, where prices contain it: changes no total.
    tax_included = sum_column(default=0)
    # The part of the tax, of either kind, that is on the shipping.
    shipping_tax = sum_column(default=0)
    shipping = sum_column(default=0)
    total = sum_column()
    item_count = models.IntegerField()
    coupon_code = models.CharField(max_length=64, blank=True, default="")
    # As the Address was when it was ordered; null where the buyer named none.
    shipping_address = models.JSONField(null=True, blank=True)
    # Written by delivery: the first delivery that was made for it.
    delivery_id = models.UUIDField(null=True, blank=True)

    class Meta:
        # As a constraint: a unique column of text has a second index on PostgreSQL.
        constraints = [models.UniqueConstraint(fields=["key"], name="order_key")]
        indexes = [
            models.Index(fields=["user", "id"], name="order_user"),
            models.Index(fields=["status", "id"], name="order_status"),
        ]

    def __str__(self) -> str:
        return self.handle

    @property
    def topic(self) -> str:
        """Its address in the log."""
        return f"order:{self.id}"

    @property
    def handle(self) -> str:
        """The number as people read it."""
        return handle_of(self.number)

    @cached_property
    def all_lines(self) -> "list[OrderLine]":
        """Its lines in the order in which they were asked for, read once."""
        return list(self.lines.order_by("id"))

    @cached_property
    def all_shop_orders(self) -> "list[ShopOrder]":
        """Its parts by shop, read once."""
        return list(self.shop_orders.order_by("id"))

    def forget(self) -> None:
        """Read lines and parts again at the next look."""
        for name in ("all_lines", "all_shop_orders"):
            self.__dict__.pop(name, None)


class ShopOrder(BaseModel):
    """The part of an order that one shop fulfils; `total` = its goods and their tax."""

    # Its own index would repeat the beginning of the unique one.
    order = models.ForeignKey(
        Order,
        on_delete=models.CASCADE,
        related_name="shop_orders",
        db_index=False,
        db_constraint=False,
    )
    shop = models.ForeignKey(
        "shops.Shop",
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    status = models.CharField(
        max_length=16, choices=OrderStatus.choices, default=OrderStatus.PENDING
    )
    total = sum_column()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["order", "shop"], name="shop_order_shop")]
        # A shop's orders, the newest first: ids of orders rise with time.
        indexes = [models.Index(fields=["shop", "order"], name="shop_order_newest")]

    def __str__(self) -> str:
        return f"{self.shop_id} in {self.order_id}"


class OrderLine(BaseModel):
    """So many pieces of one sku, at the price of that moment; one line per sku."""

    order = models.ForeignKey(
        Order, on_delete=models.CASCADE, related_name="lines", db_constraint=False
    )
    # An order keeps what it names: nothing that was bought can be deleted.
    shop = models.ForeignKey(
        "shops.Shop",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    product = models.ForeignKey(
        "shops.Product",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    sku = models.ForeignKey(
        "shops.Sku",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    title = models.CharField(max_length=PRODUCT_NAME_CHARACTERS)
    code = models.CharField(max_length=24, blank=True, default="")
    category = models.CharField(max_length=LABEL_CHARACTERS, blank=True, default="")
    options = models.JSONField(default=dict, blank=True)
    image_url = models.CharField(max_length=500, blank=True, default="")
    quantity = models.IntegerField()
    unit_price = models.DecimalField(max_digits=MAX_DIGITS, decimal_places=DECIMAL_PLACES)
    line_total = sum_column()
    # Its share of all discounts of the order, and of its tax.
    discount = sum_column(default=0)
    tax = sum_column(default=0)
    tax_included = sum_column(default=0)
    tax_rate = models.DecimalField(max_digits=RATE_DIGITS, decimal_places=RATE_PLACES, default=0)
    custom = models.BooleanField(default=False)
    returned_quantity = models.IntegerField(default=0)

    class Meta:
        constraints = [
            # MongoDB does not enforce it; the services never write another one.
            models.CheckConstraint(condition=models.Q(quantity__gte=1), name="order_line_quantity")
        ]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.title}"


class Payment(BaseModel):
    """One try to pay for an order."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="payments")
    # What it is known by to whoever repeats it; at a provider its idempotency key.
    key = models.CharField(max_length=100, unique=True, editable=False)
    gateway = models.CharField(max_length=16, choices=Gateway.choices)
    method = models.CharField(max_length=32)
    amount = sum_column()
    currency = models.CharField(max_length=3)
    status = models.CharField(
        max_length=16, choices=PaymentState.choices, default=PaymentState.PENDING
    )
    decline_code = models.CharField(max_length=64, blank=True, default="")
    refunded_amount = sum_column(default=0)

    def __str__(self) -> str:
        return f"{self.method} for {self.order_id}: {self.status}"


class Refund(BaseModel):
    """Money that went back. lines: `[{order_line_id, quantity, amount}]`, empty = of the whole."""

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="refunds")
    key = models.CharField(max_length=100, unique=True, editable=False)
    amount = sum_column()
    currency = models.CharField(max_length=3)
    status = models.CharField(
        max_length=16, choices=RefundState.choices, default=RefundState.PENDING
    )
    reason = models.CharField(max_length=200, blank=True, default="")
    lines = models.JSONField(default=list, blank=True)

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} of {self.payment_id}: {self.status}"


class Reservation(BaseModel):
    """The pieces of all lines of an order, held until it is settled or `expires_at` has come."""

    order = models.ForeignKey(
        Order, on_delete=models.CASCADE, related_name="reservations", db_constraint=False
    )
    status = models.CharField(
        max_length=16, choices=ReservationStatus.choices, default=ReservationStatus.HELD
    )
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["status", "expires_at"], name="reservation_due")]

    def __str__(self) -> str:
        return f"{self.order_id}: {self.status}"
