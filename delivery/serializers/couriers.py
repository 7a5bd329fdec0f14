"""Couriers: how they work, where they are asked for, what is told of them."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from accounts.serializers import PublicUserOutput
from delivery.enums import Duty
from delivery.serializers.fields import ID_CHARACTERS, latitude_field, longitude_field
from marketplace.core.inputs import AnyCaseChoiceField, InputSerializer
from marketplace.core.serializers import page_output


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
