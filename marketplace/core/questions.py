"""Statements that travel together: on PostgreSQL all of them are one journey to the database.

A service that reads or changes something by one statement offers it as a `Question`; who needs that
alone calls `ask`, who needs several `ask_all`.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db import models

from marketplace.core.libpq import Rows
from marketplace.core.planned import (
    fetch_all_planned,
    fetch_planned,
)
from marketplace.core.vendor import is_postgresql

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Question(Generic[Answer]):
    """Something to be read or changed, in two forms that do and give the same.

    statement, values, read: PostgreSQL's, planned once, and what its rows mean; `read` may refuse
    what came. elsewhere: Django's way, for the other databases.
    """

    statement: str
    values: list[Any]
    read: Callable[[Rows], Answer]
    elsewhere: Callable[[], Answer]


def ask(question: Question[Answer]) -> Answer:
    """The answer to one question."""
    if not is_postgresql():
        return question.elsewhere()
    return question.read(fetch_planned(question.statement, question.values))


def ask_all(*questions: Question[Any], ahead: Question[Any] | None = None) -> list[Any]:
    """The answers to all of these, in their order.

    ahead: the one that comes first of all, outside of a transaction or at the beginning of one.
    PostgreSQL answers it in a transaction of its own, so that nobody waits for the end of ours, and
    what it changes stays whatever becomes of ours.
    """
    in_order = questions if ahead is None else (ahead, *questions)
    if not is_postgresql():
        return [question.elsewhere() for question in in_order]
    found = fetch_all_planned(
        [(question.statement, question.values) for question in in_order], ahead=ahead is not None
    )
    return [question.read(rows) for question, rows in zip(in_order, found, strict=True)]


def which_are_there(
    model: type[models.Model], column: str, values: Collection[str]
) -> Question[set[str]]:
    """Which of these values some row has in this column, which is unique."""
    asked = list(values)

    def elsewhere() -> set[str]:
        manager: Any = model._default_manager  # noqa: SLF001  # Django's public name
        rows = manager.filter(**{f"{column}__in": asked}).order_by(column)
        return set(rows.values_list(column, flat=True)) if asked else set()

    return Question(
        f'SELECT "{column}" FROM "{model._meta.db_table}" WHERE "{column}" = ANY(%s)',  # noqa: S608
        [asked],
        read=lambda rows: {value for (value,) in rows},
        elsewhere=elsewhere,
    )
