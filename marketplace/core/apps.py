"""Django's entry for this app."""

from django.apps import AppConfig


class KernelConfig(AppConfig):
    """The core app."""

    name = "marketplace.core"
    label = "core"
