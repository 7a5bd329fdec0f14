"""What is told once at the start: which parts the settings chose, and what they left aside."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings


def start_fields() -> dict[str, Any]:
    """The fields of the start line. No value of a secret is among them, only names."""
    fields: dict[str, Any] = {
        "profile": settings.PROFILE,
        "database": settings.DATABASE_ENGINE,
        "database_from": list(settings.DATABASE_CHOICE.chosen),
        "redis": _place(settings.REDIS_URL) if settings.REDIS_URL else None,
        "signing_key_from": settings.KEYS.signing_name,
        "public_url": settings.PUBLIC_URL,
    }
    if settings.IGNORED_SETTINGS:
        fields["ignored"] = list(settings.IGNORED_SETTINGS)
    if settings.EXTRA_LISTENERS:
        fields["extra_listeners"] = "set, but not listened on: they are not part of this release"
    if settings.BUS_ENABLED:
        fields["bus"] = "set, but nothing is started for it: the relay is not part of this release"
    return fields


def start_line() -> str:
    """The same as one line of text: `profile=local database=sqlite …`."""
    return " ".join(f"{name}={_shown(value)}" for name, value in start_fields().items())


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(str(part) for part in value)
    return "none" if value is None else str(value)


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname or parts.path}:{parts.port}" if parts.port else str(parts.hostname)
