"""People are told things, each once, and those who are connected hear of it at once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Count

from accounts.models import User
from accounts.selectors import find_users
from chat.models import Notification
from chat.payloads import notification_payload
from marketplace.core.clock import now
from marketplace.core.db import IntegrityError, in_transaction, transactional
from marketplace.events.record import NewEvent, insert, take_seqs


@dataclass(frozen=True, slots=True)
class NewNotification:
    """What one person is to be told. key: of what it tells; he is told of it once.

    title, body: no names and no words of other people, since the log keeps them.
    """

    user_id: str
    type: str
    title: str
    key: str
    body: str = ""
    data: dict[str, Any] = field(default_factory=dict)


def notify(
    *,
    user_ids: Collection[str],
    type: str,  # noqa: A002  # as every wire calls it
    title: str,
    key: str,
    body: str = "",
    data: dict[str, Any] | None = None,
) -> list[Notification]:
    """Each of these people is told this, unless he was; the notifications that are new.

    user_ids: public ids; those of nobody, and of people who are inactive, are passed over.
    """
    return notify_all(
        [
            NewNotification(
                user_id=user_id, type=type, title=title, key=key, body=body, data=data or {}
            )
            for user_id in user_ids
        ]
    )


def notify_all(wanted: Sequence[NewNotification]) -> list[Notification]:
    """The same for many different things, in five queries however many there are.

    Inside a transaction of the caller's an IntegrityError means that somebody told the same thing
    at the same moment: the caller repeats it all, and finds it told.
    """
    if not wanted:
        return []
    try:
        return _notify_all(wanted)
    except IntegrityError:
        if in_transaction():
            raise
        return _notify_all(wanted)


@transactional
def _notify_all(wanted: Sequence[NewNotification]) -> list[Notification]:
    people = find_users({one.user_id for one in wanted})
    fresh = _unknown(wanted, people)
    if not fresh:
        return []
    at = now()
    rows = [
        Notification(
            user=people[one.user_id],
            type=one.type,
            title=one.title,
            body=one.body,
            data=one.data,
            key=one.key,
            created_at=at,
            updated_at=at,
        )
        for one in fresh
    ]
    entries = [
        NewEvent(topic=row.user.topic, name="notification.created", payload={}, at=at)
        for row in rows
    ]
    # The heads first: from here to the commit nobody else tells these people anything, so the
    # counts are right.
    seqs = take_seqs(entries)
    unread = unread_notifications({row.user_id for row in rows})
    Notification.objects.bulk_create(rows)
    for row, entry in zip(rows, entries, strict=True):
        unread[row.user_id] = unread.get(row.user_id, 0) + 1
        entry.payload = notification_payload(row) | {"unread_count": unread[row.user_id]}
    insert(entries, seqs)
    return rows


def _unknown(wanted: Sequence[NewNotification], people: dict[str, User]) -> list[NewNotification]:
    """Those that their people have not been told, each once."""
    known = Notification.objects.filter(
        user__in=[user.id for user in people.values()], key__in={one.key for one in wanted}
    )
    told = set(known.order_by("id").values_list("user_id", "key"))
    fresh = []
    for one in wanted:
        user = people.get(one.user_id)
        if user is not None and user.is_active and (user.id, one.key) not in told:
            told.add((user.id, one.key))
            fresh.append(one)
    return fresh


def unread_notifications(user_ids: Collection[UUID]) -> dict[UUID, int]:
    """How many each of these people has not read; those with none are left out."""
    rows = (
        Notification.objects.filter(user__in=list(user_ids), read_at__isnull=True)
        .order_by("user_id")
        .values("user_id")
        .annotate(count=Count("id"))
    )
    return {row["user_id"]: row["count"] for row in rows}
