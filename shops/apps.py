"""Django's entry for this app."""

from django.apps import AppConfig


class ShopsConfig(AppConfig):
    """The shops app."""

    name = "shops"
