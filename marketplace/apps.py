"""Django's entry for the project itself: its management commands and pages."""

from importlib import import_module

from django.apps import AppConfig


class MarketplaceConfig(AppConfig):
    """The wiring: commands, pages, cross-app tests."""

    name = "marketplace"

    def ready(self) -> None:
        """Make the Celery application the one that tasks are sent with."""
        import_module("marketplace.celery")
