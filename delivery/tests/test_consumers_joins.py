"""Many who join deliveries at one moment are read for together, and each is told what he would be
alone.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from accounts.models import User
from delivery import selectors
from delivery.consumers import DeliveryConsumer
from delivery.geo import USUAL_MPS
from delivery.models import Delivery
from delivery.services.tracking import renew_link
from delivery.tests.factories import away, bring, fix, make_delivery, send, set_off
from delivery.tokens import token_of
from marketplace.core.clock import now
from marketplace.core.errors import AppError
from marketplace.core.ids import uuid7
from marketplace.core.vendor import is_postgresql
from marketplace.realtime.joining import Answer, Wish, read_topics
from marketplace.realtime.topic import Joined, Joiner, TopicRef, parse_topic
from marketplace.tests.cast import make_user, queries_of
from shops.models import Shop

pytestmark = pytest.mark.django_db

EACH = 2
"""Of each delivery by itself, where a database takes no limit of each in one question: its last
position, and those of the last minutes.
"""


def ref_of(spelled: str, dialect: str = "plain") -> TopicRef:
    found = parse_topic(spelled, dialect=dialect, own=None)
    assert found is not None
    return found


def wish(user: User | None, delivery: Delivery, *, phoenix: bool = False) -> Wish:
    dialect, prefix = ("phoenix", "delivery:delivery_") if phoenix else ("plain", "delivery:")
    return Wish(user, ref_of(f"{prefix}{delivery.id}", dialect), dialect, None, None)


def by_link(delivery: Delivery, token: str | None = None, *, phoenix: bool = False) -> Wish:
    """Who holds a link has been led to the delivery before."""
    dialect = "phoenix" if phoenix else "plain"
    ref = ref_of(f"delivery:token_{token or token_of(delivery)}", dialect)
    found = TopicRef(ref.consumer, str(delivery.id), ref.spelled, ref.voice, ref.secret)
    return Wish(None, found, dialect, None, None)


def told(found: Sequence[Any]) -> list[str]:
    """The code of each refusal, `joined` for the others."""
    return [one.code if isinstance(one, AppError) else "joined" for one in found]


def states(found: Sequence[Any]) -> list[dict[str, Any]]:
    return [one.state for one in found if isinstance(one, Answer)]


@pytest.fixture
def many(shop: Shop, buyer: User) -> list[Delivery]:
    """Twenty on their way, each with a courier of its own."""
    found = []
    for number in range(20):
        carrier = make_user(f"Carrier{number}", number=300 + number, role="courier")
        one = set_off(make_delivery(shop, buyer, carrier), ago_s=600)
        send(one, fix(away(900 + number), now(), speed_mps=5.0))
        found.append(one)
    return found


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one instant for all who ask when something arrives."""
    instant = now()
    monkeypatch.setattr(selectors, "now", lambda: instant)


class TestQueryCounts:
    def counts(self, wishes: list[Wish]) -> dict[int, int]:
        return {size: queries_of(read_topics, wishes[:size]) for size in (1, 2, 20)}

    def test_are_the_same_for_any_number_who_watch_one(
        self, moving: Delivery, buyer: User, courier: User, seller: User
    ) -> None:
        send(moving, fix(away(900), now()))
        watchers = [wish(one, moving) for one in (buyer, courier, seller, buyer)] * 5

        counts = self.counts(watchers)

        assert counts == {1: counts[1], 2: counts[1], 20: counts[1]}
        assert counts[1] <= 5

    def test_are_the_same_for_any_number_of_deliveries(
        self, many: list[Delivery], buyer: User
    ) -> None:
        counts = self.counts([wish(buyer, one) for one in many])

        more = 0 if is_postgresql() else EACH
        assert counts == {1: counts[1], 2: counts[1] + more, 20: counts[1] + 19 * more}
        assert counts[1] <= 5

    def test_are_the_same_for_phoenix_clients_that_get_the_trail(
        self, many: list[Delivery], buyer: User
    ) -> None:
        counts = self.counts([wish(buyer, one, phoenix=True) for one in many])

        more = 0 if is_postgresql() else EACH + 1
        assert counts == {1: counts[1], 2: counts[1] + more, 20: counts[1] + 19 * more}
        assert counts[1] <= 6


class TestJoinsOfDeliveries:
    @pytest.mark.usefixtures("still")
    def test_tell_each_what_he_is_told_alone(
        self,
        shop: Shop,
        moving: Delivery,
        buyer: User,
        courier: User,
        other_courier: User,
        seller: User,
        stranger: User,
        admin: User,
    ) -> None:
        other = set_off(make_delivery(shop, stranger, other_courier), ago_s=600)
        waiting = make_delivery(shop, stranger)
        send(moving, fix(away(900), now(), speed_mps=5.0))
        send(other, fix(away(300), now(), speed_mps=5.0))
        wishes = [
            wish(buyer, moving),
            wish(courier, moving, phoenix=True),
            wish(seller, other),
            wish(stranger, other, phoenix=True),
            wish(stranger, waiting),
            wish(admin, moving),
            by_link(moving),
            by_link(other, phoenix=True),
        ]

        together = read_topics(wishes)

        alone = [read_topics([one])[0] for one in wishes]
        assert told(together) == ["joined"] * 8
        assert told(alone) == ["joined"] * 8
        found = states(together)
        assert [one["delivery"]["_id"] for one in found] == [
            str(one.id) for one in (moving, moving, other, other, waiting, moving, moving, other)
        ]
        assert [one["eta"]["distance_m"] for one in found] == [
            900.0, 900.0, 300.0, 300.0, None, 900.0, 900, 300,
        ]  # fmt: skip
        tokens = [one["delivery"].get("tracking_token") for one in found]
        assert tokens[:6] == [
            token_of(moving), None, token_of(other), token_of(other), token_of(waiting),
            token_of(moving),
        ]  # fmt: skip
        assert tokens[6:] == [None, None]
        for one, lone in zip(together, alone, strict=True):
            assert isinstance(one, Answer)
            assert isinstance(lone, Answer)
            assert one.state["delivery"] == lone.state["delivery"]
            assert one.state["location"] == lone.state["location"]
            assert (
                one.history == [] if not lone.history else lone.history[0][0] == one.history[0][0]
            )

    def test_tell_phoenix_clients_each_the_trail_of_his_own(
        self, shop: Shop, moving: Delivery, buyer: User, other_courier: User, stranger: User
    ) -> None:
        other = set_off(make_delivery(shop, stranger, other_courier), ago_s=600)
        bare = make_delivery(shop, stranger)
        at = now()
        send(moving, *[fix(away(900 - n), at - timedelta(seconds=9 - n)) for n in range(3)])
        send(other, fix(away(300), at))

        found = read_topics(
            [
                wish(buyer, moving, phoenix=True),
                wish(stranger, other, phoenix=True),
                wish(stranger, bare, phoenix=True),
                wish(buyer, moving),
                by_link(moving, phoenix=True),
            ]
        )

        histories = [one.history for one in found if isinstance(one, Answer)]
        trails = [
            [row["latitude"] for row in payload["location_history"]]
            for history in histories
            for _, payload in history
        ]
        assert [len(history) for history in histories] == [1, 1, 1, 0, 1]
        assert trails == [[away(900)[0], away(899)[0], away(898)[0]], [away(300)[0]], [], []]

    def test_refuse_each_for_his_own_reason(
        self, shop: Shop, moving: Delivery, buyer: User, courier: User, seller: User,
        stranger: User, other_courier: User,
    ) -> None:  # fmt: skip
        old = token_of(moving)
        assert old is not None
        renewed = renew_link(actor=seller, delivery_id=moving.id)
        name = f"delivery:{moving.id}"
        asked = [
            (buyer, ref_of(name)),
            (None, ref_of(name)),
            (stranger, ref_of(name)),
            (other_courier, ref_of(name)),
            (buyer, ref_of(f"delivery:{uuid7()}")),
            (buyer, ref_of("delivery:nothing")),
            (buyer, ref_of(name, "phoenix")),
            (None, by_link(renewed, old).ref),
            (buyer, by_link(renewed, old).ref),
            (None, by_link(renewed).ref),
            (courier, ref_of(name)),
        ]

        found = DeliveryConsumer.join_all([Joiner(user, ref, False, 1) for user, ref in asked])

        assert told(found) == [
            "joined", "unauthorized", "delivery_not_found", "delivery_not_found",
            "delivery_not_found", "delivery_not_found", "delivery_not_found",
            "delivery_not_found", "delivery_not_found", "joined", "joined",
        ]  # fmt: skip

    def test_do_not_lend_one_person_the_shop_of_another(
        self, shop: Shop, moving: Delivery, seller: User, stranger: User
    ) -> None:
        found = read_topics([wish(seller, moving), wish(stranger, moving), wish(seller, moving)])

        assert told(found) == ["joined", "delivery_not_found", "joined"]

    def test_give_two_connections_of_one_person_each_its_own_state(
        self, moving: Delivery, buyer: User
    ) -> None:
        one, other = DeliveryConsumer.join_all(
            [Joiner(buyer, ref_of(f"delivery:{moving.id}"), False, 1)] * 2
        )

        assert isinstance(one, Joined)
        assert isinstance(other, Joined)
        assert one.state == other.state
        assert one.state is not other.state


class TestWhereaboutsOfMany:
    def test_are_those_of_each(
        self, shop: Shop, buyer: User, many: list[Delivery], delivery: Delivery
    ) -> None:
        done = bring(many.pop(), "arrived", "delivered")
        nobody = set_off(delivery, ago_s=60)

        found = selectors.whereabouts_of([*many, done, nobody])

        assert len(found) == 21
        for number, one in enumerate(many):
            location, eta = found[one.id].location, found[one.id].eta
            assert location is not None
            assert (location.delivery_id, location.latitude) == (one.id, away(900 + number)[0])
            assert not isinstance(eta, str)
            assert (eta.distance_m, eta.speed_mps) == (900.0 + number, 5.0)
        for one in (done, nobody):
            assert (found[one.id].location, found[one.id].eta) == (None, "no_location")

    @pytest.mark.usefixtures("no_limit")
    def test_take_the_last_position_and_not_its_speed_from_long_ago(self, moving: Delivery) -> None:
        at = now()
        old = [
            fix(away(900 - 10 * n), at - timedelta(seconds=500 - n), speed_mps=20.0)
            for n in range(3)
        ]
        send(moving, *old)

        found = selectors.whereabouts(moving)

        assert found.location is not None
        assert found.location.latitude == away(880)[0]
        assert not isinstance(found.eta, str)
        assert found.eta.speed_mps == USUAL_MPS

    def test_reckon_with_the_speeds_of_this_attempt_alone(self, moving: Delivery) -> None:
        slow, quick = now() - timedelta(seconds=60), now() - timedelta(seconds=5)
        send(moving, fix(away(900), slow, speed_mps=2.0))
        began = now() - timedelta(seconds=30)
        Delivery.objects.filter(id=moving.id).update(attempts=1, attempt_at=began)
        moving.refresh_from_db()
        send(moving, fix(away(600), quick, speed_mps=10.0))

        found = selectors.whereabouts(moving)

        assert not isinstance(found.eta, str)
        assert found.eta.speed_mps == 10.0

    def test_show_nothing_of_the_attempt_before(self, moving: Delivery) -> None:
        send(moving, fix(away(900), now() - timedelta(seconds=30), speed_mps=5.0))
        Delivery.objects.filter(id=moving.id).update(attempts=1, attempt_at=now())
        moving.refresh_from_db()

        found = selectors.whereabouts(moving)

        assert (found.location, found.eta) == (None, "no_location")
