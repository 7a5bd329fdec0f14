"""Positions, one or many: the hottest input of all, what became of each, and the trail."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from accounts.models import User
from delivery.enums import Rejection
from delivery.serializers.fields import LATITUDE, LONGITUDE, latitude_field, longitude_field
from delivery.services.fixes import POINTS, FixCommand, NewFix, RecordedFixes
from marketplace.core.clock import now
from marketplace.core.errors import ValidationFailed
from marketplace.core.inputs import InputSerializer, InstantField
from marketplace.core.serializers import page_output

FULL_CIRCLE = 360.0
# From here on a number is milliseconds since 1970; as seconds it would be the year 5138.
MILLISECONDS_FROM = 1e11
NUMBER_FORM = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
FAR = 1e7
"""More metres, or metres per second, than anything here can be."""

EXAMPLE_LOCATION = {
    "id": "019ab0c6-1a2b-7c3d-8e4f-5a6b7c8d9e0f",
    "delivery_id": "019ab0c5-0b7c-7d11-8a64-1e2f3a4b5c6d",
    "latitude": 40.7128,
    "longitude": -74.006,
    "accuracy": 12.0,
    "speed_mps": 6.5,
    "heading": 90.0,
    "recorded_at": "2026-01-10T12:00:00.000Z",
    "rejected": None,
    "late": False,
    "created_at": "2026-01-10T12:00:00.100Z",
    "updated_at": "2026-01-10T12:00:00.100Z",
}


class LocationQueryInput(InputSerializer):
    """Which positions."""

    rejected = serializers.BooleanField(required=False)


class FixInput(InputSerializer):
    """One position. `speed` is metres per second, as browsers give it; without `recorded_at` now.

    Read by `read_fixes`; this form is for the document.
    """

    latitude = latitude_field()
    longitude = longitude_field()
    accuracy = serializers.FloatField(required=False, allow_null=True, min_value=0)
    speed_mps = serializers.FloatField(required=False, allow_null=True, min_value=0)
    heading = serializers.FloatField(required=False, allow_null=True, min_value=0, max_value=360)
    recorded_at = serializers.DateTimeField(required=False, allow_null=True)


@extend_schema_serializer(
    examples=[
        OpenApiExample("One", {"latitude": 40.7128, "longitude": -74.006}),
        OpenApiExample(
            "Several, as they were taken without a network",
            {
                "points": [
                    {
                        "latitude": 40.7128,
                        "longitude": -74.006,
                        "accuracy": 12,
                        "speed_mps": 6.5,
                        "heading": 90,
                        "recorded_at": "2026-01-10T12:00:00.000Z",
                    }
                ]
            },
        ),
    ]
)
class FixesInput(FixInput):
    """One position, or up to 100 as `points`."""

    points = serializers.ListField(child=FixInput(), required=False, max_length=POINTS)


def read_fixes(payload: Mapping[str, Any], *, actor: User, delivery_id: UUID) -> FixCommand:
    """The positions in a payload, as this user sends them for this delivery.

    Written out by hand: it runs for every position of every courier, and DRF's fields take longer
    than the database. Raises ValidationFailed with `points.<n>.<field>`.
    """
    received_at = now()
    points = payload.get("points")
    if points is None:
        fixes = [_fix(payload, received_at, "")]
    else:
        if not isinstance(points, list) or not 1 <= len(points) <= POINTS:
            raise _wrong("points", f"This must be a list of 1 to {POINTS} positions.")
        fixes = [_point(one, received_at, number) for number, one in enumerate(points)]
    return FixCommand(actor, delivery_id, fixes, received_at, points is not None)


def _point(one: Any, received_at: datetime, number: int) -> NewFix:
    where = f"points.{number}"
    if not isinstance(one, Mapping):
        raise _wrong(where, "An object is expected.")
    return _fix(one, received_at, f"{where}.")


def _fix(one: Mapping[str, Any], received_at: datetime, where: str) -> NewFix:
    fix = NewFix(
        _degrees(one, "latitude", LATITUDE, where),
        _degrees(one, "longitude", LONGITUDE, where),
        received_at,
    )
    if len(one) == 2:
        return fix
    fix.accuracy = _amount(one.get("accuracy"), "accuracy", where, most=FAR)
    speed = one.get("speed_mps")
    speed = one.get("speedMps", one.get("speed")) if speed is None else speed
    fix.speed_mps = _amount(speed, "speed_mps", where, most=FAR)
    fix.heading = _amount(one.get("heading"), "heading", where, most=FULL_CIRCLE)
    recorded = one.get("recorded_at")
    recorded = one.get("recordedAt") if recorded is None else recorded
    if recorded is not None:
        fix.recorded_at = _instant(recorded, f"{where}recorded_at")
    return fix


def _degrees(one: Mapping[str, Any], name: str, bound: float, where: str) -> float:
    given = one.get(name)
    # As nearly every device writes it; what is not a number lies within no bounds.
    if type(given) is float and -bound <= given <= bound:
        return given
    found = _number(given)
    if found is None:
        text = "This must be a number." if name in one else "This field is required."
        raise _wrong(where + name, text)
    if not -bound <= found <= bound:
        raise _wrong(where + name, f"This lies between -{bound:g} and {bound:g}.")
    return found


def _amount(value: Any, name: str, where: str, *, most: float) -> float | None:
    if value is None:
        return None
    found = _number(value)
    if found is None or not 0 <= found <= most:
        raise _wrong(where + name, f"This must be a number from 0 to {most:g}.")
    return found


def _number(value: Any) -> float | None:
    """A finite number, also as text; None for anything else."""
    if isinstance(value, str):
        value = float(value) if NUMBER_FORM.fullmatch(value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def _instant(value: Any, where: str) -> datetime:
    """RFC 3339, or seconds or milliseconds since 1970."""
    if isinstance(value, str) and not NUMBER_FORM.fullmatch(value.strip()):
        try:
            return InstantField().to_internal_value(value)
        except serializers.ValidationError:
            raise _wrong(where, "This is not a valid time.") from None
    found = _number(value)
    if found is not None:
        milliseconds = found if abs(found) >= MILLISECONDS_FROM else found * 1000
        try:
            whole, part = divmod(int(milliseconds), 1000)
            return datetime.fromtimestamp(whole, UTC).replace(microsecond=part * 1000)
        except (ValueError, OverflowError, OSError):
            pass
    raise _wrong(where, "This is not a valid time.")


def _wrong(where: str, text: str) -> ValidationFailed:
    return ValidationFailed.for_fields({where: [text]})


def answer_fixes(recorded: RecordedFixes) -> dict[str, Any]:
    """The answer to one position, or `{points: […]}` to several."""
    told = [
        {"accepted": one.accepted, "rejected": one.rejected or None, "late": one.late}
        for one in recorded.verdicts
    ]
    return {"points": told} if recorded.as_list else told[0]


@extend_schema_serializer(examples=[OpenApiExample("A position", EXAMPLE_LOCATION)])
class LocationOutput(serializers.Serializer[Any]):
    """One position; `rejected` says why it is kept and not used."""

    id = serializers.UUIDField()
    delivery_id = serializers.UUIDField()
    latitude = serializers.FloatField()
    longitude = serializers.FloatField()
    accuracy = serializers.FloatField(allow_null=True)
    speed_mps = serializers.FloatField(allow_null=True)
    heading = serializers.FloatField(allow_null=True)
    recorded_at = serializers.DateTimeField()
    rejected = serializers.ChoiceField(choices=Rejection.choices, allow_null=True)
    late = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


LocationPageOutput = page_output(LocationOutput, "A page of the trail, oldest first.")


class FixVerdictOutput(serializers.Serializer[Any]):
    """What became of one position."""

    accepted = serializers.BooleanField()
    rejected = serializers.ChoiceField(choices=Rejection.choices, allow_null=True)
    late = serializers.BooleanField()


@extend_schema_serializer(
    examples=[
        OpenApiExample("One", {"accepted": True, "rejected": None, "late": False}),
        OpenApiExample(
            "Several", {"points": [{"accepted": False, "rejected": "speed", "late": True}]}
        ),
    ]
)
class FixesOutput(serializers.Serializer[Any]):
    """What became of one position; of `points`, of each in their order."""

    accepted = serializers.BooleanField(required=False)
    rejected = serializers.ChoiceField(choices=Rejection.choices, allow_null=True, required=False)
    late = serializers.BooleanField(required=False)
    points = FixVerdictOutput(many=True, required=False)
