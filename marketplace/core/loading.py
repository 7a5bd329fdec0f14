"""Objects out of PostgreSQL's rows, without Django's query in between, which costs more than they
do. For the questions of an app about its own tables (`questions.py`).
"""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import orjson
from django.db.models import JSONField, Model

Row = TypeVar("Row", bound=Model)


class Loader(Generic[Row]):
    """Makes objects of one model out of what PostgreSQL gives for `columns`."""

    def __init__(self, model: type[Row]) -> None:
        fields = model._meta.concrete_fields
        self._model = model
        self._names = [str(field.attname) for field in fields]
        self._json = [place for place, one in enumerate(fields) if isinstance(one, JSONField)]

    def columns(self, alias: str) -> str:
        """All of them, of the table that has this alias."""
        return ", ".join(f'{alias}."{name}"' for name in self._names)

    def split(self, values: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        """The values of this model, and what stands behind them in the row."""
        return values[: len(self._names)], values[len(self._names) :]

    def load(self, values: Sequence[Any]) -> Row:
        """The object. Values of JSON come as texts."""
        row = list(values)
        for place in self._json:
            row[place] = None if row[place] is None else orjson.loads(row[place])
        return self._model.from_db("default", self._names, row)

    def load_joined(self, values: Sequence[Any]) -> Row | None:
        """The object that a LEFT JOIN has found, if it has."""
        return None if values[0] is None else self.load(values)
