"""What operators see: logs without secrets, figures for Prometheus, the state of the parts."""

from typing import Any

import structlog
from django.http import HttpRequest
from prometheus_client import Counter, Gauge, Histogram

HTTP_REQUESTS = Counter(
    "marketplace_http_requests", "Requests answered.", ["method", "route", "status"]
)
HTTP_SECONDS = Histogram(
    "marketplace_http_request_seconds",
    "Time to the answer.",
    ["method", "route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0),
)
HTTP_IN_FLIGHT = Gauge("marketplace_http_in_flight", "Requests being answered.")
SOCKETS = Gauge("marketplace_sockets", "Open connections.", ["protocol"])
EVENTS_RECORDED = Counter("marketplace_events_recorded", "Events written to the log.")
EVENTS_PUBLISHED = Counter("marketplace_events_published", "Events handed to connections.")
HUB_GAPS = Counter("marketplace_hub_gaps", "Gaps that the hub found and filled from the log.")
LOOP_LAG = Gauge("marketplace_loop_lag_seconds", "How late the event loop runs.")


def get_logger(*names: Any) -> Any:
    """The logger of a module."""
    return structlog.get_logger(*names)


def request_done(request: HttpRequest, *, status: int, seconds: float) -> None:
    """Count a request and write its line."""
