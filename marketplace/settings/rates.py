"""Named rates (`LIMIT_SIGNUP=20/3600`) and the schedule of tasks."""

import re

from marketplace.settings.reading import Reader, SettingsError

Rate = tuple[int, int]

RATE_FORM = re.compile(r"^(\d+)\s*/\s*(\d+)$")
HOUR_S = 3600
DAY_S = 86_400

# contracts: the order of a row's rates is the order of the comma list.
DEFAULT_LIMITS: dict[str, list[Rate]] = {
    "os_root": [(100, 900)],
    # per phone and hour, per phone and day, per address, per prefix of numbers, in all
    "otp_send": [(5, HOUR_S), (10, DAY_S), (20, HOUR_S), (100, HOUR_S), (5000, DAY_S)],
    "otp_check": [(60, HOUR_S)],
    # per identity and address, per address, per identity from unknown addresses
    "login": [(5, 900), (50, 900), (100, HOUR_S)],
    "signup": [(20, HOUR_S)],
    "refresh": [(30, 60)],
    # per user, per address without a user
    "assistant": [(20, 60), (10, 60)],
    "location": [(2, 1)],
    "upload": [(60, HOUR_S)],
    "lookup": [(30, 60)],
    "api": [(600, 60)],
    "socket_frames": [(50, 1)],
    "signals": [(10, 1)],
    "joins": [(20, 1)],
    "join_failures": [(30, 60)],
    "tracking_miss": [(30, 60)],
}
# How many times its count a bucket may take at once; the proportion stays when the rate changes.
LIMIT_BURSTS: dict[str, int] = {"socket_frames": 2, "joins": 5}


def read_limits(read: Reader) -> dict[str, list[Rate]]:
    """Every bucket with its rates; a count of 0 switches a rate off.

    RATE_LIMIT_PER_MINUTE stands for LIMIT_API where that is unset.
    """
    limits = {
        bucket: _read_rates(read, f"LIMIT_{bucket.upper()}", default)
        for bucket, default in DEFAULT_LIMITS.items()
    }
    per_minute = read.optional_whole("RATE_LIMIT_PER_MINUTE")
    if per_minute is not None and read.optional("LIMIT_API") is None:
        limits["api"] = [(per_minute, 60)]
    return limits


def _read_rates(read: Reader, name: str, default: list[Rate]) -> list[Rate]:
    given = [_rate(name, text) for text in read.items(name)]
    if not given:
        return list(default)
    if len(given) == 1:
        return given * len(default)
    if len(given) != len(default):
        raise SettingsError(
            f"{name} takes one rate or {len(default)} of them, comma between, not {len(given)}"
        )
    return given


def _rate(name: str, text: str) -> Rate:
    found = RATE_FORM.match(text)
    if not found or int(found[2]) < 1:
        raise SettingsError(f"{name} must be <count>/<seconds>, for example 20/3600, not {text!r}")
    return int(found[1]), int(found[2])


def read_schedule(read: Reader, *, broker: bool, housekeeping: bool) -> dict[str, int | str]:
    """Task name → seconds between two runs, or `daily HH:MM` in UTC.

    housekeeping: also what tidies up; without it only what carries events and jobs on.
    """
    defaults: dict[str, int | str] = {
        "cleanup": "daily 03:00",
        "run_subscribers": 1,
        "sweep_presence": 20,
        "sweep_jobs": 30,
        "release_reservations": 60,
    }
    schedule: dict[str, int | str] = {}
    for name, default in defaults.items():
        given = read.optional_whole(f"TASK_{name.upper()}_INTERVAL_S", least=1)
        schedule[name] = default if given is None else given
    if not broker:
        # Without a broker nothing is handed over, so nothing can be lost on the way, and the one
        # process knows best who is connected to it.
        del schedule["sweep_jobs"], schedule["sweep_presence"]
    if not housekeeping:
        del schedule["cleanup"], schedule["release_reservations"]
    return schedule
