"""Django's entry for this app."""

from django.apps import AppConfig


class DeliveryConfig(AppConfig):
    """Deliveries, couriers, positions, links that show the way; the socket topic `delivery:`."""

    name = "delivery"

    def ready(self) -> None:
        """Declare events and subscribers."""
        from delivery import events, subscribers  # noqa: F401  # entering themselves is the effect
