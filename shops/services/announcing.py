"""What happens to a product is told twice: on its own topic and on that of its shop."""

from collections.abc import Sequence
from uuid import UUID

from accounts.models import User
from marketplace.core.ids import uuid7
from marketplace.events.record import NewEvent, record_all
from shops import selectors
from shops.models import Product


def announce(product: Product, name: str, *, actor: User, more: Sequence[NewEvent] = ()) -> None:
    """Record this of the product as it stands now, and its shop's copy; `more` goes before it."""
    payload = selectors.describe_product(product)
    event = NewEvent(topic=product.topic, name=name, payload=payload, actor_id=actor.public_id)
    record_all(with_copies([*more, event], shop_id=product.shop_id))


def with_copies(events: Sequence[NewEvent], *, shop_id: UUID) -> list[NewEvent]:
    """These events, and each once more on the topic of the shop: the same fact, the same id."""
    doubled = []
    for event in events:
        event.event_id = event.event_id or uuid7()
        doubled += [
            event,
            NewEvent(
                topic=f"shop:{shop_id}",
                name=event.name,
                payload=event.payload,
                actor_id=event.actor_id,
                event_id=event.event_id,
            ),
        ]
    return doubled
