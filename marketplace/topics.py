"""The urls.py of sockets: kind of topic → topic consumer."""

from chat.consumers import AnnouncementsConsumer, RoomConsumer, UserConsumer
from shops.consumers import ShopConsumer

TOPICS = {
    consumer.kind: consumer
    for consumer in (RoomConsumer, UserConsumer, AnnouncementsConsumer, ShopConsumer)
}
