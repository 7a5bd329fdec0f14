"""What comes in and goes out of delivery, for REST and sockets."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from accounts.models import User
from accounts.serializers import PublicUserOutput
from delivery.enums import DeliveryStatus, Duty, ProofKind, Rejection
from delivery.models import NAME_CHARACTERS, REASON_CHARACTERS, TEXT_CHARACTERS
from delivery.services.creating import Destination, NewDelivery
from delivery.services.fixes import POINTS, FixCommand, NewFix, RecordedFixes
from delivery.services.proofs import Proof
from marketplace.core.clock import now
from marketplace.core.errors import ValidationFailed
from marketplace.core.inputs import AnyCaseChoiceField, InputSerializer, InstantField
from marketplace.core.serializers import page_output

ID_CHARACTERS = 128
URL_CHARACTERS = 500
PIN_CHARACTERS = 16
LATITUDE, LONGITUDE = 90.0, 180.0
FULL_CIRCLE = 360.0
# From here on a number is milliseconds since 1970; as seconds it would be the year 5138.
MILLISECONDS_FROM = 1e11
NUMBER_FORM = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
FAR = 1e7
"""More metres, or metres per second, than anything here can be."""


class CoordinateField(serializers.FloatField):
    """A latitude or longitude: a number or a numeric text, finite, within its bounds."""

    def __init__(self, *, bound: float, **options: Any) -> None:
        super().__init__(min_value=-bound, max_value=bound, **options)


def latitude_field(**options: Any) -> CoordinateField:
    """Degrees from the equator."""
    return CoordinateField(bound=LATITUDE, **options)


def longitude_field(**options: Any) -> CoordinateField:
    """Degrees from Greenwich."""
    return CoordinateField(bound=LONGITUDE, **options)


def optional_text(most: int, **options: Any) -> serializers.CharField:
    """Text that may be left out."""
    return serializers.CharField(
        required=False, allow_null=True, allow_blank=True, max_length=most, **options
    )


class DestinationInput(InputSerializer):
    """Where something goes: a point, words, or both."""

    latitude = latitude_field(required=False, allow_null=True)
    longitude = longitude_field(required=False, allow_null=True)
    text = optional_text(TEXT_CHARACTERS)


@extend_schema_serializer(
    examples=[
        OpenApiExample("Of an order", {"order_id": "019ab0c4-8e21-7a30-9c55-6f7a8b9c0d1e"}),
        OpenApiExample(
            "Without an order",
            {
                "shop_id": "shop_10001",
                "customer_id": "019ab0c4-7d10-7cc1-8f6e-0a8d6d3e1b52",
                "destination": {
                    "latitude": 40.7128,
                    "longitude": -74.006,
                    "text": "5 Lamp Street, New York",
                },
            },
        ),
    ]
)
class CreateDeliveryInput(InputSerializer):
    """A delivery: of an order (its shop named where it has several), or of a shop to a customer."""

    aliases = {"courier_id": ("delivery_person_id",)}

    order_id = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, max_length=ID_CHARACTERS
    )
    shop_id = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, max_length=ID_CHARACTERS
    )
    customer_id = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, max_length=ID_CHARACTERS
    )
    courier_id = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, max_length=ID_CHARACTERS
    )
    destination = DestinationInput(required=False, allow_null=True)


def new_delivery(values: Mapping[str, Any]) -> NewDelivery:
    """The delivery that a valid `CreateDeliveryInput` wants."""
    place = values.get("destination")
    destination = None
    if place is not None:
        destination = Destination(
            place.get("latitude"), place.get("longitude"), place.get("text") or ""
        )
    return NewDelivery(
        order_id=values.get("order_id") or None,
        shop_id=values.get("shop_id") or None,
        customer_id=values.get("customer_id") or None,
        courier_id=values.get("courier_id") or None,
        destination=destination,
    )


class DeliveryQueryInput(InputSerializer):
    """Which deliveries."""

    status = AnyCaseChoiceField(choices=DeliveryStatus.choices, required=False)
    offered = serializers.BooleanField(required=False)


@extend_schema_serializer(
    examples=[OpenApiExample("At the door", {"pin": "4711", "signed_by": "Asha"})]
)
class ProofInput(InputSerializer):
    """Proof: a link to a photo, the customer's PIN, who has signed."""

    photo_url = optional_text(URL_CHARACTERS)
    pin = optional_text(PIN_CHARACTERS)
    signed_by = optional_text(NAME_CHARACTERS)


class ProofUploadInput(InputSerializer):
    """A photo as a file (JPEG, PNG, GIF or WebP of 10 MiB at most), and what goes with it."""

    file = serializers.FileField()
    pin = optional_text(PIN_CHARACTERS)
    signed_by = optional_text(NAME_CHARACTERS)


class ProofPartsInput(InputSerializer):
    """What comes beside a file."""

    pin = optional_text(PIN_CHARACTERS)
    signed_by = optional_text(NAME_CHARACTERS)


def new_proof(values: Mapping[str, Any] | None, *, photo: Any = None) -> Proof | None:
    """The proof in these values; None where there is none."""
    if values is None:
        return None
    return Proof(
        photo_url=values.get("photo_url") or None,
        pin=values.get("pin") or None,
        signed_by=values.get("signed_by") or None,
        photo=photo,
    )


@extend_schema_serializer(examples=[OpenApiExample("Off it goes", {"status": "in_transit"})])
class MoveDeliveryInput(InputSerializer):
    """Another status; `assigned` says that the attempt has failed."""

    status = AnyCaseChoiceField(choices=DeliveryStatus.choices)
    reason = optional_text(REASON_CHARACTERS)
    proof = ProofInput(required=False, allow_null=True)


@extend_schema_serializer(examples=[OpenApiExample("Nobody there", {"reason": "Nobody there."})])
class AttemptInput(InputSerializer):
    """Why it could not be handed over."""

    reason = optional_text(REASON_CHARACTERS)


@extend_schema_serializer(
    examples=[OpenApiExample("Him", {"courier_id": "019ab0c4-7d10-7cc1-8f6e-0a8d6d3e1b52"})]
)
class AssignInput(InputSerializer):
    """Who carries it."""

    aliases = {"courier_id": ("delivery_person_id", "user_id")}

    courier_id = serializers.CharField(max_length=ID_CHARACTERS)


@extend_schema_serializer(examples=[OpenApiExample("Well done", {"score": 5})])
class DeliveryRatingInput(InputSerializer):
    """How it went, from 1 to 5."""

    score = serializers.IntegerField(min_value=1, max_value=5)
    comment = optional_text(TEXT_CHARACTERS)


@extend_schema_serializer(examples=[OpenApiExample("To work", {"duty": "on", "capacity": 2})])
class CourierInput(InputSerializer):
    """How the courier works from now on; a missing key stays."""

    duty = AnyCaseChoiceField(choices=Duty.choices, required=False)
    capacity = serializers.IntegerField(required=False)


@extend_schema_serializer(
    examples=[OpenApiExample("Here", {"latitude": 40.7128, "longitude": -74.006})]
)
class PositionInput(InputSerializer):
    """Where the courier is."""

    latitude = latitude_field()
    longitude = longitude_field()


class CourierQueryInput(InputSerializer):
    """Which couriers; near a place, or near where a delivery goes."""

    duty = AnyCaseChoiceField(choices=Duty.choices, required=False)
    latitude = latitude_field(required=False)
    longitude = longitude_field(required=False)
    delivery_id = serializers.CharField(required=False, max_length=ID_CHARACTERS)

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        """Both halves of a place, or none."""
        halves = {"latitude", "longitude"} - values.keys()
        if len(halves) == 1:
            raise serializers.ValidationError({halves.pop(): ["This field is required."]})
        return values


class LocationQueryInput(InputSerializer):
    """Which positions."""

    rejected = serializers.BooleanField(required=False)


# --- positions ------------------------------------------------------------------------------


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


def read_fixes(payload: Mapping[str, Any]) -> FixCommand:
    """The positions in a payload, without actor and delivery, which the entrance adds.

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
    return FixCommand(
        actor=cast(User, None),
        delivery_id=cast(UUID, None),
        fixes=fixes,
        received_at=received_at,
        as_list=points is not None,
    )


def _point(one: Any, received_at: datetime, number: int) -> NewFix:
    where = f"points.{number}"
    if not isinstance(one, Mapping):
        raise _wrong(where, "An object is expected.")
    return _fix(one, received_at, f"{where}.")


def _fix(one: Mapping[str, Any], received_at: datetime, where: str) -> NewFix:
    fix = NewFix(
        latitude=_degrees(one, "latitude", LATITUDE, where),
        longitude=_degrees(one, "longitude", LONGITUDE, where),
        recorded_at=received_at,
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
    found = _number(one.get(name))
    if found is None:
        given = name in one
        text = "This must be a number." if given else "This field is required."
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


# --- what goes out --------------------------------------------------------------------------

EXAMPLE_ETA = {
    "eta_seconds": 420,
    "eta_at": "2026-01-10T12:07:00.000Z",
    "low_seconds": 315,
    "high_seconds": 525,
    "distance_m": 1938.5,
    "speed_mps": 6.0,
    "reason": None,
}
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
EXAMPLE_DELIVERY = {
    "id": EXAMPLE_LOCATION["delivery_id"],
    "order_id": "019ab0c4-8e21-7a30-9c55-6f7a8b9c0d1e",
    "shop_id": "019ab0c4-8e21-7a30-9c55-6f7a8b9c0d1f",
    "customer_id": "019ab0c4-7d10-7cc1-8f6e-0a8d6d3e1b52",
    "courier_id": "019ab0c4-7d10-7cc1-8f6e-0a8d6d3e1b53",
    "status": "in_transit",
    "tracking_token": "Zk3vX0b9rQ2sYt7uLw8eNc5dGm1hPj4A",
    "destination": {"latitude": 40.72, "longitude": -74.0, "text": "5 Lamp Street, New York"},
    "location": EXAMPLE_LOCATION,
    "eta": EXAMPLE_ETA,
    "attempts": 0,
    "proof_kind": "none",
    "proof": None,
    "pin": None,
    "rating": None,
    "assigned_at": "2026-01-10T11:50:00.000Z",
    "delivered_at": None,
    "created_at": "2026-01-10T11:45:00.000Z",
    "updated_at": "2026-01-10T11:55:00.000Z",
}


class DestinationOutput(serializers.Serializer[Any]):
    """Where it goes."""

    latitude = serializers.FloatField(allow_null=True)
    longitude = serializers.FloatField(allow_null=True)
    text = serializers.CharField(allow_null=True)


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


@extend_schema_serializer(examples=[OpenApiExample("In seven minutes", EXAMPLE_ETA)])
class EtaOutput(serializers.Serializer[Any]):
    """When it arrives, a quarter more or less; all null with a `reason` where nobody knows."""

    eta_seconds = serializers.IntegerField(allow_null=True)
    eta_at = serializers.DateTimeField(allow_null=True)
    low_seconds = serializers.IntegerField(allow_null=True)
    high_seconds = serializers.IntegerField(allow_null=True)
    distance_m = serializers.FloatField(allow_null=True)
    speed_mps = serializers.FloatField(allow_null=True)
    reason = serializers.ChoiceField(choices=["no_location", "no_destination"], allow_null=True)


class ProofOutput(serializers.Serializer[Any]):
    """What shows that it has been handed over."""

    photo_url = serializers.CharField(allow_null=True)
    pin_ok = serializers.BooleanField(allow_null=True)
    signed_by = serializers.CharField(allow_null=True)


@extend_schema_serializer(examples=[OpenApiExample("On its way", EXAMPLE_DELIVERY)])
class DeliveryOutput(serializers.Serializer[Any]):
    """One delivery. The token is told to customer, shop and admins, the PIN to the customer alone.

    `location` and `eta` are null in lists and while it is not on its way.
    """

    id = serializers.UUIDField()
    order_id = serializers.UUIDField(allow_null=True)
    shop_id = serializers.UUIDField(allow_null=True)
    customer_id = serializers.CharField()
    courier_id = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(choices=DeliveryStatus.choices)
    tracking_token = serializers.CharField(allow_null=True)
    destination = DestinationOutput()
    location = LocationOutput(allow_null=True)
    eta = EtaOutput(allow_null=True)
    attempts = serializers.IntegerField()
    proof_kind = serializers.ChoiceField(choices=ProofKind.choices)
    proof = ProofOutput(allow_null=True)
    pin = serializers.CharField(allow_null=True)
    rating = serializers.IntegerField(allow_null=True)
    assigned_at = serializers.DateTimeField(allow_null=True)
    delivered_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


DeliveryPageOutput = page_output(DeliveryOutput, "A page of deliveries.")


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


class PlaceOutput(serializers.Serializer[Any]):
    """Where, and when it was there."""

    latitude = serializers.FloatField()
    longitude = serializers.FloatField()
    recorded_at = serializers.DateTimeField()


class TrackEtaOutput(serializers.Serializer[Any]):
    """When it arrives."""

    eta_seconds = serializers.IntegerField(allow_null=True)
    eta_at = serializers.DateTimeField(allow_null=True)
    low_seconds = serializers.IntegerField(allow_null=True)
    high_seconds = serializers.IntegerField(allow_null=True)
    distance_m = serializers.IntegerField(allow_null=True)
    reason = serializers.ChoiceField(choices=["no_location", "no_destination"], allow_null=True)


class TrackOutput(serializers.Serializer[Any]):
    """What the holder of a link sees: nobody's id, no address, no trail."""

    status = serializers.ChoiceField(choices=DeliveryStatus.choices)
    courier_name = serializers.CharField(allow_null=True)
    location = PlaceOutput(allow_null=True)
    eta = TrackEtaOutput()
    delivered_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class CourierOutput(serializers.Serializer[Any]):
    """One courier; `load` = his deliveries under way and open offers. No phone, no position.

    `distance_m` from the place that was asked for, to a hundred metres; null where none was.
    """

    user_id = serializers.CharField()
    user = PublicUserOutput()
    duty = serializers.ChoiceField(choices=Duty.choices)
    capacity = serializers.IntegerField()
    load = serializers.IntegerField()
    distance_m = serializers.FloatField(allow_null=True)
    positioned_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


CourierPageOutput = page_output(CourierOutput, "A page of couriers.")


class OrderStepOutput(serializers.Serializer[Any]):
    """One step of an order's way."""

    status = serializers.CharField()
    timestamp = serializers.DateTimeField()
    location = serializers.CharField(allow_null=True)
    description = serializers.CharField()


class PartDeliveryOutput(serializers.Serializer[Any]):
    """The delivery of one shop's part."""

    delivery_id = serializers.UUIDField()
    shop_id = serializers.UUIDField(allow_null=True)
    status = serializers.ChoiceField(choices=DeliveryStatus.choices)
    tracking_token = serializers.CharField(allow_null=True)
    tracking_url = serializers.CharField(allow_null=True)
    eta_seconds = serializers.IntegerField(allow_null=True)
    eta_at = serializers.DateTimeField(allow_null=True)
    distance_m = serializers.FloatField(allow_null=True)
    location = PlaceOutput(allow_null=True)
    delivered_at = serializers.DateTimeField(allow_null=True)


class OrderTrackingOutput(serializers.Serializer[Any]):
    """Where an order is: the first delivery lifted to the top, all of them in `deliveries`."""

    order_id = serializers.UUIDField()
    order_number = serializers.CharField()
    status = serializers.CharField()
    tracking_number = serializers.CharField(allow_null=True)
    estimated_delivery = serializers.DateTimeField()
    history = OrderStepOutput(many=True)
    delivery_status = serializers.ChoiceField(choices=DeliveryStatus.choices, allow_null=True)
    tracking_token = serializers.CharField(allow_null=True)
    tracking_url = serializers.CharField(allow_null=True)
    eta_seconds = serializers.IntegerField(allow_null=True)
    eta_at = serializers.DateTimeField(allow_null=True)
    distance_m = serializers.FloatField(allow_null=True)
    location = PlaceOutput(allow_null=True)
    deliveries = PartDeliveryOutput(many=True)
