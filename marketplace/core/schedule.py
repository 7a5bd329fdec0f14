"""The static schedule (settings.SCHEDULE): which slot of a task is due, and what beat is told."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings

DAY_S = 86_400


def slot_of(every: int | str, instant: datetime) -> datetime:
    """The latest slot that has begun: seconds are counted from the epoch, `daily HH:MM` is UTC."""
    if isinstance(every, int):
        seconds = int(instant.timestamp()) // every * every
        return datetime.fromtimestamp(seconds, UTC)
    hour, minute = daily_time(every)
    slot = instant.astimezone(UTC).replace(hour=hour, minute=minute, second=0, microsecond=0)
    return slot if slot <= instant else slot - timedelta(days=1)


def daily_time(every: str) -> tuple[int, int]:
    """`daily 03:00` → (3, 0)."""
    hour, minute = every.removeprefix("daily ").split(":")
    return int(hour), int(minute)


def beat_schedule() -> dict[str, dict[str, Any]]:
    """The same schedule for Celery beat, which asks a worker to fill a slot or call a ticker."""
    from celery.schedules import crontab

    entries: dict[str, dict[str, Any]] = {}
    for name, every in settings.SCHEDULE.items():
        if isinstance(every, int):
            schedule: Any = float(every)
        else:
            hour, minute = daily_time(every)
            schedule = crontab(hour=str(hour), minute=str(minute))
        # What nobody took within two turns is not worth doing any more: the next one is there.
        expires = max(2 * every, 5) if isinstance(every, int) else DAY_S
        entries[name] = {
            "task": "run_slot",
            "schedule": schedule,
            "args": [name],
            "options": {"expires": expires},
        }
    return entries
