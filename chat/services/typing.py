"""Typing: told to whoever is connected, never stored."""

import time
from uuid import UUID

from accounts.models import User
from marketplace.core.errors import ValidationFailed
from marketplace.events.live import Signal, publish_signal

REPEAT_S = 2.0
REMEMBERED = 10_000

_last: dict[tuple[UUID, str], tuple[bool, float]] = {}


def typing_changed(*, actor: User, room_id: UUID, is_typing: object = True) -> bool:
    """Tell the others in the room; False where the same was said within 2 s.

    The caller has the right to the room: he has joined its topic. Raises ValidationFailed.
    """
    if not isinstance(is_typing, bool):
        raise ValidationFailed.for_fields({"is_typing": ["This must be true or false."]})
    key, instant = (room_id, actor.public_id), time.monotonic()
    said, at = _last.get(key, (None, 0.0))
    if said == is_typing and instant - at < REPEAT_S:
        return False
    if len(_last) >= REMEMBERED:
        _last.clear()
    _last[key] = (is_typing, instant)
    publish_signal(
        Signal(
            topic=f"room:{room_id}",
            name="typing",
            payload={
                "room_id": str(room_id),
                "user_id": actor.public_id,
                "username": actor.username,
                "is_typing": is_typing,
            },
            except_user=actor.public_id,
        )
    )
    return True
