"""People and the ways in which they prove who they are."""

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models

from accounts.enums import MarketSide, Role
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

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: list[str] = []

    objects = UserManager()

    def __str__(self) -> str:
        return self.username or self.name or self.public_id

    def save(self, *args: object, **kwargs: object) -> None:
        """Store the user; usernames are unique without case by a column of their own."""
        self.username_key = self.username.lower() if self.username else None
        super().save(*args, **kwargs)
