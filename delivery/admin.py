"""Deliveries, couriers and offers, as staff see them. Changes go through the services."""

from collections.abc import Iterable

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from accounts.authentication import actor_of
from delivery import selectors
from delivery.enums import DeliveryStatus, Duty, OfferStatus, ProofKind
from delivery.models import Courier, Delivery, Location, Offer, ShopRules
from delivery.payloads import tracking_url
from delivery.services import assigning, couriers, moves
from delivery.tokens import token_of
from marketplace.core.admin import ChoiceFilter, HistoryAdmin, StaffAdmin, column, operation, spoken
from marketplace.core.errors import AppError

STATUS_COLOURS = {
    "pending": "warning",
    "assigned": "info",
    "in transit": "primary",
    "arrived": "primary",
    "delivered": "success",
    "cancelled": "danger",
}
DUTY_COLOURS = {"on": "success", "off": "warning"}
OFFER_COLOURS = {
    "open": "info",
    "accepted": "success",
    "declined": "danger",
    "expired": "warning",
    "withdrawn": "warning",
}
LAST_FIXES = 20


class StatusFilter(ChoiceFilter):
    """Where deliveries stand."""

    title = "status"
    parameter_name = "status"

    def choices_known(self) -> Iterable[str]:
        """Every status."""
        return DeliveryStatus.values


class ProofFilter(ChoiceFilter):
    """What shops ask for."""

    title = "proof"
    parameter_name = "proof_kind"

    def choices_known(self) -> Iterable[str]:
        """Every kind."""
        return ProofKind.values


class DutyFilter(ChoiceFilter):
    """Who is on duty."""

    title = "duty"
    parameter_name = "duty"

    def choices_known(self) -> Iterable[str]:
        """On and off."""
        return Duty.values


class OfferFilter(ChoiceFilter):
    """What became of offers."""

    title = "status"
    parameter_name = "status"

    def choices_known(self) -> Iterable[str]:
        """Every status."""
        return OfferStatus.values


@admin.register(Delivery)
class DeliveryAdmin(HistoryAdmin):
    """What is on its way. Couriers and customers move it; staff assign and cancel."""

    list_display = (
        "short_id",
        "status_label",
        "shop",
        "customer",
        "courier",
        "attempts",
        "created_at",
        "delivered_at",
    )
    list_filter = (StatusFilter, ProofFilter)
    list_select_related = ("shop", "customer", "courier")
    ordering = ("-id",)  # UUIDv7: the newest first, by the index that is there anyway
    search_fields = ("customer__email__exact", "customer__username_key__exact")
    search_help_text = (
        "The e-mail address or user name of a customer, or the id of a delivery, order, shop or "
        "person."
    )
    key_fields = ("pk", "order_id", "shop_id", "customer_id", "courier_id")
    text_key_fields = ("customer__public_id", "courier__public_id")
    fields = (
        "id",
        "status_label",
        "order_id",
        "shop",
        "customer",
        "courier",
        "destination_text",
        "destination_latitude",
        "destination_longitude",
        "attempts",
        "proof_kind",
        "photo_url",
        "pin_ok",
        "signed_by",
        "rating",
        "rating_comment",
        "created_at",
        "assigned_at",
        "started_at",
        "nearby_at",
        "arrived_at",
        "delivered_at",
        "ended_at",
        "links",
        "last_fixes",
    )
    readonly_fields = fields
    actions = ("assign_nearest", "cancel_chosen")

    @column("Delivery", ordering="id")
    def short_id(self, delivery: Delivery) -> str:
        """Its last digits, which people can tell apart."""
        return delivery.id.hex[-12:]

    @column("Status", ordering="status", colours=STATUS_COLOURS)
    def status_label(self, delivery: Delivery) -> str:
        """The status, in its colour."""
        return spoken(delivery.status)

    @column("Look at")
    def links(self, delivery: Delivery) -> str:
        """The customer's page and the events."""
        events = format_html(
            '<a class="text-primary-600 underline" href="{}?q={}">Events</a>',
            reverse("admin:events_event_changelist"),
            delivery.topic,
        )
        token = token_of(delivery)
        if token is None:
            return events
        return format_html(
            '{} · <a class="text-primary-600 underline" href="{}">Tracking page</a>',
            events,
            tracking_url(token),
        )

    @column("Last positions")
    def last_fixes(self, delivery: Delivery) -> str:
        """The newest ones, rejected ones with their reason."""
        rows = Location.objects.filter(delivery=delivery).order_by("-recorded_at", "-id")
        return format_html_join(
            "",
            "<div>{} · {} · {}</div>",
            (
                (
                    row.recorded_at.strftime("%Y-%m-%d %H:%M:%S"),
                    str(row),
                    row.rejected or ("late" if row.late else "good"),
                )
                for row in rows[:LAST_FIXES]
            ),
        )

    @operation("Give the chosen deliveries to the nearest free couriers")
    def assign_nearest(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        """Each at once, without an offer."""
        done = 0
        pending = queryset.filter(status=DeliveryStatus.PENDING).order_by("pk")
        for delivery in pending:
            free = selectors.free_couriers(near=delivery.destination)
            if not free:
                self.message_user(request, "No courier is free.", messages.WARNING)
                break
            try:
                assigning.assign_courier(
                    actor=actor_of(request),
                    delivery_id=delivery.id,
                    courier_id=free[0].user.public_id,
                )
                done += 1
            except AppError as error:
                self.message_user(request, f"{delivery.id}: {error.message}", messages.ERROR)
        self.message_user(request, f"{done} assigned.", messages.SUCCESS)

    @operation("Cancel the chosen deliveries")
    def cancel_chosen(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        """Their couriers are free again."""
        done = 0
        for key in list(queryset.order_by("pk").values_list("pk", flat=True)):
            try:
                moves.move_delivery(
                    actor=actor_of(request),
                    delivery_id=key,
                    status=DeliveryStatus.CANCELLED.value,
                    reason="Cancelled by staff.",
                )
                done += 1
            except AppError as error:
                self.message_user(request, f"{key}: {error.message}", messages.ERROR)
        self.message_user(request, f"{done} cancelled.", messages.SUCCESS)


@admin.register(Courier)
class CourierAdmin(HistoryAdmin):
    """Who delivers. Couriers go on and off duty themselves."""

    list_display = ("user", "duty_label", "load", "capacity", "positioned_at", "created_at")
    list_filter = (DutyFilter,)
    list_select_related = ("user",)
    ordering = ("-id",)
    search_fields = ("user__email__exact", "user__username_key__exact")
    search_help_text = "A whole e-mail address or user name, or an id."
    key_fields = ("pk", "user_id")
    text_key_fields = ("user__public_id",)
    actions = ("take_off_duty",)

    @column("Duty", ordering="duty", colours=DUTY_COLOURS)
    def duty_label(self, courier: Courier) -> str:
        """On or off."""
        return courier.duty

    @operation("Take the chosen couriers off duty")
    def take_off_duty(self, request: HttpRequest, queryset: QuerySet[Courier]) -> None:
        """They get no offers; what they carry they go on carrying."""
        done = 0
        for courier in queryset.select_related("user").order_by("pk"):
            try:
                couriers.set_duty(actor=courier.user, duty=Duty.OFF.value)
                done += 1
            except AppError as error:
                self.message_user(request, f"{courier.user}: {error.message}", messages.ERROR)
        self.message_user(request, f"{done} off duty.", messages.SUCCESS)


@admin.register(Offer)
class OfferAdmin(HistoryAdmin):
    """What was offered to whom."""

    list_display = ("delivery_label", "courier", "status_label", "distance", "expires_at")
    list_filter = (OfferFilter,)
    list_select_related = ("courier",)
    ordering = ("-id",)
    search_fields = ("courier__email__exact",)
    search_help_text = "A courier's e-mail address, or the id of an offer, delivery or courier."
    key_fields = ("pk", "delivery_id", "courier_id")
    text_key_fields = ("courier__public_id",)

    @column("Delivery")
    def delivery_label(self, offer: Offer) -> str:
        """Its last digits."""
        return offer.delivery_id.hex[-12:]

    @column("Metres away", ordering="distance_m")
    def distance(self, offer: Offer) -> str:
        """How far off the courier was."""
        return "-" if offer.distance_m is None else f"{offer.distance_m:,.0f}"

    @column("Status", ordering="status", colours=OFFER_COLOURS)
    def status_label(self, offer: Offer) -> str:
        """The status, in its colour."""
        return offer.status


@admin.register(ShopRules)
class ShopRulesAdmin(StaffAdmin):
    """What shops ask for at the door; it holds for deliveries made from then on."""

    list_display = ("shop", "proof_kind", "updated_at")
    list_filter = (ProofFilter,)
    list_select_related = ("shop",)
    ordering = ("-id",)
    search_fields = ("shop__name_key__startswith",)
    search_help_text = "The beginning of a shop's name, or its id."
    key_fields = ("pk", "shop_id")
    fields = ("shop", "proof_kind")
    autocomplete_fields = ("shop",)
