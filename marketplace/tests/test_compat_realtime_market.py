"""Realtime Market's routes RM1-RM4, byte for byte."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuthSession, OtpChallenge, User
from accounts.services import otp, tokens
from marketplace.core.clock import wire_time
from marketplace.core.jobs import run_due_jobs
from marketplace.core.limits import reset_limits

pytestmark = pytest.mark.django_db

PHONE = "+15550107777"


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    reset_limits()


@pytest.fixture
def sms(settings: Any, tmp_path: Any) -> Callable[[], list[str]]:
    """The bodies of every SMS of this test so far."""
    settings.SMS_SINK = tmp_path / "sms.jsonl"

    def bodies() -> list[str]:
        run_due_jobs()
        lines = settings.SMS_SINK.read_text().splitlines() if settings.SMS_SINK.exists() else []
        return [json.loads(line)["body"] for line in lines]

    return bodies


def post(client: Client, path: str, body: Any) -> Any:
    return client.post(
        f"/api/auth/{path}",
        json.dumps(body),
        content_type="application/json",
        HTTP_X_REQUEST_ID="r1",
    )


def refusal(message: str, code: str, details: dict[str, Any]) -> dict[str, Any]:
    return {
        "success": False,
        "error": message,
        "message": message,
        "code": code,
        "details": details,
        "request_id": "r1",
        "errors": {"detail": message},
    }


def newest_code() -> str:
    challenge = OtpChallenge.objects.order_by("-created_at", "-pk").first()
    assert challenge is not None
    return otp.code_of(challenge)


class TestRegister:
    @pytest.mark.parametrize("key", ["phone_number", "phone", "phoneNumber"])
    def test_answers_with_the_user_and_no_code(
        self, client: Client, sms: Callable[[], list[str]], key: str
    ) -> None:
        response = post(client, "register", {"username": "asha", key: PHONE})

        user = User.objects.get()
        assert response.status_code == 201
        assert response["Content-Type"] == "application/json"
        assert response.content == (
            b'{"success":true,"message":"User registered. Verify with OTP.","user_id":"%b",'
            b'"otp":null,"user":{"id":"%b","username":"asha","phone_number":"+15550107777"}}'
        ) % (user.public_id.encode(), user.public_id.encode())
        assert len(sms()) == 1
        assert newest_code() in sms()[0]

    @pytest.mark.parametrize(
        ("body", "code", "field"),
        [
            ({"username": "Asha", "phone_number": "+15550107778"}, "username_taken", "username"),
            ({"username": "other", "phone_number": PHONE}, "phone_number_taken", "phone_number"),
            ({"username": "asha", "phone_number": PHONE}, "username_taken", "username"),
        ],
    )
    def test_knows_one_text_for_what_is_taken(
        self, client: Client, body: dict[str, str], code: str, field: str
    ) -> None:
        post(client, "register", {"username": "asha", "phone_number": PHONE})

        response = post(client, "register", body)

        assert response.status_code == 409
        assert response.json() == refusal("User already exists", code, {"field": field})

    def test_is_followed_by_a_code_on_request_at_once(
        self, client: Client, sms: Callable[[], list[str]]
    ) -> None:
        post(client, "register", {"username": "asha", "phone_number": PHONE})
        first = newest_code()
        sms()

        assert post(client, "request-otp", {"phone_number": PHONE}).status_code == 200
        assert len(sms()) == 2
        verify = {"phone_number": PHONE, "otp": first}
        assert newest_code() == first or post(client, "verify-otp", verify).status_code == 401
        again = post(client, "request-otp", {"phone_number": PHONE})
        assert again.json()["code"] == "otp_too_soon"

    def test_needs_a_phone(self, client: Client) -> None:
        response = post(client, "register", {"username": "asha"})

        text = "phone_number: This field is required."
        fields = {"phone_number": ["This field is required."]}
        assert response.status_code == 400
        assert response.json() == refusal(text, "validation_failed", {"fields": fields})


class TestRequestCode:
    def test_is_one_answer_for_known_and_unknown(
        self, client: Client, sms: Callable[[], list[str]]
    ) -> None:
        post(client, "register", {"username": "asha", "phone_number": PHONE})
        answers = [
            post(client, "request-otp", {"phone_number": number})
            for number in (PHONE, "+15550109999")
        ]

        assert {(one.status_code, one.content) for one in answers} == {
            (200, b'{"success":true,"message":"OTP sent"}')
        }
        assert answers[0].headers.keys() == answers[1].headers.keys()
        # The code of the registration was replaced before its SMS went out: one is enough.
        assert len(sms()) == 1

    def test_too_soon(self, client: Client) -> None:
        post(client, "request-otp", {"phone_number": PHONE})
        response = post(client, "request-otp", {"phone_number": PHONE})

        assert (response.status_code, response["Retry-After"]) == (429, "30")
        assert response.json() == refusal(
            "Please wait before asking for another code.", "otp_too_soon", {"retry_after": 30}
        )


class TestVerifyCode:
    @pytest.mark.parametrize("key", ["otp", "code"])
    def test_gives_a_token_of_a_day(self, client: Client, key: str) -> None:
        post(client, "register", {"username": "asha", "phone_number": PHONE})

        response = post(client, "verify-otp", {"phone_number": PHONE, key: newest_code()})

        user, body = User.objects.get(), response.json()
        assert response.status_code == 200
        assert body == {
            "success": True,
            "token": body["token"],
            "user": {
                "id": user.public_id,
                "username": "asha",
                "phone_number": PHONE,
                "created_at": wire_time(user.created_at),
            },
        }
        assert list(body) == ["success", "token", "user"]
        assert user.last_login is not None
        session = AuthSession.objects.get()
        assert session.issuer == "realtime_market"
        life = tokens.read_access(body["token"]).expires_at - int(session.created_at.timestamp())
        assert life == 86_400

    def test_refuses_a_wrong_code(self, client: Client) -> None:
        response = post(client, "verify-otp", {"phone_number": PHONE, "otp": "000000"})

        assert response.status_code == 401
        assert response["WWW-Authenticate"] == "Bearer"
        assert response.content == (
            b'{"success":false,"error":"Invalid OTP","code":"otp_invalid","message":"Invalid OTP",'
            b'"details":{},"request_id":"r1","errors":{"detail":"Invalid OTP"}}'
        )

    def test_locks_after_five(self, client: Client) -> None:
        post(client, "register", {"username": "asha", "phone_number": PHONE})
        code = newest_code()
        wrong = str((int(code) + 1) % 1_000_000).zfill(6)
        statuses = [
            post(client, "verify-otp", {"phone_number": PHONE, "otp": guess}).status_code
            for guess in [wrong] * 5 + [code]
        ]

        assert statuses == [401] * 5 + [429]
        assert (
            post(client, "verify-otp", {"phone_number": PHONE, "otp": code}).json()["code"]
            == "otp_locked"
        )


class TestCheckUsername:
    def test_says_that_it_is_free(self, client: Client) -> None:
        response = client.get("/api/auth/check-username/asha")

        assert (response.status_code, response.content) == (200, b'{"available":true}')

    def test_says_that_it_is_taken(self, client: Client) -> None:
        post(client, "register", {"username": "asha", "phone_number": PHONE})
        response = client.get("/api/auth/check-username/ASHA/", HTTP_X_REQUEST_ID="r1")

        assert response.status_code == 409
        assert response.json() == refusal(
            "Username already taken", "username_taken", {"field": "username"}
        )

    def test_is_limited(self, client: Client) -> None:
        statuses = [client.get(f"/api/auth/check-username/name{n}").status_code for n in range(31)]

        assert statuses == [200] * 30 + [429]

    def test_refuses_what_can_be_no_username(self, client: Client) -> None:
        assert client.get("/api/auth/check-username/a b").status_code == 400
