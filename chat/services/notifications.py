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
from marketplace.core.questions import Question, ask, ask_all
from marketplace.core.rows import insert_rows, new_row
from marketplace.events.record import NewEvent, insert, taking_seqs


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
        new_row(
            Notification,
            user_id=people[one.user_id].pk,
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
        NewEvent(topic=people[one.user_id].topic, name="notification.created", payload={}, at=at)
        for one in fresh
    ]
    # The heads first: from here to the commit nobody else tells these people anything, so the
    # counts are right.
    seqs, unread = ask_all(taking_seqs(entries), _counting_unread({row.user_id for row in rows}))
    insert_rows(rows)
    for row, entry in zip(rows, entries, strict=True):
        unread[row.user_id] = unread.get(row.user_id, 0) + 1
        entry.payload = notification_payload(row) | {"unread_count": unread[row.user_id]}
    insert(entries, seqs)
    return rows


def _unknown(wanted: Sequence[NewNotification], people: dict[str, User]) -> list[NewNotification]:
    """Those that their people have not been told, each once."""
    to_active = [
        (user.pk, one)
        for one in wanted
        if (user := people.get(one.user_id)) is not None and user.is_active
    ]
    told = ask(_which_are_told([(key, one.key) for key, one in to_active]))
    fresh = []
    for key, one in to_active:
        if (key, one.key) not in told:
            told.add((key, one.key))
            fresh.append(one)
    return fresh


def _which_are_told(pairs: Sequence[tuple[UUID, str]]) -> Question[set[tuple[UUID, str]]]:
    """Which of these people has been told this, by its key."""
    users, keys = [user_id for user_id, _ in pairs], [key for _, key in pairs]

    def elsewhere() -> set[tuple[UUID, str]]:
        found = Notification.objects.filter(user__in=set(users), key__in=set(keys))
        return {
            (user_id, key)
            for user_id, key in found.order_by("id").values_list("user_id", "key")
            if key is not None
        }

    # Of many people and many keys only those pairs, not each with each.
    return Question(TOLD, [users, keys], read=set, elsewhere=elsewhere)


TOLD = f"""
    SELECT user_id, key FROM {Notification._meta.db_table}
    JOIN unnest(%s::uuid[], %s::text[]) AS wanted(user_id, key) USING (user_id, key)
"""  # noqa: S608  # the name of a table


def _counting_unread(user_ids: Collection[UUID]) -> Question[dict[UUID, int]]:
    """How many each of these people has not read; those with none are left out."""
    asked = list(user_ids)

    def elsewhere() -> dict[UUID, int]:
        rows = (
            Notification.objects.filter(user__in=asked, read_at__isnull=True)
            .order_by("user_id")
            .values("user_id")
            .annotate(count=Count("id"))
        )
        return {row["user_id"]: row["count"] for row in rows}

    return Question(UNREAD, [asked], read=dict, elsewhere=elsewhere)


UNREAD = f"""
    SELECT user_id, count(*) FROM {Notification._meta.db_table}
    WHERE user_id = ANY(%s::uuid[]) AND read_at IS NULL
    GROUP BY user_id
"""  # noqa: S608  # the name of a table
