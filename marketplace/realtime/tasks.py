"""What the schedule does for realtime, in a worker."""

import time
from typing import Any

import structlog
from celery import shared_task
from django.conf import settings

from marketplace.realtime.bridge import PRESENCE_KEYS
from marketplace.realtime.presence import TTL_S, Entry

logger = structlog.get_logger(__name__)

ANSWER_S = 5


@shared_task(name="sweep_presence")
def sweep_presence(**_: Any) -> None:
    """Remove what dead processes have left in Redis, also of topics that nobody holds any more."""
    if not settings.REDIS_URL:
        return
    import redis

    oldest, swept = time.time() - TTL_S, 0
    with redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S
    ) as client:
        for key in client.scan_iter(f"{PRESENCE_KEYS}*"):
            entries: dict[bytes, bytes] = client.hgetall(key)
            dead = [
                ref for ref, packed in entries.items() if Entry.unpack(packed).refreshed < oldest
            ]
            if dead:
                swept += int(client.hdel(key, *dead))
    if swept:
        logger.info("presence_swept", entries=swept)
