"""The base of every admin page."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import SEARCH_VAR
from django.contrib.auth.models import Group
from django.core.paginator import Page, Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.decorators import method_decorator
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.csrf import csrf_protect
from unfold.admin import ModelAdmin, checkbox
from unfold.decorators import action as unfold_action
from unfold.decorators import display as unfold_display
from unfold.templatetags import unfold_list

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
    """Decorator of a method that gives a column. colours: value, as spoken, → its colour."""
    decorator = unfold_display(
        description=description, ordering=ordering, label=colours, header=header or None
    )
    return cast(Callable[[Method], Method], decorator)


def spoken(value: str) -> str:
    """A value as people read it: `in_transit` is `in transit`."""
    return value.replace("_", " ")


def operation(description: str) -> Callable[[Method], Method]:
    """Decorator of a method that acts on the chosen rows; for administrators only."""
    decorator = unfold_action(description=description, permissions=["operate"])
    return cast(Callable[[Method], Method], decorator)


class KeyPaginator(Paginator):  # type: ignore[type-arg]  # no generic at run time
    """Finds the rows of a page by their keys, those of later pages from the nearer end.

    So the database passes over keys, where it would join and drop a hundred thousand whole rows.
    searched: words are looked for, which means the whole table: it is read once, for the number of
    rows and for their keys, unless there are more than KEYS.
    """

    KEYS = 10_000

    def __init__(self, *args: Any, searched: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.searched = searched

    @functools.cached_property
    def found_keys(self) -> list[Any] | None:
        """The keys of all rows of a search, unless they are too many."""
        if not self.searched:
            return None
        keys = list(self._rows.values_list("pk", flat=True)[: self.KEYS + 1])
        return keys if len(keys) <= self.KEYS else None

    @functools.cached_property
    def count(self) -> int:
        """How many rows there are."""
        return super().count if self.found_keys is None else len(self.found_keys)

    def page(self, number: int | str) -> Page[Any]:
        """The first page as Django reads it, unless words are looked for."""
        place = self.validate_number(number)
        bottom = (place - 1) * self.per_page
        if bottom == 0 and not self.searched:
            return super().page(place)
        keys = self._keys(bottom, min(bottom + self.per_page, self.count))
        return Page(self._rows.filter(pk__in=keys), place, self)

    @property
    def _rows(self) -> QuerySet[Any]:
        return cast("QuerySet[Any]", self.object_list)

    def _keys(self, bottom: int, top: int) -> list[Any]:
        if self.found_keys is not None:
            return self.found_keys[bottom:top]
        rows = self._rows
        if bottom > self.count // 2:
            rows = rows.reverse()
            bottom, top = self.count - top, self.count - bottom
        return list(rows.values_list("pk", flat=True)[bottom:top])


def _once_per_list(headings: Callable[[Any], Iterable[Any]]) -> Callable[[Any], Iterator[Any]]:
    """The theme makes all headings of a list again for each row: a third of a page's time."""

    @functools.wraps(headings)
    def of(changelist: Any) -> Iterator[Any]:
        made = vars(changelist).setdefault("made_headings", [])
        if not made:
            made += headings(changelist)
        return iter(made)

    return of


unfold_list.result_headers = _once_per_list(unfold_list.result_headers)


@functools.cache
def _box_around() -> tuple[str, str]:
    """What stands before and behind the key in the box that chooses a row."""
    before, _, behind = str(checkbox.render(ACTION_CHECKBOX_NAME, "the-key")).partition("the-key")
    return before, behind


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

    def get_paginator(
        self, request: HttpRequest, queryset: QuerySet[Any], per_page: int, *args: Any, **kw: Any
    ) -> KeyPaginator:
        """Pages by keys."""
        searched = bool(request.GET.get(SEARCH_VAR, "").strip())
        return KeyPaginator(queryset, per_page, *args, searched=searched, **kw)

    @column(ModelAdmin.action_checkbox.short_description)
    def action_checkbox(self, obj: Model) -> SafeString:
        """The box that chooses a row, without a template for each."""
        before, behind = _box_around()
        return mark_safe(f"{before}{escape(obj.pk)}{behind}")  # noqa: S308  # escaped

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
