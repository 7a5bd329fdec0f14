"""Many new rows, at the price of their values.

Django's own ways ask each field for each value, in several steps, and write every value into the
statement; on PostgreSQL that takes longer than the insert. Here a column is one parameter, an array
as text, the statement of a model is made once, and what goes into several tables goes in one
journey. Other databases take Django's way.
"""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar

import orjson
from django.db import connection, models
from django.db.models.base import ModelState

from marketplace.core.db import fetch_all_planned
from marketplace.core.jsontext import write_json

Row = TypeVar("Row", bound=models.Model)
Statement = tuple[str, list[Any]]
Column = Callable[[Sequence[Any]], str]
Array = Callable[[list[Any]], str]
LENGTH = re.compile(r"\(.*\)")

_state = threading.local()


def new_row(model: type[Row], **values: Any) -> Row:
    """`model(**values)`, for rows that are made by the hundred; values by the names of columns.

    No signal is sent, and no related object is taken. Raises TypeError for a name that it has not.
    """
    constants, makers = _defaults_of(model)
    row = model.__new__(model)
    columns = row.__dict__
    columns.update(constants)
    columns.update(values)
    for name, make in makers:
        if name not in values:
            columns[name] = make()
    if len(columns) != len(constants) + len(makers):
        raise TypeError(f"{model.__name__} has not all of {sorted(values)}.")
    row._state = ModelState()
    return row


@lru_cache
def _defaults_of(model: type[models.Model]) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
    """What a row has where nobody says more: the same for all, and made for each."""
    constants: dict[str, Any] = {}
    makers: list[tuple[str, Any]] = []
    for field in model._meta.concrete_fields:
        if callable(field.default) and field.has_default():
            makers.append((field.attname, field.default))
        else:
            constants[field.attname] = field.get_default()
    return constants, makers


@contextmanager
def inserting_together() -> Iterator[None]:
    """What is inserted within the block goes in at its end, all at once.

    So nothing in the block may read it, and what an insert refuses is raised by the end of the
    block. On databases that gain nothing by it each goes in at its time.
    """
    if connection.vendor != "postgresql" or getattr(_state, "later", None) is not None:
        yield
        return
    later: list[Statement] = []
    _state.later = later
    try:
        yield
    finally:
        _state.later = None
    if later:
        fetch_all_planned(later, rows=False)


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
    statements: list[Statement] = []
    for batch in filled:
        statement, columns = _insert_into(type(batch[0]))
        statements.append((statement, [column(batch) for column in columns]))
    for batch in filled:
        for row in batch:
            row._state.adding = False
            row._state.db = "default"
    later: list[Statement] | None = getattr(_state, "later", None)
    if later is not None:
        later += statements
    elif statements:
        fetch_all_planned(statements, rows=False)


@lru_cache
def _insert_into(model: type[models.Model]) -> tuple[str, list[Column]]:
    """The statement of a model, and how each of its parameters is made of the rows."""
    fields = model._meta.concrete_fields
    quote = connection.ops.quote_name
    names = ", ".join(quote(str(field.column)) for field in fields)
    # Without lengths: a cast to `varchar(16)` would cut, where an insert refuses.
    arrays = ", ".join(f"%s::{LENGTH.sub('', _type_of(field))}[]" for field in fields)
    statement = (
        f"INSERT INTO {quote(model._meta.db_table)} ({names}) "  # noqa: S608
        f"SELECT * FROM unnest({arrays})"
    )
    return statement, [_column_of(field) for field in fields]


def _type_of(field: Any) -> str:
    return str(field.rel_db_type(connection))


def _column_of(field: Any) -> Column:
    """How the values of this field become an array."""
    read = attrgetter(field.attname)
    target = field.target_field if field.is_relation else field
    for kind, array in _ARRAYS:
        if isinstance(target, kind):
            return lambda rows: array(list(map(read, rows)))
    raise TypeError(f"{type(target).__name__} cannot be inserted in this way.")


def _plain_array(values: list[Any]) -> str:
    """Values whose text needs no escape: their JSON is PostgreSQL's array but for the brackets."""
    return f"{{{orjson.dumps(values, default=str)[1:-1].decode()}}}"


def _text_array(values: list[str | None]) -> str:
    """Texts. An array knows two of JSON's escapes; texts that need another are rare."""
    array = _plain_array(values)
    if "\\" not in array.replace(r"\\", "").replace(r"\"", ""):
        return array
    return "{" + ",".join(["NULL" if one is None else _quoted(one) for one in values]) + "}"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _json_array(values: list[Any]) -> str:
    """JSON texts hold no control character, so what is escaped are quotes and backslashes alone."""
    return _plain_array([None if one is None else write_json(one).decode() for one in values])


_ARRAYS: tuple[tuple[Any, Array], ...] = (
    (models.JSONField, _json_array),
    (
        (
            models.UUIDField,
            models.BooleanField,
            models.IntegerField,
            models.DecimalField,
            models.DateTimeField,
        ),
        _plain_array,
    ),
    ((models.CharField, models.TextField), _text_array),
)
