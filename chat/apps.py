"""Django's entry for this app."""

from django.apps import AppConfig


class ChatConfig(AppConfig):
    """Rooms, messages, read cursors; the socket topics `room:` and `user:`."""

    name = "chat"

    def ready(self) -> None:
        """Declare events and subscribers, and tell live connections of changed unread counts."""
        from chat import events, subscribers  # noqa: F401  # entering themselves is the effect
        from chat.unread import tell_unread
        from marketplace.realtime.checks import on_changed_rooms

        on_changed_rooms(tell_unread)
