"""Django's entry for this app."""

from django.apps import AppConfig


class DeliveryConfig(AppConfig):
    """The delivery app."""

    name = "delivery"
