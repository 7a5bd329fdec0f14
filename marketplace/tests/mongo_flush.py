"""Empty only what a test has written to, and make nothing anew.

Without transactions every test on MongoDB ends with a flush, which by itself empties each of sixty
collections and then makes all content types and permissions again: half a second a test. Here these
two stay, and of the others those are emptied that somebody wrote to.
"""

from typing import Any

from django.core.management.commands import flush
from django_mongodb_backend.operations import DatabaseOperations
from pymongo import monitoring

WRITES = frozenset({"insert", "update", "findAndModify"})
KEPT = frozenset({"auth_permission", "django_content_type"})
_written: set[str] = set()


class WriteListener(monitoring.CommandListener):
    """Keeps the names of the collections that this process has put something into."""

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """A command is on its way."""
        if event.command_name in WRITES:
            _written.add(str(event.command[event.command_name]))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing is kept of it."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """A write that failed may have written a part: its name stays."""


def execute_sql_flush(operations: Any, tables: list[str]) -> None:
    """Empty those of these collections that were written to since the last time."""
    for table in sorted(_written.intersection(tables) - KEPT):
        operations.connection.database[table].delete_many({})
        _written.discard(table)


def make_nothing(*_args: Any, **_options: Any) -> None:
    """Instead of the signal after which apps make their rows: those rows are still there."""


monitoring.register(WriteListener())
DatabaseOperations.execute_sql_flush = execute_sql_flush
flush.emit_post_migrate_signal = make_nothing  # type: ignore[attr-defined]  # no stub of it
