"""Django's entry for this app."""

from django.apps import AppConfig


class SupportConfig(AppConfig):
    """The support app."""

    name = "support"
