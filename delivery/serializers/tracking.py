"""What is told of a delivery by its link, and of an order on its way."""

from typing import Any

from rest_framework import serializers

from delivery.enums import DeliveryStatus


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
