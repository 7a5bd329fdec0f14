"""Django's entry for this app."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class EventsConfig(AppConfig):
    """The events app."""

    name = "marketplace.events"
    label = "events"

    def ready(self) -> None:
        """Find every `subscribers.py`; enter what runs by the clock, and the audit of jobs."""
        from marketplace.core import jobs
        from marketplace.events import audit, record, retention, subscribe

        record.set_subscribed_names(subscribe.subscribed_names, wake=subscribe.wake)
        autodiscover_modules("subscribers")
        jobs.register_ticker(subscribe.TICKER, subscribe.run_subscribers)
        jobs.register_cleanup(retention.CLEANUP_PART, retention.trim)
        jobs.witness_acts(audit.record_job_act)
