"""Django's entry for this app."""

from django.apps import AppConfig


class ChatConfig(AppConfig):
    """Rooms, messages, commands, notifications; the socket topics `room:` and `user:`."""

    name = "chat"

    def ready(self) -> None:
        """Declare events, subscribers and commands, and tell connections of unread counts."""
        from chat import events, subscribers  # noqa: F401  # entering themselves is the effect
        from chat.commands import enter_all
        from chat.unread import tell_unread
        from marketplace.realtime.checks import on_changed_rooms

        enter_all()
        on_changed_rooms(tell_unread)
