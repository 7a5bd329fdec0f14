"""Cleanup now: what the nightly `cleanup` task does, part by part, with a progress bar."""

from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from marketplace.core.clock import now
from marketplace.core.task_registry import cleanup_parts, load_tasks
from marketplace.events.progress import progress_bar
from marketplace.events.retention import CLEANUP_PART, trim


class Command(BaseCommand):
    """Remove what is past its time, and say how much that was."""

    help = "Removes what is past its time now, as the nightly cleanup does."

    def handle(self, *args: Any, **options: Any) -> None:
        """Clean up; Ctrl-C stops between two batches and leaves nothing half done."""
        load_tasks()
        failed = []
        try:
            for name, part in sorted(cleanup_parts().items()):
                with progress_bar(name) as progress:
                    call = partial(trim, progress=progress) if name == CLEANUP_PART else part
                    try:
                        removed = call(now())
                    except Exception as error:  # noqa: BLE001  # the others go on; told at the end
                        failed.append(name)
                        self.stderr.write(f"{name}: failed: {type(error).__name__}: {error}")
                        continue
                self.stdout.write(f"{name}: {removed}")
        except KeyboardInterrupt:
            raise CommandError("Stopped: what is left goes next time.", returncode=130) from None
        if failed:
            raise CommandError(f"Not cleaned up: {', '.join(failed)}.")
