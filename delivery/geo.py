"""Distances and times of arrival: pure functions, metres, seconds, degrees."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import asin, cos, pi, radians, sin, sqrt
from statistics import median

EARTH_RADIUS_M = 6_371_008.8
# Of latitude, and of longitude on the equator.
METRES_PER_DEGREE = EARTH_RADIUS_M * pi / 180
# A road is longer than the straight line.
DETOUR = 1.3
SLOWEST_MPS, FASTEST_MPS = 1.4, 33.0
# Of a courier of whom no speed is known.
USUAL_MPS = 6.0
INTERVAL = 0.25
SPEEDS_WITHIN_S = 300.0
MOVED_S, MOVED_SHARE = 60.0, 0.2
KMH_PER_MPS = 3.6

Point = tuple[float, float]
"""Latitude and longitude."""

NO_LOCATION = "no_location"
NO_DESTINATION = "no_destination"


def distance_m(one: Point, other: Point) -> float:
    """The great-circle distance by the haversine formula."""
    latitude, other_latitude = radians(one[0]), radians(other[0])
    half = sin((other_latitude - latitude) / 2) ** 2 + cos(latitude) * cos(other_latitude) * (
        sin(radians(other[1] - one[1]) / 2) ** 2
    )
    # Rounding may bring two ends of the earth a hair beyond 1.
    return 2 * EARTH_RADIUS_M * asin(sqrt(min(1.0, half)))


@dataclass(frozen=True, slots=True)
class Estimate:
    """When somebody will be there, if nothing changes; with a quarter more or less."""

    eta_seconds: int
    eta_at: datetime
    low_seconds: int
    high_seconds: int
    distance_m: float
    speed_mps: float


def typical_speed(speeds: Iterable[float]) -> float:
    """The median of these, held between a walk and a fast road; without any, the usual one."""
    known = list(speeds)
    if not known:
        return USUAL_MPS
    return min(FASTEST_MPS, max(SLOWEST_MPS, median(known)))


def estimate(
    position: Point, destination: Point, *, speeds: Iterable[float], now: datetime
) -> Estimate:
    """The time of arrival from here. speeds: of the last five minutes, in m/s."""
    distance = distance_m(position, destination)
    speed = typical_speed(speeds)
    seconds = distance * DETOUR / speed
    return Estimate(
        eta_seconds=round(seconds),
        eta_at=now + timedelta(milliseconds=round(seconds * 1000)),
        low_seconds=round(seconds * (1 - INTERVAL)),
        high_seconds=round(seconds * (1 + INTERVAL)),
        distance_m=round(distance, 1),
        speed_mps=round(speed, 2),
    )


def has_moved(told: Estimate, found: Estimate, *, now: datetime) -> bool:
    """Whether the arrival is another than was told: by over a minute, or a fifth of the rest."""
    shift = abs((found.eta_at - told.eta_at).total_seconds())
    rest = max(0.0, (told.eta_at - now).total_seconds())
    return shift > MOVED_S or (shift > MOVED_SHARE * rest and shift >= 1.0)


def rough(degrees: float) -> float:
    """A coordinate as people with a link see it: four decimals, about eleven metres."""
    return round(degrees, 4)
