"""Many new rows, at the price of their values.

Django's own ways ask each field for each value, in several steps, and write every value into the
statement; on PostgreSQL that takes longer than the insert. Here a column is one parameter: an array
as text, or a single value where all rows have the same, as most have the same times and the same
defaults. The statement of a model is made once, and what goes into several tables goes in one
journey. Other databases take Django's way.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from operator import itemgetter
from typing import Any, TypeVar

from django.db import connection, models
from django.db.models.base import ModelState

from marketplace.core.arrays import (
    json_array,
    long_text_array,
    plain_array,
    text_array,
    uuid_array,
)
from marketplace.core.db import atomic, ends_transaction
from marketplace.core.libpq import Statement
from marketplace.core.planned import (
    is_sending_later,
    run_planned,
    send_later,
    sending_later,
)
from marketplace.core.vendor import is_postgresql

Row = TypeVar("Row", bound=models.Model)
Array = Callable[[Sequence[Any]], bytes]
LENGTH = re.compile(r"\(.*\)")


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
def inserting_along() -> Iterator[None]:
    """`atomic()`, where what is inserted goes along with the next question, or with the commit.

    So nothing in the block may read it before, and what an insert refuses is raised by what it went
    along with. On databases that gain nothing by it each goes in at its time.
    """
    with atomic():
        if not is_postgresql() or is_sending_later():
            yield
            return
        with sending_later() as later:
            yield
            later.send(commit=ends_transaction())


def insert_rows(*batches: Sequence[models.Model]) -> None:
    """Insert these new rows, a batch for each model, in this order; an empty batch is none.

    Rows of fields that need more than their value (files, `auto_now`) are not for this. Raises
    IntegrityError as `bulk_create` does; then none of them is there.
    """
    filled = [batch for batch in batches if batch]
    if not is_postgresql():
        for batch in filled:
            manager: Any = type(batch[0])._default_manager  # noqa: SLF001  # Django's public name
            manager.bulk_create(batch)
        return
    statements: list[Statement] = []
    for batch in filled:
        statements.append(_insertion(type(batch[0]), batch))
        mark_stored(batch)
    if is_sending_later():
        send_later(statements)
    elif statements:
        run_planned(statements)


def mark_stored(rows: Sequence[models.Model]) -> None:
    """Say of these new rows that they are in the database."""
    for row in rows:
        row._state.adding = False
        row._state.db = "default"


@lru_cache
def unnested(model: type[models.Model]) -> str:
    """The rows of a model as a table of a statement, whose parameters are `as_arrays` of them."""
    return f"unnest({', '.join(f'%s::{kind}[]' for kind in _kinds_of(model))})"


def as_arrays(model: type[models.Model], rows: Sequence[models.Model]) -> list[Any]:
    """The columns of these rows of a model, in the order of its fields."""
    read, arrays = _columns_of(model)
    if not rows:
        return [array(()) for array in arrays]
    columns = zip(*map(read, map(vars, rows)), strict=True)
    return [array(column) for array, column in zip(arrays, columns, strict=True)]


@lru_cache
def columns_list(model: type[models.Model]) -> str:
    """The names of a model's columns, in the order of its fields."""
    quote = connection.ops.quote_name
    return ", ".join(quote(str(one.column)) for one in model._meta.concrete_fields)


# Places of the columns of each model in which rows of one batch have differed. It only grows, so a
# model has few statements in the life of a process; the first is a column in which all differ.
_varied: dict[type[models.Model], frozenset[int]] = {}


def _insertion(model: type[models.Model], rows: Sequence[models.Model]) -> Statement:
    """The statement that inserts these rows, with its values."""
    read, arrays = _columns_of(model)
    columns = list(zip(*map(read, map(vars, rows)), strict=True))
    varied = _varied.get(model) or _always_varied(model)
    differing = [
        place
        for place, column in enumerate(columns)
        if place not in varied and column.count(column[0]) != len(rows)
    ]
    if differing:
        varied = _varied[model] = varied.union(differing)
    same = [column[0] for place, column in enumerate(columns) if place not in varied]
    lists = [arrays[place](columns[place]) for place in sorted(varied)]
    return _insert_into(model, varied), [*same, *lists]


@lru_cache
def _always_varied(model: type[models.Model]) -> frozenset[int]:
    """Keys differ, and values of JSON can be equal without being the same: `1` and `true`."""
    return frozenset(
        place
        for place, field in enumerate(model._meta.concrete_fields)
        if field.primary_key or isinstance(field, models.JSONField)
    )


@lru_cache(maxsize=1024)
def _insert_into(model: type[models.Model], varied: frozenset[int]) -> str:
    """Values that all rows share come first, then the arrays of the columns that vary."""
    table, kinds = connection.ops.quote_name(model._meta.db_table), _kinds_of(model)
    selected = ", ".join(
        f"given.c{place}" if place in varied else f"%s::{kind}" for place, kind in enumerate(kinds)
    )
    arrays = ", ".join(f"%s::{kinds[place]}[]" for place in sorted(varied))
    names = ", ".join(f"c{place}" for place in sorted(varied))
    return (
        f"INSERT INTO {table} ({columns_list(model)}) "  # noqa: S608
        f"SELECT {selected} FROM unnest({arrays}) AS given({names})"
    )


@lru_cache
def _columns_of(model: type[models.Model]) -> tuple[Callable[[Any], tuple[Any, ...]], list[Array]]:
    """What reads all columns of a row's `vars`, and how each of them becomes an array."""
    fields = model._meta.concrete_fields
    return itemgetter(*[field.attname for field in fields]), [_array_of(field) for field in fields]


def _kinds_of(model: type[models.Model]) -> list[str]:
    """The types of the columns, without lengths: a cast to `varchar(16)` cuts, where an insert
    refuses.
    """
    fields: Sequence[Any] = model._meta.concrete_fields
    return [LENGTH.sub("", str(field.rel_db_type(connection))) for field in fields]


def _array_of(field: Any) -> Array:
    """How the values of this field become an array."""
    target = field.target_field if field.is_relation else field
    for kind, array in _ARRAYS:
        if isinstance(target, kind):
            return array
    raise TypeError(f"{type(target).__name__} cannot be inserted in this way.")


_ARRAYS: tuple[tuple[Any, Array], ...] = (
    (models.JSONField, json_array),
    (models.UUIDField, uuid_array),
    (
        (
            models.BooleanField,
            models.IntegerField,
            models.DecimalField,
            models.DateTimeField,
        ),
        plain_array,
    ),
    (models.TextField, long_text_array),
    (models.CharField, text_array),
)
