"""The trail by itself: what is wrong with a position, when a fence fires, what order means."""

import random

import pytest

from delivery.geo import Point, distance_m
from delivery.tests.factories import DOOR, away
from delivery.trail import Fence, Fix, Trail, own_fault

START = 1_800_000_000.0


def at(second: float, place: Point, **more: float) -> Fix:
    return Fix(START + second, place[0], place[1], **more)


def trail(**more: float) -> Trail:
    return Trail(destination=DOOR, **more)


class TestOwnFault:
    @pytest.mark.parametrize(
        ("second", "place", "accuracy", "fault"),
        [
            (0, DOOR, None, None),
            (0, DOOR, 100.0, None),
            (0, DOOR, 100.1, "accuracy"),
            (60, DOOR, None, None),
            (60.5, DOOR, None, "future"),
            (-60, DOOR, None, None),
            (-60.5, DOOR, None, "before_start"),
            (0, (0.0, 0.0), None, "static"),
            # Static goes before every other reason.
            (900, (0.0, 0.0), 500.0, "static"),
            (-900, (0.0, 0.0), 500.0, "static"),
        ],
    )
    def test_names_the_first_reason(
        self, second: float, place: Point, accuracy: float | None, fault: str | None
    ) -> None:
        found = own_fault(
            at(second, place), accuracy_m=accuracy, received_at=START, started_at=START
        )

        assert found == fault


class TestFence:
    def test_fires_ten_seconds_after_the_first_inside(self) -> None:
        fence = Fence(100, 10)
        for second, distance in [(0, 101), (1, 100), (10, 80), (10.9, 90), (11, 100), (30, 5)]:
            fence.take(second, distance)

        assert (fence.entered_at, fence.fired_at) == (1, 11)

    def test_begins_anew_after_one_outside(self) -> None:
        fence = Fence(100, 10)
        for second, distance in [(0, 50), (9, 50), (10, 150), (11, 50), (20, 50)]:
            fence.take(second, distance)
        assert not fence.has_fired

        fence.take(21, 50)

        assert fence.fired_at == 21

    def test_fires_for_who_is_inside_from_the_start(self) -> None:
        fence = Fence(50, 10)
        fence.take(0, 10)
        fence.take(10, 10)

        assert fence.has_fired


class TestTrail:
    def test_rejects_what_is_faster_than_55_metres_a_second(self) -> None:
        one = trail()

        verdicts = [
            one.take(at(0, away(1000))),
            one.take(at(10, away(1551))),
            # From the last good one: 549 m in 20 s.
            one.take(at(20, away(1549))),
        ]

        assert verdicts == ["", "speed", ""]
        assert one.last is not None
        assert one.last.at == START + 20

    def test_one_point_at_the_door_is_no_arrival(self) -> None:
        one = trail()
        for second in range(0, 100, 5):
            one.take(at(second, away(2000)))
        one.take(at(300, DOOR))

        assert not one.nearby.has_fired
        assert not one.arrived.has_fired

    def test_is_nearby_before_it_has_arrived(self) -> None:
        one = trail()
        for second in range(120):
            one.take(at(second, away(300 - 3 * second if second < 100 else 0)))

        assert one.nearby.fired_at == START + 77
        assert one.arrived.fired_at == START + 94
        assert not one.door.has_fired

    def test_waits_two_minutes_at_the_door(self) -> None:
        one = trail()
        for second in range(0, 125, 5):
            one.take(at(second, away(29)))

        assert one.door.fired_at == START + 120

    def test_has_no_fence_without_a_destination(self) -> None:
        one = Trail(destination=None)
        one.take(at(0, DOOR))
        one.take(at(20, DOOR))

        assert not one.nearby.has_fired

    def test_begins_anew_with_an_attempt(self) -> None:
        one = trail(since=START + 100)
        one.take(at(0, DOOR))
        one.take(at(20, DOOR))
        assert not one.arrived.has_fired

        # Another courier, far away, a second later: not measured against the one before.
        assert one.take(at(100, away(90_000))) == ""
        assert one.take(at(101, DOOR)) == "speed"

        assert not one.arrived.has_fired

    def test_takes_measured_speeds_and_else_those_of_twenty_seconds(self) -> None:
        one = trail()
        one.take(at(0, away(1000), speed_mps=9.0))
        for second in range(1, 41):
            one.take(at(second, away(1000 - 5 * second)))

        speeds = list(one.speeds(now=START + 40))

        assert speeds[0] == 9.0
        assert len(speeds) == 22
        assert speeds[1:] == pytest.approx([5.0] * 21, abs=0.01)

    def test_takes_a_speed_about_every_second_however_often_it_is_told(self) -> None:
        one = trail()
        for quarter in range(1201):
            one.take(at(quarter / 4, away(1000), speed_mps=quarter / 4))

        speeds = list(one.speeds(now=START + 300))

        assert len(speeds) == 301
        assert speeds[:3] == [0.0, 1.0, 2.0]
        assert speeds[-1] == 300.0

    @pytest.mark.parametrize("latitude", [0.0, 40.7, -66.0, 89.99])
    @pytest.mark.parametrize("longitude", [-74.0, 179.9995])
    def test_judges_speeds_by_the_distance_on_the_globe(
        self, latitude: float, longitude: float
    ) -> None:
        chance = random.Random(7)
        verdicts = []
        for _ in range(300):
            scatter = [chance.gauss(0, 0.0006) for _ in range(2)]
            east = (longitude + scatter[1] + 180) % 360 - 180
            here, there = (latitude, longitude), (latitude + scatter[0] / 4, east)
            one = Trail(destination=None)
            one.take(at(0, here))
            verdicts.append(one.take(at(1, there)))
            assert verdicts[-1] == ("speed" if distance_m(here, there) > 55 else "")

        assert len(set(verdicts)) == (1 if latitude > 80 else 2)

    def test_finds_who_is_near_on_every_side(self) -> None:
        for north, east in [(99, 0), (-99, 0), (0, 99), (0, -99), (69, -69)]:
            one = trail()
            for second in (0, 10):
                one.take(at(second, away(north, east_m=east)))
            assert one.nearby.has_fired, (north, east)

        for north, east in [(101, 0), (-101, 0), (0, 101), (0, -101), (72, -72)]:
            one = trail()
            for second in (0, 10):
                one.take(at(second, away(north, east_m=east)))
            assert not one.nearby.has_fired, (north, east)

    def test_forgets_speeds_after_five_minutes(self) -> None:
        one = trail()
        one.take(at(0, away(1000), speed_mps=9.0))
        one.take(at(301, away(900), speed_mps=7.0))

        assert list(one.speeds(now=START + 301)) == [7.0]

    @pytest.mark.parametrize("seed", range(5))
    def test_is_the_same_trusted_as_taken(self, seed: int) -> None:
        chance = random.Random(seed)
        fixes = [
            at(second, away(chance.gauss(900 - 6 * second, 40), east_m=chance.gauss(0, 40)))
            for second in range(180)
        ]
        taken, trusted = trail(), trail()
        for one in fixes:
            trusted.trust(one, rejected=taken.take(one))

        assert trusted.last == taken.last
        assert trusted.nearby.fired_at == taken.nearby.fired_at
        assert trusted.arrived.fired_at == taken.arrived.fired_at
        assert list(trusted.speeds(now=START + 180)) == list(taken.speeds(now=START + 180))
