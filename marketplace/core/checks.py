"""System checks: what cannot be seen in one setting alone."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Tags, register

from marketplace.core.db import has_transactions, is_mongodb


@register(Tags.database)
def check_mongodb_transactions(
    *, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """A MongoDB without a replica set cannot roll back: an error in production, else a warning."""
    if "default" not in (databases or ()) or not is_mongodb() or has_transactions():
        return []
    text = "This MongoDB has no transactions: it is not a replica set."
    hint = "Start it with --replSet and initiate the set, also for a single node."
    if settings.PROFILE == "production":
        return [checks.Error(text, hint=hint, id="marketplace.E001")]
    return [checks.Warning(text, hint=f"For development only. {hint}", id="marketplace.W001")]


@register(Tags.security, deploy=True)
def check_sms_countries(**_: Any) -> list[CheckMessage]:
    """Text messages to every country of the world are an invitation to run up a bill."""
    if settings.SMS_BACKEND == "mock" or settings.SMS_COUNTRIES:
        return []
    return [
        checks.Warning(
            "SMS_COUNTRIES is empty: codes are sent to every country.",
            hint="Name the calling codes that you serve: SMS_COUNTRIES=1,44",
            id="marketplace.W002",
        )
    ]
