"""Fields that several shapes of delivery have."""

from typing import Any

from rest_framework import serializers

ID_CHARACTERS = 128
LATITUDE, LONGITUDE = 90.0, 180.0


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
