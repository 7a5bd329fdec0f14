"""Figures that are asked for when Prometheus asks: jobs by state, the pool of connections."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import structlog
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Count
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from marketplace.core import observe
from marketplace.core.clock import wire_time
from marketplace.core.models import Job, JobState

logger = structlog.get_logger(__name__)

OPEN_STATES = (JobState.WAITING, JobState.RUNNING, JobState.DEAD)
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
        for state, number in open_jobs().items():
            family.add_metric([state], number)
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


def open_jobs() -> dict[str, int]:
    """Jobs by state. Done ones are kept for a week and tell nothing: counting would read all."""
    rows = Job.objects.exclude(state=JobState.DONE).order_by("state")
    counts = dict(rows.values_list("state").annotate(number=Count("id")))
    return {state.value: counts.get(state.value, 0) for state in OPEN_STATES}


def process_figures() -> dict[str, Any]:
    """This process in a few numbers, since its start: memory, time, requests, queries, events."""
    requests = [one for one in _samples(observe.HTTP_REQUESTS) if one.name.endswith("_total")]
    answered = sum(one.value for one in requests)
    failed = sum(one.value for one in requests if one.labels["status"].startswith("5"))
    seconds = _sum(observe.HTTP_SECONDS, "_sum")
    queries = _sum(observe.DB_QUERIES, "_total")
    return {
        "started_at": _started_at(),
        "memory_bytes": int(REGISTRY.get_sample_value("process_resident_memory_bytes") or 0),
        "cpu_s": round(REGISTRY.get_sample_value("process_cpu_seconds_total") or 0.0, 2),
        "loop_lag_ms": round(_sum(observe.LOOP_LAG, "") * 1000, 1),
        "requests": {
            "answered": int(answered),
            "failed": int(failed),
            "in_flight": int(_sum(observe.HTTP_IN_FLIGHT, "")),
            "mean_ms": _mean_ms(seconds, answered),
        },
        "queries": {
            "made": int(queries),
            "mean_ms": _mean_ms(_sum(observe.DB_SECONDS, "_total"), queries),
        },
        "events": {
            "recorded": int(_sum(observe.EVENTS_RECORDED, "_total")),
            "published": int(_sum(observe.EVENTS_PUBLISHED, "_total")),
            "gaps_filled": int(_sum(observe.HUB_GAPS, "_total")),
        },
    }


def _samples(metric: Collector) -> Iterator[Sample]:
    for family in metric.collect():
        yield from family.samples


def _sum(metric: Collector, ending: str) -> float:
    """All samples of this ending, over all labels; "" = the value of a gauge itself."""
    names = {f"{family.name}{ending}" for family in metric.collect()}
    return sum(sample.value for sample in _samples(metric) if sample.name in names)


def _mean_ms(seconds: float, number: float) -> float | None:
    return round(seconds / number * 1000, 2) if number else None


def _started_at() -> str | None:
    seconds = REGISTRY.get_sample_value("process_start_time_seconds")
    return None if seconds is None else wire_time(datetime.fromtimestamp(seconds, UTC))


def render_figures() -> bytes:
    """Everything in Prometheus' text form."""
    return generate_latest(REGISTRY)


def register_figures() -> None:
    """Add these figures to the process's registry; called once, when the app is ready."""
    REGISTRY.register(DatabaseFigures())
