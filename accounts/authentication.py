"""Bearer tokens on REST routes, and the one reading of `Authorization` for every entrance."""

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.models import User
from accounts.services import sessions, tokens
from accounts.services.tokens import Claims
from marketplace.core.errors import InvalidToken, Unauthorized

Identity = User | AnonymousUser


def actor_of(request: Request | HttpRequest) -> User:
    """The signed-in user of a route or an admin page. Raises Unauthorized for a guest."""
    if not isinstance(request.user, User):
        raise Unauthorized
    return request.user


def bearer_token(header: str) -> str | None:
    """The token of an `Authorization` header; None for another scheme or an empty header.

    The word `Bearer` may come twice: Order System's documentation page makes it so.
    """
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "bearer":
        return None
    return without_bearer(token)


def without_bearer(token: str) -> str:
    """A token as it was given, without the word `Bearer` that some clients put before it."""
    token = token.strip()
    return token[7:].strip() if token[:7].lower() == "bearer " else token


class BearerAuthentication(BaseAuthentication):
    """`request.user` from the session behind the token, `request.auth` the token's claims.

    The role and everything else about the user is read from the database, never from the token.
    """

    def authenticate(self, request: Request) -> tuple[User, Claims] | None:
        """None without a bearer header. Raises InvalidToken, TokenExpired, TokenRevoked."""
        header = request.META.get("HTTP_AUTHORIZATION", "")
        token = bearer_token(header)
        if token is None:
            return None
        if not token:
            raise InvalidToken
        claims = tokens.read_access(token)
        return sessions.authenticate(claims), claims

    def authenticate_header(self, request: Request) -> str:
        """What a 401 says in `WWW-Authenticate`."""
        return "Bearer"
