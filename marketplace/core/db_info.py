"""What the database says of itself: does it answer, what does each table hold."""

import time
from dataclasses import dataclass
from typing import Any, cast

from django.apps import apps
from django.db import connection
from django.db.models import Model, QuerySet

from marketplace.core.db import is_mongodb

# Above it PostgreSQL's own estimate stands for the count, which would read the whole table.
COUNTED_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """One index: its columns in order, and whether it holds a value once."""

    name: str
    columns: tuple[str, ...]
    is_unique: bool


@dataclass(frozen=True, slots=True)
class TableInfo:
    """One table of ours. `size`: bytes with its indexes, None where the database cannot tell."""

    name: str
    rows: int
    is_estimate: bool
    size: int | None
    indexes: tuple[IndexInfo, ...]


def ping_ms() -> float:
    """Milliseconds of the shortest question there is. Raises Django's DatabaseError."""
    connection.ensure_connection()
    started = time.perf_counter()
    if is_mongodb():
        _mongo().command("ping")
    else:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    return (time.perf_counter() - started) * 1000


def total_size() -> int | None:
    """Bytes of the whole database."""
    if is_mongodb():
        found = _mongo().command("dbStats")
        return int(found["dataSize"] + found.get("indexSize", 0))
    if connection.vendor == "postgresql":
        return int(_value("SELECT pg_database_size(current_database())"))
    return int(_value("PRAGMA page_count")) * int(_value("PRAGMA page_size"))


def table_names() -> list[str]:
    """The tables of all models, by name."""
    return sorted({model._meta.db_table for model in apps.get_models(include_auto_created=True)})


def table_info(name: str) -> TableInfo:
    """What this table holds. Raises KeyError for a table that is none of ours."""
    models = {model._meta.db_table: model for model in apps.get_models(include_auto_created=True)}
    model = models[name]
    if is_mongodb():
        return _mongo_table(name)
    rows, is_estimate = _count(model)
    return TableInfo(name, rows, is_estimate, _size(name), _indexes(name))


def _count(model: type[Model]) -> tuple[int, bool]:
    if connection.vendor == "postgresql":
        estimate = _value(
            "SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(%s)",
            model._meta.db_table,
        )
        if estimate is not None and estimate > COUNTED_ROWS:
            return int(estimate), True
    rows: QuerySet[Model] = QuerySet(model=model)
    return rows.count(), False


def _size(name: str) -> int | None:
    if connection.vendor == "postgresql":
        return int(_value("SELECT pg_total_relation_size(to_regclass(%s))", name))
    return None


def _indexes(name: str) -> tuple[IndexInfo, ...]:
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, name)
    return tuple(
        IndexInfo(
            name=index,
            columns=tuple(column for column in about["columns"] or () if column),
            is_unique=bool(about["unique"] or about["primary_key"]),
        )
        for index, about in sorted(found.items())
        if about["index"] or about["unique"] or about["primary_key"]
    )


def _value(statement: str, *parameters: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        row = cursor.fetchone()
    return None if row is None else row[0]


def _mongo() -> Any:
    # The backend's own attribute: the PyMongo database behind the connection.
    return cast(Any, connection).database


def _mongo_table(name: str) -> TableInfo:
    database = _mongo()
    collection = database[name]
    statistics = database.command("collStats", name)
    return TableInfo(
        name=name,
        rows=collection.count_documents({}),
        is_estimate=False,
        size=int(statistics.get("size", 0) + statistics.get("totalIndexSize", 0)),
        indexes=tuple(
            IndexInfo(
                name=index,
                columns=tuple(column for column, _ in about["key"]),
                is_unique=bool(about.get("unique")) or index == "_id_",
            )
            for index, about in sorted(collection.index_information().items())
        ),
    )
