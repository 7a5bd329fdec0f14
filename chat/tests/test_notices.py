"""Who is told what of orders and deliveries: each thing once, nobody his own doing."""

import pytest

from accounts.models import User
from chat.models import Notification
from chat.subscribers import tell_of_delivery, tell_of_order
from chat.tests.factories import make_people
from delivery.models import Delivery
from delivery.services.creating import Destination, NewDelivery, create_delivery
from delivery.services.moves import fail_attempt, move_delivery
from marketplace.events.models import Event
from marketplace.events.subscribe import run_subscribers
from marketplace.tests.cast import assert_queries
from orders.models import Order
from orders.services.moves import accept_order, cancel_order, pay_order
from orders.services.placing import place_order
from orders.wanted import NewOrder, ShippingAddress, WantedLine
from shops.models import Shop
from shops.tests.factories import make_product, make_shop, make_staff, the_sku

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _from_now() -> None:
    """The subscribers exist: what happens from here on is theirs."""
    run_subscribers()


@pytest.fixture
def shop(seller: User) -> Shop:
    return make_shop(seller)


@pytest.fixture
def order(shop: Shop, buyer: User) -> Order:
    sku = the_sku(make_product(shop))
    wanted = NewOrder(
        lines=[WantedLine(sku_id=sku.id, quantity=1)],
        payment_flow="on_delivery",
        address=ShippingAddress(line1="1 Main St", city="Boston"),
    )
    return place_order(actor=buyer, wanted=wanted)


@pytest.fixture
def delivery(order: Order, seller: User, courier: User) -> Delivery:
    """Assigned; everything up to here has been told."""
    accept_order(actor=seller, order_id=order.id)
    wanted = NewDelivery(order_id=str(order.id), courier_id=courier.public_id)
    made = create_delivery(actor=seller, wanted=wanted)
    told()
    return made


def told() -> list[tuple[str, str]]:
    """Who was told what since the last time."""
    while run_subscribers():
        pass
    rows = Notification.objects.select_related("user").order_by("user__username", "id")
    found = [(str(row.user.username), row.body) for row in rows]
    Notification.objects.all().delete()
    return found


class TestOrders:
    def test_reach_the_people_of_the_shop(
        self, order: Order, shop: Shop, courier: User, stranger: User
    ) -> None:
        make_staff(shop, courier)

        assert told() == [
            ("bruno", "Order #10001 waits for your shop."),
            ("dmitri", "Order #10001 waits for your shop."),
        ]
        assert told() == []

    def test_carry_what_a_client_needs(self, order: Order, seller: User) -> None:
        run_subscribers()

        row = Notification.objects.get(user=seller)
        assert (row.type, row.title) == ("order_updated", "New order")
        assert row.data == {"order_id": str(order.id), "number": 10001, "status": "pending"}

    def test_tell_the_buyer_what_the_shop_does(self, order: Order, seller: User) -> None:
        told()

        accept_order(actor=seller, order_id=order.id)
        assert told() == [("asha", "Your order #10001 is being prepared.")]
        cancel_order(actor=seller, order_id=order.id)
        assert told() == [("asha", "Your order #10001 has been cancelled.")]

    def test_tell_nobody_what_he_did_himself(self, order: Order, buyer: User) -> None:
        told()

        cancel_order(actor=buyer, order_id=order.id)

        assert told() == []

    def test_are_told_to_nobody_who_sells_to_himself(self, shop: Shop, seller: User) -> None:
        sku = the_sku(make_product(shop))
        place_order(
            actor=seller,
            wanted=NewOrder(lines=[WantedLine(sku_id=sku.id, quantity=1)], fulfilment="pickup"),
        )

        assert told() == []

    def test_of_many_buyers_reach_each_shop_in_as_many_queries_as_one(
        self, shop: Shop, buyer: User, seller: User, stranger: User, courier: User
    ) -> None:
        other = make_shop(stranger, "Rugs")
        make_staff(other, courier)
        skus = [the_sku(make_product(shop)), the_sku(make_product(other))]
        orders = [
            place_order(
                actor=actor,
                wanted=NewOrder(
                    lines=[WantedLine(sku_id=sku.id, quantity=1)], payment_flow="on_delivery",
                    address=ShippingAddress(line1="1 Main St", city="Boston"),
                ),
            )
            for actor in (buyer, courier)
            for sku in skus
        ]  # fmt: skip
        accept_order(actor=seller, order_id=orders[0].id)
        topics = [order.topic for order in orders]
        told_of = ("order.created", "order.status_changed")
        events = list(Event.objects.filter(topic__in=topics, name__in=told_of).order_by("id"))

        with assert_queries(12):
            tell_of_order(events)

        rows = Notification.objects.order_by("user__username", "id")
        assert [(str(row.user.username), row.body) for row in rows.select_related("user")] == [
            ("asha", "Your order #10001 is being prepared."),
            ("bruno", "Order #10001 waits for your shop."),
            ("bruno", "Order #10003 waits for your shop."),
            ("dmitri", "Order #10002 waits for your shop."),
            ("farid", "Order #10002 waits for your shop."),
            ("farid", "Order #10004 waits for your shop."),
        ]
        assert len(events) == 5

    def test_reach_many_at_once(self, shop: Shop, buyer: User) -> None:
        for user in make_people(12):
            make_staff(shop, user)
        sku = the_sku(make_product(shop))
        wanted = NewOrder(lines=[WantedLine(sku_id=sku.id, quantity=1)], fulfilment="pickup")
        place_order(actor=buyer, wanted=wanted)

        assert len(told()) == 13


class TestDeliveries:
    def test_tell_customer_and_courier_of_the_assignment(
        self, order: Order, seller: User, courier: User
    ) -> None:
        accept_order(actor=seller, order_id=order.id)
        told()
        wanted = NewDelivery(order_id=str(order.id), courier_id=courier.public_id)
        delivery = create_delivery(actor=seller, wanted=wanted)
        run_subscribers()

        row = Notification.objects.get(user=courier)
        assert (row.type, row.body) == ("delivery_updated", "You have a new delivery.")
        assert row.data == {
            "delivery_id": str(delivery.id),
            "order_id": str(order.id),
            "milestone": "assigned",
        }
        assert told() == [
            ("asha", "A courier has been assigned to your delivery."),
            ("dmitri", "You have a new delivery."),
        ]

    def test_tell_the_customer_how_it_goes_and_each_step_once(
        self, delivery: Delivery, courier: User
    ) -> None:
        move_delivery(actor=courier, delivery_id=delivery.id, status="in_transit")
        assert told() == [("asha", "Your delivery is on its way.")]
        move_delivery(actor=courier, delivery_id=delivery.id, status="arrived")
        assert told() == [("asha", "Your courier has arrived.")]
        move_delivery(actor=courier, delivery_id=delivery.id, status="delivered")
        assert told() == [("asha", "Your delivery has been handed over.")]

    def test_tell_of_several_at_once(
        self, delivery: Delivery, shop: Shop, seller: User, stranger: User, courier: User
    ) -> None:
        other = create_delivery(
            actor=seller,
            wanted=NewDelivery(
                shop_id=str(shop.id),
                customer_id=stranger.public_id,
                courier_id=courier.public_id,
                destination=Destination(text="The blue door"),
            ),
        )
        move_delivery(actor=courier, delivery_id=delivery.id, status="in_transit")
        names = ("delivery.status_changed", "delivery.milestone")
        topics = [delivery.topic, other.topic]
        events = list(Event.objects.filter(topic__in=topics, name__in=names).order_by("id"))

        with assert_queries(9):
            tell_of_delivery(events)

        assert told() == [
            ("asha", "A courier has been assigned to your delivery."),
            ("asha", "Your delivery is on its way."),
            ("dmitri", "You have a new delivery."),
            ("dmitri", "You have a new delivery."),
            ("farid", "A courier has been assigned to your delivery."),
        ]

    def test_tell_of_a_failed_attempt_once(self, delivery: Delivery, courier: User) -> None:
        move_delivery(actor=courier, delivery_id=delivery.id, status="in_transit")
        told()

        fail_attempt(actor=courier, delivery_id=delivery.id, reason="Nobody at home")

        failed = "Your delivery could not be handed over. There will be another try."
        assert told() == [("asha", failed)]

    def test_tell_the_courier_that_it_is_off(self, delivery: Delivery, buyer: User) -> None:
        move_delivery(actor=buyer, delivery_id=delivery.id, status="cancelled")

        assert told() == [("dmitri", "A delivery of yours has been cancelled.")]

    def test_say_nothing_of_the_payment(self, order: Order, seller: User) -> None:
        told()

        pay_order(actor=seller, order_id=order.id)

        assert told() == [("asha", "Your order #10001 is being prepared.")]
