"""Who knocks: identity and origin of a WebSocket, decided before it is accepted.

Both are cheap, without a query, because a refused Phoenix client comes back for ever. Whether the
session behind the token still lives is asked right after the accept, by the connection itself.
"""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

import structlog
from django.conf import settings

from accounts.authentication import bearer_token, without_bearer
from accounts.services import tokens
from marketplace.core.errors import Unauthorized
from marketplace.core.limits import client_address

logger = structlog.get_logger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PHOENIX_SUBPROTOCOL = "phoenix"
TOKEN_SUBPROTOCOL = "base64url.bearer.phx."  # noqa: S105  # what stands before a token


class JWTAuthMiddleware:
    """Put the claims of a connection's token into its scope, or refuse the connection.

    Sets `scope["claims"]` (`Claims`, None for an anonymous connection), `scope["client_address"]`
    and `scope["phoenix_subprotocol"]` (the client offered `phoenix` and waits to hear it back).
    """

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, or refuse."""
        token = find_token(scope)
        try:
            claims = tokens.read_access(token) if token else None
        except Unauthorized as error:
            logger.info("socket_refused", reason=error.code, path=scope.get("path"))
            await refuse(scope, receive, send)
            return
        client = scope.get("client") or ("", 0)
        scope["claims"] = claims
        scope["client_address"] = client_address(
            peer=str(client[0]), forwarded_for=header(scope, b"x-forwarded-for")
        )
        scope["phoenix_subprotocol"] = PHOENIX_SUBPROTOCOL in scope.get("subprotocols", ())
        await self.application(scope, receive, send)


class OriginMiddleware:
    """Refuse pages of unlisted origins, and a browser's cookie as the only identity.

    No Origin at all is a program, not a page: it is let in with a token or as anonymous.
    """

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, or refuse."""
        if not _may_enter(scope):
            logger.info("socket_refused", reason="origin", path=scope.get("path"))
            await refuse(scope, receive, send)
            return
        await self.application(scope, receive, send)


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """End a handshake before it is accepted: the client sees HTTP 403."""
    await receive()
    await send({"type": "websocket.close", "code": 4403})


def find_token(scope: Scope) -> str | None:
    """The token of a handshake, from the first place that has one; None for an anonymous one.

    Places: query `token`, `Authorization`, `X-Phoenix-AuthToken`, Phoenix's token subprotocol.
    """
    return next((token for token in _offered_tokens(scope) if token), None)


def _offered_tokens(scope: Scope) -> Iterator[str | None]:
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    yield without_bearer(query.get("token", [""])[0])
    yield bearer_token(header(scope, b"authorization") or "")
    yield without_bearer(header(scope, b"x-phoenix-authtoken") or "")
    for subprotocol in scope.get("subprotocols", ()):
        if subprotocol.startswith(TOKEN_SUBPROTOCOL):
            yield _decoded(subprotocol.removeprefix(TOKEN_SUBPROTOCOL))


def _decoded(text: str) -> str:
    """Base64 in either alphabet, without padding. What cannot be read is a bad token, not none."""
    standard = text.replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True).decode(
            "ascii"
        )
    except (binascii.Error, ValueError):
        return "unreadable"


def header(scope: Scope, name: bytes) -> str | None:
    """One header of a handshake by its lower-case name; several of one name count as a list."""
    values = [value.decode("latin-1") for key, value in scope.get("headers", ()) if key == name]
    return ", ".join(values) if values else None


def origin_allowed(origin: str) -> bool:
    """Whether a page of this origin may connect: our own, or one that REST allows as well."""
    if any(re.match(form, origin) for form in settings.CORS_ALLOWED_ORIGIN_REGEXES):
        return True
    return origin in _listed_origins(tuple(settings.CORS_ALLOWED_ORIGINS), settings.PUBLIC_URL)


@lru_cache(maxsize=8)
def _listed_origins(origins: tuple[str, ...], public_url: str) -> frozenset[str]:
    return frozenset(one.rstrip("/").lower() for one in (*origins, public_url) if one)


def _may_enter(scope: Scope) -> bool:
    origin = header(scope, b"origin")
    if origin is not None:
        return origin_allowed(origin.strip().lower())
    cookie = header(scope, b"cookie") or ""
    return f"{settings.SESSION_COOKIE_NAME}=" not in cookie or find_token(scope) is not None
