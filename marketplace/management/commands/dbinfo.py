"""`manage.py dbinfo [table]`: does the database answer, what does each table hold."""

from argparse import ArgumentParser
from typing import IO, Any, cast

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from rich.console import Console
from rich.filesize import decimal
from rich.progress import Progress
from rich.table import Table

from marketplace.core import db_info
from marketplace.core.db_info import TableInfo

# Columns of what goes to a file or a pipe, so that no name is cut.
PAPER = 160


class Command(BaseCommand):
    """Ping the database; list tables with rows, size and indexes, or one table's indexes."""

    help = "Ping the database; rows, size and indexes of all tables, or of one in full."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """A table, for its indexes in full."""
        parser.add_argument("table", nargs="?", help="such as chat_message; none: all tables")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print it. Exit code 1 where the database does not answer, or has no such table."""
        console = Console(
            file=cast(IO[str], self.stdout), width=None if self.stdout.isatty() else PAPER
        )
        wanted = options["table"]
        names = db_info.table_names()
        if wanted is not None and wanted not in names:
            raise CommandError(f"There is no table {wanted}. There are: {', '.join(names)}")
        try:
            console.print(f"{settings.DATABASE_ENGINE}: ping {db_info.ping_ms():.2f} ms")
            if wanted is not None:
                console.print(_indexes(db_info.table_info(wanted)))
            else:
                console.print(_tables([db_info.table_info(name) for name in _shown(names)]))
        except DatabaseError as error:
            raise CommandError(f"The database does not answer: {error}") from error
        except KeyboardInterrupt:
            raise CommandError("Stopped.", returncode=130) from None


def _shown(names: list[str]) -> Any:
    """The names, with a bar on a terminal while they are gone through."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(names, description="Tables")


def _rows(table: TableInfo) -> str:
    return f"{'≈' if table.is_estimate else ''}{table.rows:,}"


def _bytes(size: int | None) -> str:
    return "-" if size is None else decimal(size)


def _tables(tables: list[TableInfo]) -> Table:
    shown = Table("table")
    for title in ("rows", "size", "indexes"):
        shown.add_column(title, justify="right")
    for one in tables:
        shown.add_row(one.name, _rows(one), _bytes(one.size), str(len(one.indexes)))
    total = _bytes(db_info.total_size())
    shown.caption = f"{len(tables)} tables, {sum(one.rows for one in tables):,} rows, {total}"
    return shown


def _indexes(table: TableInfo) -> Table:
    shown = Table("index of " + table.name, "columns", "unique")
    for one in table.indexes:
        shown.add_row(one.name, ", ".join(one.columns), "yes" if one.is_unique else "")
    shown.caption = f"{_rows(table)} rows, {_bytes(table.size)}"
    return shown
