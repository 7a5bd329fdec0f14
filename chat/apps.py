"""Django's entry for this app."""

from django.apps import AppConfig


class ChatConfig(AppConfig):
    """Rooms, messages, read cursors; the socket topics `room:` and `user:`."""

    name = "chat"

    def ready(self) -> None:
        """Declare the events of this app."""
        from chat import events  # noqa: F401  # entering them in the catalog is the effect
