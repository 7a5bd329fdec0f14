"""What operators see: logs without secrets, and figures for Prometheus.

Logs are one JSON object per line (text on a laptop); every line carries the request it belongs to.
"""

import logging
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

import orjson
import structlog
from django.conf import settings
from django.http import HttpRequest
from prometheus_client import Counter, Gauge, Histogram
from structlog.typing import EventDict, Processor, WrappedLogger

from marketplace.core.clock import now, wire_time
from marketplace.core.context import request_id
from marketplace.core.queries import QueryCount
from marketplace.core.redaction import redact, redact_text

draining = False
"""True once this process has been told to end: readiness is refused from then on."""

# --- figures --------------------------------------------------------------------------------

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
DB_QUERIES = Counter("marketplace_db_queries", "Database calls of HTTP requests.")
DB_SECONDS = Counter("marketplace_db_seconds", "Time of the database calls of HTTP requests.")
SOCKETS = Gauge("marketplace_sockets", "Open connections.", ["protocol"])
EVENTS_RECORDED = Counter("marketplace_events_recorded", "Events written to the log.")
EVENTS_PUBLISHED = Counter("marketplace_events_published", "Events handed to connections.")
HUB_GAPS = Counter("marketplace_hub_gaps", "Gaps that the hub found and filled from the log.")
LOOP_LAG = Gauge("marketplace_loop_lag_seconds", "How late the event loop runs.")

QUIET_PATHS = frozenset({"/livez", "/readyz", "/metrics"})
OTHER_METHOD = "OTHER"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# --- logs -----------------------------------------------------------------------------------

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_QUIET_LOGGERS = ("daphne", "uvicorn.access", "twisted", "asyncio", "httpx2", "httpcore2", "kombu")


class _Sink:
    """Where lines go; may be changed while loggers are in use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: TextIO | None = None
        self.stream: TextIO | None = None
        self.as_text = True

    def write(self, text: str) -> int:
        """One line in one write, so that threads do not mix theirs."""
        with self._lock:
            stream = self.stream or sys.stderr
            stream.write(text)
            stream.flush()
        return len(text)

    def flush(self) -> None:
        """Everything is flushed already."""

    def switch(self, *, file: Path | None, stream: TextIO | None, as_text: bool) -> None:
        """Write elsewhere from now on; a file that was written so far is closed."""
        with self._lock:
            if self._file is not None:
                self._file.close()
            self._file = None if file is None else file.open("a", encoding="utf-8")
            self.stream = self._file or stream
            self.as_text = as_text


_sink = _Sink()
_console = structlog.dev.ConsoleRenderer(colors=False, sort_keys=False)


def _add_context(_logger: WrappedLogger, level: str, line: EventDict) -> EventDict:
    line["timestamp"] = wire_time(now())
    line["level"] = {"warning": "warn", "exception": "error", "critical": "error"}.get(level, level)
    if "request_id" not in line:
        name = request_id.get()
        if name:
            line["request_id"] = name
    return line


def _redact(_logger: WrappedLogger, _level: str, line: EventDict) -> EventDict:
    return {key: redact(value, key) for key, value in line.items()}


def _render(logger: WrappedLogger, level: str, line: EventDict) -> str:
    if _sink.as_text:
        return str(_console(logger, level, line))
    ordered = {key: line.pop(key) for key in ("timestamp", "level", "event") if key in line}
    return orjson.dumps({**ordered, **line}, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


_CHAIN: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    _add_context,
    structlog.processors.format_exc_info,
    structlog.processors.UnicodeDecoder(),
    _redact,
]


def configure_logging(part: str | None = None) -> None:
    """Send the logs of this process where they belong.

    part: server, worker, beat …; each has a file of its own in LOG_DIR, else standard output.
    A command without a part logs to standard error: its output belongs to its caller.
    """
    level = _LEVELS[settings.LOG_LEVEL]
    _open_sink(part)
    structlog.configure(
        processors=[*_CHAIN, _render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=_sink),  # type: ignore[arg-type]  # writes lines
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(_sink)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *_CHAIN],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _render],
            keep_exc_info=False,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _open_sink(part: str | None) -> None:
    folder = settings.LOG_DIR
    if part is not None and folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        _sink.switch(file=Path(folder) / f"{part}.jsonl", stream=None, as_text=False)
        return
    # None = whatever standard error is at that moment, which tests replace.
    stream = None if part is None else sys.stdout
    _sink.switch(file=None, stream=stream, as_text=settings.PROFILE != "production")


def get_logger(*names: Any) -> Any:
    """The logger of a module."""
    return structlog.get_logger(*names)


_access = structlog.get_logger("access")


def request_done(request: HttpRequest, *, status: int, seconds: float) -> None:
    """Count a request and write its line; probes are logged in detail only."""
    match = request.resolver_match
    route = f"/{match.route.strip('^$')}" if match is not None else "unknown"
    queries = getattr(request, "queries", None)
    if queries is not None:
        count_queries(queries)
    answered(
        method=request.method if request.method in _METHODS else OTHER_METHOD,
        route=route,
        path=request.get_full_path(),
        status=status,
        seconds=seconds,
        user_id=_user_id(request),
    )


def answered(
    *,
    method: str | None,
    route: str,
    path: str,
    status: int,
    seconds: float,
    user_id: str | None,
    **more: Any,
) -> None:
    """Count an answer and write its line. path: with its query."""
    HTTP_REQUESTS.labels(method, route, str(status)).inc()
    HTTP_SECONDS.labels(method, route).observe(seconds)
    level = logging.DEBUG if path.partition("?")[0] in QUIET_PATHS else logging.INFO
    if level < _LEVELS[settings.LOG_LEVEL]:
        # Making a line costs as much as a small answer: not for nobody.
        return
    write = _access.debug if level == logging.DEBUG else _access.info
    write(
        "request",
        protocol="http",
        method=method,
        path=redact_text(path),
        status=status,
        ms=round(seconds * 1000, 1),
        user_id=user_id,
        **more,
    )


def requests_in_hand() -> int:
    """How many requests this process is answering now."""
    return int(next(iter(HTTP_IN_FLIGHT.collect())).samples[0].value)


def count_queries(count: QueryCount) -> None:
    """Add the database calls of one request, or of several that were served together."""
    if count.number:
        DB_QUERIES.inc(count.number)
        DB_SECONDS.inc(count.seconds)


def _user_id(request: HttpRequest) -> str | None:
    """The user where a view has found him; looking must not cost a query."""
    user = getattr(request, "_cached_user", None) or request.__dict__.get("user")
    if user is None or hasattr(user, "_wrapped"):
        return None
    return getattr(user, "public_id", None)


def socket_opened(*, protocol: str, user_id: str | None, address: str, **more: Any) -> None:
    """Count a connection and write its line."""
    SOCKETS.labels(protocol).inc()
    _access.info("connect", protocol=protocol, user_id=user_id, address=address, **more)


def socket_closed(
    *, protocol: str, user_id: str | None, code: int, reason: str, **more: Any
) -> None:
    """Count the end of a connection and write its line. reason: a word, not text of a client."""
    SOCKETS.labels(protocol).dec()
    _access.info(
        "disconnect", protocol=protocol, user_id=user_id, close_code=code, reason=reason, **more
    )
