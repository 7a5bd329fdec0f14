"""The one clock: UTC at millisecond grain, because MongoDB stores no more."""

from datetime import UTC, datetime


def now() -> datetime:
    """This instant, cut to milliseconds, so that what is written equals what is read back."""
    instant = datetime.now(UTC)
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def wire_time(instant: datetime) -> str:
    """`2026-01-10T12:00:00.000Z`, the one form of a time on every wire."""
    return (
        instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.")
        + f"{instant.microsecond // 1000:03d}Z"
    )


def wire_time_or_none(instant: datetime | None) -> str | None:
    """The wire form, or None for an instant that has not come."""
    return None if instant is None else wire_time(instant)
