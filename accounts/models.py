"""People and the ways in which they prove who they are."""

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models

from accounts.enums import CodePurpose, EndReason, Issuer, MarketSide, Role
from marketplace.core.ids import uuid7
from marketplace.core.models import BaseModel


class UserManager(BaseUserManager["User"]):
    """Finds a user by what Django's sign-in form takes."""

    def get_by_natural_key(self, username: str | None) -> "User":
        """The user with this e-mail address, compared without case."""
        return self.get(email=(username or "").strip().lower())


def new_public_id() -> str:
    """The id of a user made here: a UUIDv7 as text."""
    return str(uuid7())


class User(BaseModel, AbstractBaseUser, PermissionsMixin):
    """One person, whatever way he came in by. `public_id` is his id for the outside, everywhere."""

    public_id = models.CharField(max_length=128, unique=True, default=new_public_id)
    username = models.CharField(max_length=32, null=True, blank=True)
    username_key = models.CharField(max_length=32, null=True, unique=True, editable=False)
    email = models.CharField(max_length=254, null=True, blank=True, unique=True)
    phone_number = models.CharField(max_length=16, null=True, blank=True, unique=True)
    name = models.CharField(max_length=150, blank=True, default="")
    avatar_url = models.CharField(max_length=500, blank=True, default="")
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.USER)
    side = models.CharField(
        max_length=8, choices=MarketSide.choices, default=MarketSide.NONE, blank=True
    )
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    email_verified_at = models.DateTimeField(null=True, blank=True)
    phone_verified_at = models.DateTimeField(null=True, blank=True)
    # One column of the user, not a flag of each address: so there are never two defaults.
    default_address_id = models.UUIDField(null=True, blank=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects = UserManager()

    def __str__(self) -> str:
        return self.username or self.name or self.public_id

    def save(self, *args: object, **kwargs: object) -> None:
        """Store the user; usernames are unique without case by a column of their own."""
        self.username_key = self.username.lower() if self.username else None
        fields = kwargs.get("update_fields")
        if fields is not None and "username" in fields:  # type: ignore[operator]  # names
            kwargs["update_fields"] = {*fields, "username_key"}  # type: ignore[misc]  # names
        super().save(*args, **kwargs)

    def get_full_name(self) -> str:
        """What pages of staff call him: never empty."""
        return self.name or self.username or self.email or self.phone_number or self.public_id

    @property
    def topic(self) -> str:
        """The topic that only this user may join."""
        return f"user:{self.public_id}"

    @property
    def wire_role(self) -> str:
        """The role as every wire and token shows it: a plain user by the side that he chose."""
        return self.side or self.role if self.role == Role.USER else self.role

    @property
    def is_verified(self) -> bool:
        """Whether he has proven his e-mail address or his phone number."""
        return self.email_verified_at is not None or self.phone_verified_at is not None


class Address(BaseModel):
    """A place that a user has things sent to."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="addresses")
    label = models.CharField(max_length=50, blank=True, default="")
    name = models.CharField(max_length=150, blank=True, default="")
    line1 = models.CharField(max_length=200)
    line2 = models.CharField(max_length=200, blank=True, default="")
    city = models.CharField(max_length=100)
    state = models.CharField(max_length=100, blank=True, default="")
    postal_code = models.CharField(max_length=20)
    country = models.CharField(max_length=100)
    # ISO 3166-1 alpha-2 of `country`, where that could be told: taxes and shipping go by it.
    country_code = models.CharField(max_length=2, blank=True, default="")
    phone_number = models.CharField(max_length=16, blank=True, default="")
    latitude = models.FloatField(null=True, blank=True)
    longitude = models.FloatField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "addresses"

    def __str__(self) -> str:
        return ", ".join(part for part in (self.line1, self.city, self.country) if part)


class AuthSession(BaseModel):
    """One sign-in; the tokens that came of it die with it. Its refresh tokens are one family."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    issuer = models.CharField(max_length=32, choices=Issuer.choices)
    access_ttl_s = models.IntegerField()
    address = models.CharField(max_length=64, blank=True, default="")
    user_agent = models.CharField(max_length=200, blank=True, default="")
    last_used_at = models.DateTimeField()
    # From here on no token of this session can be good, so that the row may be cleaned up.
    expires_at = models.DateTimeField(db_index=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=32, choices=EndReason.choices, blank=True, default="")

    class Meta:
        indexes = [models.Index(fields=["user", "ended_at"], name="session_user_ended")]

    def __str__(self) -> str:
        return f"session {self.id}"


class RefreshToken(BaseModel):
    """One refresh token, good once. The token itself is not kept: it is signed from this row."""

    session = models.ForeignKey(
        AuthSession, on_delete=models.CASCADE, related_name="refresh_tokens"
    )
    jti = models.CharField(max_length=32, unique=True)
    # The access token that went out with it, so that the same pair can be signed once more.
    access_jti = models.CharField(max_length=32)
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True, blank=True)
    successor_jti = models.CharField(max_length=32, blank=True, default="")

    def __str__(self) -> str:
        return f"refresh token of {self.session_id}"


class OtpChallenge(BaseModel):
    """One code that was asked for. The code is not here: it follows from `id` and `OTP_KEY`.

    A phone that belongs to nobody gets its row too (`user` empty), so that it is limited and
    answered like any other; only the SMS is left out.
    """

    phone_number = models.CharField(max_length=16)
    purpose = models.CharField(max_length=16, choices=CodePurpose.choices)
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, blank=True)
    attempts_left = models.IntegerField()
    expires_at = models.DateTimeField(db_index=True)
    consumed_at = models.DateTimeField(null=True, blank=True)
    replaced_at = models.DateTimeField(null=True, blank=True)
    # Over a limit that is not told: counted and answered like any other, and not sent.
    withheld = models.BooleanField(default=False)
    # Registration sends its code unasked, so the next one need not be waited for.
    starts_wait = models.BooleanField(default=True)
    prefix = models.CharField(max_length=16)
    address = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        indexes = [
            models.Index(fields=["phone_number", "-created_at"], name="challenge_phone"),
            models.Index(fields=["prefix", "created_at"], name="challenge_prefix"),
            models.Index(fields=["address", "created_at"], name="challenge_address"),
            models.Index(fields=["created_at"], name="challenge_created"),
        ]

    def __str__(self) -> str:
        return f"challenge {self.id}"


class OtpCheck(BaseModel):
    """One try at a code, for the limits by address; failed until it is proven right."""

    address = models.CharField(max_length=64, blank=True, default="")
    phone_number = models.CharField(max_length=16)
    failed = models.BooleanField(default=True)

    class Meta:
        indexes = [
            models.Index(fields=["address", "created_at"], name="check_address"),
            models.Index(fields=["created_at"], name="check_created"),
        ]

    def __str__(self) -> str:
        return f"check {self.id}"


class PasswordTry(BaseModel):
    """One try at a password, for the limits; failed until it is proven right.

    `identity` is a digest: what strangers type into the form is kept by nobody.
    """

    identity = models.CharField(max_length=32)
    address = models.CharField(max_length=64, blank=True, default="")
    failed = models.BooleanField(default=True)

    class Meta:
        verbose_name_plural = "password tries"
        indexes = [
            models.Index(fields=["identity", "created_at"], name="password_try_identity"),
            models.Index(fields=["address", "created_at"], name="password_try_address"),
            models.Index(fields=["created_at"], name="password_try_created"),
        ]

    def __str__(self) -> str:
        return f"password try {self.id}"


class Guard(BaseModel):
    """The row that everything which counts for one phone, address or identity must pass through.

    Its update puts concurrent requests in a line, so that counting rows and adding one is safe on
    every database. For a phone it also holds the failed checks in a row.
    """

    key = models.CharField(max_length=96, unique=True)
    failures = models.IntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["updated_at"], name="guard_updated")]

    def __str__(self) -> str:
        return f"guard {self.id}"
