"""`manage.py accept_keys`: after a planned change of keys."""

from typing import Any

from django.core.management.base import BaseCommand

from marketplace.core.keys import accept_keys


class Command(BaseCommand):
    """Take the keys of this environment as those of the database."""

    help = "Take the keys of this environment as those of the database, after a planned change."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the settings whose key is new to the database."""
        changed = accept_keys()
        self.stdout.write(f"Accepted: {', '.join(changed)}." if changed else "Nothing has changed.")
