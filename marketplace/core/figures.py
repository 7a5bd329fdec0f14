"""Figures that are asked for when Prometheus asks: jobs by state, the pool of connections."""

from collections.abc import Iterator

import structlog
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Count
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from marketplace.core.models import Job, JobState

logger = structlog.get_logger(__name__)

_POOL_FIGURES = ("pool_size", "pool_available", "requests_waiting")


class DatabaseFigures(Collector):
    """Read from the database at each scrape; without it, the other figures still come."""

    def describe(self) -> list[Metric]:
        """Nothing, so that registering asks no database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Jobs by state, and the pool where there is one."""
        try:
            yield self._jobs()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("figures_incomplete", error=type(error).__name__)
        yield from self._pool()

    def _jobs(self) -> Metric:
        family = GaugeMetricFamily("marketplace_jobs", "Jobs by state.", labels=["state"])
        # Done ones are kept for a week and tell nothing: counting them would read the whole table.
        open_jobs = Job.objects.exclude(state=JobState.DONE).order_by("state")
        counts = dict(open_jobs.values_list("state").annotate(number=Count("id")))
        for state in (JobState.WAITING, JobState.RUNNING, JobState.DEAD):
            family.add_metric([state.value], counts.get(state.value, 0))
        return family

    def _pool(self) -> Iterator[Metric]:
        pool = getattr(connection, "pool", None) if connection.vendor == "postgresql" else None
        if pool is None:
            return
        stats = pool.get_stats()
        family = GaugeMetricFamily(
            "marketplace_db_pool", "The pool of connections.", labels=["figure"]
        )
        for name in _POOL_FIGURES:
            family.add_metric([name], stats.get(name, 0))
        yield family


def render_figures() -> bytes:
    """Everything in Prometheus' text form."""
    return generate_latest(REGISTRY)


def register_figures() -> None:
    """Add these figures to the process's registry; called once, when the app is ready."""
    REGISTRY.register(DatabaseFigures())
