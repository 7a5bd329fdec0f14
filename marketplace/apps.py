"""Django's entry for the project itself: its management commands and pages."""

from django.apps import AppConfig


class MarketplaceConfig(AppConfig):
    """The wiring: commands, pages, cross-app tests."""

    name = "marketplace"
