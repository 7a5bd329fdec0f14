"""What comes in and goes out about people, for REST and sockets."""

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    extend_schema_field,
    extend_schema_serializer,
)
from rest_framework import serializers

from accounts import formats
from accounts.models import Address, User
from accounts.services.registration import ROLE_WORDS
from accounts.services.sessions import TokenPair
from marketplace.core.clock import wire_time, wire_time_or_none
from marketplace.core.inputs import AnyCaseChoiceField, InputSerializer
from marketplace.core.serializers import page_output

CODE_DIGITS = 6


class FormatField(serializers.CharField):
    """Text with one kept form: `form` gives it, or None for what cannot be brought into it."""

    problem: ClassVar[str]

    def form(self, text: str) -> str | None:
        """The form that is kept."""
        raise NotImplementedError

    def to_internal_value(self, data: Any) -> str:
        """The kept form of the text. Raises DRF's ValidationError."""
        kept = self.form(super().to_internal_value(data))
        if kept is None:
            raise serializers.ValidationError(self.problem)
        return kept


class PhoneNumberField(FormatField):
    """A phone number in any usual spelling."""

    problem = "Enter a phone number with its country code, such as +15550100001."

    def form(self, text: str) -> str | None:
        """E.164."""
        return formats.phone_number(text)


class EmailAddressField(FormatField):
    """An e-mail address."""

    problem = "Enter a valid e-mail address."

    def form(self, text: str) -> str | None:
        """Trimmed, in lower case."""
        return formats.email(text)


class UsernameField(FormatField):
    """A username, kept as typed."""

    problem = "Use 3 to 32 letters, digits, dots, dashes and underscores."

    def form(self, text: str) -> str | None:
        """As typed."""
        return formats.username(text)


@extend_schema_field(OpenApiTypes.STR)
class RoleWordField(AnyCaseChoiceField):
    """A word for a role; which words there are is written once, in the registration."""


class CodeField(serializers.CharField):
    """A one-time code; as a number it has lost its leading zeros and gets them back."""

    def to_internal_value(self, data: Any) -> str:
        """Six digits, or whatever else was typed, which is then a wrong code."""
        return super().to_internal_value(data).zfill(CODE_DIGITS if isinstance(data, int) else 0)


@extend_schema_serializer(
    examples=[
        OpenApiExample("By phone", {"username": "asha", "phone_number": "+15550100001"}),
        OpenApiExample(
            "By e-mail", {"email": "asha@example.com", "password": "Password123!", "name": "Asha"}
        ),
    ]
)
class RegisterInput(InputSerializer):
    """At least a phone number, or an e-mail address and a password."""

    aliases = {"phone_number": ("phone",), "name": ("full_name",)}

    username = UsernameField(required=False, allow_null=True)
    phone_number = PhoneNumberField(required=False, allow_null=True)
    email = EmailAddressField(required=False, allow_null=True)
    password = serializers.CharField(
        required=False, allow_null=True, trim_whitespace=False, write_only=True
    )
    name = serializers.CharField(required=False, allow_null=True, max_length=150)
    role = RoleWordField(
        choices=sorted(ROLE_WORDS),
        required=False,
        help_text="The role that the user chooses: " + ", ".join(sorted(ROLE_WORDS)) + ".",
    )


@extend_schema_serializer(
    examples=[OpenApiExample("A phone", {"phone_number": "+15550100001"})],
)
class PhoneInput(InputSerializer):
    """The phone that a code shall go to."""

    aliases = {"phone_number": ("phone",)}

    phone_number = PhoneNumberField()


@extend_schema_serializer(
    examples=[OpenApiExample("A code", {"phone_number": "+15550100001", "otp": "042917"})],
)
class CodeInput(InputSerializer):
    """The phone and the code that came to it."""

    aliases = {"phone_number": ("phone",), "otp": ("code",)}

    phone_number = PhoneNumberField()
    otp = CodeField(max_length=32)


@extend_schema_serializer(examples=[OpenApiExample("A token", {"refresh_token": "eyJhbGciOi…"})])
class RefreshInput(InputSerializer):
    """The refresh token of the last pair."""

    aliases = {"refresh_token": ("refresh",)}

    refresh_token = serializers.CharField(max_length=8192)


@extend_schema_serializer(
    examples=[OpenApiExample("A new name", {"name": "Asha Rao", "avatar_url": None})]
)
class ProfileInput(InputSerializer):
    """What a user may change about himself; a missing key stays, null clears."""

    username = UsernameField(required=False, allow_null=True)
    name = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=150)
    avatar_url = serializers.URLField(
        required=False, allow_null=True, allow_blank=True, max_length=500
    )


ADDRESS_EXAMPLE = {
    "label": "Home",
    "name": "Asha Rao",
    "line1": "1 Market Street",
    "line2": None,
    "city": "New York",
    "state": "NY",
    "postal_code": "10001",
    "country": "United States",
    "country_code": "US",
    "phone_number": "+15550100001",
    "latitude": 40.7506,
    "longitude": -73.9972,
    "is_default": True,
}


@extend_schema_serializer(examples=[OpenApiExample("Home", ADDRESS_EXAMPLE)])
class AddressInput(InputSerializer):
    """An address; `country_code` follows from a country that is known by its name or letters."""

    aliases = {
        "line1": ("street",),
        "postal_code": ("zip_code", "zip"),
        "phone_number": ("phone",),
    }

    label = serializers.CharField(  # type: ignore[assignment]  # the name of a field of ours
        required=False, allow_null=True, allow_blank=True, max_length=50
    )
    name = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=150)
    line1 = serializers.CharField(max_length=200)
    line2 = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=200)
    city = serializers.CharField(max_length=100)
    state = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=100)
    postal_code = serializers.CharField(max_length=20)
    country = serializers.CharField(max_length=100)
    country_code = serializers.CharField(required=False, allow_null=True, max_length=2)
    phone_number = PhoneNumberField(required=False, allow_null=True)
    latitude = serializers.FloatField(required=False, allow_null=True, min_value=-90, max_value=90)
    longitude = serializers.FloatField(
        required=False, allow_null=True, min_value=-180, max_value=180
    )
    is_default = serializers.BooleanField(required=False)


PUBLIC_USER_EXAMPLE = {
    "id": "019ab0c4-7d10-7cc1-8f6e-0a8d6d3e1b52",
    "username": "asha",
    "name": "Asha Rao",
    "avatar_url": None,
}
USER_EXAMPLE = {
    **PUBLIC_USER_EXAMPLE,
    "email": "asha@example.com",
    "phone_number": "+15550100001",
    "role": "buyer",
    "last_login": "2026-01-10T12:00:00.000Z",
    "is_active": True,
    "is_verified": True,
    "created_at": "2026-01-10T11:58:03.120Z",
    "updated_at": "2026-01-10T12:00:00.000Z",
}


@extend_schema_serializer(examples=[OpenApiExample("Asha", PUBLIC_USER_EXAMPLE)])
class PublicUserOutput(serializers.Serializer[User]):
    """What everybody signed in may know about a user."""

    id = serializers.CharField()
    username = serializers.CharField(allow_null=True)
    name = serializers.CharField(allow_null=True)
    avatar_url = serializers.CharField(allow_null=True)


@extend_schema_serializer(examples=[OpenApiExample("Asha", USER_EXAMPLE)])
class UserOutput(PublicUserOutput):
    """What a user sees of himself."""

    email = serializers.CharField(allow_null=True)
    phone_number = serializers.CharField(allow_null=True)
    role = serializers.CharField()
    last_login = serializers.DateTimeField(allow_null=True)
    is_active = serializers.BooleanField()
    is_verified = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class AddressOutput(serializers.Serializer[Address]):
    """An address of the caller."""

    id = serializers.UUIDField()
    label = serializers.CharField(  # type: ignore[assignment]  # the name of a field of ours
        allow_null=True
    )
    name = serializers.CharField(allow_null=True)
    line1 = serializers.CharField()
    line2 = serializers.CharField(allow_null=True)
    city = serializers.CharField()
    state = serializers.CharField(allow_null=True)
    postal_code = serializers.CharField()
    country = serializers.CharField()
    country_code = serializers.CharField(allow_null=True)
    phone_number = serializers.CharField(allow_null=True)
    latitude = serializers.FloatField(allow_null=True)
    longitude = serializers.FloatField(allow_null=True)
    is_default = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


AddressPageOutput = page_output(AddressOutput, "A page of addresses.")


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A pair",
            {
                "user": USER_EXAMPLE,
                "access_token": "eyJhbGciOi…",
                "refresh_token": "eyJhbGciOi…",
                "token_type": "bearer",
                "expires_in": 3600,
            },
        )
    ]
)
class TokenPairOutput(serializers.Serializer[TokenPair]):
    """What a sign-in gives; `expires_in` are the seconds of the access token."""

    user = UserOutput()
    access_token = serializers.CharField()
    refresh_token = serializers.CharField(allow_null=True)
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField()


@extend_schema_serializer(examples=[OpenApiExample("Registered", {"user": USER_EXAMPLE})])
class UserAloneOutput(serializers.Serializer[User]):
    """A user without tokens: they come with the code."""

    user = UserOutput()


@extend_schema_serializer(examples=[OpenApiExample("Sent", {"message": "OTP sent"})])
class DoneOutput(serializers.Serializer[Any]):
    """One answer for every phone."""

    message = serializers.CharField()


def public_user_to_wire(user: User) -> dict[str, Any]:
    """PublicUser of the contract: no dates, nothing private."""
    return {
        "id": user.public_id,
        "username": user.username,
        "name": user.name or None,
        "avatar_url": user.avatar_url or None,
    }


def user_to_wire(user: User) -> dict[str, Any]:
    """User of the contract, for himself and for admins."""
    return {
        **public_user_to_wire(user),
        "email": user.email,
        "phone_number": user.phone_number,
        "role": user.wire_role,
        "last_login": wire_time_or_none(user.last_login),
        "is_active": user.is_active,
        "is_verified": user.is_verified,
        "created_at": wire_time(user.created_at),
        "updated_at": wire_time(user.updated_at),
    }


def address_to_wire(address: Address, *, default_id: UUID | None) -> dict[str, Any]:
    """Address of the contract. default_id: that of its user's default address."""
    optional = ("label", "name", "line2", "state", "country_code", "phone_number")
    return {
        "id": str(address.id),
        **{name: getattr(address, name) for name in ("line1", "city", "postal_code", "country")},
        **{name: getattr(address, name) or None for name in optional},
        "latitude": address.latitude,
        "longitude": address.longitude,
        "is_default": address.id == default_id,
        "created_at": wire_time(address.created_at),
        "updated_at": wire_time(address.updated_at),
    }


def token_pair_to_wire(pair: TokenPair) -> dict[str, Any]:
    """The answer of a canonical sign-in."""
    return {
        "user": user_to_wire(pair.user),
        "access_token": pair.access_token,
        "refresh_token": pair.refresh_token,
        "token_type": "bearer",
        "expires_in": pair.expires_in,
    }
