"""What is asked of delivery's tables for many at once: joins of one moment, an order's parts."""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import User
from delivery.models import Delivery, Location
from delivery.trail import TAKEN, Fix
from marketplace.core.loading import Loader
from marketplace.core.questions import Question

Found = TypeVar("Found")

_deliveries, _users, _locations = Loader(Delivery), Loader(User), Loader(Location)


def which_deliveries(delivery_ids: Collection[UUID]) -> Question[dict[UUID, Delivery]]:
    """Those of these deliveries that there are, with their people."""
    asked = list(delivery_ids)

    def read(rows: Iterable[tuple[Any, ...]]) -> dict[UUID, Delivery]:
        found = {}
        for row in rows:
            values, people = _deliveries.split(row)
            delivery = _deliveries.load(values)
            customer, courier = _users.split(people)
            delivery.customer = _users.load(customer)
            delivery.courier = _users.load_joined(courier)
            found[delivery.id] = delivery
        return found

    def elsewhere() -> dict[UUID, Delivery]:
        rows = Delivery.objects.filter(id__in=asked).select_related("customer", "courier")
        return {delivery.id: delivery for delivery in rows.order_by("id")}

    return Question(DELIVERIES, [asked], read=read, elsewhere=elsewhere)


def which_are_newest(
    delivery_ids: Collection[UUID], *, count: int
) -> Question[dict[UUID, list[Location]]]:
    """So many good positions of each of these deliveries, oldest first."""
    asked = list(delivery_ids)

    def read(rows: Iterable[tuple[Any, ...]]) -> dict[UUID, list[Location]]:
        found: dict[UUID, list[Location]] = {key: [] for key in asked}
        for row in rows:
            location = _locations.load(row)
            found[location.delivery_id].append(location)
        return found

    return Question(
        NEWEST,
        [asked, count],
        read=read,
        elsewhere=_of_each(asked, lambda key: list(_good(key)[:count])),
    )


def which_are_fresh(
    delivery_ids: Collection[UUID], *, since: datetime, count: int
) -> Question[dict[UUID, list[Fix]]]:
    """Good positions of each of these deliveries since then, so many at most, oldest first."""
    asked = list(delivery_ids)

    def read(rows: Iterable[tuple[Any, ...]]) -> dict[UUID, list[Fix]]:
        found: dict[UUID, list[Fix]] = {key: [] for key in asked}
        for delivery_id, *values in rows:
            found[delivery_id].append(Fix(*values))
        return found

    def of_one(key: UUID) -> list[Fix]:
        rows = _good(key).filter(recorded_at__gte=since)
        columns = rows.values_list("recorded_at", "latitude", "longitude", "speed_mps")
        return [
            Fix(at.timestamp(), latitude, longitude, speed_mps)
            for at, latitude, longitude, speed_mps in columns[:count]
        ]

    return Question(FRESH, [asked, since, count], read=read, elsewhere=_of_each(asked, of_one))


def _good(delivery_id: UUID) -> QuerySet[Location]:
    """The good positions of one delivery, newest first."""
    rows = Location.objects.filter(delivery_id=delivery_id, rejected=TAKEN)
    return rows.order_by("-recorded_at", "-id")


def _of_each(
    asked: Collection[UUID], newest_first: Callable[[UUID], list[Found]]
) -> Callable[[], dict[UUID, list[Found]]]:
    """A question to each of these, for databases that take no limit of each in one."""
    return lambda: {key: newest_first(key)[::-1] for key in asked}


_TABLE = {model: model._meta.db_table for model in (Delivery, Location, User)}
DELIVERIES = f"""
    SELECT {_deliveries.columns("d")}, {_users.columns("c")}, {_users.columns("k")}
    FROM {_TABLE[Delivery]} d
    JOIN {_TABLE[User]} c ON c.id = d.customer_id
    LEFT JOIN {_TABLE[User]} k ON k.id = d.courier_id
    WHERE d.id = ANY(%s) ORDER BY d.id
"""  # noqa: S608  # the names of tables and columns
NEWEST = f"""
    SELECT {_locations.columns("l")}
    FROM unnest(%s::uuid[]) AS asked(delivery_id)
    CROSS JOIN LATERAL (
        SELECT * FROM {_TABLE[Location]} one
        WHERE one.delivery_id = asked.delivery_id AND one.rejected = '{TAKEN}'
        ORDER BY one.recorded_at DESC, one.id DESC LIMIT %s) l
    ORDER BY l.recorded_at, l.id
"""  # noqa: S608  # the names of tables and columns
FRESH = f"""
    SELECT l.delivery_id, extract(epoch FROM l.recorded_at)::float8,
        l.latitude, l.longitude, l.speed_mps
    FROM unnest(%s::uuid[]) AS asked(delivery_id)
    CROSS JOIN LATERAL (
        SELECT * FROM {_TABLE[Location]} one
        WHERE one.delivery_id = asked.delivery_id AND one.rejected = '{TAKEN}'
            AND one.recorded_at >= %s
        ORDER BY one.recorded_at DESC, one.id DESC LIMIT %s) l
    ORDER BY l.recorded_at, l.id
"""  # noqa: S608  # the names of tables and columns
