"""The deliveries of the gps benchmark: one per courier, on its way, with people who watch it."""

from collections.abc import Sequence
from uuid import UUID

from accounts.enums import Role
from accounts.models import User
from delivery.enums import DeliveryStatus
from delivery.models import Delivery
from delivery.tokens import hash_of, new_token
from marketplace.core.clock import now
from marketplace.core.db import transactional
from marketplace.core.ids import uuid7
from marketplace.events.models import TopicHead
from marketplace.management.benchmarking import CHUNK, chunks
from shops.enums import ShopRole
from shops.models import Shop, ShopMember
from shops.services.shops import create_shop

# Where courier i drives; he never comes near the end.
START = (41.0, 37.0)
GOAL_LATITUDE = 41.5


def watched(place: int, *, couriers: int, watchers: int) -> int:
    """Whose delivery watcher `place` sees: neighbours see the same one."""
    return place * couriers // watchers


def ensure_deliveries(*, set_name: str, people: Sequence[User], couriers: int) -> list[UUID]:
    """The deliveries of this set, by courier. people: the couriers, then the watchers.

    Of those who watch the same one the first is its customer, the others work for its shop.
    """
    drivers, watchers = people[:couriers], people[couriers:]
    User.objects.filter(pk__in=[one.pk for one in drivers]).exclude(role=Role.COURIER).update(
        role=Role.COURIER
    )
    seen: list[list[User]] = [[] for _ in drivers]
    for place, watcher in enumerate(watchers):
        seen[watched(place, couriers=couriers, watchers=len(watchers))].append(watcher)
    known = _known(drivers)
    missing = [place for place, driver in enumerate(drivers) if driver.pk not in known]
    for places in chunks(missing):
        _create(set_name, [(place, drivers[place], seen[place]) for place in places])
    if missing:
        known = _known(drivers)
    return [known[driver.pk] for driver in drivers]


def _known(drivers: Sequence[User]) -> dict[UUID, UUID]:
    known: dict[UUID, UUID] = {}
    for some in chunks(drivers):
        rows = Delivery.objects.filter(courier__in=some, status=DeliveryStatus.IN_TRANSIT)
        known |= dict(rows.order_by("id").values_list("courier", "id"))
    return known


@transactional
def _create(set_name: str, wanted: Sequence[tuple[int, User, list[User]]]) -> None:
    at = now()
    deliveries = []
    for place, driver, (customer, *staff) in wanted:
        shop = _shop(f"{set_name} {place}", owner=staff[0] if staff else driver, staff=staff[1:])
        delivery = Delivery(
            shop=shop,
            customer=customer,
            courier=driver,
            status=DeliveryStatus.IN_TRANSIT,
            destination_latitude=GOAL_LATITUDE,
            destination_longitude=START[1] + place / 1000,
            assigned_at=at,
            started_at=at,
            attempt_at=at,
        )
        delivery.token_hash = hash_of(new_token(delivery))
        deliveries.append(delivery)
    # Heads first: where the database cannot roll back, a delivery without a head would stay so.
    TopicHead.objects.bulk_create(
        [TopicHead(topic=delivery.topic, epoch=uuid7().hex) for delivery in deliveries],
        batch_size=CHUNK,
    )
    Delivery.objects.bulk_create(deliveries, batch_size=CHUNK)


def _shop(name: str, *, owner: User, staff: Sequence[User]) -> Shop:
    shop = create_shop(actor=owner, shop_name=name, location="Nowhere", category="all")
    ShopMember.objects.bulk_create(
        [ShopMember(shop=shop, user=user, role=ShopRole.STAFF) for user in staff]
    )
    return shop
