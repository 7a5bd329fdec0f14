"""The demo data: five people, their rooms, a shop, what was ordered there and who brings it.

All of it is made by the services that everybody uses.

Every step stands by itself and does nothing the second time, so that it may be stopped anywhere
and started again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db.models import Q
from django.templatetags.static import static

from accounts.enums import Role
from accounts.models import User
from accounts.selectors import addresses_of
from accounts.services.addresses import add_address
from chat.enums import RoomKind
from chat.models import Room
from chat.services.messages import send_message
from chat.services.reads import mark_read
from chat.services.rooms import create_group, open_assistant_room, open_direct_room
from delivery.enums import DeliveryStatus, Duty
from delivery.services.couriers import set_duty
from delivery.services.creating import NewDelivery, create_delivery
from delivery.services.moves import move_delivery
from marketplace.core.clock import now
from marketplace.core.db import transactional
from marketplace.events.record import open_topic
from marketplace.web.people import (
    ASHA,
    BRUNO,
    CHIARA,
    DEMO_PASSWORD,
    DMITRI,
    PEOPLE,
    DemoPerson,
)
from orders.enums import PaymentFlow
from orders.models import Order
from orders.services.moves import accept_order, pay_order
from orders.services.placing import place_order
from orders.wanted import NewOrder, WantedLine
from shops.models import Product
from shops.selectors import find_shop_by_name
from shops.services.products import NewProduct, create_product
from shops.services.shops import create_shop

SHOP_NAME = "Corner Lamp"
WAY = (DeliveryStatus.IN_TRANSIT, DeliveryStatus.ARRIVED, DeliveryStatus.DELIVERED)
TEAM_TITLE = "Corner Lamp team"
Line = tuple[DemoPerson, str]

ABOUT_A_LAMP: list[Line] = [
    (ASHA, "Hello Bruno! Is the brass reading lamp still there?"),
    (BRUNO, "Hello Asha. Yes, two of them. One has a small scratch on the foot."),
    (ASHA, "The one without, please. Can it be here by Friday?"),
    (BRUNO, "Dmitri drives on Thursday. I will put it aside for you."),
]
IN_THE_TEAM: list[Line] = [
    (BRUNO, "Asha takes the brass reading lamp. Dmitri, Thursday?"),
    (DMITRI, "Thursday is fine, I am in her street at four anyway."),
    (CHIARA, "Then I close her question at the support desk. Thank you both!"),
]
TO_ASSISTANT: list[Line] = [(ASHA, "Remember: measure the desk before Friday.")]


HOME = {
    "label": "Home",
    "name": "Asha",
    "line1": "350 5th Avenue",
    "city": "New York",
    "state": "NY",
    "postal_code": "10118",
    "country": "United States",
    "latitude": 40.74844,
    "longitude": -73.98566,
}


def _picture(name: str) -> list[dict[str, str]]:
    url = settings.PUBLIC_URL + static(f"web/lamps/{name}.svg")
    return [{"media_type": "image", "tag": "front", "url": url}]


LAMPS = (
    NewProduct(
        name="Brass reading lamp",
        description="Heavy foot, warm light, a switch that clicks.",
        brand="Corner",
        category="reading lamps",
        price=Decimal("89.00"),
        stock_quantity=5,
        media=_picture("brass"),
    ),
    NewProduct(
        name="Architect's desk lamp",
        description="Two joints, stands where it is put.",
        brand="Corner",
        category="desk lamps",
        price=Decimal("49.00"),
        stock_quantity=20,
        media=_picture("desk"),
        variances=({"name": "Color", "options": ["graphite", "white"]},),
    ),
    NewProduct(
        name="Paper globe",
        description="Fifty centimetres of soft light for a high ceiling.",
        brand="Shoji",
        category="ceiling lamps",
        price=Decimal("24.50"),
        stock_quantity=40,
        media=_picture("globe"),
    ),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it is called on the progress bar, and the work."""

    title: str
    work: Callable[[], None]


def steps() -> Iterator[Step]:
    """Everything that makes the demo data, in order."""
    people: dict[str, User] = {}
    password = _HashedOnce()
    for person in PEOPLE:
        yield Step(person.name, _person_step(person, people, password))
    yield Step("Asha and Bruno", lambda: _direct_room(people))
    yield Step(TEAM_TITLE, lambda: _team(people))
    for person in PEOPLE:
        yield Step(f"{person.name}'s assistant", _assistant_step(person, people))
    yield Step(SHOP_NAME, lambda: _shop(people))
    yield Step("Asha's address", lambda: _address(people))
    yield Step("Orders and deliveries", lambda: _orders(people))


class _HashedOnce:
    """The one password of all of them: hashing is slow on purpose, once is enough."""

    _hash: str | None = None

    def get(self) -> str:
        """The hash, made at the first need."""
        if self._hash is None:
            self._hash = make_password(DEMO_PASSWORD)
        return self._hash


def _person_step(
    person: DemoPerson, people: dict[str, User], password: _HashedOnce
) -> Callable[[], None]:
    def work() -> None:
        wanted = Q(phone_number=person.phone_number) | Q(email=person.email)
        found = User.objects.filter(wanted).order_by("pk").first()
        people[person.username] = found or _create_person(person, password.get())

    return work


@transactional
def _create_person(person: DemoPerson, password_hash: str) -> User:
    user = User(
        username=person.username,
        name=person.name,
        email=person.email,
        phone_number=person.phone_number,
        role=person.role,
        side=person.side,
        is_staff=person.role in (Role.ADMIN, Role.EMPLOYEE),
        is_superuser=person.role == Role.ADMIN,
        email_verified_at=now(),
        phone_verified_at=now(),
        password=password_hash,
    )
    user.save(force_insert=True)
    open_topic(user.topic)
    return user


def _direct_room(people: dict[str, User]) -> None:
    asha, bruno = people[ASHA.username], people[BRUNO.username]
    room, is_new = open_direct_room(actor=asha, other=bruno)
    _say(room, ABOUT_A_LAMP, people)
    if is_new:
        mark_read(actor=bruno, room_id=room.id)


def _team(people: dict[str, User]) -> None:
    bruno = people[BRUNO.username]
    room = (
        Room.objects.filter(kind=RoomKind.GROUP, owner=bruno, title=TEAM_TITLE)
        .order_by("created_at", "id")
        .first()
    )
    if room is None:
        members = [people[CHIARA.username], people[DMITRI.username]]
        room = create_group(owner=bruno, title=TEAM_TITLE, members=members)
    _say(room, IN_THE_TEAM, people)


def _assistant_step(person: DemoPerson, people: dict[str, User]) -> Callable[[], None]:
    def work() -> None:
        room, _ = open_assistant_room(actor=people[person.username])
        if person is ASHA:
            _say(room, TO_ASSISTANT, people)

    return work


def _shop(people: dict[str, User]) -> None:
    bruno = people[BRUNO.username]
    shop = find_shop_by_name(SHOP_NAME)
    if shop is None:
        shop = create_shop(
            actor=bruno, shop_name=SHOP_NAME, location="New York", category="lamps",
            country_code="US",
        )  # fmt: skip
    known = set(Product.objects.filter(shop=shop).order_by("sku").values_list("name", flat=True))
    for wanted in LAMPS:
        if wanted.name not in known:
            create_product(actor=bruno, key=str(shop.id), wanted=wanted)


def _address(people: dict[str, User]) -> None:
    asha = people[ASHA.username]
    if not addresses_of(asha).exists():
        add_address(actor=asha, fields=dict(HOME))


def _orders(people: dict[str, User]) -> None:
    """One lamp has been delivered, another waits for Dmitri to set off."""
    asha, bruno, dmitri = (people[one.username] for one in (ASHA, BRUNO, DMITRI))
    if Order.objects.filter(user=asha).exists():
        return
    set_duty(actor=dmitri, duty=Duty.ON)
    for lamp, is_delivered in ((LAMPS[2], True), (LAMPS[0], False)):
        product = Product.objects.get(name=lamp.name, shop__name=SHOP_NAME)
        order = place_order(
            actor=asha,
            wanted=NewOrder(
                lines=[WantedLine(quantity=1, product_id=product.id)],
                payment_flow=PaymentFlow.ON_DELIVERY,
            ),
        )
        accept_order(actor=bruno, order_id=order.id)
        delivery = create_delivery(
            actor=bruno,
            wanted=NewDelivery(order_id=str(order.id), courier_id=dmitri.public_id),
        )
        if is_delivered:
            for status in WAY:
                move_delivery(actor=dmitri, delivery_id=delivery.id, status=status)
            pay_order(actor=bruno, order_id=order.id, method="cash")


def _say(room: Room, lines: list[Line], people: dict[str, User]) -> None:
    for number, (person, content) in enumerate(lines, start=1):
        # The client_id makes the line the same message, however often this runs.
        send_message(
            actor=people[person.username],
            room_id=room.id,
            content=content,
            client_id=f"demo-{number}",
        )
