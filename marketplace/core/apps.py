"""Django's entry for this app."""

from django.apps import AppConfig


class KernelConfig(AppConfig):
    """The core app."""

    name = "marketplace.core"
    label = "core"

    def ready(self) -> None:
        """Send logs where they belong, and count queries and jobs."""
        from marketplace.core import figures, observe, queries

        observe.configure_logging()
        queries.watch_queries()
        figures.register_figures()
