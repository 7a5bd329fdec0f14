"""Django's entry for this app."""

from django.apps import AppConfig


class ShopsConfig(AppConfig):
    """Shops, their staff, products with skus and stock; the socket topic `shop:`."""

    name = "shops"

    def ready(self) -> None:
        """Declare the events of this app."""
        from shops import events  # noqa: F401  # entering them in the catalog is the effect
