"""What happens to orders and concerns others than the buyer."""

from uuid import UUID

from marketplace.events.models import Event, TopicHead
from marketplace.events.record import NewEvent, open_topic, record_all
from marketplace.events.subscribe import subscribes
from orders.events import ORDER_CREATED, PAYMENT_SUCCEEDED, STATUS_CHANGED
from orders.models import ShopOrder

OWN_TOPIC = "order:"
ADMINS = "admins"
FOR_SHOPS = frozenset({ORDER_CREATED, STATUS_CHANGED})
FOR_ADMINS = frozenset({ORDER_CREATED, STATUS_CHANGED, PAYMENT_SUCCEEDED})


@subscribes(subscriber="order_copies", names=FOR_SHOPS | FOR_ADMINS, topics=OWN_TOPIC)
def tell_shops_and_admins(events: list[Event]) -> None:
    """The same facts on the topics of the order's shops and of the administrators.

    Here and not with the order: else every order would wait for these few heads.
    """
    order_id = UUID(events[0].topic.removeprefix(OWN_TOPIC))
    shops = ShopOrder.objects.filter(order_id=order_id).order_by("id")
    topics = [f"shop:{shop_id}" for shop_id in shops.values_list("shop_id", flat=True)]
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
            for event in events
            for topic in _places(event.name, topics)
        ]
    )


def _places(name: str, shop_topics: list[str]) -> list[str]:
    shops = shop_topics if name in FOR_SHOPS else []
    return [*shops, *([ADMINS] if name in FOR_ADMINS else [])]
