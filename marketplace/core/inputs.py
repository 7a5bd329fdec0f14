"""What clients may send: one way to read it, for REST bodies, queries and socket payloads."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from django.http import QueryDict
from django.utils.dateparse import parse_datetime
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from marketplace.core.errors import MalformedRequest, ValidationFailed
from marketplace.core.ids import of_int
from marketplace.core.text import clean_text

LARGEST_INTEGER = 2**63 - 1
# `UUID()` also takes braces, `urn:uuid:`, missing hyphens and underscores: many spellings of one
# thing, which would be many names of one topic.
ID_FORM = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
NON_FIELD = "non_field_errors"

_SCALAR_FIELDS = (
    serializers.CharField,
    serializers.IntegerField,
    serializers.FloatField,
    serializers.DecimalField,
    serializers.UUIDField,
    serializers.ChoiceField,
    serializers.DateTimeField,
    serializers.DateField,
    serializers.TimeField,
    serializers.IPAddressField,
)
_MISSING = object()


class InputSerializer(serializers.Serializer[Any]):
    """The declared fields of one request; everything else that a client sends is ignored.

    Each field is found by its own name, by its camelCase form and by its `aliases`, in this order.
    Text is stored in NFC; an object, array or boolean is refused where text or a number is due.
    """

    aliases: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    _spellings: ClassVar[dict[str, tuple[str, ...]]] = {}
    _shared: ClassVar[dict[bool, "InputSerializer"]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._spellings = {
            name: _all_spellings(name, cls.aliases.get(name, ())) for name in cls._declared_fields
        }
        cls._shared = {}

    @classmethod
    def read(cls, data: Any, *, partial: bool = False) -> dict[str, Any]:
        """The valid values by field name; with `partial` a missing field is simply not there.

        Raises MalformedRequest if `data` is no object, ValidationFailed with `details.fields`.
        """
        if isinstance(data, QueryDict):
            data = data.dict()
        if not isinstance(data, Mapping):
            raise MalformedRequest("An object is expected.")
        try:
            values = cls._reader(partial).run_validation(data)
        except ValidationError as error:
            raise validation_failed(error.detail) from None
        return dict(values)

    @classmethod
    def _reader(cls, partial: bool) -> "InputSerializer":
        """One instance for all reads: validation keeps no state, and building fields is slow."""
        reader = cls._shared.get(partial)
        if reader is None:
            reader = cls(partial=partial)
            reader.fields  # noqa: B018  # built here, before other threads use it
            cls._shared[partial] = reader
        return reader

    def to_internal_value(self, data: Any) -> Any:
        """Find each field under any of its names, check its kind, and let DRF validate the rest."""
        if not isinstance(data, Mapping):
            raise ValidationError({NON_FIELD: ["An object is expected."]})
        found: dict[str, Any] = {}
        wrong: dict[str, Any] = {}
        for name, field in self.fields.items():
            value = _first(data, self._spellings.get(name) or (name,))
            if value is _MISSING:
                continue
            problem = _wrong_kind(field, value)
            if problem:
                wrong[name] = [problem]
                continue
            try:
                found[name] = clean_json(value, field=name)
            except ValidationFailed as error:
                wrong[name] = error.details["fields"][name]
        try:
            values = super().to_internal_value(found)
        except ValidationError as error:
            detail = (
                dict(error.detail) if isinstance(error.detail, dict) else {NON_FIELD: error.detail}
            )
            raise ValidationError({**detail, **wrong}) from None
        wrong.update(_out_of_range(values))
        if wrong:
            raise ValidationError(wrong)
        return values


def _all_spellings(name: str, aliases: tuple[str, ...]) -> tuple[str, ...]:
    spellings: dict[str, None] = {}
    for one in (name, *aliases):
        spellings[one] = None
        spellings[camel_case(one)] = None
    return tuple(spellings)


def camel_case(name: str) -> str:
    """`member_ids` → `memberIds`."""
    head, *tail = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in tail)


def _first(data: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        if name in data:
            return data[name]
    return _MISSING


def _wrong_kind(field: serializers.Field[Any, Any, Any, Any], value: Any) -> str | None:
    if isinstance(field, serializers.MultipleChoiceField) or not isinstance(field, _SCALAR_FIELDS):
        return None
    if isinstance(value, dict | list | bool):
        kind = "text" if isinstance(field, serializers.CharField) else "a single value"
        return f"This must be {kind}."
    if isinstance(value, float) and not math.isfinite(value):
        return "This must be a finite number."
    if isinstance(value, int) and not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
        return "This number is too large."
    return None


def _out_of_range(values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Numbers that pass DRF and fail in a store: NaN and infinity as text, beyond 64 bits."""
    wrong = {}
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            wrong[name] = ["This must be a finite number."]
        elif isinstance(value, int) and not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
            wrong[name] = ["This number is too large."]
    return wrong


def clean_json(value: Any, *, field: str) -> Any:
    """The same value with every text in it, keys included, in NFC.

    Raises ValidationFailed under `field` for NUL and lone surrogates, wherever they stand.
    """
    if isinstance(value, str):
        return clean_text(value, field=field)
    if isinstance(value, dict):
        return {
            clean_text(str(key), field=field): clean_json(item, field=field)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [clean_json(item, field=field) for item in value]
    return value


def validation_failed(detail: Any) -> ValidationFailed:
    """DRF's nested error details as ours: `details.fields` = `{"items.0.price": ["text"]}`."""
    fields: dict[str, list[str]] = {}
    _flatten(detail, "", fields)
    return ValidationFailed.for_fields(fields or {NON_FIELD: ["The request is not valid."]})


def _flatten(detail: Any, path: str, fields: dict[str, list[str]]) -> None:
    if isinstance(detail, Mapping):
        for key, item in detail.items():
            _flatten(item, f"{path}.{key}" if path else str(key), fields)
    elif isinstance(detail, list | tuple):
        for number, item in enumerate(detail):
            if isinstance(item, Mapping | list | tuple):
                _flatten(item, f"{path}.{number}" if path else str(number), fields)
            else:
                fields.setdefault(path or NON_FIELD, []).append(str(item))
    else:
        fields.setdefault(path or NON_FIELD, []).append(str(detail))


class AnyCaseChoiceField(serializers.ChoiceField):
    """A choice that is read in any case (`STRIPE`, `stripe`)."""

    def to_internal_value(self, data: Any) -> Any:
        """The choice whose text is the same without case."""
        if isinstance(data, str):
            wanted = data.strip().casefold()
            for choice in self.choices:
                if str(choice).casefold() == wanted:
                    return choice
        return super().to_internal_value(data)


@extend_schema_field(OpenApiTypes.UUID)
class IdField(serializers.Field[UUID, Any, str, Any]):
    """An id in the form that we send, in any case; anything else is no id."""

    default_error_messages = {"invalid": "This is not a valid id."}

    def to_internal_value(self, data: Any) -> UUID:
        """The UUID of this text."""
        found = read_id(data)
        return self.fail("invalid") if found is None else found

    def to_representation(self, value: UUID) -> str:
        """Lower case, with hyphens."""
        return str(value)


class InstantField(serializers.Field[datetime, Any, str, Any]):
    """An instant in RFC 3339 with any offset, without one UTC; kept to the millisecond."""

    default_error_messages = {"invalid": "This is not a valid time."}

    def to_internal_value(self, data: Any) -> datetime:
        """The instant in UTC."""
        try:
            instant = parse_datetime(data) if isinstance(data, str) else None
            if instant is not None:
                aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
                aware = aware.astimezone(UTC)
                return aware.replace(microsecond=aware.microsecond // 1000 * 1000)
        except (ValueError, OverflowError):
            pass
        return self.fail("invalid")

    def to_representation(self, value: datetime) -> str:
        """The wire form."""
        from marketplace.core.clock import wire_time

        return wire_time(value)


def read_id(text: Any) -> UUID | None:
    """The UUID of an id that came in a path or payload, or None where it has no valid form.

    Valid is what we send, in lower or upper case: an id has one spelling.
    """
    if not isinstance(text, str) or not ID_FORM.fullmatch(text):
        return None
    return of_int(int(text.replace("-", ""), 16))
