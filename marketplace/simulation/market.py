"""A whole market from its opening to its end, and what must be true of it then."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from marketplace.events.models import Event
from marketplace.simulation.digest import Digest
from marketplace.simulation.people import Buyer, Courier, Seller
from marketplace.simulation.world import World
from orders.enums import ReservationStatus
from orders.models import OrderLine, Reservation
from shops.models import Sku

PAGE = 500


@dataclass(frozen=True, slots=True)
class Report:
    """What happened: `hash` is the story's; `faults` must be empty."""

    events: int
    hash: str
    requests: int
    orders: dict[str, int]
    refusals: dict[str, int]
    faults: list[str]


def simulate(
    *,
    seed: int,
    hours: float,
    speed: float = 0,
    sellers: int = 2,
    buyers: int = 6,
    couriers: int = 2,
    on_progress: Callable[[float], None] = lambda part: None,
) -> Report:
    """Play a market. For a database to which nobody else writes meanwhile."""
    world = World(seed=seed, hours=hours, speed=speed)
    with world.time_of_its_own():
        before = Event.objects.order_by("-id").values_list("id", flat=True).first()
        shops = _open(world, sellers=sellers, buyers=buyers, couriers=couriers)
        world.run(on_progress=on_progress)
        world.settle()
    digest = Digest(started_at=world.started_at)
    rows = Event.objects.order_by("id")
    if before is not None:
        rows = rows.filter(id__gt=before)
    digest.take(rows.iterator(chunk_size=PAGE))
    return Report(
        events=digest.events,
        hash=digest.hexdigest(),
        requests=world.requests,
        orders=_orders(shops),
        refusals=dict(sorted(world.refusals.items())),
        faults=_faults(shops),
    )


def _open(world: World, *, sellers: int, buyers: int, couriers: int) -> list[Seller]:
    shops = [Seller(world, number) for number in range(1, sellers + 1)]
    for number in range(1, couriers + 1):
        Courier(world, number)
    for number in range(1, buyers + 1):
        Buyer(world, number, sellers=shops)
    world.settle()
    return shops


def _orders(shops: list[Seller]) -> dict[str, int]:
    """How many orders stand where at the end."""
    statuses: Counter[str] = Counter()
    for shop in shops:
        lines = OrderLine.objects.filter(shop_id=shop.shop["id"]).order_by("id")
        found = dict(lines.values_list("order_id", "order__status"))
        statuses.update(found.values())
    return dict(sorted(statuses.items()))


def _faults(shops: list[Seller]) -> list[str]:
    """Pieces that were lost or made: in stock, held and sold is what there was at first."""
    faults = []
    for shop in shops:
        for product_id, pieces in shop.stock.items():
            [sku] = Sku.objects.filter(product_id=product_id).order_by("id")
            sold = held = 0
            for line in _live_lines(product_id):
                if _is_held(line):
                    held += line.quantity
                else:
                    sold += line.quantity
            if sku.available < 0 or sku.reserved != held or sku.available + held + sold != pieces:
                faults.append(
                    f"{sku.code}: {sku.available} left, {sku.reserved} reserved, {held} held, "
                    f"{sold} sold of {pieces}"
                )
    return faults


def _live_lines(product_id: str) -> Any:
    lines = OrderLine.objects.filter(product_id=product_id).select_related("order")
    return lines.exclude(order__status="cancelled").order_by("id")


def _is_held(line: OrderLine) -> bool:
    return Reservation.objects.filter(
        order_id=line.order_id, status=ReservationStatus.HELD
    ).exists()
