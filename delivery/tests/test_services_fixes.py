"""Positions are kept, judged and told: each reason, any order, many couriers in one transaction."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import DataError
from pytest_django import Settings

from accounts.models import User
from delivery.models import Delivery, Location
from delivery.pacing import Pacer
from delivery.selectors import whereabouts
from delivery.services import announcing, fixes, fixes_postgres
from delivery.services.fixes import Outcome, RecordedFixes, record_fixes
from delivery.services.moves import fail_attempt
from delivery.tests.factories import (
    DOOR,
    away,
    bring,
    command,
    cut,
    fix,
    make_delivery,
    noisy_track,
    send,
    set_off,
    trail_of,
)
from marketplace.core import limits
from marketplace.core.clock import now
from marketplace.core.errors import AppError
from marketplace.core.ids import uuid7
from marketplace.core.planned import fetch_planned
from marketplace.events import live
from marketplace.events.live import Signal
from marketplace.events.models import Event
from marketplace.tests.cast import assert_events, assert_queries, make_user
from shops.models import Shop


def codes(outcomes: Sequence[Outcome]) -> list[str]:
    """What became of each: `stored`, or the code of its refusal."""
    return [one.code if isinstance(one, AppError) else "stored" for one in outcomes]


def told(verdicts: Sequence[Any]) -> list[tuple[str, bool]]:
    return [(one.rejected, one.late) for one in verdicts]


def begin_of(delivery: Delivery) -> datetime:
    assert delivery.started_at is not None
    return delivery.started_at


def seconds(delivery: Delivery, count: float) -> datetime:
    """So long after it set off."""
    return begin_of(delivery) + timedelta(seconds=count)


def names_of(delivery: Delivery) -> list[str]:
    """What its topic tells of the way: milestones and statuses, in order."""
    rows = Event.objects.filter(topic=delivery.topic).order_by("seq")
    return [str(row.payload.get("milestone") or row.payload.get("status")) for row in rows]


@pytest.mark.django_db
@pytest.mark.usefixtures("no_limit")
class TestJudging:
    def test_keeps_a_good_one(self, moving: Delivery) -> None:
        at = seconds(moving, 10)

        verdicts = send(moving, fix(away(900), at, accuracy=12.0, speed_mps=6.5, heading=90.0))

        assert told(verdicts) == [("", False)]
        row = Location.objects.get()
        assert (row.delivery_id, row.recorded_at) == (moving.id, at)
        assert (row.accuracy, row.speed_mps, row.heading) == (12.0, 6.5, 90.0)
        assert (row.rejected, row.late) == ("", False)

    @pytest.mark.parametrize(
        ("place", "second", "more", "reason"),
        [
            ((0.0, 0.0), 20, {}, "static"),
            (away(890), 20, {"accuracy": 100.5}, "accuracy"),
            (away(890), 10_000, {}, "future"),
            (away(890), -61, {}, "before_start"),
            (away(890), 10, {}, "duplicate"),
            (away(900 + 551), 20, {}, "speed"),
            ((-12.0, 100.0), 20, {}, "speed"),
            # Swapped coordinates.
            ((DOOR[1], DOOR[0]), 20, {}, "speed"),
        ],
    )
    def test_keeps_a_bad_one_with_its_reason_and_uses_it_for_nothing(
        self,
        moving: Delivery,
        place: tuple[float, float],
        second: float,
        more: dict[str, Any],
        reason: str,
    ) -> None:
        send(moving, fix(away(900), seconds(moving, 10)))
        before = whereabouts(moving)

        with assert_events():
            verdicts = send(moving, fix(place, seconds(moving, second), **more))

        late = second < 10
        assert told(verdicts) == [(reason, late)]
        assert Location.objects.filter(rejected=reason).count() == 1
        after = whereabouts(moving)
        assert before.location is not None
        assert after.location is not None
        assert after.location.id == before.location.id

    def test_takes_a_late_one_in_its_place(self, moving: Delivery) -> None:
        send(moving, fix(away(900), seconds(moving, 10)))
        send(moving, fix(away(700), seconds(moving, 30)))

        verdicts = send(moving, fix(away(800), seconds(moving, 20)))

        assert told(verdicts) == [("", True)]
        assert trail_of(moving) == [seconds(moving, n) for n in (10, 20, 30)]
        place = whereabouts(moving).location
        assert place is not None
        assert place.recorded_at == seconds(moving, 30)

    def test_judges_anew_what_a_late_one_puts_in_another_light(self, moving: Delivery) -> None:
        # Nothing was known when the jump came, so it was believed.
        assert told(send(moving, fix(away(90_000), seconds(moving, 20)))) == [("", False)]
        assert told(send(moving, fix(away(800), seconds(moving, 30)))) == [("speed", False)]

        assert told(send(moving, fix(away(900), seconds(moving, 10)))) == [("", True)]

        assert trail_of(moving) == [seconds(moving, 10), seconds(moving, 30)]
        assert trail_of(moving, "speed") == [seconds(moving, 20)]

    def test_answers_points_in_their_order(self, moving: Delivery) -> None:
        points = [
            fix(away(700), seconds(moving, 30)),
            fix((0.0, 0.0), seconds(moving, 20)),
            fix(away(900), seconds(moving, 10)),
            fix(away(690), seconds(moving, 30)),
        ]

        verdicts = send(moving, *points)

        assert told(verdicts) == [("", False), ("static", False), ("", False), ("duplicate", False)]
        assert Location.objects.count() == 4

    def test_counts_late_by_what_was_known_before(self, moving: Delivery) -> None:
        outcomes = record_fixes(
            [
                command(moving, _courier(moving), [fix(away(900), seconds(moving, 30))]),
                command(moving, _courier(moving), [fix(away(950), seconds(moving, 20))]),
            ]
        )

        assert [told(one.verdicts) for one in _stored(outcomes)] == [
            [("", False)],
            [("", True)],
        ]


def commit_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for the commit comes at once: the test's own transaction never ends."""
    monkeypatch.setattr(fixes, "on_commit", lambda callback: callback())
    pacer = Pacer(1.0, announcing._tell, has_thread=False)
    monkeypatch.setattr(announcing, "_positions", pacer)


def _courier(delivery: Delivery) -> User:
    assert delivery.courier is not None
    return delivery.courier


def _stored(outcomes: Sequence[Outcome]) -> list[RecordedFixes]:
    return [one for one in outcomes if isinstance(one, RecordedFixes)]


@pytest.mark.django_db
class TestRights:
    def test_refuses_everybody_but_the_courier(
        self,
        moving: Delivery,
        buyer: User,
        seller: User,
        admin: User,
        stranger: User,
        other_courier: User,
    ) -> None:
        point = [fix(away(900), seconds(moving, 10))]

        with assert_events():
            outcomes = record_fixes(
                [
                    command(moving, who, point)
                    for who in (buyer, seller, admin, stranger, other_courier)
                ]
            )

        assert codes(outcomes) == ["forbidden"] * 3 + ["delivery_not_found"] * 2
        assert not Location.objects.exists()

    def test_refuses_a_delivery_that_is_none(self, moving: Delivery, courier: User) -> None:
        unknown = Delivery(id=uuid7())

        outcomes = record_fixes([command(unknown, courier, [fix(DOOR, now())])])

        assert codes(outcomes) == ["delivery_not_found"]

    def test_refuses_a_former_courier(
        self, delivery: Delivery, seller: User, courier: User, other_courier: User
    ) -> None:
        from delivery.services.assigning import assign_courier

        assign_courier(actor=seller, delivery_id=delivery.id, courier_id=other_courier.public_id)
        set_off(Delivery.objects.select_related("courier").get(id=delivery.id), ago_s=60)

        outcomes = record_fixes([command(delivery, courier, [fix(DOOR, now())])])

        assert codes(outcomes) == ["delivery_not_found"]
        assert not Location.objects.exists()

    @pytest.mark.parametrize(
        "way", [[], ["in_transit", "arrived", "delivered"]], ids=["assigned", "delivered"]
    )
    def test_refuses_where_it_is_not_on_its_way(
        self, delivery: Delivery, courier: User, way: list[str]
    ) -> None:
        bring(delivery, *way)

        outcomes = record_fixes([command(delivery, courier, [fix(DOOR, now())])])

        assert codes(outcomes) == ["illegal_transition"]
        assert not Location.objects.exists()

    def test_takes_two_a_second_and_a_list_for_one(
        self, moving: Delivery, courier: User, one_window: None
    ) -> None:
        points = [fix(away(900 - n), seconds(moving, n)) for n in range(10)]
        later = [fix(away(800), seconds(moving, 60 + n)) for n in range(3)]

        outcomes = record_fixes(
            [
                command(moving, courier, points),
                command(moving, courier, later[:1]),
                command(moving, courier, later[1:2]),
                command(moving, courier, later[2:]),
            ]
        )

        assert codes(outcomes) == ["stored", "stored", "rate_limited", "rate_limited"]
        assert Location.objects.count() == 11


@pytest.mark.django_db
@pytest.mark.usefixtures("no_limit")
class TestFences:
    @pytest.fixture(autouse=True, params=["read anew", "kept", "kept portably"])
    def _memory(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whether the process reads a trail each time, or goes on with the one it knows."""
        if request.param != "read anew":
            commit_at_once(monkeypatch)
        if request.param == "kept portably":
            monkeypatch.setattr(fixes_postgres, "applies", lambda: False)

    def test_one_point_at_the_door_moves_nothing(self, moving: Delivery) -> None:
        send(moving, fix(away(1000), seconds(moving, 10)))

        with assert_events():
            send(moving, fix(DOOR, seconds(moving, 100)))

        moving.refresh_from_db()
        assert moving.status == "in_transit"

    def test_tells_nearby_and_arrived_once(self, moving: Delivery, courier: User) -> None:
        for second, metres in [(0, 400), (20, 95), (31, 90), (40, 45), (51, 20), (80, 5)]:
            send(moving, fix(away(metres), seconds(moving, second)))

        moving.refresh_from_db()
        assert moving.status == "arrived"
        assert names_of(moving) == ["assigned", "moving", "nearby", "arrived"]
        nearby, arrived = Event.objects.filter(topic=moving.topic).order_by("seq")[2:]
        assert nearby.payload == {
            "delivery_id": str(moving.id),
            "milestone": "nearby",
            "message": "Driver is nearby!",
            "at": nearby.payload["at"],
        }
        assert arrived.payload["previous_status"] == "in_transit"
        assert nearby.actor_id == arrived.actor_id == courier.public_id

    @pytest.mark.parametrize("seed", range(3))
    def test_a_noisy_track_with_a_shuffled_late_part_arrives_once(
        self, moving: Delivery, seed: int
    ) -> None:
        track = noisy_track(seed, begin=begin_of(moving))
        late = track[60:120]
        random.Random(seed).shuffle(late)

        for one in [*track[:60], *track[120:]]:
            send(moving, one)
        verdicts = send(moving, *late)

        assert all(one.late for one in verdicts)
        assert names_of(moving) == ["assigned", "moving", "nearby", "arrived"]
        assert Location.objects.count() == len(track)
        jumps = {one.recorded_at for one in track[49::50]}
        assert jumps <= set(trail_of(moving, "speed"))

    @pytest.mark.parametrize("seed", range(4))
    def test_any_order_of_a_track_comes_to_the_same(
        self, shop: Shop, buyer: User, courier: User, seed: int
    ) -> None:
        straight = set_off(make_delivery(shop, buyer, courier), ago_s=600)
        shuffled = set_off(make_delivery(shop, buyer, courier), ago_s=600)
        begin = begin_of(straight)
        Delivery.objects.filter(id=shuffled.id).update(started_at=begin, attempt_at=begin)
        track = noisy_track(seed, begin=begin)
        chance = random.Random(seed)
        mixed = list(track)
        chance.shuffle(mixed)

        for one in track:
            send(straight, one)
        for part in cut(mixed, chance):
            send(shuffled, *part)

        assert trail_of(shuffled) == trail_of(straight)
        assert trail_of(shuffled, "speed") == trail_of(straight, "speed")
        assert names_of(straight) == ["assigned", "moving", "nearby", "arrived"]
        assert names_of(shuffled) == names_of(straight)

    def test_goes_on_where_another_process_was(
        self, moving: Delivery, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for second, metres in [(0, 400), (20, 95)]:
            send(moving, fix(away(metres), seconds(moving, second)))
        # A restart: nothing is known but what is stored.
        monkeypatch.setattr(fixes, "_trails", {})

        send(moving, fix(away(90), seconds(moving, 31)))

        assert names_of(moving) == ["assigned", "moving", "nearby"]

    def test_begins_anew_with_another_attempt(self, moving: Delivery, courier: User) -> None:
        for second in (0, 11):
            send(moving, fix(away(10), seconds(moving, second)))
        fail_attempt(actor=courier, delivery_id=moving.id, reason="Nobody there.")
        again = set_off(moving, ago_s=30)

        for second in (1, 12):
            send(again, fix(away(10), begin_of(again) + timedelta(seconds=second)))

        way = ["moving", "nearby", "arrived"]
        assert names_of(moving) == ["assigned", *way, "assigned", "attempt_failed", *way]

    def test_moves_nothing_that_the_courier_has_moved(
        self, moving: Delivery, courier: User
    ) -> None:
        bring(moving, "arrived")

        with assert_events():
            for second in (0, 11, 22):
                send(moving, fix(away(10), seconds(moving, second)))

    def test_delivers_by_itself_only_where_that_is_wanted(
        self, moving: Delivery, settings: Settings
    ) -> None:
        settings.GEOFENCE_AUTO_DELIVER = True
        for second in range(0, 140, 10):
            send(moving, fix(away(5), seconds(moving, second)))
            moving.refresh_from_db()
            if moving.status == "delivered":
                break

        assert second == 120
        assert names_of(moving)[-2:] == ["arrived", "delivered"]

    def test_waits_for_the_proof_that_the_shop_asks_for(
        self, moving: Delivery, settings: Settings
    ) -> None:
        settings.GEOFENCE_AUTO_DELIVER = True
        Delivery.objects.filter(id=moving.id).update(proof_kind="photo")
        for second in range(0, 200, 10):
            send(moving, fix(away(5), seconds(moving, second)))

        moving.refresh_from_db()
        assert moving.status == "arrived"


@pytest.mark.django_db
@pytest.mark.usefixtures("no_limit")
class TestBatches:
    def test_store_many_couriers_at_once(self, shop: Shop, buyer: User, stranger: User) -> None:
        deliveries = _many(shop, buyer, 12)
        wanted = [
            command(one, _courier(one), [fix(away(900), seconds(one, 10))]) for one in deliveries
        ]
        wanted.insert(5, command(deliveries[0], stranger, [fix(DOOR, now())]))

        outcomes = record_fixes(wanted)

        assert codes(outcomes) == ["stored"] * 5 + ["delivery_not_found"] + ["stored"] * 7
        assert Location.objects.count() == 12

    def test_cost_the_same_however_many_they_are(
        self,
        shop: Shop,
        buyer: User,
        django_capture_on_commit_callbacks: Any,
    ) -> None:
        deliveries = _many(shop, buyer, 12)
        for second in (10, 20):
            with django_capture_on_commit_callbacks(execute=True):
                record_fixes(
                    [
                        command(one, _courier(one), [fix(away(900), seconds(one, second))])
                        for one in deliveries
                    ]
                )
        wanted = [
            command(one, _courier(one), [fix(away(850), seconds(one, 30))]) for one in deliveries
        ]

        # One update that holds them, one look, one insert.
        with assert_queries(3):
            outcomes = record_fixes(wanted)

        assert codes(outcomes) == ["stored"] * 12

    def test_one_bad_row_fails_its_own_sender_only(
        self, shop: Shop, buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deliveries = _many(shop, buyer, 3)
        real = fixes._take

        def take(unit: Any, stored: Any) -> Any:
            if unit.row.id == deliveries[1].id:
                raise DataError("broken")
            return real(unit, stored)

        monkeypatch.setattr(fixes, "_take", take)
        monkeypatch.setattr(fixes_postgres, "applies", lambda: False)
        outcomes = fixes.record_fixes(
            [command(one, _courier(one), [fix(away(9), seconds(one, 1))]) for one in deliveries]
        )

        assert codes(outcomes) == ["stored", "internal_error", "stored"]
        assert Location.objects.count() == 2


def _many(shop: Shop, customer: User, count: int) -> list[Delivery]:
    return [
        set_off(
            make_delivery(
                shop,
                customer,
                make_user(f"Courier{number}", number=number, role="courier"),
            ),
            ago_s=600,
        )
        for number in range(200, 200 + count)
    ]


@pytest.mark.skipif(
    settings.DATABASE_ENGINE != "postgresql", reason="about PostgreSQL's one statement"
)
@pytest.mark.django_db
@pytest.mark.usefixtures("no_limit")
class TestOneStatement:
    @pytest.fixture(autouse=True)
    def _kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        commit_at_once(monkeypatch)

    @pytest.fixture
    def known(self, moving: Delivery) -> Delivery:
        send(moving, fix(away(900), seconds(moving, 10)))
        return moving

    @pytest.fixture
    def portable(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """How many commands each portable batch had."""
        batches: list[int] = []
        real = fixes._record

        def record(commands: Any) -> Any:
            batches.append(len(commands))
            return real(commands)

        monkeypatch.setattr(fixes, "_record", record)
        return batches

    def test_stores_the_same(self, known: Delivery, portable: list[int]) -> None:
        at = seconds(known, 20)
        told_ = told(
            send(known, fix(away(890), at, accuracy=9.5, heading=1.0), fix((0.0, 0.0), at))
        )

        assert told_ == [("", False), ("static", False)]
        assert portable == []
        row = Location.objects.get(delivery=known, recorded_at=at, rejected="")
        assert (row.latitude, row.accuracy, row.heading, row.late) == (
            away(890)[0],
            9.5,
            1.0,
            False,
        )
        assert row.created_at == row.updated_at
        known.refresh_from_db()
        assert known.fixes_version == 2

    def test_leaves_to_the_portable_way_what_must_be_read(
        self, known: Delivery, portable: list[int]
    ) -> None:
        send(known, fix(away(895), seconds(known, 5)))

        assert portable == [1]
        send(known, fix(away(880), seconds(known, 30)))
        assert portable == [1]

    def test_reads_all_unknown_trails_together(
        self, shop: Shop, buyer: User, portable: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deliveries = _many(shop, buyer, 3)
        for one in deliveries:
            send(one, fix(away(900), seconds(one, 10)), fix(away(5_000), seconds(one, 11)))
        monkeypatch.setattr(fixes, "_trails", {})
        statements: list[str] = []

        def fetch(statement: str, parameters: list[Any]) -> Any:
            statements.append(statement)
            return fetch_planned(statement, parameters)

        monkeypatch.setattr(fixes_postgres, "fetch_planned", fetch)

        outcomes = record_fixes(
            [
                command(one, _courier(one), [fix(away(900 - 10 * n), seconds(one, 12 + 5 * n))])
                for n, one in enumerate(deliveries)
            ]
        )

        assert codes(outcomes) == ["stored"] * 3
        assert portable == []
        assert statements == [fixes_postgres.TRAILS, fixes_postgres.STATEMENT]

    def test_looks_further_back_for_a_good_one_than_the_newest(
        self, known: Delivery, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fixes, "READ_BEFORE", 2)
        jumps = [fix(away(90_000), seconds(known, 11 + n)) for n in range(2)]
        assert told(send(known, *jumps)) == [("speed", False)] * 2
        monkeypatch.setattr(fixes, "_trails", {})

        assert told(send(known, fix(away(890), seconds(known, 9)))) == [("", True)]

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"fixes_version": 7}, "stored"),
            ({"status": "cancelled"}, "illegal_transition"),
            ({"courier": None}, "delivery_not_found"),
            ({"attempts": 1}, "stored"),
        ],
    )
    def test_stores_nothing_for_who_is_no_more_what_he_was(
        self, known: Delivery, courier: User, changes: dict[str, Any], code: str
    ) -> None:
        Delivery.objects.filter(id=known.id).update(**changes)

        [outcome] = record_fixes([command(known, courier, [fix(away(890), seconds(known, 20))])])

        assert codes([outcome]) == [code]
        assert Location.objects.count() == (2 if code == "stored" else 1)

    def test_charges_once(
        self, known: Delivery, courier: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        charged: list[str] = []
        monkeypatch.setattr(limits, "check", lambda bucket, key: charged.append(key))
        # Out of order: the short way charges, and hands it on.
        record_fixes([command(known, courier, [fix(away(890), seconds(known, 5))])])

        assert charged == [known.id.hex]


class Told:
    """Stands for the sockets: keeps the signals of one topic.

    What earlier tests left to be told is of other deliveries.
    """

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.signals: list[Signal] = []

    def events(self, events: list[Any]) -> None:
        pass

    def signal(self, signal: Signal) -> None:
        if signal.topic == self.topic:
            self.signals.append(signal)

    def control(self, control: Any) -> None:
        pass

    def of(self, name: str) -> list[dict[str, Any]]:
        return [one.payload for one in self.signals if one.name == name]


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch, moving: Delivery) -> Told:
    told = Told(moving.topic)
    monkeypatch.setattr(live, "_listeners", [told])
    return told


@pytest.mark.django_db
@pytest.mark.usefixtures("no_limit")
class TestSignals:
    @pytest.fixture(autouse=True)
    def _commit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        commit_at_once(monkeypatch)

    def test_tell_the_first_at_once_with_its_arrival(self, moving: Delivery, heard: Told) -> None:
        send(moving, fix(away(600), seconds(moving, 10), speed_mps=10.0, heading=180.0))

        [position] = heard.of("location")
        assert position == {
            "delivery_id": str(moving.id),
            "latitude": away(600)[0],
            "longitude": away(600)[1],
            "recorded_at": position["recorded_at"],
            "speed": 36.0,
            "speed_mps": 10.0,
            "accuracy": None,
            "heading": 180.0,
            "eta_seconds": 130,
            "distance_m": 600.0,
        }
        [eta] = heard.of("eta")
        assert (eta["eta_seconds"], eta["delivery_id"]) == (130, str(moving.id))

    def test_come_once_a_second_and_bring_the_last(
        self, moving: Delivery, heard: Told, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = [1000.0]
        pacer = Pacer(1.0, announcing._tell, clock=lambda: clock[0], has_thread=False)
        monkeypatch.setattr(announcing, "_positions", pacer)
        for tenth in range(9):
            clock[0] = 1000.0 + tenth / 10
            send(moving, fix(away(900 - tenth), seconds(moving, 10 + tenth)))
        assert len(heard.of("location")) == 1

        clock[0] = 1001.0
        pacer.tell_due()

        assert [one["latitude"] for one in heard.of("location")] == [away(900)[0], away(892)[0]]
        assert Location.objects.count() == 9

    def test_tell_neither_rejected_nor_late_ones(self, moving: Delivery, heard: Told) -> None:
        send(moving, fix(away(700), seconds(moving, 30)))
        announcing.forget_position(moving.id)
        told_before = list(heard.signals)

        for one in [
            fix(away(800), seconds(moving, 20)),
            fix((0.0, 0.0), seconds(moving, 40)),
            fix(away(90_000), seconds(moving, 41)),
            fix(away(690), seconds(moving, 42), accuracy=400.0),
        ]:
            send(moving, one)
        announcing._positions.tell_due()

        assert told_before
        assert heard.signals == told_before

    def test_tell_an_arrival_again_only_where_it_moved(self) -> None:
        from delivery.tests.test_geo import NOON
        from delivery.tests.test_geo import told as estimate

        memory, key = announcing.EtaMemory(), uuid7()

        assert memory.is_worth_telling(key, estimate(1000), now=NOON)
        # Too soon, whatever it is.
        assert not memory.is_worth_telling(key, estimate(5000), now=NOON)
        at, before = memory._told[key]
        memory._told[key] = (at - 10.1, before)
        assert not memory.is_worth_telling(key, estimate(1050), now=NOON)
        assert memory.is_worth_telling(key, estimate(1100), now=NOON)


@pytest.mark.django_db
class TestWhereabouts:
    @pytest.mark.usefixtures("no_limit")
    def test_knows_the_arrival_from_the_last_position(self, moving: Delivery) -> None:
        at = now()
        Delivery.objects.filter(id=moving.id).update(started_at=at - timedelta(seconds=400))
        moving.refresh_from_db()
        points = [
            fix(away(1200 - 10 * n), at - timedelta(seconds=100 - n), speed_mps=10.0)
            for n in range(0, 100, 10)
        ]
        send(moving, *points)

        found = whereabouts(moving)

        assert not isinstance(found.eta, str)
        assert (found.eta.distance_m, found.eta.speed_mps) == (300.0, 10.0)
        assert (found.eta.eta_seconds, found.eta.low_seconds) == (39, 29)

    def test_tells_what_is_missing(self, delivery: Delivery, moving: Delivery) -> None:
        assert whereabouts(moving).eta == "no_location"

        Delivery.objects.filter(id=moving.id).update(
            destination_latitude=None, destination_longitude=None
        )
        moving.refresh_from_db()
        send(moving, fix(away(900), seconds(moving, 10)))

        assert whereabouts(moving).eta == "no_destination"

    def test_shows_nobody_who_is_not_on_his_way(self, moving: Delivery) -> None:
        send(moving, fix(away(900), seconds(moving, 10)))

        done = bring(moving, "arrived", "delivered")

        assert whereabouts(done).location is None
        assert whereabouts(done).eta == "no_location"
