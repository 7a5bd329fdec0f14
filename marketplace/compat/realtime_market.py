"""Realtime Market's REST routes (RM1-RM4), in its words; every rule is in accounts.

RM5 (health) is in `core`.
"""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import formats, selectors
from accounts.enums import Issuer
from accounts.errors import UsernameTaken
from accounts.models import User
from accounts.serializers import CodeInput, PhoneInput, RegisterInput
from accounts.services import otp, registration
from accounts.views import applicant_of, client_of
from marketplace.core.clock import wire_time
from marketplace.core.errors import ValidationFailed
from marketplace.core.http import ApiView

REGISTERED = "User registered. Verify with OTP."
USER_EXAMPLE = {
    "id": "019ab0c4-7d10-7cc1-8f6e-0a8d6d3e1b52",
    "username": "asha",
    "phone_number": "+15550100001",
}


class RegisteredUserOutput(serializers.Serializer[User]):
    """A user as Realtime Market shows him after registration."""

    id = serializers.CharField()
    username = serializers.CharField(allow_null=True)
    phone_number = serializers.CharField(allow_null=True)


class SignedInUserOutput(RegisteredUserOutput):
    """A user as Realtime Market shows him after sign-in."""

    created_at = serializers.DateTimeField()


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Registered",
            {
                "success": True,
                "message": REGISTERED,
                "user_id": USER_EXAMPLE["id"],
                "otp": None,
                "user": USER_EXAMPLE,
            },
        )
    ]
)
class RegisteredOutput(serializers.Serializer[Any]):
    """RM1; `otp` is always null, the code comes by SMS alone."""

    success = serializers.BooleanField()
    message = serializers.CharField()
    user_id = serializers.CharField()
    otp = serializers.CharField(allow_null=True)
    user = RegisteredUserOutput()


@extend_schema_serializer(
    examples=[OpenApiExample("Sent", {"success": True, "message": "OTP sent"})]
)
class CodeSentOutput(serializers.Serializer[Any]):
    """RM2."""

    success = serializers.BooleanField()
    message = serializers.CharField()


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Signed in",
            {
                "success": True,
                "token": "eyJhbGciOi…",
                "user": {**USER_EXAMPLE, "created_at": "2026-01-10T12:00:00.000Z"},
            },
        )
    ]
)
class SignedInOutput(serializers.Serializer[Any]):
    """RM3; the token lives for a day."""

    success = serializers.BooleanField()
    token = serializers.CharField()
    user = SignedInUserOutput()


@extend_schema_serializer(examples=[OpenApiExample("Free", {"available": True})])
class UsernameAvailableOutput(serializers.Serializer[Any]):
    """RM4."""

    available = serializers.BooleanField()


class RealtimeMarketView(ApiView):
    """A route of Realtime Market: its wrapper, no identity, answers that may hold tokens."""

    dialect = "rm"
    identity = "none"
    idempotent: ClassVar[bool] = False


class RegisterView(RealtimeMarketView):
    """RM1 `POST /api/auth/register`."""

    idempotent: ClassVar[bool] = True
    bucket = "signup"
    also_answers: ClassVar[Collection[int]] = (403,)
    error_texts: ClassVar[Mapping[str, str]] = {
        "username_taken": "User already exists",
        "phone_number_taken": "User already exists",
        "email_taken": "User already exists",
    }

    @extend_schema(
        operation_id="rm_register",
        tags=["Realtime Market"],
        summary="Register",
        request=RegisterInput,
        responses={201: RegisteredOutput},
    )
    def post(self, request: Request) -> Response:
        """Make a user and send the first code."""
        user = registration.register(
            applicant=applicant_of(self.read(RegisterInput)), address=client_of(request)["address"]
        )
        body = {
            "success": True,
            "message": REGISTERED,
            "user_id": user.public_id,
            "otp": None,
            "user": _user(user),
        }
        return Response(body, status=201)


class RequestCodeView(RealtimeMarketView):
    """RM2 `POST /api/auth/request-otp`."""

    idempotent: ClassVar[bool] = True

    @extend_schema(
        operation_id="rm_request_otp",
        tags=["Realtime Market"],
        summary="Ask for a code",
        request=PhoneInput,
        responses={200: CodeSentOutput},
    )
    def post(self, request: Request) -> Response:
        """One answer for every phone."""
        otp.request_code(
            phone_number=self.read(PhoneInput)["phone_number"],
            address=client_of(request)["address"],
        )
        return Response({"success": True, "message": "OTP sent"})


class VerifyCodeView(RealtimeMarketView):
    """RM3 `POST /api/auth/verify-otp`."""

    also_answers: ClassVar[Collection[int]] = (401,)

    @extend_schema(
        operation_id="rm_verify_otp",
        tags=["Realtime Market"],
        summary="Sign in with a code",
        request=CodeInput,
        responses={200: SignedInOutput},
    )
    def post(self, request: Request) -> Response:
        """Trade the code for a token of a day."""
        values = self.read(CodeInput)
        pair = otp.sign_in_with_code(
            phone_number=values["phone_number"],
            code=values["otp"],
            issuer=Issuer.REALTIME_MARKET,
            **client_of(request),
        )
        user = {**_user(pair.user), "created_at": wire_time(pair.user.created_at)}
        return Response({"success": True, "token": pair.access_token, "user": user})


class CheckUsernameView(RealtimeMarketView):
    """RM4 `GET /api/auth/check-username/:username`."""

    bucket = "lookup"
    also_answers: ClassVar[Collection[int]] = (400, 409)
    error_texts: ClassVar[Mapping[str, str]] = {"username_taken": "Username already taken"}

    @extend_schema(
        operation_id="rm_check_username",
        tags=["Realtime Market"],
        summary="Is this username free",
        responses={200: UsernameAvailableOutput},
    )
    def get(self, request: Request, username: str) -> Response:
        """Free, or 409. Raises ValidationFailed for what can be no username."""
        if formats.username(username) is None:
            raise ValidationFailed.for_fields({"username": ["This is not a valid username."]})
        if selectors.is_username_taken(username):
            raise UsernameTaken
        return Response({"available": True})


def _user(user: User) -> dict[str, Any]:
    return {
        "id": user.public_id,
        "username": user.username,
        "phone_number": user.phone_number,
    }


urlpatterns = [
    path("auth/register", RegisterView.as_view()),
    path("auth/request-otp", RequestCodeView.as_view()),
    path("auth/verify-otp", VerifyCodeView.as_view()),
    path("auth/check-username/<str:username>", CheckUsernameView.as_view()),
]
