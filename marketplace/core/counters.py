"""Numbers that count over the whole instance."""

from django.db.models import F

from marketplace.core.db import in_transaction
from marketplace.core.libpq import Rows
from marketplace.core.models import Counter
from marketplace.core.questions import Question, ask

ADD = f"""
    UPDATE {Counter._meta.db_table} SET value = value + %s WHERE name = %s RETURNING value
"""  # noqa: S608  # the name of a table


def next_numbers(name: str, *, count: int = 1, first: int) -> int:
    """The lowest of `count` new numbers in a row; `first` is the very first of this name.

    Only inside `atomic()`: whoever updates the row has the next ones, and who fails gives them
    back, so the row is held until the commit; take it late. The very first two at once may end in
    an IntegrityError of one of them, which may then be repeated.
    """
    if not in_transaction():
        raise RuntimeError("A number is taken inside atomic(), with the thing that it numbers.")
    return ask(numbering(name, count=count, first=first))


def numbering(name: str, *, count: int = 1, first: int) -> Question[int]:
    """`next_numbers`, to travel with others.

    Asked ahead of them, nobody waits for the commit, and who fails may leave a gap.
    """

    def begin() -> int:
        Counter.objects.create(name=name, value=first + count - 1)
        return first

    def read(rows: Rows) -> int:
        return int(rows[0][0]) - count + 1 if rows else begin()

    def elsewhere() -> int:
        row = Counter.objects.filter(name=name)
        if not row.update(value=F("value") + count):
            return begin()
        newest: int = row.values_list("value", flat=True).get()
        return newest - count + 1

    return Question(ADD, [count, name], read=read, elsewhere=elsewhere)
