"""The base of every admin page."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect
from unfold.admin import ModelAdmin
from unfold.decorators import action as unfold_action
from unfold.decorators import display as unfold_display

from marketplace.core.db import atomic

Method = TypeVar("Method", bound=Callable[..., Any])

# Rights come from the role of a user; Django's groups would be a second answer to one question.
if admin.site.is_registered(Group):
    admin.site.unregister(Group)


def column(
    description: str,
    *,
    ordering: str | None = None,
    colours: Mapping[str, str] | None = None,
    header: bool = False,
) -> Callable[[Method], Method]:
    """Decorator of a method that gives a column. colours: value → colour of its label."""
    decorator = unfold_display(
        description=description, ordering=ordering, label=colours, header=header or None
    )
    return cast(Callable[[Method], Method], decorator)


def operation(description: str) -> Callable[[Method], Method]:
    """Decorator of a method that acts on the chosen rows; for administrators only."""
    decorator = unfold_action(description=description, permissions=["operate"])
    return cast(Callable[[Method], Method], decorator)


class PortableAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic at run time
    """Stands below the theme: saves inside our `atomic()`, which knows all three databases.

    Django's own transaction here means nothing on MongoDB, and none of ours may begin inside it.
    """

    @method_decorator(csrf_protect)
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """The form of one row, shown or saved."""
        # What Django's own method calls inside its transaction.
        show_or_save: Callable[..., Any] = vars(admin.ModelAdmin)["_changeform_view"]
        if request.method in ("GET", "HEAD"):
            return show_or_save(self, request, object_id, form_url, extra_context)
        with atomic():
            return show_or_save(self, request, object_id, form_url, extra_context)


class StaffAdmin(ModelAdmin, PortableAdmin):
    """A table as staff see it: newest first, no second count, ids found by their whole value.

    key_fields: UUID columns that a search for a UUID compares. text_key_fields: text columns that
    hold such an id. Comparing whole values means the same on every database, and uses the index.
    """

    list_per_page = 50
    show_full_result_count = False
    list_filter_submit = True
    list_filter_sheet = False
    key_fields: tuple[str, ...] = ("pk",)
    text_key_fields: tuple[str, ...] = ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """A whole id finds its row by the index; other text is looked for in `search_fields`."""
        key = read_uuid(search_term.strip())
        if key is None:
            found: tuple[QuerySet[Any], bool]
            found = super().get_search_results(request, queryset, search_term)
            return found
        wanted = Q()
        for field in self.key_fields:
            wanted |= Q(**{field: key})
        for field in self.text_key_fields:
            wanted |= Q(**{field: str(key)})
        return queryset.filter(wanted), False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may use the actions of this page: the administrators."""
        return bool(request.user.is_active and request.user.is_superuser)

    def actor_id(self, request: HttpRequest) -> str:
        """The id under which the audit knows the one who acts."""
        return str(getattr(request.user, "public_id", request.user.pk))


class HistoryAdmin(StaffAdmin):
    """A table that only the services write: staff look at it, and use its actions."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False


class ChoiceFilter(admin.SimpleListFilter):
    """A filter by one column whose values the code knows.

    Django's own would read them off the table, which means the whole table, for every page.
    """

    def choices_known(self) -> Iterable[str]:
        """The values that the column can have."""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Each value by its own name."""
        return [(value, value) for value in self.choices_known()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows that have the chosen value."""
        if self.value() is None:
            return queryset
        return queryset.filter(**{str(self.parameter_name): self.value()})


def read_uuid(text: str) -> UUID | None:
    """The id that this text spells, or None."""
    try:
        return UUID(text)
    except ValueError:
        return None
