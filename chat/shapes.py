"""How dialects say what the log holds: pure functions of a payload, no query.

Phoenix and plain speak Realtime Market's shape (canonical + `_id` + `chat_room_id`), `group:`
Beat Messaging's. The adapters of source systems use the same functions for REST.
"""

from typing import Any

ROOM_TYPES = {"direct": "user_user", "shop": "user_shop", "assistant": "user_ai"}


def market_message(message: dict[str, Any]) -> dict[str, Any]:
    """Message of Realtime Market, Phoenix and plain."""
    shaped = message | {"_id": message["id"], "chat_room_id": message["room_id"]}
    shaped.pop("sender_email", None)
    return shaped


def market_room(room: dict[str, Any]) -> dict[str, Any]:
    """Room of Realtime Market, Phoenix and plain; `participant_ids` of the members it shows."""
    last = room.get("last_message")
    return room | {
        "_id": room["id"],
        "type": ROOM_TYPES.get(room["kind"], room["kind"]),
        "participant_ids": [member["user_id"] for member in room["members"]],
        "last_message": None if last is None else market_message(last),
    }


def market_room_event(room: dict[str, Any]) -> dict[str, Any]:
    """The same for an event, which holds nothing that belongs to one member."""
    return market_room(room)


def market_read(read: dict[str, Any]) -> dict[str, Any]:
    """A read cursor that moved; `timestamp` is the older name of `read_at`."""
    return read | {"timestamp": read["read_at"]}


def member_shape(member: dict[str, Any]) -> dict[str, Any]:
    """A membership; `_id` stands on every object that Realtime Market's clients see."""
    return member | {"_id": member["user_id"]}


def group_message(message: dict[str, Any]) -> dict[str, Any]:
    """A message as Beat Messaging's group topic tells it."""
    return {
        "id": message["id"],
        "type": "text",
        "content": message["content"],
        "mentions": message["mentions"],
        "reply_to": message["reply_to_id"],
        "sender_id": message["sender_id"],
        "group_id": message["room_id"],
        "inserted_at": message["created_at"],
        "seq": message["seq"],
        "client_id": message["client_id"],
        "attachments": message["attachments"],
    }


def sent_to_group(message: dict[str, Any]) -> dict[str, Any]:
    """The reply to a message on a group topic; existing clients compare `status`."""
    return market_message(message) | group_message(message) | {"status": "pending"}


def market_notification(notification: dict[str, Any]) -> dict[str, Any]:
    """A notification of Realtime Market, Phoenix and plain."""
    return notification | {"_id": notification["id"]}


def group_notification(notification: dict[str, Any]) -> dict[str, Any]:
    """A notification as Beat Messaging's topic `notification:` tells it."""
    data = notification["data"] or {}
    group_id = data.get("group_id")
    return {
        "id": notification["id"],
        "type": notification["type"],
        "title": notification["title"],
        "body": notification["body"],
        "metadata": {
            "group_id": group_id,
            "actor_id": data.get("actor_id"),
            "reference_id": group_id,
            "reference_type": None if group_id is None else "group",
            "inserted_at": notification["created_at"],
        },
        "read": notification["read_at"] is not None,
        "data": data,
        "unread_count": notification["unread_count"],
    }
