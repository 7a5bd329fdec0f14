"""Django's entry for this app."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    """Orders, their parts by shop, payments, reservations; the socket topic `order:`."""

    name = "orders"

    def ready(self) -> None:
        """Declare the events of this app."""
        from orders import events  # noqa: F401  # entering them in the catalog is the effect
