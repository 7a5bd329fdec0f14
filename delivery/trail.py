"""What a courier's positions come to, in the order in which they were taken. Pure.

A trail is a fold over positions by `recorded_at`: whatever order they came in, folding the same
ones gives the same trail, the same rejections and the same crossings of the fences.
"""

from collections import deque
from typing import NamedTuple

from delivery.enums import Rejection
from delivery.geo import METRES_PER_DEGREE, SPEEDS_WITHIN_S, Point, distance_m

WORST_ACCURACY_M = 100.0
FASTEST_MPS = 55.0
FUTURE_S = 60.0
BEFORE_START_S = 60.0
NEARBY_M, ARRIVED_M, DOOR_M = 100.0, 50.0, 30.0
DWELL_S, DOOR_DWELL_S = 10.0, 120.0
# A speed that nobody measured is that over so long a way back: between two neighbours the scatter
# of the positions would be all of it.
SPEED_OVER_S = 20.0
# However often a device tells where it is, a speed about every second is enough: so five minutes of
# them fit.
SPEED_EVERY_S = 0.9
MOST_SPEEDS = round(SPEEDS_WITHIN_S / SPEED_EVERY_S)

TAKEN = ""
"""The rejection of a position that is good."""


class Fix(NamedTuple):
    """One position. at: seconds since 1970 in which the device took it."""

    at: float
    latitude: float
    longitude: float
    speed_mps: float | None = None

    @property
    def point(self) -> Point:
        """Where it is."""
        return (self.latitude, self.longitude)


def own_fault(
    fix: Fix, *, accuracy_m: float | None, received_at: float, started_at: float
) -> Rejection | None:
    """What is wrong with the position by itself; what only its neighbours tell, the trail finds.

    started_at: when the delivery first set off.
    """
    if fix.latitude == 0 and fix.longitude == 0:
        return Rejection.STATIC
    if accuracy_m is not None and accuracy_m > WORST_ACCURACY_M:
        return Rejection.ACCURACY
    if fix.at > received_at + FUTURE_S:
        return Rejection.FUTURE
    if fix.at < started_at - BEFORE_START_S:
        return Rejection.BEFORE_START
    return None


class Fence:
    """A circle around the destination: the first good position inside starts the dwell, one outside
    ends it, the first inside that is `dwell_s` later fires, once.
    """

    __slots__ = ("dwell_s", "entered_at", "fired_at", "radius_m")

    def __init__(self, radius_m: float, dwell_s: float) -> None:
        self.radius_m = radius_m
        self.dwell_s = dwell_s
        self.entered_at: float | None = None
        self.fired_at: float | None = None

    def take(self, at: float, distance: float) -> None:
        """The next good position."""
        if distance > self.radius_m:
            self.entered_at = None
        elif self.entered_at is None:
            self.entered_at = at
        elif self.fired_at is None and at - self.entered_at >= self.dwell_s:
            self.fired_at = at

    @property
    def has_fired(self) -> bool:
        """Whether somebody has been inside long enough."""
        return self.fired_at is not None


class Trail:
    """The good positions of one delivery so far. since: when this attempt began, else None."""

    __slots__ = (
        "_recent", "_speeds", "arrived", "destination", "door", "last", "nearby", "newest_at",
        "since",
    )  # fmt: skip

    def __init__(self, *, destination: Point | None, since: float | None = None) -> None:
        self.destination = destination
        self.since = since
        self.last: Fix | None = None
        # Of all positions that the trail has looked at, the rejected ones too.
        self.newest_at: float | None = None
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.nearby = Fence(NEARBY_M, DWELL_S)
        self.arrived = Fence(ARRIVED_M, DWELL_S)
        self.door = Fence(DOOR_M, DOOR_DWELL_S)
        self._recent: deque[Fix] = deque()
        self._speeds: deque[tuple[float, float]] = deque(maxlen=MOST_SPEEDS)

    def take(self, fix: Fix) -> str:
        """The next position by time; TAKEN, or why it is not used."""
        self.newest_at = fix.at
        last = self._last_for(fix)
        if last is not None and not _is_within(last, fix, FASTEST_MPS * (fix.at - last.at)):
            return Rejection.SPEED.value
        self._add(fix)
        return TAKEN

    def trust(self, fix: Fix, *, rejected: str) -> None:
        """The next position by time, with the verdict that it has already."""
        self.newest_at = fix.at
        self._last_for(fix)
        if rejected == TAKEN:
            self._add(fix)

    def _last_for(self, fix: Fix) -> Fix | None:
        """The good position before this one; none where an attempt begins between the two."""
        since, last = self.since, self.last
        if since is not None and last is not None and last.at < since <= fix.at:
            self.last = None
            self._begin_anew()
        return self.last

    def _add(self, fix: Fix) -> None:
        self.last = fix
        self._note_speed(fix)
        goal = self.destination
        if goal is None or (self.since is not None and fix.at < self.since):
            return
        # Nearly every position: the latitude alone shows that it is far off.
        is_far = abs(fix.latitude - goal[0]) * METRES_PER_DEGREE > NEARBY_M
        distance = NEARBY_M if is_far else distance_m(fix.point, goal)
        if is_far or distance > NEARBY_M:
            self.nearby.entered_at = self.arrived.entered_at = self.door.entered_at = None
            return
        self.nearby.take(fix.at, distance)
        self.arrived.take(fix.at, distance)
        self.door.take(fix.at, distance)

    def _note_speed(self, fix: Fix) -> None:
        recent = self._recent
        if recent and fix.at - recent[-1].at < SPEED_EVERY_S:
            return
        recent.append(fix)
        while len(recent) > 1 and fix.at - recent[1].at >= SPEED_OVER_S:
            recent.popleft()
        speed = fix.speed_mps
        if speed is None:
            gap = fix.at - recent[0].at
            if gap < SPEED_OVER_S:
                return
            speed = distance_m(recent[0].point, fix.point) / gap
        self._speeds.append((fix.at, speed))

    def speeds(self, *, now: float) -> list[float]:
        """The speeds of the last five minutes, in m/s."""
        oldest = now - SPEEDS_WITHIN_S
        return [speed for at, speed in list(self._speeds) if at >= oldest]


def _is_within(one: Fix, other: Fix, metres: float) -> bool:
    """Whether they lie no farther apart than this.

    First by bounds that need no trigonometry and hold for nearly every two neighbours: the way
    along a meridian and then along a parallel is never shorter than the distance, and neither is
    the way along a whole degree of the equator than that along one of the parallel.
    """
    degrees = abs(one.latitude - other.latitude) + abs(one.longitude - other.longitude)
    if degrees * METRES_PER_DEGREE <= metres:
        return True
    return distance_m(one.point, other.point) <= metres
