"""Deliveries: how they are made, moved, proven and rated, and what is told of them."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from delivery.enums import DeliveryStatus, ProofKind
from delivery.models import NAME_CHARACTERS, REASON_CHARACTERS, TEXT_CHARACTERS
from delivery.serializers.fields import (
    ID_CHARACTERS,
    latitude_field,
    longitude_field,
    optional_text,
)
from delivery.serializers.positions import EXAMPLE_LOCATION, LocationOutput
from delivery.services.creating import Destination, NewDelivery
from delivery.services.proofs import Proof
from marketplace.core.inputs import AnyCaseChoiceField, InputSerializer
from marketplace.core.serializers import page_output

URL_CHARACTERS = 500
PIN_CHARACTERS = 16


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


@extend_schema_serializer(examples=[OpenApiExample("By PIN", {"proof_kind": "pin"})])
class ShopRulesInput(InputSerializer):
    """What a shop asks for at the door."""

    proof_kind = AnyCaseChoiceField(choices=ProofKind.choices)


class ShopRulesOutput(serializers.Serializer[Any]):
    """What a shop asks for at the door."""

    proof_kind = serializers.ChoiceField(choices=ProofKind.choices)


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


EXAMPLE_ETA = {
    "eta_seconds": 420,
    "eta_at": "2026-01-10T12:07:00.000Z",
    "low_seconds": 315,
    "high_seconds": 525,
    "distance_m": 1938.5,
    "speed_mps": 6.0,
    "reason": None,
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
