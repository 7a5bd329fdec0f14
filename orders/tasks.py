"""Later work of orders, run as jobs."""

from typing import Any

import structlog
from celery import shared_task

from orders.services import moves

logger = structlog.get_logger(__name__)


@shared_task(name="release_reservations")
def release_reservations(**_: Any) -> None:
    """Cancel orders that were not settled in their time; what they held can be bought again."""
    released = moves.release_expired()
    if released:
        logger.info("reservations_released", orders=released)
