"""Django's entry for this app."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class EventsConfig(AppConfig):
    """The events app."""

    name = "marketplace.events"
    label = "events"

    def ready(self) -> None:
        """Find every app's `subscribers.py`, and enter what runs by the clock."""
        from marketplace.core import jobs
        from marketplace.events import record, retention, subscribe

        record.set_subscribed_names(subscribe.subscribed_names, wake=subscribe.wake)
        autodiscover_modules("subscribers")
        jobs.register_ticker(subscribe.TICKER, subscribe.run_subscribers)
        jobs.register_cleanup(retention.CLEANUP_PART, retention.trim)
