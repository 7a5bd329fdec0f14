"""The status machine: who may move a delivery where; every other move writes nothing."""

import itertools
from typing import Any

import pytest

from accounts.models import User
from delivery.enums import DeliveryStatus
from delivery.errors import DeliveryNotFound, ProofRequired
from delivery.models import Courier, Delivery
from delivery.services.moves import fail_attempt, move_delivery
from delivery.tests.factories import bring, make_delivery, set_off
from marketplace.core.errors import AppError, Forbidden, IllegalTransition, ValidationFailed
from marketplace.events.models import Event
from marketplace.tests.cast import assert_events, assert_queries
from marketplace.tests.threads import together
from orders.models import Order
from orders.services.moves import accept_order
from orders.tests.factories import make_order
from shops.models import Shop
from shops.tests.factories import make_product

CHANGED = "delivery.status_changed"
WAYS: dict[str, tuple[str, ...]] = {
    "assigned": (),
    "in_transit": ("in_transit",),
    "arrived": ("in_transit", "arrived"),
    "delivered": ("in_transit", "arrived", "delivered"),
}
LEGAL = {
    ("pending", "cancelled"),
    ("assigned", "in_transit"),
    ("assigned", "cancelled"),
    ("in_transit", "arrived"),
    ("in_transit", "assigned"),
    ("in_transit", "cancelled"),
    ("arrived", "delivered"),
    ("arrived", "assigned"),
    ("arrived", "cancelled"),
}
ILLEGAL = sorted(set(itertools.product(DeliveryStatus.values, repeat=2)) - LEGAL)


def stand_at(delivery: Delivery, status: str) -> None:
    """Put it there, whatever way leads to it."""
    Delivery.objects.filter(id=delivery.id).update(status=status)


def columns(delivery: Delivery) -> dict[str, Any]:
    return dict(Delivery.objects.filter(id=delivery.id).values().get())


@pytest.mark.django_db
class TestMachine:
    @pytest.mark.parametrize(("current", "wanted"), ILLEGAL)
    def test_refuses_what_is_no_move(
        self, delivery: Delivery, admin: User, current: str, wanted: str
    ) -> None:
        stand_at(delivery, current)
        before = columns(delivery)

        with assert_events(), pytest.raises(IllegalTransition) as refusal:
            move_delivery(actor=admin, delivery_id=delivery.id, status=wanted)

        assert refusal.value.details == {"status": current}
        assert columns(delivery) == before

    @pytest.mark.parametrize(("current", "wanted"), sorted(LEGAL))
    def test_makes_every_move_with_one_event(
        self, delivery: Delivery, admin: User, current: str, wanted: str
    ) -> None:
        stand_at(delivery, current)
        expected = [(delivery.topic, CHANGED)]
        if wanted == "assigned":
            expected.append((delivery.topic, "delivery.milestone"))

        with assert_events(*expected) as events:
            moved = move_delivery(actor=admin, delivery_id=delivery.id, status=wanted)

        assert (moved.status, columns(delivery)["status"]) == (wanted, wanted)
        assert events[0].payload["previous_status"] == current
        assert events[0].actor_id == admin.public_id

    def test_tells_realtime_markets_words(self, delivery: Delivery, courier: User) -> None:
        bring(delivery, "in_transit", "arrived", "delivered")

        rows = Event.objects.filter(topic=delivery.topic).order_by("seq")
        assert [(row.payload["milestone"], row.payload["message"]) for row in rows] == [
            ("assigned", "Delivery assigned to driver"),
            ("moving", "Status changed to in_transit"),
            ("arrived", "Status changed to arrived"),
            ("delivered", "Status changed to delivered"),
        ]
        last = rows[3].payload
        assert last["delivered_at"] == last["at"] == last["updated_at"]
        assert [row.payload["delivered_at"] for row in rows[:3]] == [None] * 3

    def test_sets_the_times_of_its_way(self, delivery: Delivery) -> None:
        done = bring(delivery, "in_transit", "arrived", "delivered")

        stored = Delivery.objects.get(id=done.id)
        assert stored.started_at is not None
        assert stored.attempt_at == stored.started_at
        assert stored.arrived_at is not None
        assert stored.delivered_at == stored.ended_at is not None

    def test_keeps_the_reason(self, delivery: Delivery, seller: User) -> None:
        move_delivery(
            actor=seller, delivery_id=delivery.id, status="cancelled", reason="  Out  of lamps "
        )

        event = Event.objects.filter(topic=delivery.topic).order_by("-seq")[0]
        assert event.payload["reason"] == "Out of lamps"

    def test_takes_no_endless_reason(self, delivery: Delivery, seller: User) -> None:
        with assert_events(), pytest.raises(ValidationFailed):
            move_delivery(
                actor=seller, delivery_id=delivery.id, status="cancelled", reason="x" * 201
            )


@pytest.mark.django_db
class TestRights:
    @pytest.mark.parametrize(
        ("current", "wanted", "refusal"),
        [
            ("assigned", "cancelled", None),
            ("in_transit", "cancelled", IllegalTransition),
            ("arrived", "cancelled", IllegalTransition),
            ("arrived", "delivered", None),
            ("in_transit", "delivered", IllegalTransition),
            ("assigned", "in_transit", Forbidden),
            ("in_transit", "arrived", Forbidden),
            ("in_transit", "assigned", Forbidden),
        ],
    )
    def test_of_the_customer(
        self,
        delivery: Delivery,
        buyer: User,
        current: str,
        wanted: str,
        refusal: type[AppError] | None,
    ) -> None:
        bring(delivery, *WAYS[current])

        if refusal is None:
            moved = move_delivery(actor=buyer, delivery_id=delivery.id, status=wanted)
            assert moved.status == wanted
            return
        with assert_events(), pytest.raises(refusal):
            move_delivery(actor=buyer, delivery_id=delivery.id, status=wanted)

    def test_of_the_courier_end_before_cancelling(self, delivery: Delivery, courier: User) -> None:
        with assert_events(), pytest.raises(Forbidden):
            move_delivery(actor=courier, delivery_id=delivery.id, status="cancelled")

    def test_are_none_for_strangers_and_other_couriers(
        self, delivery: Delivery, stranger: User, other_courier: User, employee: User
    ) -> None:
        for who in (stranger, other_courier, employee):
            with assert_events(), pytest.raises(DeliveryNotFound):
                move_delivery(actor=who, delivery_id=delivery.id, status="in_transit")


@pytest.mark.django_db
class TestFailedAttempt:
    def test_gives_it_back_to_its_courier(self, moving: Delivery, courier: User) -> None:
        with assert_events((moving.topic, CHANGED), (moving.topic, "delivery.milestone")) as told:
            back = fail_attempt(actor=courier, delivery_id=moving.id, reason="Nobody there.")

        assert (back.status, back.attempts, back.courier_id) == ("assigned", 1, courier.pk)
        assert (told[0].payload["milestone"], told[0].payload["reason"]) == (None, "Nobody there.")
        assert told[1].payload["message"] == "Delivery attempt failed"
        again = set_off(back)
        assert again.started_at is not None
        assert Courier.objects.get(user=courier).load == 1


@pytest.mark.django_db
class TestProofNeeded:
    @pytest.fixture
    def at_the_door(self, moving: Delivery) -> Delivery:
        Delivery.objects.filter(id=moving.id).update(proof_kind="photo")
        return bring(moving, "arrived")

    def test_refuses_without_it(self, at_the_door: Delivery, courier: User, seller: User) -> None:
        for who in (courier, seller):
            with assert_events(), pytest.raises(ProofRequired) as refusal:
                move_delivery(actor=who, delivery_id=at_the_door.id, status="delivered")
            assert refusal.value.details == {"proof": "photo"}

    def test_takes_the_customers_word(self, at_the_door: Delivery, buyer: User) -> None:
        done = move_delivery(actor=buyer, delivery_id=at_the_door.id, status="delivered")

        assert done.status == "delivered"


@pytest.mark.django_db
class TestOrders:
    @pytest.fixture
    def ordered(self, shop: Shop, buyer: User, seller: User, courier: User) -> Delivery:
        from delivery.services.creating import Destination, NewDelivery, create_delivery

        order = make_order(buyer, (make_product(shop), 1))
        accept_order(actor=seller, order_id=order.id)
        wanted = NewDelivery(
            order_id=str(order.id),
            courier_id=courier.public_id,
            destination=Destination(40.7128, -74.006, "5 Lamp Street"),
        )
        return create_delivery(actor=seller, wanted=wanted)

    def test_go_along(self, ordered: Delivery) -> None:
        def status() -> str:
            return Order.objects.get(delivery_id=ordered.id).status

        seen = [status()]
        for to in ("in_transit", "arrived", "delivered"):
            bring(ordered, to)
            seen.append(status())

        assert seen == ["processing", "shipped", "shipped", "delivered"]

    def test_hear_of_it_on_their_own_topic(self, ordered: Delivery) -> None:
        bring(ordered, "in_transit")

        copies = Event.objects.filter(topic=f"order:{ordered.order_id}", name=CHANGED)
        own = Event.objects.filter(topic=ordered.topic, name=CHANGED)
        ids = [
            list(rows.order_by("seq").values_list("event_id", flat=True)) for rows in (own, copies)
        ]
        assert ids[0] == ids[1]
        assert len(ids[0]) == 2

    def test_may_be_sent_again_after_a_cancelled_delivery(
        self, ordered: Delivery, seller: User
    ) -> None:
        from delivery.services.creating import Destination, NewDelivery, create_delivery

        bring(ordered, "cancelled", actor=seller)

        again = create_delivery(
            actor=seller,
            wanted=NewDelivery(
                order_id=str(ordered.order_id), destination=Destination(text="The same door")
            ),
        )

        assert again.status == "pending"


@pytest.mark.django_db
class TestPlaces:
    def test_are_free_again_at_the_end(self, shop: Shop, buyer: User, courier: User) -> None:
        one, other = (make_delivery(shop, buyer, courier) for _ in range(2))
        assert Courier.objects.get(user=courier).load == 2

        bring(one, "in_transit", "arrived", "delivered")
        bring(other, "cancelled", actor=shop.owner)

        assert Courier.objects.get(user=courier).load == 0


@pytest.mark.django_db
def test_a_move_costs_few_queries(delivery: Delivery, courier: User) -> None:
    with assert_queries(8):
        move_delivery(actor=courier, delivery_id=delivery.id, status="in_transit")


@pytest.mark.django_db(transaction=True)
@pytest.mark.transactions
def test_of_two_movers_at_once_one_wins(delivery: Delivery, courier: User, seller: User) -> None:
    def move(who: User, to: str) -> str:
        try:
            return move_delivery(actor=who, delivery_id=delivery.id, status=to).status
        except IllegalTransition:
            return "refused"

    outcomes = together(lambda: move(courier, "in_transit"), lambda: move(seller, "in_transit"))

    assert sorted(outcomes) == ["in_transit", "refused"]
    moves = Event.objects.filter(topic=delivery.topic, name=CHANGED).count()
    assert moves == 2
