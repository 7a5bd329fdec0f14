"""Orders with their lines and payments, as staff see them. Changes go through the services."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import TabularInline

from accounts.authentication import actor_of
from marketplace.core.admin import HistoryAdmin, column, operation, read_uuid, spoken
from marketplace.core.errors import AppError
from marketplace.core.money import money_text
from orders import selectors
from orders.models import Order, OrderLine, Payment, Refund, ShopOrder
from orders.services import moves

STATUS_COLOURS = {
    "pending": "warning",
    "processing": "info",
    "shipped": "info",
    "delivered": "success",
    "returned": "primary",
    "cancelled": "danger",
    "failed": "danger",
}
PAYMENT_COLOURS = {
    "unpaid": "warning",
    "authorized": "info",
    "paid": "success",
    "partially refunded": "primary",
    "refunded": "primary",
    "failed": "danger",
    "captured": "success",
    "pending": "warning",
    "requires action": "warning",
    "cancelled": "danger",
    "review": "danger",
}


def amount(name: str, *, of_order: bool = False) -> Callable[[Any], str]:
    """A column with this amount as people write it; of_order: the row's order has the currency."""

    @admin.display(description=name.replace("_", " ").capitalize())
    def shown(row: Any) -> str:
        return money_text(getattr(row, name), row.order.currency if of_order else row.currency)

    return shown


class ReadOnlyInline(TabularInline):
    """Rows below an order that nobody changes by a form."""

    extra = 0
    hide_title = True
    can_delete = False
    ordering = ("id",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: the services write them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False


class OrderLineInline(ReadOnlyInline):
    """What was ordered."""

    model = OrderLine
    fields = (
        "title",
        "code",
        "quantity",
        *(amount(name, of_order=True) for name in ("unit_price", "line_total", "discount", "tax")),
        "returned_quantity",
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With the order, which tells the currency, in the same query."""
        lines: QuerySet[Any] = super().get_queryset(request)
        return lines.select_related("order")


class ShopOrderInline(ReadOnlyInline):
    """Its parts by shop."""

    model = ShopOrder
    fields = ("shop", "status", amount("total", of_order=True), "updated_at")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With the shops and the order in the same query."""
        parts: QuerySet[Any] = super().get_queryset(request)
        return parts.select_related("shop", "order")


class PaymentInline(ReadOnlyInline):
    """How it was paid."""

    model = Payment
    fields = (
        "gateway",
        "method",
        amount("amount"),
        "currency",
        "status",
        amount("refunded_amount"),
        "created_at",
    )
    readonly_fields = fields


class RefundInline(ReadOnlyInline):
    """What went back."""

    model = Refund
    fields = (amount("amount"), "currency", "status", "reason", "created_at")
    readonly_fields = fields


@admin.register(Order)
class OrderAdmin(HistoryAdmin):
    """What people have ordered. Their shops and couriers move it on."""

    list_display = (
        "handle_label",
        "user",
        "status_label",
        "payment_label",
        "payment_flow",
        "total_label",
        "item_count",
        "created_at",
    )
    list_filter = ("status", "payment_status", "payment_flow", "fulfilment")
    list_select_related = ("user",)
    ordering = ("-id",)  # UUIDv7: the newest first, by the index that is there anyway
    search_fields = ("user__email__exact", "user__username_key__exact")
    search_help_text = (
        "A number (10001 or ORD-10001), the e-mail address or user name of a buyer, or the id of "
        "an order, buyer, shop or delivery."
    )
    key_fields = ("pk", "user_id", "delivery_id")
    text_key_fields = ("user__public_id",)
    inlines = (OrderLineInline, ShopOrderInline, PaymentInline, RefundInline)
    fields = (
        "id",
        "handle_label",
        "user",
        "status_label",
        "payment_label",
        "payment_method",
        "payment_flow",
        "fulfilment",
        "currency",
        *(  # type: ignore[arg-type]  # Django takes callables here, its stubs do not
            amount(name)
            for name in (
                "subtotal",
                "coupon_discount",
                "points_discount",
                "loyalty_discount",
                "tax",
                "tax_included",
                "shipping",
                "total",
            )
        ),
        "item_count",
        "shipping_address",
        "delivery_id",
        "created_at",
        "updated_at",
        "links",
    )
    readonly_fields = fields  # type: ignore[assignment]  # for the same reason
    actions = ("accept_chosen", "pay_chosen", "cancel_chosen")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """`10001` and `ORD-00010001` are a number; the id of a shop finds its orders."""
        number = selectors.order_number(search_term)
        if number is not None:
            return queryset.filter(number=number), False
        found, repeats = super().get_search_results(request, queryset, search_term)
        key = read_uuid(search_term.strip())
        if key is not None:
            of_shop = ShopOrder.objects.filter(shop_id=key).order_by("id").values("order_id")
            found |= queryset.filter(pk__in=of_shop)
        return found, repeats

    @column("Number", ordering="number")
    def handle_label(self, order: Order) -> str:
        """The number that people read."""
        return order.handle

    @column("Status", ordering="status", colours=STATUS_COLOURS)
    def status_label(self, order: Order) -> str:
        """The status, in its colour."""
        return order.status

    @column("Payment", ordering="payment_status", colours=PAYMENT_COLOURS)
    def payment_label(self, order: Order) -> str:
        """Whether it is paid, in its colour."""
        return spoken(order.payment_status)

    @column("Total", ordering="total")
    def total_label(self, order: Order) -> str:
        """Amount and currency."""
        return f"{money_text(order.total, order.currency)} {order.currency}"

    @column("Look at")
    def links(self, order: Order) -> str:
        """The ways to its history and its buyer."""
        return format_html(
            '<a class="text-primary-600 underline" href="{}?q={}">History</a> · '
            '<a class="text-primary-600 underline" href="{}">Buyer</a>',
            reverse("admin:events_event_changelist"),
            order.topic,
            reverse("admin:accounts_user_change", args=[order.user_id]),
        )

    @operation("Accept the chosen orders that are paid on delivery")
    def accept_chosen(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        """Pending ones move to processing."""
        self._each(
            request,
            queryset,
            lambda key: moves.accept_order(actor=actor_of(request), order_id=key),
            "accepted",
        )

    @operation("Record the chosen orders as paid in cash")
    def pay_chosen(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        """Those that are paid on delivery, once and in full."""
        self._each(
            request,
            queryset,
            lambda key: moves.pay_order(actor=actor_of(request), order_id=key),
            "paid",
        )

    @operation("Cancel the chosen orders")
    def cancel_chosen(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        """Those that are not shipped yet; their stock can be bought again."""
        self._each(
            request,
            queryset,
            lambda key: moves.cancel_order(actor=actor_of(request), order_id=key),
            "cancelled",
        )

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[Order],
        do: Callable[[str], object],
        word: str,
    ) -> None:
        done = 0
        for order in list(queryset.order_by("pk")):
            try:
                do(str(order.pk))
                done += 1
            except AppError as error:
                self.message_user(request, f"{order.handle}: {error.message}", messages.ERROR)
        self.message_user(request, f"{done} {word}.", messages.SUCCESS)


@admin.register(Payment)
class PaymentAdmin(HistoryAdmin):
    """Tries to pay for an order."""

    list_display = ("order", "gateway", "method", "amount_label", "status_label", "created_at")
    list_filter = ("status", "gateway")
    list_select_related = ("order",)
    ordering = ("-id",)
    search_fields = ("order__user__email__exact",)
    search_help_text = "The e-mail address of a buyer, or the id of a payment or order."
    key_fields = ("pk", "order_id")

    @column("Amount", ordering="amount")
    def amount_label(self, payment: Payment) -> str:
        """Amount and currency."""
        return f"{money_text(payment.amount, payment.currency)} {payment.currency}"

    @column("Status", ordering="status", colours=PAYMENT_COLOURS)
    def status_label(self, payment: Payment) -> str:
        """The status, in its colour."""
        return spoken(payment.status)
