"""The urls.py of sockets: kind of topic → topic consumer."""

from chat.consumers import AnnouncementsConsumer, RoomConsumer, UserConsumer
from delivery.consumers import DeliveryConsumer
from orders.consumers import AdminsConsumer, OrderConsumer
from shops.consumers import ShopConsumer

TOPICS = {
    consumer.kind: consumer
    for consumer in (
        RoomConsumer,
        UserConsumer,
        AnnouncementsConsumer,
        ShopConsumer,
        OrderConsumer,
        AdminsConsumer,
        DeliveryConsumer,
    )
}
