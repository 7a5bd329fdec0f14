"""Routes of chat under `/api/v1`."""

from django.urls import path

from chat.views import MessageViewSet, RoomViewSet

urlpatterns = [
    path("chat/unread", RoomViewSet.as_view({"get": "unread"})),
    path("chat/rooms", RoomViewSet.as_view({"get": "list", "post": "create"})),
    path("chat/rooms/<str:room_id>", RoomViewSet.as_view({"get": "retrieve"})),
    path("chat/rooms/<str:room_id>/members", RoomViewSet.as_view({"get": "members"})),
    path("chat/rooms/<str:room_id>/leave", RoomViewSet.as_view({"post": "leave"})),
    path("chat/rooms/<str:room_id>/read", RoomViewSet.as_view({"post": "read_up_to"})),
    path(
        "chat/rooms/<str:room_id>/messages",
        MessageViewSet.as_view({"get": "list", "post": "create"}),
    ),
    path(
        "chat/rooms/<str:room_id>/messages/<str:message_id>",
        MessageViewSet.as_view({"get": "retrieve"}),
    ),
]
