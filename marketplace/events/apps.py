"""Django's entry for this app."""

from django.apps import AppConfig


class EventsConfig(AppConfig):
    """The events app."""

    name = "marketplace.events"
    label = "events"
