"""Deliveries, the positions of those who carry them, couriers and what they are offered."""

from django.conf import settings
from django.db import models

from delivery.enums import DeliveryStatus, Duty, OfferStatus, ProofKind, Rejection
from delivery.geo import Point
from marketplace.core.models import BaseModel

TEXT_CHARACTERS = 500
REASON_CHARACTERS = 200
NAME_CHARACTERS = 150


class Delivery(BaseModel):
    """Something on its way to somebody. Its topic in the log is `delivery:<id>`."""

    # Orders keep a plain id of their delivery, and deliveries of their order.
    order_id = models.UUIDField(null=True, blank=True)
    shop = models.ForeignKey(
        "shops.Shop",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    courier = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )
    status = models.CharField(
        max_length=16, choices=DeliveryStatus.choices, default=DeliveryStatus.PENDING
    )
    # Failed ones.
    attempts = models.IntegerField(default=0)
    destination_latitude = models.FloatField(null=True, blank=True)
    destination_longitude = models.FloatField(null=True, blank=True)
    destination_text = models.CharField(max_length=TEXT_CHARACTERS, blank=True, default="")
    # Of the tracking token; the token itself follows from the id and this number.
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    token_number = models.IntegerField(default=1)
    # One delivery per part of an order by shop; null without an order, and once it is cancelled.
    part_key = models.CharField(max_length=80, null=True, unique=True, editable=False)
    # Who made it under which key of his, so that one wish is one delivery.
    wish_key = models.CharField(max_length=64, null=True, unique=True, editable=False)
    # As the shop asked when it was made.
    proof_kind = models.CharField(
        max_length=8, choices=ProofKind.choices, default=ProofKind.NONE, editable=False
    )
    photo_url = models.CharField(max_length=500, blank=True, default="")
    pin_ok = models.BooleanField(default=False)
    pin_failures = models.IntegerField(default=0)
    signed_by = models.CharField(max_length=NAME_CHARACTERS, blank=True, default="")
    assigned_at = models.DateTimeField(null=True, blank=True)
    # The first departure, and that of this attempt.
    started_at = models.DateTimeField(null=True, blank=True)
    attempt_at = models.DateTimeField(null=True, blank=True)
    # When `nearby` was told in this attempt: at most once.
    nearby_at = models.DateTimeField(null=True, blank=True)
    arrived_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    # Delivered or cancelled.
    ended_at = models.DateTimeField(null=True, blank=True)
    # Rises with every batch of positions: who moves it has the trail to himself until the commit,
    # and who finds it where he left it knows that nobody else has added to it.
    fixes_version = models.BigIntegerField(default=0)
    rating = models.IntegerField(null=True, blank=True)
    rating_comment = models.CharField(max_length=TEXT_CHARACTERS, blank=True, default="")
    rated_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(fields=["customer", "id"], name="delivery_customer"),
            models.Index(fields=["courier", "id"], name="delivery_carrier"),
            models.Index(fields=["shop", "id"], name="delivery_shop"),
            models.Index(fields=["order_id", "id"], name="delivery_order"),
            models.Index(fields=["status", "id"], name="delivery_status"),
        ]

    def __str__(self) -> str:
        return f"{self.status} delivery {self.id}"

    @property
    def topic(self) -> str:
        """Its address in the log."""
        return f"delivery:{self.id}"

    @property
    def destination(self) -> Point | None:
        """Where it goes, where that is known as a point."""
        if self.destination_latitude is None or self.destination_longitude is None:
            return None
        return (self.destination_latitude, self.destination_longitude)

    @property
    def has_proof(self) -> bool:
        """Whether what the shop asks for is there."""
        return {
            ProofKind.NONE: True,
            ProofKind.PHOTO: bool(self.photo_url),
            ProofKind.PIN: self.pin_ok,
        }[ProofKind(self.proof_kind)]


class Location(BaseModel):
    """One position that a courier sent; kept whatever is wrong with it."""

    # Each index is paid for by every position. The delivery was found when it was stored, so the
    # database need not look for it again.
    delivery = models.ForeignKey(
        Delivery,
        on_delete=models.CASCADE,
        related_name="locations",
        db_index=False,
        db_constraint=False,
    )
    latitude = models.FloatField()
    longitude = models.FloatField()
    accuracy = models.FloatField(null=True, blank=True)
    speed_mps = models.FloatField(null=True, blank=True)
    heading = models.FloatField(null=True, blank=True)
    recorded_at = models.DateTimeField()
    rejected = models.CharField(max_length=16, choices=Rejection.choices, blank=True, default="")
    # It came when a later good one was known already.
    late = models.BooleanField(default=False)

    class Meta:
        indexes = [models.Index(fields=["delivery", "recorded_at", "id"], name="location_trail")]

    def __str__(self) -> str:
        return f"{self.latitude:.5f}, {self.longitude:.5f}"


class Courier(BaseModel):
    """How a courier works: on duty or not, how many deliveries at a time, where he is.

    His position is known on duty alone.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="courier"
    )
    duty = models.CharField(max_length=4, choices=Duty.choices, default=Duty.OFF)
    capacity = models.IntegerField(default=1)
    # His deliveries under way and open offers: moved by conditional updates alone.
    load = models.IntegerField(default=0)
    latitude = models.FloatField(null=True, blank=True)
    longitude = models.FloatField(null=True, blank=True)
    positioned_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["duty", "id"], name="courier_duty")]
        constraints = [
            # MongoDB does not enforce it; the conditions of the updates do, everywhere.
            models.CheckConstraint(condition=models.Q(load__gte=0), name="courier_load")
        ]

    def __str__(self) -> str:
        return f"courier {self.user_id}"

    @property
    def position(self) -> Point | None:
        """Where he is, if he has said so."""
        if self.latitude is None or self.longitude is None:
            return None
        return (self.latitude, self.longitude)


class Offer(BaseModel):
    """A delivery that a courier may take until `expires_at`."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="offers")
    courier = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    status = models.CharField(max_length=16, choices=OfferStatus.choices, default=OfferStatus.OPEN)
    distance_m = models.FloatField(null=True, blank=True)
    expires_at = models.DateTimeField()
    # The delivery's id while the offer is open, so that there is one at a time.
    open_key = models.CharField(max_length=36, null=True, unique=True, editable=False)

    class Meta:
        indexes = [models.Index(fields=["courier", "status", "id"], name="offer_courier")]

    def __str__(self) -> str:
        return f"{self.status} offer of {self.delivery_id}"


class ShopRules(BaseModel):
    """What a shop asks of its deliveries; without a row it asks for no proof."""

    shop = models.OneToOneField("shops.Shop", on_delete=models.CASCADE, related_name="+")
    proof_kind = models.CharField(max_length=8, choices=ProofKind.choices, default=ProofKind.NONE)

    class Meta:
        verbose_name_plural = "shop rules"

    def __str__(self) -> str:
        return f"{self.shop_id}: {self.proof_kind}"
