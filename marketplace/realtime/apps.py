"""Django's entry for this app."""

from django.apps import AppConfig


class RealtimeConfig(AppConfig):
    """Sessions, hub and protocol adapters; it hears of commits through `events.live`."""

    name = "marketplace.realtime"
    label = "realtime"

    def ready(self) -> None:
        """Listen to what is committed in this process."""
        from marketplace.events import live
        from marketplace.realtime.runtime import LiveListener

        live.listen(LiveListener())
