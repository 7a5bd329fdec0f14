"""Distances and times of arrival: figures that can be worked out by hand."""

from datetime import UTC, datetime, timedelta
from math import pi

import pytest

from delivery.geo import (
    EARTH_RADIUS_M,
    Estimate,
    distance_m,
    estimate,
    has_moved,
    rough,
    typical_speed,
)
from delivery.tests.factories import DOOR, away

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)


class TestDistance:
    @pytest.mark.parametrize(
        ("one", "other", "metres"),
        [
            ((0.0, 0.0), (1.0, 0.0), pi * EARTH_RADIUS_M / 180),
            ((0.0, 179.5), (0.0, -179.5), pi * EARTH_RADIUS_M / 180),
            ((90.0, 0.0), (-90.0, 0.0), pi * EARTH_RADIUS_M),
            ((40.7128, -74.006), (40.7128, -74.006), 0.0),
            # London to Paris, New York to Los Angeles.
            ((51.5007, -0.1246), (48.8584, 2.2945), 340_550.0),
            ((40.7128, -74.006), (34.0522, -118.2437), 3_935_750.0),
        ],
    )
    def test_is_that_of_the_reference(
        self, one: tuple[float, float], other: tuple[float, float], metres: float
    ) -> None:
        assert distance_m(one, other) == pytest.approx(metres, rel=1e-3, abs=1e-6)
        assert distance_m(other, one) == pytest.approx(distance_m(one, other), rel=1e-12)

    def test_of_a_thousand_metres_is_that(self) -> None:
        assert distance_m(away(1000), DOOR) == pytest.approx(1000.0, abs=0.01)


class TestEstimate:
    def test_takes_the_usual_speed_where_none_is_known(self) -> None:
        found = estimate(away(1000), DOOR, speeds=[], now=NOON)

        # 1,000 m * 1.3 / 6 m/s = 216.7 s, a quarter less and more.
        assert (found.eta_seconds, found.low_seconds, found.high_seconds) == (217, 163, 271)
        assert (found.distance_m, found.speed_mps) == (1000.0, 6.0)
        assert (found.eta_at - NOON).total_seconds() == pytest.approx(216.667, abs=0.01)

    @pytest.mark.parametrize(
        ("speeds", "speed"),
        [
            ([], 6.0),
            ([10.0], 10.0),
            ([1.0, 10.0, 30.0], 10.0),
            ([8.0, 10.0], 9.0),
            ([0.0, 0.1], 1.4),
            ([50.0, 60.0], 33.0),
        ],
    )
    def test_takes_the_median_within_its_bounds(self, speeds: list[float], speed: float) -> None:
        assert typical_speed(speeds) == speed


def told(seconds: int, *, at: datetime = NOON) -> Estimate:
    return Estimate(seconds, at + timedelta(seconds=seconds), 0, 0, 0.0, 6.0)


class TestHasMoved:
    @pytest.mark.parametrize(
        ("before", "after", "moved"),
        [
            (1000, 1060, False),
            (1000, 1061, True),
            (1000, 939, True),
            (100, 120, False),
            (100, 121, True),
            (100, 79, True),
        ],
    )
    def test_by_a_minute_or_a_fifth(self, before: int, after: int, moved: bool) -> None:
        assert has_moved(told(before), told(after), now=NOON) is moved

    def test_is_about_the_arrival_and_not_the_rest_of_the_way(self) -> None:
        later = NOON + timedelta(seconds=300)

        assert not has_moved(told(600), told(300, at=later), now=later)


def test_a_rough_coordinate_has_four_decimals() -> None:
    assert (rough(40.712849), rough(-74.00604)) == (40.7128, -74.006)
