"""Who may open a WebSocket, and as whom; nothing here asks the database (WS5, JWT1)."""

import base64
from collections.abc import MutableMapping
from typing import Any

import pytest
from pytest_django import Settings

from accounts.asgi import JWTAuthMiddleware, OriginMiddleware, Scope, find_token
from accounts.services.tokens import Claims
from accounts.tests.test_tokens import FORGERIES, KEY, OLD_KEY, claims, forge


@pytest.fixture(autouse=True)
def _settings(settings: Settings) -> None:
    settings.JWT_KEYS = [KEY, OLD_KEY]
    settings.CORS_ALLOWED_ORIGINS = ["https://shop.example", "https://app.example:8443"]
    settings.CORS_ALLOWED_ORIGIN_REGEXES = []
    settings.PUBLIC_URL = "https://market.example"


def handshake(
    query: str = "", *, subprotocols: list[str] | None = None, **headers: str
) -> dict[str, Any]:
    return {
        "type": "websocket",
        "path": "/socket/websocket",
        "query_string": query.encode("latin-1"),
        "headers": [
            (name.replace("_", "-").encode(), value.encode("latin-1"))
            for name, value in headers.items()
        ],
        "subprotocols": subprotocols or [],
        "client": ("198.51.100.7", 4711),
    }


async def connect(
    scope: dict[str, Any], middleware: type = JWTAuthMiddleware
) -> tuple[Scope | None, list[dict[str, Any]]]:
    """The scope that reached the application, None if it was refused, and what was sent."""
    reached: list[Scope] = []
    sent: list[Any] = []

    async def application(scope: Scope, receive: Any, send: Any) -> None:
        reached.append(scope)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(dict(message))

    await middleware(application)(scope, receive, send)
    return (reached[0] if reached else None), sent


def encoded(token: str, *, standard: bool = False) -> str:
    encode = base64.b64encode if standard else base64.urlsafe_b64encode
    return "base64url.bearer.phx." + encode(token.encode()).decode().rstrip("=")


class TestIdentity:
    @pytest.mark.parametrize("place", range(9))
    async def test_is_found_wherever_a_client_puts_it(self, place: int) -> None:
        token = forge(claims(note="??>>"))
        scope = [
            handshake(f"token={token}&vsn=2.0.0"),
            handshake(f"vsn=2.0.0&token=Bearer%20{token}"),
            handshake(f"token=Bearer+{token}"),
            handshake(authorization=f"Bearer {token}"),
            handshake(authorization=f"bearer Bearer {token}"),
            handshake(x_phoenix_authtoken=token),
            handshake(subprotocols=["phoenix", encoded(token)]),
            handshake(subprotocols=["phoenix", encoded(token, standard=True)]),
            handshake("token=", authorization=f"Bearer {token}"),
        ][place]

        reached, sent = await connect(scope)

        assert sent == []
        assert reached is not None
        assert isinstance(reached["claims"], Claims)
        assert reached["claims"].user_id == "u-asha"

    async def test_may_be_missing(self) -> None:
        reached, _ = await connect(handshake("vsn=2.0.0"))

        assert reached is not None
        assert reached["claims"] is None

    @pytest.mark.parametrize("name", [name for name in FORGERIES if name not in ("empty", "blank")])
    async def test_is_refused_before_accept_when_it_is_forged(self, name: str) -> None:
        token = FORGERIES[name]().encode("latin-1", "ignore").decode("latin-1")
        for scope in (
            handshake(f"token={token}"),
            handshake(authorization=f"Bearer {token}"),
            handshake(x_phoenix_authtoken=token),
            handshake(subprotocols=["phoenix", encoded(token)]),
        ):
            reached, sent = await connect(scope)

            assert reached is None
            assert sent == [{"type": "websocket.close", "code": 4403}]

    @pytest.mark.parametrize("text", ["!", "a", "w7bDtg", "=" * 5])
    async def test_that_cannot_be_decoded_is_a_bad_one(self, text: str) -> None:
        subprotocols = ["phoenix", f"base64url.bearer.phx.{text}"]
        reached, _ = await connect(handshake(subprotocols=subprotocols))

        assert reached is None

    async def test_of_an_expired_token_is_refused(self) -> None:
        reached, sent = await connect(handshake(f"token={forge(claims(exp=1, iat=0))}"))

        assert (reached, len(sent)) == (None, 1)

    async def test_comes_from_the_first_place(self) -> None:
        scope = handshake("token=query", authorization="Bearer header")

        assert find_token(scope) == "query"


class TestScope:
    async def test_knows_whether_phoenix_waits_for_its_subprotocol(self) -> None:
        with_it, _ = await connect(handshake(subprotocols=["phoenix"]))
        without, _ = await connect(handshake())

        assert with_it is not None
        assert without is not None
        assert (with_it["phoenix_subprotocol"], without["phoenix_subprotocol"]) == (True, False)

    @pytest.mark.parametrize(
        ("proxies", "address"), [(0, "198.51.100.7"), (1, "203.0.113.9"), (2, "192.0.2.1")]
    )
    async def test_counts_proxies_from_the_right(
        self, settings: Settings, proxies: int, address: str
    ) -> None:
        settings.TRUSTED_PROXIES = proxies
        reached, _ = await connect(handshake(x_forwarded_for="10.9.9.9, 192.0.2.1, 203.0.113.9"))

        assert reached is not None
        assert reached["client_address"] == address


class TestOrigin:
    @pytest.mark.parametrize(
        "origin",
        [
            "https://shop.example",
            "HTTPS://SHOP.example",
            "https://app.example:8443",
            "https://market.example",
        ],
    )
    async def test_listed_pages_may_enter(self, origin: str) -> None:
        assert (await connect(handshake(origin=origin), OriginMiddleware))[0] is not None

    @pytest.mark.parametrize(
        "origin",
        [
            "https://evil.example",
            "null",
            "",
            "http://shop.example",
            "https://shop.example:444",
            "https://shop.example.evil.example",
            "https://app.example",
            "https://evil.example/https://shop.example",
            "http://localhost:3000",
        ],
    )
    async def test_others_are_refused_with_a_good_token_too(self, origin: str) -> None:
        scope = handshake(f"token={forge(claims())}", origin=origin)

        reached, sent = await connect(scope, OriginMiddleware)

        assert (reached, sent) == (None, [{"type": "websocket.close", "code": 4403}])

    async def test_localhost_may_enter_where_rest_lets_it(self, settings: Settings) -> None:
        settings.CORS_ALLOWED_ORIGIN_REGEXES = [r"^http://(localhost|127\.0\.0\.1)(:\d+)?$"]

        for origin, allowed in [
            ("http://localhost:3000", True),
            ("http://127.0.0.1", True),
            ("http://localhost.evil.example", False),
            ("http://localhost:3000.evil.example", False),
        ]:
            reached, _ = await connect(handshake(origin=origin), OriginMiddleware)
            assert (reached is not None) is allowed

    async def test_programs_have_none(self) -> None:
        assert (await connect(handshake(), OriginMiddleware))[0] is not None

    async def test_a_cookie_alone_is_no_identity_without_it(self) -> None:
        alone = handshake(cookie="sessionid=abc; theme=dark")
        with_token = handshake(f"token={forge(claims())}", cookie="sessionid=abc")
        other = handshake(cookie="theme=dark")

        reached = [
            (await connect(scope, OriginMiddleware))[0] for scope in (alone, with_token, other)
        ]
        assert [one is not None for one in reached] == [False, True, True]
