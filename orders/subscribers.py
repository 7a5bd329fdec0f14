"""What happens to orders and concerns others than the buyer."""

from uuid import UUID

from marketplace.events.models import Event, TopicHead
from marketplace.events.record import NewEvent, open_topic, record_all
from marketplace.events.subscribe import subscribes
from orders.events import ORDER_CREATED, PAYMENT_SUCCEEDED, STATUS_CHANGED
from orders.selectors import shop_ids_by_order

OWN_TOPIC = "order:"
ADMINS = "admins"
FOR_SHOPS = frozenset({ORDER_CREATED, STATUS_CHANGED})
FOR_ADMINS = frozenset({ORDER_CREATED, STATUS_CHANGED, PAYMENT_SUCCEEDED})


@subscribes(subscriber="order_copies", names=FOR_SHOPS | FOR_ADMINS, topics=OWN_TOPIC)
def tell_shops_and_admins(events: list[Event]) -> None:
    """The same facts on the topics of the orders' shops and of the administrators.

    Here and not with the order: else every order would wait for these few heads.
    """
    places = _places(events)
    if not TopicHead.objects.filter(topic=ADMINS).exists():
        open_topic(ADMINS)
    record_all(
        [
            NewEvent(
                topic=topic,
                name=event.name,
                payload=event.payload,
                actor_id=event.actor_id,
                event_id=event.event_id,
                at=event.created_at,
                request_id=event.request_id,
            )
            for event, topics in zip(events, places, strict=True)
            for topic in topics
        ]
    )


def _places(events: list[Event]) -> list[list[str]]:
    """On which topics each of these events is told again."""
    orders = [UUID(event.topic.removeprefix(OWN_TOPIC)) for event in events]
    shops = shop_ids_by_order(
        {order for order, event in zip(orders, events, strict=True) if event.name in FOR_SHOPS}
    )
    return [
        [
            *(f"shop:{shop_id}" for shop_id in shops.get(order, ()) if event.name in FOR_SHOPS),
            *([ADMINS] if event.name in FOR_ADMINS else ()),
        ]
        for order, event in zip(orders, events, strict=True)
    ]
