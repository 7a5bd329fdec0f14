"""After a restore from backup: every client drops what it holds and takes the restored state."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketplace.events.models import TopicHead
from marketplace.events.progress import progress_bar
from marketplace.events.retention import start_new_epoch


class Command(BaseCommand):
    """Give every topic a new epoch. Asks first, with the number of topics."""

    help = "After a restore from backup, before the server starts: a new epoch on every topic."

    def add_arguments(self, parser: CommandParser) -> None:
        """`--yes` for scripts."""
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask, then change all heads and write the audit entry."""
        topics = TopicHead.objects.count()
        if not options["yes"] and not self._confirmed(topics):
            raise CommandError("Nothing was changed.")
        try:
            with progress_bar("new epoch") as progress:
                done = start_new_epoch(actor_id=None, progress=progress)
        except KeyboardInterrupt:
            raise CommandError("Stopped before the end: run it again.", returncode=130) from None
        self.stdout.write(f"{done} topics have a new epoch.")

    def _confirmed(self, topics: int) -> bool:
        self.stdout.write(
            f"{topics} topics get a new epoch: every client will reload its topics. "
            "The server must not be running."
        )
        try:
            return input("Continue? [y/N] ").strip().lower() in {"y", "yes"}
        except EOFError:
            return False
