"""Django's entry for this app."""

from django.apps import AppConfig


class RealtimeConfig(AppConfig):
    """The realtime app."""

    name = "marketplace.realtime"
    label = "realtime"
