"""What happens to an order is told on its own topic, and at once to its buyer.

Shops and administrators hear it by `subscribers.py`: many orders at once would wait for the one
row of their topics.
"""

from typing import Any
from uuid import UUID

from marketplace.core.ids import uuid7
from marketplace.events.record import NewEvent
from orders.models import Order


def told(
    order: Order,
    name: str,
    payload: dict[str, Any],
    *,
    actor_id: str | None,
    request_id: str | None = None,
) -> list[NewEvent]:
    """The event and its copy for the buyer: the same fact under the same id; to be recorded."""
    event_id: UUID = uuid7()
    return [
        NewEvent(
            topic=topic,
            name=name,
            payload=payload,
            actor_id=actor_id,
            event_id=event_id,
            request_id=request_id,
        )
        for topic in (order.topic, order.user.topic)
    ]
