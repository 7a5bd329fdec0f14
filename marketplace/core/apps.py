"""Django's entry for this app."""

from importlib import import_module

from django.apps import AppConfig


class KernelConfig(AppConfig):
    """The core app."""

    name = "marketplace.core"
    label = "core"

    def ready(self) -> None:
        """Register the system checks."""
        import_module("marketplace.core.checks")
