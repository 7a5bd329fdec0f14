"""Tokens: what they carry, and the forgeries that they must not let in (JWT1, JWT2)."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
import time_machine
from pytest_django import Settings
from rest_framework_simplejwt.exceptions import TokenBackendError

from accounts.enums import Issuer, TokenKind
from accounts.models import AuthSession, User
from accounts.services import tokens
from marketplace.core.errors import InvalidToken, TokenExpired, Unauthorized

KEY = "first-key-of-the-ring-with-more-than-32-bytes"
OLD_KEY = "older-key-of-the-ring-with-more-than-32-bytes"
SESSION_ID = UUID("019ab0c4-7d10-7cc1-8f6e-0a8d6d3e1b52")
AT = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _ring(settings: Settings) -> None:
    settings.JWT_KEYS = [KEY, OLD_KEY]


@pytest.fixture
def asha() -> User:
    return User(public_id="u-asha", username="asha", email="asha@example.com")


@pytest.fixture
def session(asha: User) -> AuthSession:
    return AuthSession(id=SESSION_ID, user=asha, issuer=Issuer.REALTIME_MARKET, access_ttl_s=86_400)


def claims(**changes: Any) -> dict[str, Any]:
    at = int(time.time())
    whole = {
        "sub": "u-asha",
        "typ": "access",
        "type": "access",
        "jti": "j1",
        "sid": str(SESSION_ID),
        "iat": at,
        "exp": at + 3600,
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not ...}


def part(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def forge(
    payload: dict[str, Any] | str, header: dict[str, Any] | None = None, key: str = KEY
) -> str:
    """A token signed with HS256 whatever its header says."""
    head = {"alg": "HS256", "typ": "JWT", "kid": tokens.key_id(KEY), **(header or {})}
    head = {name: value for name, value in head.items() if value is not ...}
    body = payload if isinstance(payload, str) else json.dumps(payload)
    signed = f"{part(json.dumps(head).encode())}.{part(body.encode())}"
    digest = hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{part(digest)}"


class TestIssue:
    def test_carries_every_name_that_a_source_system_reads(
        self, asha: User, session: AuthSession
    ) -> None:
        token = tokens.issue(asha, session, jti="j1", issued_at=AT)

        assert jwt.get_unverified_header(token) == {
            "alg": "HS256",
            "typ": "JWT",
            "kid": hashlib.sha256(KEY.encode()).hexdigest()[:8],
        }
        assert jwt.decode(token, KEY, algorithms=["HS256"], options={"verify_exp": False}) == {
            "sub": "u-asha",
            "user_id": "u-asha",
            "userId": "u-asha",
            "profile_id": "u-asha",
            "username": "asha",
            "email": "asha@example.com",
            "role": "user",
            "typ": "access",
            "type": "access",
            "iss": "realtime_market",
            "jti": "j1",
            "sid": str(SESSION_ID),
            "iat": int(AT.timestamp()),
            "exp": int(AT.timestamp()) + 86_400,
        }

    def test_gives_the_same_token_for_the_same_row(self, asha: User, session: AuthSession) -> None:
        first = tokens.issue(asha, session, jti="j1", issued_at=AT)

        assert tokens.issue(asha, session, jti="j1", issued_at=AT) == first


class TestReadAccess:
    def test_gives_the_claims(self, asha: User, session: AuthSession) -> None:
        with time_machine.travel(AT, tick=False):
            read = tokens.read_access(tokens.issue(asha, session, jti="j1"))

        assert read == tokens.Claims(
            user_id="u-asha",
            session_id=SESSION_ID,
            expires_at=AT.timestamp() + 86_400,
            token_type="access",
            role="user",
            jti="j1",
        )

    def test_takes_a_key_of_the_ring_by_its_kid(self) -> None:
        token = forge(claims(), {"kid": tokens.key_id(OLD_KEY)}, key=OLD_KEY)

        assert tokens.read_access(token).user_id == "u-asha"

    def test_refuses_what_a_removed_key_signed(self, settings: Settings) -> None:
        token = forge(claims(), {"kid": tokens.key_id(OLD_KEY)}, key=OLD_KEY)
        tokens.read_access(token)

        settings.JWT_KEYS = [KEY]

        with pytest.raises(InvalidToken):
            tokens.read_access(token)

    @pytest.mark.parametrize("header_type", ["JWT", "access", "at+jwt", ...])
    def test_takes_the_usual_header_types(self, header_type: Any) -> None:
        assert tokens.read_access(forge(claims(), {"typ": header_type})).jti == "j1"

    def test_forgives_thirty_seconds_and_no_more(self) -> None:
        token = forge(claims(exp=int(AT.timestamp()), iat=int(AT.timestamp()) - 60))

        with time_machine.travel(AT + timedelta(seconds=29), tick=False):
            assert tokens.read_access(token).expires_at == AT.timestamp()
        with (
            time_machine.travel(AT + timedelta(seconds=30), tick=False),
            pytest.raises(TokenExpired),
        ):
            tokens.read_access(token)

    def test_asks_no_database(self) -> None:
        # No database mark: a query would fail here.
        assert tokens.read_access(forge(claims())).session_id == SESSION_ID

    def test_judges_a_remembered_token_only_by_its_end(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token = forge(claims())
        first = tokens.read_access(token)
        monkeypatch.setattr(
            tokens.KeyRingBackend, "decode", lambda *_: pytest.fail("verified again")
        )

        assert tokens.read_access(token) is first


def rsa_header(name: str, value: Any) -> Callable[[], str]:
    return lambda: forge(claims(), {name: value})


NONES = ("none", "None", "NONE", "nOnE")

FORGERIES: dict[str, Callable[[], str]] = {
    **{
        f"alg {alg}": rsa_header("alg", alg)
        for alg in (
            *NONES,
            "",
            None,
            "HS512",
            "HS384",
            "RS256",
            "ES256",
            "hs256",
        )
    },
    "alg none, no signature": lambda: (
        f"{part(json.dumps({'alg': 'none'}).encode())}.{part(json.dumps(claims()).encode())}."
    ),
    "no alg": rsa_header("alg", ...),
    "empty signature": lambda: forge(claims()).rpartition(".")[0] + ".",
    "changed payload": lambda: ".".join(
        [
            forge(claims()).split(".")[0],
            part(json.dumps(claims(sub="u-admin")).encode()),
            forge(claims()).split(".")[2],
        ]
    ),
    "another secret": lambda: forge(claims(), key="some-other-secret-of-more-than-32-bytes"),
    "kid of no key": rsa_header("kid", "00000000"),
    "kid as a path": rsa_header("kid", "../../../../dev/null"),
    "kid as SQL": rsa_header("kid", "x' UNION SELECT 'key' --"),
    "kid as a number": rsa_header("kid", 7),
    "no kid": rsa_header("kid", ...),
    "jku": rsa_header("jku", "https://evil.example/keys"),
    "jwk": rsa_header("jwk", {"kty": "oct", "k": "AA"}),
    "x5u": rsa_header("x5u", "https://evil.example/cert"),
    "crit": rsa_header("crit", ["exp"]),
    "header type": rsa_header("typ", "JWE"),
    "header type as a list": rsa_header("typ", ["JWT"]),
    "no exp": lambda: forge(claims(exp=...)),
    "exp null": lambda: forge(claims(exp=None)),
    "exp as text": lambda: forge(claims(exp=str(int(time.time()) + 3600))),
    "exp true": lambda: forge(claims(exp=True)),
    "exp 1e999": lambda: forge(json.dumps(claims(exp="E")).replace('"E"', "1e999")),
    "exp without end": lambda: forge(claims(exp=10**400)),
    "exp infinite": lambda: forge(claims(exp=float("inf"))),
    "exp NaN": lambda: forge(claims(exp=float("nan"))),
    "exp negative": lambda: forge(claims(exp=-1)),
    "exp list": lambda: forge(claims(exp=[int(time.time()) + 3600])),
    "iat far ahead": lambda: forge(claims(iat=int(time.time()) + 3600)),
    "iat as text": lambda: forge(claims(iat="now")),
    "nbf ahead": lambda: forge(claims(nbf=int(time.time()) + 3600)),
    "refresh by typ": lambda: forge(claims(typ="refresh")),
    "refresh by type": lambda: forge(claims(type="refresh")),
    "no typ": lambda: forge(claims(typ=..., type=...)),
    "no session": lambda: forge(claims(sid=...)),
    "session of no form": lambda: forge(claims(sid="1 OR 1=1")),
    "session as a list": lambda: forge(claims(sid=[str(SESSION_ID)])),
    "no subject": lambda: forge(claims(sub=...)),
    "subject as an object": lambda: forge(claims(sub={"$gt": ""})),
    "subject too long": lambda: forge(claims(sub="u" * 129)),
    "payload a list": lambda: forge("[]"),
    "payload no JSON": lambda: forge("{"),
    "payload too deep": lambda: forge("[" * 5000),
    "payload twice as long as any": lambda: forge(claims(note="x" * 9000)),
    "not three parts": lambda: "a.b",
    "empty": lambda: "",
    "blank": lambda: " ",
    "not ASCII": lambda: forge(claims()) + "é",
    "NUL": lambda: forge(claims()) + "\x00",
}


class TestForgeries:
    @pytest.mark.parametrize("name", FORGERIES)
    def test_refuses(self, name: str) -> None:
        token = FORGERIES[name]()

        with pytest.raises(InvalidToken):
            tokens.read_access(token)

    @pytest.mark.parametrize("name", FORGERIES)
    def test_refuses_where_a_good_token_had_the_same_header(self, name: str) -> None:
        tokens.read_access(forge(claims()))
        token = FORGERIES[name]()

        with pytest.raises(InvalidToken):
            tokens.read_access(token)

    def test_remembers_no_header_of_a_token_that_was_refused(self) -> None:
        backend = tokens.KeyRingBackend([KEY])
        header = {"note": "mine"}

        with pytest.raises(TokenBackendError):
            backend.decode(forge(claims(), header, key="some-other-secret-of-more-than-32-bytes"))
        with pytest.raises(TokenBackendError):
            backend.decode(forge("[]", header))
        backend.decode(forge(claims(), header, key="another-secret-of-more-than-32-bytes"), False)

        assert backend._known_headers == {}

    def test_refuses_an_expired_one_by_name(self) -> None:
        with pytest.raises(TokenExpired):
            tokens.read_access(forge(claims(exp=int(time.time()) - 31)))

    def test_refuses_an_access_token_as_refresh(self, asha: User, session: AuthSession) -> None:
        with pytest.raises(Unauthorized):
            tokens.read_refresh(tokens.issue(asha, session))

    def test_refuses_a_refresh_token_as_access(self, asha: User, session: AuthSession) -> None:
        token = tokens.issue(asha, session, kind=TokenKind.REFRESH)

        assert tokens.read_refresh(token).token_type == "refresh"
        with pytest.raises(InvalidToken):
            tokens.read_access(token)
