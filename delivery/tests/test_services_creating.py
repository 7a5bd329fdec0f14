"""Deliveries are made: of orders, of shops, once per part and once per wish."""

from typing import Any

import pytest

from accounts.errors import UserNotFound
from accounts.models import User
from delivery.errors import AlreadyAssigned, CourierNotFound
from delivery.models import Courier, Delivery, ShopRules
from delivery.services.creating import Destination, NewDelivery, create_delivery
from delivery.tests.factories import DOOR, make_delivery
from marketplace.core.errors import Forbidden, IllegalTransition, ValidationFailed
from marketplace.core.models import Job
from marketplace.tests.cast import assert_events, make_user
from marketplace.tests.threads import together
from orders.errors import OrderNotFound
from orders.models import Order
from orders.services.moves import accept_order
from orders.tests.factories import make_order
from orders.wanted import ShippingAddress
from shops.errors import ShopNotFound
from shops.models import Product, Shop
from shops.tests.factories import make_product, make_shop, make_staff

ADDRESS = ShippingAddress(
    line1="5 Lamp Street",
    city="New York",
    postal_code="10007",
    state="NY",
    country="USA",
    latitude=DOOR[0],
    longitude=DOOR[1],
)
PLACE = Destination(text="The blue door")


@pytest.fixture
def lamp(shop: Shop) -> Product:
    return make_product(shop)


@pytest.fixture
def order(buyer: User, seller: User, lamp: Product) -> Order:
    """An order of Asha's that Corner Lamp has accepted."""
    made = make_order(buyer, (lamp, 1), address=ADDRESS)
    accept_order(actor=seller, order_id=made.id)
    return Order.objects.get(id=made.id)


def of(order: Order, **more: Any) -> NewDelivery:
    return NewDelivery(order_id=str(order.id), **more)


@pytest.mark.django_db
class TestOfAnOrder:
    def test_takes_shop_customer_and_address_from_it(
        self, order: Order, shop: Shop, buyer: User, seller: User
    ) -> None:
        made = create_delivery(actor=seller, wanted=of(order))

        assert (made.shop_id, made.customer_id, made.status) == (shop.id, buyer.pk, "pending")
        assert made.destination == DOOR
        assert made.destination_text == "5 Lamp Street, 10007 New York, NY, USA"
        assert Order.objects.get(id=order.id).delivery_id == made.id

    def test_is_its_owners_right_too(self, order: Order, buyer: User, courier: User) -> None:
        with pytest.raises(Forbidden):
            create_delivery(actor=buyer, wanted=of(order, courier_id=courier.public_id))

        assert create_delivery(actor=buyer, wanted=of(order)).status == "pending"

    def test_does_not_know_strangers(self, order: Order, stranger: User, courier: User) -> None:
        for who in (stranger, courier):
            with assert_events(), pytest.raises(OrderNotFound):
                create_delivery(actor=who, wanted=of(order))
        assert not Delivery.objects.exists()

    def test_is_made_once_per_part(self, order: Order, seller: User) -> None:
        create_delivery(actor=seller, wanted=of(order))

        with assert_events(), pytest.raises(AlreadyAssigned):
            create_delivery(actor=seller, wanted=of(order))

    def test_is_made_once_per_wish(self, order: Order, seller: User, stranger: User) -> None:
        first = create_delivery(actor=seller, wanted=of(order), key="k-1")

        with assert_events():
            again = create_delivery(actor=seller, wanted=of(order), key="k-1")

        assert again.id == first.id

    def test_waits_until_the_shop_has_accepted(
        self, buyer: User, seller: User, lamp: Product
    ) -> None:
        waiting = make_order(buyer, (lamp, 1), address=ADDRESS)

        with assert_events(), pytest.raises(IllegalTransition):
            create_delivery(actor=seller, wanted=of(waiting))

    def test_is_none_for_what_is_picked_up(self, buyer: User, seller: User, lamp: Product) -> None:
        pickup = make_order(buyer, (lamp, 1), fulfilment="pickup")
        accept_order(actor=seller, order_id=pickup.id)

        with assert_events(), pytest.raises(IllegalTransition):
            create_delivery(actor=seller, wanted=of(pickup))

    def test_names_the_shop_where_there_are_several(
        self, buyer: User, seller: User, admin: User, lamp: Product
    ) -> None:
        other_owner = make_user("Hana", number=8)
        other = make_shop(other_owner, "Tall Lamp")
        both = make_order(buyer, (lamp, 1), (make_product(other), 1), address=ADDRESS)
        accept_order(actor=admin, order_id=both.id)

        with pytest.raises(ValidationFailed):
            create_delivery(actor=buyer, wanted=of(both))
        with pytest.raises(Forbidden):
            create_delivery(actor=seller, wanted=of(both, shop_id=str(other.id)))
        own = create_delivery(actor=seller, wanted=of(both, shop_id=str(lamp.shop_id)))
        second = create_delivery(actor=other_owner, wanted=of(both, shop_id=str(other.id)))

        assert (own.shop_id, second.shop_id) == (lamp.shop_id, other.id)
        assert Order.objects.get(id=both.id).delivery_id == own.id


@pytest.mark.django_db
class TestOfAShop:
    def test_is_made_by_staff_alone(
        self, shop: Shop, buyer: User, stranger: User, courier: User
    ) -> None:
        wanted = NewDelivery(shop_id=shop.handle, customer_id=buyer.public_id, destination=PLACE)
        for who in (buyer, stranger, courier):
            with assert_events(), pytest.raises(Forbidden):
                create_delivery(actor=who, wanted=wanted)
        make_staff(shop, stranger)

        made = create_delivery(actor=stranger, wanted=wanted)

        assert (made.order_id, made.destination, made.destination_text) == (
            None,
            None,
            "The blue door",
        )

    def test_needs_all_of_it(self, shop: Shop, seller: User, buyer: User) -> None:
        with pytest.raises(ValidationFailed) as refusal:
            create_delivery(actor=seller, wanted=NewDelivery(shop_id=str(shop.id)))

        assert sorted(refusal.value.details["fields"]) == ["customer_id", "destination"]
        for place in (Destination(), Destination(latitude=1.0), Destination(text="x" * 501)):
            with pytest.raises(ValidationFailed):
                create_delivery(
                    actor=seller,
                    wanted=NewDelivery(
                        shop_id=str(shop.id), customer_id=buyer.public_id, destination=place
                    ),
                )

    def test_knows_only_who_is_there(self, shop: Shop, seller: User, buyer: User) -> None:
        person, own = {"customer_id": buyer.public_id}, {"shop_id": str(shop.id)}
        for named, refusal in [
            ({"shop_id": "shop_1", **person}, ShopNotFound),
            ({**own, "customer_id": "nobody"}, UserNotFound),
            ({**own, **person, "courier_id": buyer.public_id}, CourierNotFound),
        ]:
            wanted = NewDelivery(destination=PLACE, **named)
            with assert_events(), pytest.raises(refusal):
                create_delivery(actor=seller, wanted=wanted)

    def test_with_a_courier_is_assigned_at_once(
        self, shop: Shop, buyer: User, courier: User
    ) -> None:
        made = make_delivery(shop, buyer, courier)

        assert (made.status, made.courier_id) == ("assigned", courier.pk)
        assert made.assigned_at is not None
        assert Courier.objects.get(user=courier).load == 1
        assert not Job.objects.filter(name="offer_delivery").exists()

    def test_without_one_is_offered(self, shop: Shop, buyer: User) -> None:
        made = make_delivery(shop, buyer)

        assert Job.objects.get(name="offer_delivery").arguments == {"delivery_id": str(made.id)}

    def test_asks_for_the_proof_of_its_shop(self, shop: Shop, buyer: User) -> None:
        before = make_delivery(shop, buyer)
        ShopRules.objects.create(shop=shop, proof_kind="pin")

        assert make_delivery(shop, buyer).proof_kind == "pin"
        before.refresh_from_db()
        assert before.proof_kind == "none"


@pytest.mark.django_db(transaction=True)
@pytest.mark.transactions
def test_of_two_wishes_at_once_one_is_made(order: Order, seller: User) -> None:
    def make() -> str:
        try:
            return str(create_delivery(actor=seller, wanted=of(order)).id)
        except AlreadyAssigned:
            return "refused"

    outcomes = together(make, make)

    assert sorted(one == "refused" for one in outcomes) == [False, True]
    assert Delivery.objects.count() == 1
