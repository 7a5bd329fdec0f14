"""Lists in pages behind opaque cursors."""

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import orjson
from django.core.exceptions import FieldDoesNotExist
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from rest_framework.request import Request

from marketplace.core.errors import CursorInvalid, ValidationFailed

Row = TypeVar("Row", bound=Model)

MAX_PAGE = 100
DEFAULT_PAGE = 20
_SEAL_BYTES = 12


def page_limit(
    query: Mapping[str, Any], *, default: int = DEFAULT_PAGE, maximum: int = MAX_PAGE
) -> int:
    """The `limit` of this query: cut to `maximum`; below 1, or no number: ValidationFailed."""
    text = query.get("limit")
    if text is None or text == "":
        return default
    try:
        limit = int(str(text)) if len(str(text)) <= 20 else maximum
    except ValueError:
        raise ValidationFailed.for_fields({"limit": ["A whole number is expected."]}) from None
    if limit < 1:
        raise ValidationFailed.for_fields({"limit": ["This must be at least 1."]})
    return min(limit, maximum)


def cursor_page(
    queryset: QuerySet[Row],
    *,
    request: Request | HttpRequest,
    order: Sequence[str] = ("-created_at", "-id"),
    to_wire: Callable[[Row], Any],
    default_limit: int = DEFAULT_PAGE,
) -> dict[str, Any]:
    """One page: `{items, next_cursor}`; the cursor is None on the last one.

    order: field names, never null, the last of them unique. Raises CursorInvalid.
    """
    query = request.GET
    limit = page_limit(query, default=default_limit)
    rows = queryset.order_by(*order)
    cursor = query.get("cursor")
    if cursor:
        rows = rows.filter(_after(order, read_cursor(cursor, order), queryset.model))
    page = list(rows[: limit + 1])
    following = make_cursor(page[limit - 1], order) if len(page) > limit else None
    return {"items": [to_wire(row) for row in page[:limit]], "next_cursor": following}


def make_cursor(row: object, order: Sequence[str]) -> str:
    """The place right after this row in this order, sealed."""
    values = [_to_text(getattr(row, name.lstrip("-"))) for name in order]
    content = orjson.dumps(values)
    return base64.urlsafe_b64encode(_seal(content, order) + content).decode().rstrip("=")


def read_cursor(cursor: str, order: Sequence[str]) -> list[Any]:
    """The values of the last row seen. Raises CursorInvalid for what this server did not make."""
    try:
        raw = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), b"-_", validate=True)
        seal, content = raw[:_SEAL_BYTES], raw[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, _seal(content, order)):
            raise CursorInvalid
        values: list[Any] = orjson.loads(content)
    except (binascii.Error, ValueError):
        raise CursorInvalid from None
    return values


def _seal(content: bytes, order: Sequence[str]) -> bytes:
    salt = "marketplace.cursor." + ",".join(order)
    return salted_hmac(salt, content, algorithm="sha256").digest()[:_SEAL_BYTES]


def _to_text(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID | Decimal) else value


def _after(order: Sequence[str], values: Sequence[Any], model: type[Model]) -> Q:
    """(a < x) or (a = x and b < y) …: portable, where tuples compare on SQL only."""
    condition = Q()
    equal = Q()
    for name, text in zip(order, values, strict=True):
        field, descending = name.lstrip("-"), name.startswith("-")
        value = _from_text(model, field, text)
        condition |= equal & Q(**{f"{field}__{'lt' if descending else 'gt'}": value})
        equal &= Q(**{field: value})
    return condition


def _from_text(model: type[Model], name: str, text: Any) -> Any:
    try:
        return model._meta.get_field(name).to_python(text)  # type: ignore[union-attr]  # own columns
    except FieldDoesNotExist:
        return text
    except DjangoValidationError:
        raise CursorInvalid from None
