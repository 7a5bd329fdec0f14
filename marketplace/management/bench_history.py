"""What the lists of a used market show beside products and messages: orders, deliveries and so on.

Orders are placed by their service; what has no form for many at once is written in bulk, as its
service leaves it behind.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.core.management.base import CommandError

from accounts.enums import Role
from accounts.models import Address, User
from delivery.enums import DeliveryStatus, OfferStatus, ProofKind
from delivery.models import Courier, Delivery, Location, Offer, ShopRules
from delivery.tokens import hash_of, new_token
from marketplace.core.clock import now
from marketplace.core.db import transactional
from marketplace.core.ids import uuid7
from marketplace.core.models import IdempotencyKey, Job, JobState
from marketplace.events.models import AuditEntry, TopicHead
from marketplace.events.subscribe import run_subscribers
from marketplace.management.benchmarking import CHUNK, STRIDE, chunks, product_id
from marketplace.management.commands.bench_clients import ensure_people, ensure_sessions
from orders.enums import Gateway
from orders.models import Order, Payment
from orders.services.drafting import checked
from orders.services.placing import PlaceCommand, place_orders
from orders.wanted import NewOrder, WantedLine
from shops.enums import ShopRole
from shops.models import Product, Shop, ShopMember, Sku

COURIER_SET = "bench_courier"
STAFF_SET = "bench_staff"
MADE_BY = "bench_lists"
ORDERS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many of each there are."""

    orders: int = 3_000
    deliveries: int = 3_000
    couriers: int = 300
    locations: int = 2_000
    staff: int = 300
    addresses: int = 100
    skus: int = 60
    # Jobs that are done, of which a tenth gave up; entries of the audit; kept answers.
    records: int = 3_000


@dataclass(frozen=True, slots=True)
class Market:
    """The things that lists are asked of."""

    reader: User
    seller: User
    shop: Shop
    product: Product
    order: Order
    delivery: Delivery


def fill(*, sizes: Sizes, people: Sequence[User]) -> Market:
    """Make what is missing. people: the buyers; every second order is the first one's.

    Raises CommandError without the shop of `bench_shop`.
    """
    product = Product.objects.select_related("shop", "shop__owner").filter(id=product_id(1)).first()
    if product is None:
        raise CommandError("There is no shop yet: bench_shop --products 10000")
    shop = product.shop
    _let_subscribers_end()  # who is new hears what is recorded from here on
    ensure_sessions(people=people)
    _order(people, count=sizes.orders)
    _pay(list(Order.objects.filter(user=people[0], payments__isnull=True).order_by("id")))
    # Before the shop has its staff, who would be told of every order.
    _let_subscribers_end()
    staff = ensure_people(set_name=STAFF_SET, count=sizes.staff)
    _employ(shop, staff)
    couriers = _couriers(sizes.couriers)
    _deliver(shop, customers=people, couriers=couriers, count=sizes.deliveries)
    delivery = _under_way(shop, customer=people[0], courier=couriers[0], positions=sizes.locations)
    _choices(product, count=sizes.skus)
    _addresses(people[0], count=sizes.addresses)
    _rules(ProofKind.PHOTO.value)
    _records(sizes.records)
    _let_subscribers_end()
    order = Order.objects.filter(user=people[0]).order_by("id").first()
    if order is None:
        raise CommandError("There is no order.")
    return Market(people[0], shop.owner, shop, product, order, delivery)


def _let_subscribers_end() -> None:
    while run_subscribers():
        pass


def _order(people: Sequence[User], *, count: int) -> None:
    done = Order.objects.filter(user__in=people[:200]).count()
    last = Product.objects.filter(id__lt=product_id(16**12 - 1)).order_by("-id").first()
    products = 1 if last is None else last.id.int & (16**12 - 1)
    for numbers in _parts(range(done, count), ORDERS_AT_ONCE):
        commands = []
        for number in numbers:
            buyer = people[0] if number % 2 else people[number // 2 % min(200, len(people))]
            # The first one's orders are of the shop of product 1, the others' of all shops.
            first = 1 if number % 2 else 1 + number * STRIDE % products
            lines = dict.fromkeys([first, *(1 + number * step % products for step in (7, 13))])
            wanted = NewOrder(lines=[WantedLine(1, product_id=product_id(one)) for one in lines])
            commands.append(PlaceCommand(buyer, checked(actor=buyer, wanted=wanted)))
        for outcome in place_orders(commands):
            if not isinstance(outcome, Order):
                raise CommandError(f"An order was refused: {outcome.code}")


def _parts(numbers: range, size: int) -> list[range]:
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


@transactional
def _pay(orders: Sequence[Order]) -> None:
    """Each has its try to pay in cash, which nobody has settled."""
    Payment.objects.bulk_create(
        [
            Payment(
                order=order,
                key=f"cash:{order.id}",
                gateway=Gateway.MANUAL,
                method="cash",
                amount=order.total,
                currency=order.currency,
            )
            for order in orders
        ],
        batch_size=CHUNK,
    )


@transactional
def _employ(shop: Shop, staff: Sequence[User]) -> None:
    there = set(ShopMember.objects.filter(shop=shop).order_by("id").values_list("user", flat=True))
    ShopMember.objects.bulk_create(
        [
            ShopMember(shop=shop, user=one, role=ShopRole.STAFF)
            for one in staff
            if one.pk not in there
        ],
        batch_size=CHUNK,
    )


@transactional
def _couriers(count: int) -> list[User]:
    people = ensure_people(set_name=COURIER_SET, count=count)
    keys = [one.pk for one in people]
    User.objects.filter(pk__in=keys).update(role=Role.COURIER)
    there = set(Courier.objects.filter(user__in=keys).order_by("id").values_list("user", flat=True))
    Courier.objects.bulk_create(
        [Courier(user=one) for one in people if one.pk not in there], batch_size=CHUNK
    )
    return people


def _deliver(
    shop: Shop, *, customers: Sequence[User], couriers: Sequence[User], count: int
) -> None:
    """Deliveries without an order that have come to their end, each with the offer of it."""
    done = Delivery.objects.filter(shop=shop, status=DeliveryStatus.DELIVERED).count()
    for numbers in chunks(range(done, count)):
        # Every third is the first one's.
        whose = [customers[number % 3 and number % len(customers)] for number in numbers]
        carried_by = [couriers[number % len(couriers)] for number in numbers]
        _arrived(shop, list(zip(whose, carried_by, strict=True)))


@transactional
def _arrived(shop: Shop, people: Sequence[tuple[User, User]]) -> None:
    at = now()
    made = [
        Delivery(
            shop=shop,
            customer=customer,
            courier=courier,
            status=DeliveryStatus.DELIVERED,
            destination_text="1 Long Street, Nowhere",
            assigned_at=at,
            started_at=at,
            attempt_at=at,
            arrived_at=at,
            delivered_at=at,
            ended_at=at,
        )
        for customer, courier in people
    ]
    _store(made)
    Offer.objects.bulk_create(
        [
            Offer(delivery=one, courier=courier, status=OfferStatus.ACCEPTED, expires_at=at)
            for one, (_, courier) in zip(made, people, strict=True)
        ],
        batch_size=CHUNK,
    )


def _store(deliveries: Sequence[Delivery]) -> None:
    for one in deliveries:
        one.token_hash = hash_of(new_token(one))
    # Heads first: where the database cannot roll back, a delivery without a head would stay so.
    TopicHead.objects.bulk_create(
        [TopicHead(topic=one.topic, epoch=uuid7().hex) for one in deliveries], batch_size=CHUNK
    )
    Delivery.objects.bulk_create(deliveries, batch_size=CHUNK)


@transactional
def _under_way(shop: Shop, *, customer: User, courier: User, positions: int) -> Delivery:
    """The one delivery that is on its way, and its trail."""
    moving = Delivery.objects.filter(shop=shop, status=DeliveryStatus.IN_TRANSIT)
    found = moving.order_by("id").first()
    if found is not None:
        return found
    at = now()
    begun = at - timedelta(seconds=positions)
    delivery = Delivery(
        shop=shop,
        customer=customer,
        courier=courier,
        status=DeliveryStatus.IN_TRANSIT,
        destination_latitude=41.5,
        destination_longitude=37.0,
        assigned_at=begun,
        started_at=begun,
        attempt_at=begun,
        fixes_version=positions,
    )
    _store([delivery])
    Courier.objects.filter(user=courier).update(load=1)
    Location.objects.bulk_create(
        [
            Location(
                delivery=delivery,
                latitude=41.0 + second / 1_000_000,
                longitude=37.0,
                recorded_at=begun + timedelta(seconds=second),
            )
            for second in range(positions)
        ],
        batch_size=CHUNK,
    )
    return delivery


@transactional
def _choices(product: Product, *, count: int) -> None:
    """The product comes in so many sizes; the first is the one of `bench_shop`."""
    first = product.last_number + 1
    Sku.objects.bulk_create(
        [
            Sku(
                product=product,
                number=number,
                code=f"{product.sku}-{number}",
                options={"Size": str(number), "Color": "red"},
                options_key=f"{number}/red",
                available=1_000,
            )
            for number in range(first, count + 1)
        ],
        batch_size=CHUNK,
    )
    Product.objects.filter(pk=product.pk, last_number__lt=count).update(last_number=count)


@transactional
def _addresses(user: User, *, count: int) -> None:
    Address.objects.bulk_create(
        [
            Address(user=user, line1=f"{number} Long Street", city="Nowhere", postal_code="1")
            for number in range(Address.objects.filter(user=user).count(), count)
        ]
    )


@transactional
def _rules(kind: str) -> None:
    there = set(ShopRules.objects.order_by("id").values_list("shop", flat=True))
    shops = Shop.objects.exclude(pk__in=there).order_by("id")
    ShopRules.objects.bulk_create([ShopRules(shop=shop, proof_kind=kind) for shop in shops])


@transactional
def _records(count: int) -> None:
    """Jobs that have ended, entries of the audit, answers that are kept for their keys."""
    at = now()
    done = AuditEntry.objects.filter(request_id=MADE_BY).count()
    numbers = range(done, count)
    Job.objects.bulk_create(
        [
            Job(
                key=f"{MADE_BY}:{number}",
                name="offer_delivery",
                state=JobState.DONE if number % 10 else JobState.DEAD,
                attempts=1,
                finished_at=at,
                last_error="" if number % 10 else "ValueError: made by the benchmark",
            )
            for number in numbers
        ],
        batch_size=CHUNK,
    )
    AuditEntry.objects.bulk_create(
        [
            AuditEntry(action="user.changed", target=f"user:{number}", request_id=MADE_BY)
            for number in numbers
        ],
        batch_size=CHUNK,
    )
    IdempotencyKey.objects.bulk_create(
        [
            IdempotencyKey(
                scope=f"{MADE_BY}:{number}",
                body_hash="-",
                status=201,
                lease_until=at,
                expires_at=at + timedelta(days=1),
            )
            for number in numbers
        ],
        batch_size=CHUNK,
    )
