"""Canonical routes of people: sign up, sign in by code, tokens, profiles."""

from collections.abc import Collection
from typing import Any, ClassVar

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access, selectors, serializers
from accounts.authentication import actor_of
from accounts.enums import Issuer
from accounts.models import Address, User
from accounts.serializers import (
    AddressInput,
    AddressOutput,
    AddressPageOutput,
    CodeInput,
    DoneOutput,
    PhoneInput,
    ProfileInput,
    PublicUserOutput,
    RefreshInput,
    RegisterInput,
    TokenPairOutput,
    UserAloneOutput,
    UserOutput,
)
from accounts.services import addresses, otp, profiles, registration, sessions
from accounts.services.registration import Applicant
from accounts.services.tokens import Claims
from marketplace.core import limits
from marketplace.core.errors import Unauthorized
from marketplace.core.http import ApiView, BaseViewSet
from marketplace.core.pagination import cursor_page
from marketplace.core.rendering import plain_request
from marketplace.core.schema import PAGE


def client_of(request: Request) -> dict[str, str]:
    """Address and user agent, as services that start sessions take them."""
    return {
        "address": limits.request_address(plain_request(request)),
        "user_agent": request.headers.get("User-Agent", ""),
    }


def applicant_of(values: dict[str, Any]) -> Applicant:
    """The applicant of a valid `RegisterInput`."""
    given = {name: value for name, value in values.items() if value is not None}
    return Applicant(**given)


class PublicAuthView(ApiView):
    """A route that comes before identity; its answer may hold tokens, so it is not replayed."""

    identity = "none"
    idempotent: ClassVar[bool] = False


class RegisterView(PublicAuthView):
    """`POST /auth/register`."""

    bucket = "signup"
    also_answers: ClassVar[Collection[int]] = (403,)

    @extend_schema(
        operation_id="auth_register",
        tags=["auth"],
        summary="Register",
        description="By phone alone the first code is sent and the answer is `{user}`; with a "
        "password the answer also holds tokens.",
        request=RegisterInput,
        responses={
            201: PolymorphicProxySerializer(
                component_name="RegisterOutput",
                serializers=[TokenPairOutput, UserAloneOutput],
                resource_type_field_name=None,
            )
        },
    )
    def post(self, request: Request) -> Response:
        """Make a user; with a password he is signed in at once."""
        values = self.read(RegisterInput)
        client = client_of(request)
        user = registration.register(applicant=applicant_of(values), address=client["address"])
        if not values.get("password"):
            return Response({"user": serializers.user_to_wire(user)}, status=201)
        pair = sessions.start_session(user=user, issuer=Issuer.MARKETPLACE, **client)
        return Response(serializers.token_pair_to_wire(pair), status=201)


class RequestCodeView(PublicAuthView):
    """`POST /auth/otp/request`."""

    idempotent: ClassVar[bool] = True

    @extend_schema(
        operation_id="auth_otp_request",
        tags=["auth"],
        summary="Ask for a code by SMS",
        description="One answer for every phone, known or not.",
        request=PhoneInput,
        responses={200: DoneOutput},
    )
    def post(self, request: Request) -> Response:
        """Send a code, if the phone belongs to somebody."""
        values = self.read(PhoneInput)
        otp.request_code(phone_number=values["phone_number"], address=client_of(request)["address"])
        return Response({"message": "OTP sent"})


class VerifyCodeView(PublicAuthView):
    """`POST /auth/otp/verify`."""

    also_answers: ClassVar[Collection[int]] = (401,)

    @extend_schema(
        operation_id="auth_otp_verify",
        tags=["auth"],
        summary="Sign in with a code",
        request=CodeInput,
        responses={200: TokenPairOutput},
    )
    def post(self, request: Request) -> Response:
        """Trade the code for tokens."""
        values = self.read(CodeInput)
        pair = otp.sign_in_with_code(
            phone_number=values["phone_number"],
            code=values["otp"],
            issuer=Issuer.MARKETPLACE,
            **client_of(request),
        )
        return Response(serializers.token_pair_to_wire(pair))


class RefreshView(PublicAuthView):
    """`POST /auth/refresh`; its bucket counts per session, in the service."""

    bucket = None
    also_answers: ClassVar[Collection[int]] = (401, 429)

    @extend_schema(
        operation_id="auth_refresh",
        tags=["auth"],
        summary="Trade a refresh token for a new pair",
        description="A refresh token is good once; the same one within some seconds gives the same "
        "pair again, later it ends the session.",
        request=RefreshInput,
        responses={200: TokenPairOutput},
    )
    def post(self, request: Request) -> Response:
        """Rotate."""
        pair = sessions.refresh(token=self.read(RefreshInput)["refresh_token"])
        return Response(serializers.token_pair_to_wire(pair))


class LogoutView(ApiView):
    """`POST /auth/logout`."""

    @extend_schema(
        operation_id="auth_logout",
        tags=["auth"],
        summary="End this session",
        description="All its tokens are refused and its sockets closed from now on.",
        request=None,
        responses={200: DoneOutput},
    )
    def post(self, request: Request) -> Response:
        """End the session of the token."""
        claims = request.auth
        if not isinstance(claims, Claims) or claims.session_id is None:
            raise Unauthorized
        sessions.end_session(session_id=claims.session_id)
        return Response({"message": "Signed out"})


class WhoAmIView(ApiView):
    """`GET /auth/me`."""

    @extend_schema(
        operation_id="auth_me", tags=["auth"], summary="Who am I", responses={200: UserOutput}
    )
    def get(self, request: Request) -> Response:
        """The user behind the token."""
        return Response(serializers.user_to_wire(actor_of(request)))


class ProfileView(ApiView):
    """`GET, PATCH /users/me`; PUT is the same as PATCH."""

    @extend_schema(
        operation_id="users_me", tags=["users"], summary="My profile", responses={200: UserOutput}
    )
    def get(self, request: Request) -> Response:
        """The user behind the token."""
        return Response(serializers.user_to_wire(actor_of(request)))

    @extend_schema(
        operation_id="users_me_update",
        tags=["users"],
        summary="Change my profile",
        request=ProfileInput,
        responses={200: UserOutput},
    )
    def patch(self, request: Request) -> Response:
        """Change what is named."""
        changes = self.read(ProfileInput, partial=True)
        user = profiles.update_profile(actor=actor_of(request), changes=changes)
        return Response(serializers.user_to_wire(user))

    @extend_schema(
        operation_id="users_me_replace",
        tags=["users"],
        summary="Change my profile",
        request=ProfileInput,
        responses={200: UserOutput},
    )
    def put(self, request: Request) -> Response:
        """Change what is named."""
        return self.patch(request)


class UserView(ApiView):
    """`GET /users/{id}`."""

    @extend_schema(
        operation_id="users_retrieve",
        tags=["users"],
        summary="A user's public face",
        responses={200: PublicUserOutput},
    )
    def get(self, request: Request, user_id: str) -> Response:
        """The user with this id."""
        user = access.user_to_read(actor=actor_of(request), public_id=user_id)
        return Response(serializers.public_user_to_wire(user))


class AddressViewSet(BaseViewSet):
    """The address book of the caller."""

    @extend_schema(
        operation_id="addresses_list", tags=["users"], summary="My addresses, newest first",
        parameters=PAGE, responses={200: AddressPageOutput},
    )  # fmt: skip
    def list(self, request: Request) -> Response:
        """A page of the caller's addresses."""
        actor = actor_of(request)
        return Response(
            cursor_page(
                selectors.addresses_of(actor),
                request=request,
                order=("-id",),
                to_wire=lambda address: _address_to_wire(actor, address),
            )
        )

    @extend_schema(
        operation_id="addresses_create", tags=["users"], summary="Add an address",
        description="The first one is the default, and so is a later one with `is_default`.",
        request=AddressInput, responses={201: AddressOutput},
    )  # fmt: skip
    def create(self, request: Request) -> Response:
        """Keep another address."""
        actor = actor_of(request)
        address = addresses.add_address(actor=actor, fields=self.read(AddressInput))
        return Response(_address_to_wire(actor, address), status=201)

    @extend_schema(
        operation_id="addresses_update", tags=["users"], summary="Change an address",
        description="A missing key stays, null clears.",
        request=AddressInput, responses={200: AddressOutput},
    )  # fmt: skip
    def partial_update(self, request: Request, address_id: str) -> Response:
        """Change what is named."""
        actor = actor_of(request)
        changes = self.read(AddressInput, partial=True)
        address = addresses.change_address(actor=actor, key=address_id, changes=changes)
        return Response(_address_to_wire(actor, address))

    @extend_schema(
        operation_id="addresses_delete", tags=["users"], summary="Delete an address",
        description="After the default the newest of the others is the default.",
        responses={204: None},
    )  # fmt: skip
    def destroy(self, request: Request, address_id: str) -> Response:
        """Forget it."""
        addresses.remove_address(actor=actor_of(request), key=address_id)
        return Response(status=204)


def _address_to_wire(actor: User, address: Address) -> dict[str, Any]:
    return serializers.address_to_wire(address, default_id=actor.default_address_id)
