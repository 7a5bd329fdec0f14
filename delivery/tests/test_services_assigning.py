"""Who carries it: named by staff, or the nearest free courier who takes the offer."""

from datetime import timedelta

import pytest
import time_machine

from accounts.models import User
from delivery import selectors
from delivery.errors import (
    AlreadyAssigned,
    CourierNotFound,
    DeliveryNotFound,
    NotCourier,
    OfferNotFound,
)
from delivery.models import Courier, Delivery, Offer
from delivery.services.assigning import (
    accept_offer,
    assign_courier,
    decline_offer,
    expire_offer,
    offer_delivery,
    offer_waiting,
)
from delivery.services.couriers import report_position, set_duty
from delivery.tests.factories import DOOR, away, bring, make_delivery
from marketplace.core.clock import now
from marketplace.core.errors import Forbidden, IllegalTransition, ValidationFailed
from marketplace.core.jobs import run_due_jobs
from marketplace.core.models import Job
from marketplace.events.models import Event
from marketplace.tests.cast import assert_events, assert_queries, make_user
from marketplace.tests.threads import together
from shops.models import Shop


def on_duty(user: User, metres: float | None = None, *, capacity: int = 1) -> User:
    """On duty, so far from the door."""
    set_duty(actor=user, duty="on", capacity=capacity)
    if metres is not None:
        latitude, longitude = away(metres)
        report_position(actor=user, latitude=latitude, longitude=longitude)
    return user


@pytest.fixture
def waiting(shop: Shop, buyer: User) -> Delivery:
    """From Corner Lamp to Asha; nobody carries it."""
    return make_delivery(shop, buyer)


def load_of(user: User) -> int:
    return Courier.objects.get(user=user).load


@pytest.mark.django_db
class TestAssign:
    def test_is_at_once_and_asks_for_no_duty(
        self, waiting: Delivery, seller: User, courier: User
    ) -> None:
        with assert_events((waiting.topic, "delivery.status_changed")) as events:
            given = assign_courier(
                actor=seller, delivery_id=waiting.id, courier_id=courier.public_id
            )

        assert (given.status, given.courier_id) == ("assigned", courier.pk)
        assert events[0].payload["message"] == "Delivery assigned to driver"
        assert events[0].payload["previous_status"] == "pending"
        assert load_of(courier) == 1

    def test_takes_it_from_the_one_before(
        self, delivery: Delivery, seller: User, courier: User, other_courier: User
    ) -> None:
        given = assign_courier(
            actor=seller, delivery_id=delivery.id, courier_id=other_courier.public_id
        )

        assert given.courier_id == other_courier.pk
        assert (load_of(courier), load_of(other_courier)) == (0, 1)

    def test_refuses_the_same_courier_twice(
        self, delivery: Delivery, seller: User, courier: User
    ) -> None:
        with assert_events(), pytest.raises(AlreadyAssigned):
            assign_courier(actor=seller, delivery_id=delivery.id, courier_id=courier.public_id)
        assert load_of(courier) == 1

    @pytest.mark.parametrize("way", [["in_transit"], ["in_transit", "arrived", "delivered"]])
    def test_is_over_once_it_has_set_off(
        self, delivery: Delivery, seller: User, other_courier: User, way: list[str]
    ) -> None:
        bring(delivery, *way)

        with assert_events(), pytest.raises(IllegalTransition):
            assign_courier(
                actor=seller, delivery_id=delivery.id, courier_id=other_courier.public_id
            )

    def test_is_the_right_of_staff_alone(
        self, delivery: Delivery, buyer: User, courier: User, stranger: User, other_courier: User
    ) -> None:
        for who, refusal in [
            (buyer, Forbidden),
            (courier, Forbidden),
            (stranger, DeliveryNotFound),
        ]:
            with assert_events(), pytest.raises(refusal):
                assign_courier(
                    actor=who, delivery_id=delivery.id, courier_id=other_courier.public_id
                )

    def test_takes_couriers_only(self, waiting: Delivery, seller: User, stranger: User) -> None:
        for key in (stranger.public_id, "nobody"):
            with assert_events(), pytest.raises(CourierNotFound):
                assign_courier(actor=seller, delivery_id=waiting.id, courier_id=key)


@pytest.mark.django_db
class TestOffers:
    def test_go_to_the_nearest_free_courier(
        self, waiting: Delivery, courier: User, other_courier: User
    ) -> None:
        on_duty(courier, 900)
        on_duty(other_courier, 300)
        on_duty(make_user("Ivan", number=20, role="courier"))
        make_user("Jana", number=21, role="courier")

        with assert_events((other_courier.topic, "delivery.offered")) as events:
            offer = offer_delivery(delivery_id=waiting.id)

        assert offer is not None
        assert offer.courier_id == other_courier.pk
        assert events[0].payload == {
            "delivery_id": str(waiting.id),
            "courier_id": other_courier.public_id,
            "shop_id": str(waiting.shop_id),
            "distance_m": 300.0,
            "expires_at": events[0].payload["expires_at"],
        }
        assert load_of(other_courier) == 1
        assert 29 < (offer.expires_at - now()).total_seconds() <= 30
        assert Job.objects.filter(name="expire_offer", key=f"expire_offer:{offer.id}").exists()

    def test_are_one_at_a_time(self, waiting: Delivery, courier: User, other_courier: User) -> None:
        on_duty(courier, 300)
        on_duty(other_courier, 900)
        offer_delivery(delivery_id=waiting.id)

        assert offer_delivery(delivery_id=waiting.id) is None
        assert Offer.objects.count() == 1

    def test_are_taken(self, waiting: Delivery, courier: User) -> None:
        on_duty(courier, 300)
        offer_delivery(delivery_id=waiting.id)

        with assert_events((waiting.topic, "delivery.status_changed")):
            taken = accept_offer(actor=courier, delivery_id=waiting.id)

        assert (taken.status, taken.courier_id) == ("assigned", courier.pk)
        assert load_of(courier) == 1
        assert Offer.objects.get().status == "accepted"

    def test_pass_on_when_declined(
        self, waiting: Delivery, courier: User, other_courier: User
    ) -> None:
        on_duty(courier, 300)
        on_duty(other_courier, 900)
        offer_delivery(delivery_id=waiting.id)

        decline_offer(actor=courier, delivery_id=waiting.id)
        following = offer_delivery(delivery_id=waiting.id)

        assert following is not None
        assert following.courier_id == other_courier.pk
        assert (load_of(courier), load_of(other_courier)) == (0, 1)
        decline_offer(actor=other_courier, delivery_id=waiting.id)
        assert offer_delivery(delivery_id=waiting.id) is None

    def test_pass_on_when_nobody_answers(self, waiting: Delivery, courier: User) -> None:
        on_duty(courier, 300)
        offer = offer_delivery(delivery_id=waiting.id)
        assert offer is not None
        assert not expire_offer(offer_id=offer.id)

        Offer.objects.filter(id=offer.id).update(expires_at=now() - timedelta(seconds=1))
        with pytest.raises(OfferNotFound):
            accept_offer(actor=courier, delivery_id=waiting.id)
        assert expire_offer(offer_id=offer.id)

        assert not expire_offer(offer_id=offer.id)
        assert load_of(courier) == 0
        # Asked again after a while, not at once.
        assert offer_delivery(delivery_id=waiting.id) is None
        Offer.objects.update(expires_at=now() - timedelta(minutes=6))
        assert offer_delivery(delivery_id=waiting.id) is not None

    def test_are_carried_from_one_to_the_next_by_the_jobs(
        self, waiting: Delivery, courier: User, other_courier: User
    ) -> None:
        on_duty(courier, 300)
        on_duty(other_courier, 900)

        run_due_jobs()
        told = [(one.courier_id, one.status) for one in Offer.objects.order_by("id")]
        with time_machine.travel(now() + timedelta(seconds=31)):
            while run_due_jobs():
                pass
        later = [(one.courier_id, one.status) for one in Offer.objects.order_by("id")]

        assert told == [(courier.pk, "open")]
        assert later == [(courier.pk, "expired"), (other_courier.pk, "open")]
        assert (load_of(courier), load_of(other_courier)) == (0, 1)

    def test_are_made_by_the_jobs_once_somebody_goes_on_duty(
        self, waiting: Delivery, courier: User
    ) -> None:
        run_due_jobs()
        assert not Offer.objects.exists()

        on_duty(courier, 300)
        run_due_jobs()

        assert [one.courier_id for one in Offer.objects.order_by("id")] == [courier.pk]

    def test_are_answered_by_their_courier_alone(
        self, waiting: Delivery, courier: User, other_courier: User, buyer: User
    ) -> None:
        on_duty(courier, 300)
        offer_delivery(delivery_id=waiting.id)

        for who in (other_courier, buyer):
            with assert_events(), pytest.raises(OfferNotFound):
                accept_offer(actor=who, delivery_id=waiting.id)
            with assert_events(), pytest.raises(OfferNotFound):
                decline_offer(actor=who, delivery_id=waiting.id)

    def test_end_with_an_assignment(
        self, waiting: Delivery, seller: User, courier: User, other_courier: User
    ) -> None:
        on_duty(courier, 300)
        offer_delivery(delivery_id=waiting.id)
        assign_courier(actor=seller, delivery_id=waiting.id, courier_id=other_courier.public_id)

        with pytest.raises(OfferNotFound):
            accept_offer(actor=courier, delivery_id=waiting.id)
        assert load_of(courier) == 0
        assert Offer.objects.get().status == "withdrawn"

    def test_end_with_a_cancelled_delivery(
        self, waiting: Delivery, seller: User, courier: User
    ) -> None:
        on_duty(courier, 300)
        offer_delivery(delivery_id=waiting.id)

        bring(waiting, "cancelled", actor=seller)

        assert load_of(courier) == 0
        assert offer_delivery(delivery_id=waiting.id) is None

    def test_are_bounded_by_capacity_and_assignments_are_not(
        self, shop: Shop, buyer: User, courier: User
    ) -> None:
        on_duty(courier, 300, capacity=2)
        made = [make_delivery(shop, buyer) for _ in range(3)]

        assert offer_waiting() == 2
        assert offer_waiting() == 0
        assign_courier(actor=shop.owner, delivery_id=made[2].id, courier_id=courier.public_id)

        assert load_of(courier) == 3

    def test_wait_for_who_comes_on_duty(self, waiting: Delivery, courier: User) -> None:
        assert offer_delivery(delivery_id=waiting.id) is None

        on_duty(courier)

        assert Job.objects.filter(name="offer_waiting").count() == 1
        assert offer_waiting() == 1

    def test_are_found_by_their_courier(
        self, waiting: Delivery, courier: User, other_courier: User
    ) -> None:
        on_duty(courier)
        offer_delivery(delivery_id=waiting.id)

        assert [one.id for one in selectors.deliveries_offered_to(courier)] == [waiting.id]
        assert not selectors.deliveries_offered_to(other_courier).exists()


@pytest.mark.django_db
class TestDuty:
    def test_is_for_couriers(self, buyer: User) -> None:
        with pytest.raises(NotCourier):
            set_duty(actor=buyer, duty="on")
        assert not Courier.objects.exists()

    def test_keeps_what_is_not_named(self, courier: User) -> None:
        set_duty(actor=courier, capacity=3)
        kept = set_duty(actor=courier, duty="on")

        assert (kept.duty, kept.capacity) == ("on", 3)

    @pytest.mark.parametrize("capacity", [0, 21])
    def test_has_bounds(self, courier: User, capacity: int) -> None:
        with pytest.raises(ValidationFailed):
            set_duty(actor=courier, capacity=capacity)

    def test_off_follows_nobody(self, courier: User) -> None:
        with pytest.raises(IllegalTransition):
            report_position(actor=courier, latitude=DOOR[0], longitude=DOOR[1])
        on_duty(courier, 300)

        off = set_duty(actor=courier, duty="off")

        assert (off.latitude, off.longitude, off.positioned_at) == (None, None, None)

    def test_lists_the_free_the_nearest_first(self, courier: User, other_courier: User) -> None:
        on_duty(courier, 900)
        on_duty(other_courier, 300)
        nowhere = on_duty(make_user("Ivan", number=20, role="courier"))

        with assert_queries(1):
            found = selectors.free_couriers(near=DOOR)

        assert [(one.user.pk, one.distance_m) for one in found] == [
            (other_courier.pk, 300.0),
            (courier.pk, 900.0),
            (nowhere.pk, None),
        ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.transactions
class TestRaces:
    def test_two_deliveries_for_one_courier_one_wins(
        self, shop: Shop, buyer: User, courier: User
    ) -> None:
        on_duty(courier, 300)
        one, other = (make_delivery(shop, buyer) for _ in range(2))

        offers = together(
            lambda: offer_delivery(delivery_id=one.id),
            lambda: offer_delivery(delivery_id=other.id),
        )

        assert sorted(offer is None for offer in offers) == [False, True]
        assert load_of(courier) == 1
        assert Event.objects.filter(name="delivery.offered").count() == 1

    def test_an_answer_and_an_assignment_at_once_give_it_to_one(
        self, waiting: Delivery, seller: User, courier: User, other_courier: User
    ) -> None:
        on_duty(courier, 300)
        offer_delivery(delivery_id=waiting.id)

        def accept() -> str:
            try:
                accept_offer(actor=courier, delivery_id=waiting.id)
            except (OfferNotFound, AlreadyAssigned):
                return "refused"
            return "taken"

        def assign() -> str:
            try:
                assign_courier(
                    actor=seller, delivery_id=waiting.id, courier_id=other_courier.public_id
                )
            except AlreadyAssigned:
                return "refused"
            return "given"

        together(accept, assign)

        waiting.refresh_from_db()
        assert waiting.status == "assigned"
        # Whoever has it, every place is counted once.
        loads = Courier.objects.order_by("id").values_list("user_id", "load")
        assert {key: load for key, load in loads if load} == {waiting.courier_id: 1}
