"""Whether the parts that this process needs answer."""

import threading
import time

from channels.layers import get_channel_layer
from django.conf import settings
from django.db import DatabaseError, InterfaceError

from marketplace.core import observe
from marketplace.core.models import KeyFingerprint

CACHED_S = 1.0
ANSWER_WITHIN_S = 1.0
OK, DOWN, UNUSED, LOCAL = "ok", "down", "unused", "in process"

_lock = threading.Lock()
_last: tuple[float, dict[str, str]] = (0.0, {})


def check_parts() -> dict[str, str]:
    """`{database, channel_layer, broker, bus}`, each ok, down, unused or in process.

    Asked at most once a second, however often a probe comes.
    """
    global _last
    with _lock:
        at, checks = _last
        if not checks or time.monotonic() - at > CACHED_S:
            checks = {
                "database": _database(),
                "channel_layer": _channel_layer(),
                "broker": _redis(settings.CELERY_BROKER_URL)
                if settings.CELERY_BROKER_URL
                else UNUSED,
                "bus": OK if settings.BUS_ENABLED else UNUSED,
            }
            _last = (time.monotonic(), checks)
    return dict(checks)


def is_ready(checks: dict[str, str]) -> bool:
    """Whether requests may be sent here."""
    return checks["database"] == OK and not observe.draining


def forget_checks() -> None:
    """Ask anew at the next call; for tests."""
    global _last
    _last = (0.0, {})


def _database() -> str:
    try:
        KeyFingerprint.objects.order_by("id").exists()
    except (DatabaseError, InterfaceError):
        return DOWN
    except Exception as error:
        # MongoDB's driver raises its own errors when no server answers.
        if type(error).__module__.startswith("pymongo"):
            return DOWN
        raise
    return OK


def _channel_layer() -> str:
    layer = get_channel_layer()
    if layer is None or "InMemory" in type(layer).__name__:
        return LOCAL
    return _redis(settings.REDIS_URL)


def _redis(url: str) -> str:
    import redis

    try:
        client = redis.Redis.from_url(
            url, socket_timeout=ANSWER_WITHIN_S, socket_connect_timeout=ANSWER_WITHIN_S
        )
        with client:
            client.ping()
    except (redis.RedisError, OSError):
        return DOWN
    return OK
