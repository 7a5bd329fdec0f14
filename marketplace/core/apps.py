"""Django's entry for this app."""

from django.apps import AppConfig


class KernelConfig(AppConfig):
    """The core app."""

    name = "marketplace.core"
    label = "core"

    def ready(self) -> None:
        """Send logs where they belong, watch queries and jobs, put SQLite's writers in a line."""
        from marketplace.core import figures, observe, planned, queries, write_queue

        observe.configure_logging()
        queries.watch_queries()
        planned.watch_connections()
        write_queue.queue_writes()
        figures.register_figures()
