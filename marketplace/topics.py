"""The urls.py of sockets: kind of topic → topic consumer."""

from chat.consumers import AnnouncementsConsumer, RoomConsumer, UserConsumer

TOPICS = {
    consumer.kind: consumer for consumer in (RoomConsumer, UserConsumer, AnnouncementsConsumer)
}
