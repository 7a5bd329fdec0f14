"""What comes in and goes out of delivery, for REST and sockets: a module per noun."""

from delivery.serializers.couriers import (
    CourierInput,
    CourierOutput,
    CourierPageOutput,
    CourierQueryInput,
    PositionInput,
)
from delivery.serializers.deliveries import (
    AssignInput,
    AttemptInput,
    CreateDeliveryInput,
    DeliveryOutput,
    DeliveryPageOutput,
    DeliveryQueryInput,
    DeliveryRatingInput,
    EtaOutput,
    MoveDeliveryInput,
    ProofInput,
    ProofPartsInput,
    ProofUploadInput,
    new_delivery,
    new_proof,
)
from delivery.serializers.positions import (
    FixesInput,
    FixesOutput,
    LocationPageOutput,
    LocationQueryInput,
    answer_fixes,
    read_fixes,
)
from delivery.serializers.tracking import (
    OrderTrackingOutput,
    TrackOutput,
)

__all__ = [
    "AssignInput",
    "AttemptInput",
    "CourierInput",
    "CourierOutput",
    "CourierPageOutput",
    "CourierQueryInput",
    "CreateDeliveryInput",
    "DeliveryOutput",
    "DeliveryPageOutput",
    "DeliveryQueryInput",
    "DeliveryRatingInput",
    "EtaOutput",
    "FixesInput",
    "FixesOutput",
    "LocationPageOutput",
    "LocationQueryInput",
    "MoveDeliveryInput",
    "OrderTrackingOutput",
    "PositionInput",
    "ProofInput",
    "ProofPartsInput",
    "ProofUploadInput",
    "TrackOutput",
    "answer_fixes",
    "new_delivery",
    "new_proof",
    "read_fixes",
]
