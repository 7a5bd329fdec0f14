"""Later work of delivery, run as jobs."""

from typing import Any
from uuid import UUID

from celery import shared_task

from delivery.services import assigning


@shared_task(name="offer_delivery")
def offer_delivery(*, delivery_id: str, **_: Any) -> None:
    """Offer one delivery to the nearest free courier; nothing where somebody has it already."""
    assigning.offer_delivery(delivery_id=UUID(delivery_id))


@shared_task(name="expire_offer")
def expire_offer(*, offer_id: str, **_: Any) -> None:
    """Let an offer pass on that nobody has answered."""
    assigning.expire_offer(offer_id=UUID(offer_id))


@shared_task(name="offer_waiting")
def offer_waiting(**_: Any) -> None:
    """Somebody has a free place: offer what waits."""
    assigning.offer_waiting()
