"""What happens elsewhere: a cancelled order takes its delivery along."""

import pytest

from accounts.models import User
from delivery.models import Courier, Delivery
from delivery.services.creating import Destination, NewDelivery, create_delivery
from delivery.tests.factories import bring
from marketplace.events.subscribe import run_subscribers
from orders.models import Order
from orders.services.moves import accept_order, cancel_order
from orders.tests.factories import make_order
from shops.models import Shop
from shops.tests.factories import make_product


@pytest.fixture
def sent(shop: Shop, buyer: User, seller: User, courier: User) -> Delivery:
    run_subscribers()
    order = make_order(buyer, (make_product(shop), 1))
    accept_order(actor=seller, order_id=order.id)
    wanted = NewDelivery(
        order_id=str(order.id),
        courier_id=courier.public_id,
        destination=Destination(text="The blue door"),
    )
    return create_delivery(actor=seller, wanted=wanted)


@pytest.mark.django_db
class TestCancelledOrders:
    def test_take_their_deliveries_along(self, sent: Delivery, buyer: User, courier: User) -> None:
        assert sent.order_id is not None
        cancel_order(actor=buyer, order_id=sent.order_id)

        run_subscribers()

        sent.refresh_from_db()
        assert sent.status == "cancelled"
        assert Courier.objects.get(user=courier).load == 0

    def test_are_cancelled_many_at_a_time(
        self, sent: Delivery, shop: Shop, buyer: User, seller: User, courier: User
    ) -> None:
        """And the delivery of an order that moved too, but was not cancelled, stays."""
        deliveries = [sent]
        for name in ("Rug", "Vase"):
            order = make_order(buyer, (make_product(shop, name), 1))
            accept_order(actor=seller, order_id=order.id)
            wanted = NewDelivery(
                order_id=str(order.id),
                courier_id=courier.public_id,
                destination=Destination(text="The blue door"),
            )
            deliveries.append(create_delivery(actor=seller, wanted=wanted))
        for delivery in deliveries[:2]:
            assert delivery.order_id is not None
            cancel_order(actor=buyer, order_id=delivery.order_id)

        run_subscribers()

        for delivery in deliveries:
            delivery.refresh_from_db()
        assert [one.status for one in deliveries] == ["cancelled", "cancelled", "assigned"]
        assert Courier.objects.get(user=courier).load == 1

    def test_change_nothing_that_is_on_its_way(self, sent: Delivery, admin: User) -> None:
        bring(sent, "in_transit")

        run_subscribers()

        sent.refresh_from_db()
        assert sent.status == "in_transit"
        assert Order.objects.get().status == "shipped"
