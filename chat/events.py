"""The facts that chat records, on `room:<id>`, `user:<id>` and `announcements`."""

from marketplace.events.catalog import declare

MESSAGE_FIELDS = (
    "id", "room_id", "number", "seq", "client_id", "sender_type", "sender_id", "sender", "kind",
    "content", "mentions", "attachments", "data", "reply_to_id", "reactions", "edited_at",
    "deleted_at", "created_at", "updated_at",
)  # fmt: skip
ROOM_FIELDS = (
    "id", "kind", "title", "is_public", "subject_type", "subject_id", "data", "owner_id",
    "member_count", "members", "last_message", "last_message_at", "last_number", "latest_seq",
    "created_at", "updated_at",
)  # fmt: skip
MEMBER_FIELDS = (
    "room_id", "user_id", "user", "role", "read_number", "last_read_seq", "muted", "joined_at",
    "created_at", "updated_at", "actor_id",
)  # fmt: skip

declare(
    "announcement.created",
    "Something that concerns everybody, on `announcements`.",
    "id", "title", "message", "level", "created_at",
)  # fmt: skip
declare("room.created", "A room exists, with the members of that moment.", *ROOM_FIELDS)
declare("message.sent", "Somebody said something.", *MESSAGE_FIELDS)
declare(
    "read.moved",
    "A member has read further.",
    "room_id", "user_id", "message_id", "last_read_seq", "read_at",
)  # fmt: skip
declare("member.joined", "Somebody came in.", *MEMBER_FIELDS)
declare("member.left", "Somebody went by himself.", *MEMBER_FIELDS)
declare("member.removed", "Somebody was taken out.", *MEMBER_FIELDS)
declare(
    "notification.created",
    "Somebody is told something, on `user:<id>`; `unread_count` of his notifications.",
    "id", "type", "title", "body", "data", "read_at", "created_at", "unread_count",
)  # fmt: skip
