"""The log, its heads and readers, and the audit, as staff see them."""

import json
from typing import Any

from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from marketplace.core.admin import ChoiceFilter, HistoryAdmin, column, operation, read_uuid
from marketplace.events.catalog import all_kinds
from marketplace.events.models import AuditEntry, Event, Position, TopicHead
from marketplace.events.positions import retry_parked
from marketplace.events.subscribe import all_subscriptions

# What people wrote to each other is shown with the message, where it is known in which room it was
# said: not everyone who may see the log may read every room.
PRIVATE_FIELDS = frozenset({"content", "data", "attachments", "last_message", "mentions", "note"})
HIDDEN = "(not shown here)"


def shown_payload(payload: Any) -> Any:
    """The payload without what people wrote, at any depth."""
    if isinstance(payload, dict):
        return {
            key: HIDDEN if key in PRIVATE_FIELDS and value else shown_payload(value)
            for key, value in payload.items()
        }
    if isinstance(payload, list):
        return [shown_payload(value) for value in payload]
    return payload


def as_text(payload: Any) -> str:
    """JSON for people; escaped, because people's words are in it."""
    text = json.dumps(payload, indent=2, ensure_ascii=False, default=str)
    return format_html('<pre class="whitespace-pre-wrap break-all">{}</pre>', text)


class KindFilter(ChoiceFilter):
    """Events of one kind."""

    title = parameter_name = "name"

    def choices_known(self) -> list[str]:
        """Every declared kind."""
        return [kind.name for kind in all_kinds()]


class SubscriberFilter(ChoiceFilter):
    """Positions of one subscriber."""

    title = parameter_name = "subscriber"

    def choices_known(self) -> list[str]:
        """Every subscriber of this version."""
        return [one.subscriber for one in all_subscriptions()]


@admin.register(Event)
class EventAdmin(HistoryAdmin):
    """What happened, in order. Never changed."""

    list_display = ("created_at", "topic", "seq", "name", "actor_id", "request_id")
    list_filter = (KindFilter,)
    ordering = ("-id",)  # UUIDv7: the newest first, by the index that is there anyway
    search_fields = ("topic__exact", "name__exact", "actor_id__exact", "request_id__exact")
    search_help_text = "A whole topic, event name, actor, request or id."
    key_fields = ("pk", "event_id")
    text_key_fields = ("actor_id",)
    fields = (
        "topic",
        "seq",
        "name",
        "event_id",
        "actor_id",
        "request_id",
        "created_at",
        "payload_text",
    )
    readonly_fields = fields

    @column("Payload")
    def payload_text(self, event: Event) -> str:
        """The payload, without what people wrote to each other."""
        return as_text(shown_payload(event.payload))


@admin.register(TopicHead)
class TopicHeadAdmin(HistoryAdmin):
    """Where each topic stands."""

    list_display = (
        "topic",
        "last_seq",
        "horizon",
        "subscribers_pending",
        "relay_pending",
        "leased_until",
        "updated_at",
    )
    list_filter = ("subscribers_pending", "relay_pending")
    ordering = ("-created_at", "-id")
    search_fields = ("topic__startswith",)
    search_help_text = "The beginning of a topic, such as room: or user:<id>."


class ParkedFilter(admin.SimpleListFilter):
    """Positions that have given up, or those that have not."""

    title = "parked"
    parameter_name = "parked"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Yes or no."""
        return [("yes", "Yes"), ("no", "No")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """By whether `parked_at` is set."""
        if self.value() is None:
            return queryset
        return queryset.filter(parked_at__isnull=self.value() == "no")


@admin.register(Position)
class PositionAdmin(HistoryAdmin):
    """How far each subscriber has come in each topic."""

    list_display = ("subscriber", "topic", "seq", "failures", "parked_at", "short_error")
    list_filter = (SubscriberFilter, ParkedFilter)
    # Who has given up stands first, on every database.
    ordering = (F("parked_at").desc(nulls_last=True), "subscriber", "topic")
    search_fields = ("topic__startswith", "subscriber__exact")
    search_help_text = "The beginning of a topic, or a whole subscriber or id."
    actions = ("let_go_on",)

    @column("Last error")
    def short_error(self, position: Position) -> str:
        """The last line of the last failure."""
        return (position.last_error.strip().splitlines() or ["-"])[-1][:120]

    @operation("Let the chosen parked subscribers try again")
    def let_go_on(self, request: HttpRequest, queryset: QuerySet[Position]) -> None:
        """Parked positions go on where they stand, at the next run."""
        ids = list(
            queryset.filter(parked_at__isnull=False).order_by("pk").values_list("pk", flat=True)
        )
        count = sum(retry_parked(position_id=key, actor_id=self.actor_id(request)) for key in ids)
        if count:
            self.message_user(request, f"{count} will try again.", messages.SUCCESS)
        else:
            self.message_user(request, "None of these is parked.", messages.WARNING)


@admin.register(AuditEntry)
class AuditEntryAdmin(HistoryAdmin):
    """Who did what, when. Never changed."""

    list_display = ("created_at", "action", "actor_id", "target", "address", "request_id")
    list_filter = ("action",)
    ordering = ("-created_at", "-id")
    search_fields = ("target__exact", "actor_id__exact", "action__exact", "request_id__exact")
    search_help_text = "A whole target (user:<id>), actor, action, request or id."
    text_key_fields = ("actor_id",)
    fields = (
        "created_at",
        "action",
        "actor_id",
        "target",
        "details_text",
        "address",
        "request_id",
    )
    readonly_fields = fields

    @column("Details")
    def details_text(self, entry: AuditEntry) -> str:
        """The facts of the act."""
        return as_text(entry.details)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        """The id of a user finds what he did and what was done to him."""
        key = read_uuid(search_term.strip())
        found, repeats = super().get_search_results(request, queryset, search_term)
        if key is not None:
            found |= queryset.filter(target=f"user:{key}")
        return found, repeats
