"""Sign and verify tokens: HS256 with the key ring, nothing chosen by the token itself.

Nothing here asks the database: what a token says about its session is checked in `sessions`.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

import jwt
from django.conf import settings
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError
from rest_framework_simplejwt.tokens import Token

from accounts.enums import TokenKind
from accounts.models import AuthSession, User
from marketplace.core.clock import now
from marketplace.core.errors import InvalidToken, TokenExpired
from marketplace.core.ids import uuid7

ALGORITHM = "HS256"
LEEWAY_S = 30
MAX_TOKEN_CHARS = 8192
LATEST_TIME_S = 253_402_300_799  # the end of the year 9999
VERIFIED_TOKENS = 8192

KNOWN_HEADERS = 16
SIGNATURES = jwt.PyJWS(algorithms=[ALGORITHM])
# Keys of a header that name a key from outside, or that a verifier must understand to go on.
REFUSED_HEADERS = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip"})
HEADER_TYPES = frozenset({"JWT", "access", "at+jwt"})


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says. `role` is what it was issued with and gives no right."""

    user_id: str
    session_id: UUID | None
    expires_at: float
    token_type: str
    role: str
    jti: str


def key_id(key: str) -> str:
    """`kid`: the first 8 hex digits of SHA-256 of the key."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


class KeyRingBackend(TokenBackend):
    """A SimpleJWT backend with several keys: the first signs, `kid` picks the one that verifies."""

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__(ALGORITHM, signing_key=keys[0], leeway=LEEWAY_S)
        self._keys = {key_id(key): key for key in reversed(keys)}
        self._headers = {"typ": "JWT", "kid": key_id(keys[0])}
        # Headers of tokens that were good, as they were spelled: all of ours have the same.
        self._known_headers: dict[str, str] = {}

    def encode(self, payload: dict[str, Any]) -> str:
        """Sign with the first key of the ring."""
        return jwt.encode(
            payload, self.prepared_signing_key, algorithm=ALGORITHM, headers=self._headers
        )

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """The payload of a token with a good header and signature. Raises TokenBackendError.

        Times and kinds are judged by the token classes, with the project's own clock.
        """
        try:
            header = token.partition(".")[0] if isinstance(token, str) else ""
            key = self._known_headers.get(header)
            if key is None:
                key = self._verifying_key(jwt.get_unverified_header(token))
            content = SIGNATURES.decode(
                token, key, algorithms=[ALGORITHM], options={"verify_signature": verify}
            )
            payload = json.loads(content)
        except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
            raise TokenBackendError("Token is invalid") from error
        if not isinstance(payload, dict):
            raise TokenBackendError("Token is invalid")
        if verify and header and len(self._known_headers) < KNOWN_HEADERS:
            self._known_headers[header] = key
        return payload

    def _verifying_key(self, header: dict[str, Any]) -> str:
        if header.get("alg") != ALGORITHM or not REFUSED_HEADERS.isdisjoint(header):
            raise TokenBackendError("Token has a header that is not allowed")
        if "typ" in header and str(header["typ"]) not in HEADER_TYPES:
            raise TokenBackendError("Token has a wrong header type")
        kid = header.get("kid")
        if not isinstance(kid, str) or kid not in self._keys:
            raise TokenBackendError("Token names no key of the ring")
        return self._keys[kid]


class SessionToken(Token):
    """A token of a session; its claims carry every name that one of the source systems reads."""

    token_type: str
    lifetime = timedelta(0)  # never used: the session knows how long its tokens live

    @property
    def token_backend(self) -> TokenBackend:
        """The ring of the present settings."""
        return _backend(tuple(settings.JWT_KEYS))

    def get_token_backend(self) -> TokenBackend:
        """The ring of the present settings."""
        return self.token_backend

    @classmethod
    def for_session(
        cls, user: User, session: AuthSession, *, jti: str, issued_at: datetime, ttl_s: int
    ) -> "SessionToken":
        """A new token of this session. The same arguments give the same token, byte for byte."""
        token = cls()
        token.payload = {
            "sub": user.public_id,
            "user_id": user.public_id,
            "userId": user.public_id,
            "profile_id": user.public_id,
            "role": user.wire_role,
            "typ": cls.token_type,
            "type": cls.token_type,
            "iss": str(session.issuer),
            "jti": jti,
            "sid": str(session.id),
            "iat": int(issued_at.timestamp()),
            "exp": int(issued_at.timestamp()) + ttl_s,
        }
        if user.username:
            token["username"] = user.username
        if user.email:
            token["email"] = user.email
        return token

    def verify(self) -> None:
        """Judge times, kind and ids. Raises InvalidToken, TokenExpired."""
        at = now().timestamp()
        expires_at = _time(self.payload, "exp", required=True)
        for name in ("iat", "nbf"):
            if _time(self.payload, name, required=False) > at + LEEWAY_S:
                raise InvalidToken
        if self.payload.get("typ") != self.token_type or self.payload.get("type") not in (
            self.token_type,
            None,
        ):
            raise InvalidToken
        _text(self.payload, "sub")
        _text(self.payload, "jti")
        if expires_at + LEEWAY_S <= at:
            raise TokenExpired

    def claims(self) -> Claims:
        """The verified claims. Raises InvalidToken where the token belongs to no session."""
        return Claims(
            user_id=_text(self.payload, "sub"),
            session_id=_uuid(self.payload.get("sid")),
            expires_at=_time(self.payload, "exp", required=True),
            token_type=self.token_type,
            role=str(self.payload.get("role") or ""),
            jti=_text(self.payload, "jti"),
        )


class AccessToken(SessionToken):
    """Opens routes and sockets."""

    token_type = TokenKind.ACCESS.value


class RefreshableToken(SessionToken):
    """Gives one new pair."""

    token_type = TokenKind.REFRESH.value


TOKEN_CLASSES: dict[TokenKind, type[SessionToken]] = {
    TokenKind.ACCESS: AccessToken,
    TokenKind.REFRESH: RefreshableToken,
}


@lru_cache(maxsize=4)
def _backend(keys: tuple[str, ...]) -> KeyRingBackend:
    return KeyRingBackend(keys)


def _time(payload: dict[str, Any], name: str, *, required: bool) -> float:
    """A NumericDate as JSON has it: no text, no boolean, no infinity."""
    value = payload.get(name)
    if value is None and not required and name not in payload:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidToken
    if not 0 <= value <= LATEST_TIME_S:  # false for NaN and infinity too
        raise InvalidToken
    return float(value)


def _text(payload: dict[str, Any], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 128:
        raise InvalidToken
    return value


def _uuid(value: Any) -> UUID:
    try:
        return UUID(cast("str", value))
    except (ValueError, AttributeError, TypeError) as error:
        raise InvalidToken from error


def new_jti() -> str:
    """A new id of a token."""
    return uuid7().hex


def issue(
    user: User,
    session: AuthSession,
    *,
    kind: str = TokenKind.ACCESS,
    jti: str | None = None,
    issued_at: datetime | None = None,
) -> str:
    """A signed token of this session, good from now for as long as the session's tokens live."""
    ttl_s = session.access_ttl_s if kind == TokenKind.ACCESS else settings.TOKEN_TTL_REFRESH
    token = TOKEN_CLASSES[TokenKind(kind)].for_session(
        user, session, jti=jti or new_jti(), issued_at=issued_at or now(), ttl_s=ttl_s
    )
    return str(token)


def read_access(token: str) -> Claims:
    """The claims of a good access token, without a query. Raises InvalidToken, TokenExpired.

    Runs for every request and every connect: a token whose signature was found good is remembered,
    and only its end is compared again.
    """
    return _read(token, TokenKind.ACCESS)


def read_refresh(token: str) -> Claims:
    """The claims of a good refresh token, without a query. Raises InvalidToken, TokenExpired."""
    return _read(token, TokenKind.REFRESH)


def _read(token: str, kind: TokenKind) -> Claims:
    if len(token) > MAX_TOKEN_CHARS:
        raise InvalidToken
    claims = _verified(token, kind, tuple(settings.JWT_KEYS))
    if claims.expires_at + LEEWAY_S <= now().timestamp():
        raise TokenExpired
    return claims


@lru_cache(maxsize=VERIFIED_TOKENS)
def _verified(token: str, kind: TokenKind, keys: tuple[str, ...]) -> Claims:
    token_class = TOKEN_CLASSES[kind]
    # The ring is part of the key: a token that was good under other keys is judged anew.
    try:
        parsed = token_class.__new__(token_class)
        parsed.payload = _backend(keys).decode(token)
    except TokenBackendError as error:
        raise InvalidToken from error
    parsed.verify()
    return parsed.claims()
