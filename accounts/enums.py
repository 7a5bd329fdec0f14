"""The closed sets of accounts."""

from django.db import models


class Role(models.TextChoices):
    """What a person may be in the market as a whole; shop and room roles are separate."""

    USER = "user"
    EMPLOYEE = "employee"
    COURIER = "courier"
    ADMIN = "admin"


class MarketSide(models.TextChoices):
    """The side that a user chose, shown as the role on the wire; it gives no right."""

    NONE = ""
    BUYER = "buyer"
    SELLER = "seller"
