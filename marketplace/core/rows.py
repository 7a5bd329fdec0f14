"""Many new rows in one statement.

Django's own bulk insert asks each field for each value, in several steps, and writes every value
into the statement; on PostgreSQL that takes longer than the insert. Here a column is one parameter,
an array as text, and the statement of a model is made once. Other databases take Django's way.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any

from django.db import connection, models

from marketplace.core.db import fetch_all_planned
from marketplace.core.jsontext import write_json

Text = Callable[[Any], str]
LENGTH = re.compile(r"\(.*\)")


def insert_rows(*batches: Sequence[models.Model]) -> None:
    """Insert these new rows, a batch for each model, in this order; an empty batch is none.

    Rows of fields that need more than their value (files, `auto_now`) are not for this. Raises
    IntegrityError as `bulk_create` does; then none of them is there.
    """
    filled = [batch for batch in batches if batch]
    if connection.vendor != "postgresql":
        for batch in filled:
            manager: Any = type(batch[0])._default_manager  # noqa: SLF001  # Django's public name
            manager.bulk_create(batch)
        return
    statements = []
    for batch in filled:
        statement, columns = _insert_into(type(batch[0]))
        statements.append((statement, [_array(map(read, batch), text) for read, text in columns]))
    if statements:
        fetch_all_planned(statements, rows=False)
    for batch in filled:
        for row in batch:
            row._state.adding = False
            row._state.db = "default"


@lru_cache
def _insert_into(model: type[models.Model]) -> tuple[str, list[tuple[Callable[..., Any], Text]]]:
    """The statement of a model, and how each of its parameters is made of a row."""
    fields = model._meta.concrete_fields
    quote = connection.ops.quote_name
    names = ", ".join(quote(str(field.column)) for field in fields)
    # Without lengths: a cast to `varchar(16)` would cut, where an insert refuses.
    arrays = ", ".join(f"%s::{LENGTH.sub('', _type_of(field))}[]" for field in fields)
    statement = (
        f"INSERT INTO {quote(model._meta.db_table)} ({names}) "  # noqa: S608
        f"SELECT * FROM unnest({arrays})"
    )
    return statement, [(attrgetter(field.attname), _text_of(field)) for field in fields]


def _type_of(field: Any) -> str:
    return str(field.rel_db_type(connection))


def _text_of(field: Any) -> Text:
    """How a value of this field stands in an array."""
    target = field.target_field if field.is_relation else field
    if isinstance(target, models.JSONField):
        return _json
    for kind, text in _TEXTS:
        if isinstance(target, kind):
            return text
    raise TypeError(f"{type(target).__name__} cannot be inserted in this way.")


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _json(value: Any) -> str:
    return _quoted(write_json(value).decode())


def _time(value: datetime) -> str:
    return f'"{value.isoformat()}"'


_TEXTS: tuple[tuple[Any, Text], ...] = (
    (models.UUIDField, str),
    (models.BooleanField, str),
    (models.IntegerField, str),
    (models.DecimalField, str),
    (models.DateTimeField, _time),
    ((models.CharField, models.TextField), _quoted),
)


def _array(values: Any, text: Text) -> str:
    return "{" + ",".join(["NULL" if one is None else text(one) for one in values]) + "}"
