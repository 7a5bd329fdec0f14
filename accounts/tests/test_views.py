"""Canonical routes of people over HTTP."""

from typing import Any

import pytest
from django.test import Client
from rest_framework.serializers import Serializer
from rest_framework.test import APIClient

from accounts import selectors, serializers
from accounts.enums import Issuer
from accounts.models import Address, OtpChallenge, User
from accounts.services import otp, sessions, tokens
from accounts.tests.test_tokens import FORGERIES, KEY, OLD_KEY
from marketplace.core.clock import wire_time
from marketplace.tests.cast import signed_in

pytestmark = pytest.mark.django_db

PHONE = "+15550107777"


def post(client: APIClient, path: str, body: Any = None) -> Any:
    return client.post(f"/api/v1{path}", body, format="json")


def problem(response: Any) -> tuple[int, str, dict[str, Any]]:
    body = response.json()
    assert response["Content-Type"] == "application/problem+json"
    assert body["request_id"] == response["X-Request-ID"]
    return response.status_code, body["code"], body["details"]


def newest_code() -> str:
    challenge = OtpChallenge.objects.order_by("-created_at", "-pk").first()
    assert challenge is not None
    return otp.code_of(challenge)


class TestRegister:
    def test_by_phone_answers_the_user_without_tokens(self, guest: APIClient) -> None:
        response = post(
            guest, "/auth/register", {"username": "asha", "phoneNumber": "+1 555 010 7777"}
        )

        user = User.objects.get()
        assert response.status_code == 201
        assert response.json() == {
            "user": {
                "id": user.public_id,
                "username": "asha",
                "name": None,
                "avatar_url": None,
                "email": None,
                "phone_number": PHONE,
                "role": "user",
                "last_login": None,
                "is_active": True,
                "is_verified": False,
                "created_at": wire_time(user.created_at),
                "updated_at": wire_time(user.updated_at),
            }
        }

    def test_with_a_password_signs_in_at_once(self, guest: APIClient) -> None:
        response = post(
            guest, "/auth/register", {"email": "New@Example.com", "password": "Password123!"}
        )

        body = response.json()
        assert response.status_code == 201
        assert sorted(body) == ["access_token", "expires_in", "refresh_token", "token_type", "user"]
        assert body["user"]["email"] == "new@example.com"
        assert tokens.read_access(body["access_token"]).user_id == body["user"]["id"]

    def test_tells_what_is_taken(self, guest: APIClient, buyer: User) -> None:
        response = post(guest, "/auth/register", {"username": "ASHA", "phone_number": PHONE})

        assert problem(response) == (409, "username_taken", {"field": "username"})

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"phone_number": "12"}, "phone_number"),
            ({"phone_number": ["+15550107777"]}, "phone_number"),
            ({"phone_number": True}, "phone_number"),
            ({"phone_number": PHONE, "username": "a b"}, "username"),
            ({"phone_number": PHONE, "username": {"$ne": ""}}, "username"),
            ({"phone_number": PHONE, "role": "root"}, "role"),
            ({"phone_number": PHONE, "name": "a\x00b"}, "name"),
            ({"email": "asha", "password": "Password123!"}, "email"),
        ],
    )
    def test_names_the_wrong_field(self, guest: APIClient, body: Any, field: str) -> None:
        status, code, details = problem(post(guest, "/auth/register", body))

        assert (status, code, list(details["fields"])) == (400, "validation_failed", [field])
        assert User.objects.count() == 0

    def test_ignores_keys_of_the_server(self, guest: APIClient) -> None:
        body = {"phone_number": PHONE, "id": "x", "is_staff": True, "is_active": False, "points": 9}
        assert post(guest, "/auth/register", body).status_code == 201

        user = User.objects.get()
        assert (user.is_staff, user.is_active) == (False, True)
        assert user.public_id != "x"

    def test_is_limited_by_address(self, guest: APIClient) -> None:
        for _ in range(20):
            post(guest, "/auth/register", {})

        response = post(guest, "/auth/register", {})
        assert problem(response)[:2] == (429, "rate_limited")
        assert int(response["Retry-After"]) == response.json()["details"]["retry_after"]


class TestCodes:
    def test_sign_in(self, guest: APIClient, buyer: User) -> None:
        asked = post(guest, "/auth/otp/request", {"phone_number": buyer.phone_number})
        assert (asked.status_code, asked.json()) == (200, {"message": "OTP sent"})

        response = post(
            guest, "/auth/otp/verify", {"phone": buyer.phone_number, "code": newest_code()}
        )

        buyer.refresh_from_db()
        body = response.json()
        assert response.status_code == 200
        assert body["user"] == serializers.user_to_wire(buyer)
        assert (body["token_type"], body["expires_in"]) == ("bearer", 3600)
        assert buyer.is_verified

    def test_read_a_number_with_its_zeros(
        self, guest: APIClient, buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(otp, "code_of", lambda _: "000042")
        post(guest, "/auth/otp/request", {"phone_number": buyer.phone_number})

        response = post(guest, "/auth/otp/verify", {"phone_number": buyer.phone_number, "otp": 42})

        assert response.status_code == 200

    def test_all_refusals_are_one_answer(self, guest: APIClient, buyer: User) -> None:
        post(guest, "/auth/otp/request", {"phone_number": buyer.phone_number})
        code = newest_code()
        post(guest, "/auth/otp/verify", {"phone_number": buyer.phone_number, "otp": code})
        bodies = set()
        for phone, guess in [
            (buyer.phone_number, code),
            (buyer.phone_number, "12345"),
            ("+15550109999", "000000"),
            ("+15550109998", "not a code"),
        ]:
            response = guest.post(
                "/api/v1/auth/otp/verify",
                {"phone_number": phone, "otp": guess},
                format="json",
                HTTP_X_REQUEST_ID="same",
            )
            bodies.add((response.status_code, response.content, response["WWW-Authenticate"]))

        ((status, body, challenge),) = bodies
        assert (status, challenge) == (401, "Bearer")
        assert b'"otp_invalid"' in body
        assert b'"Invalid OTP"' in body

    def test_too_soon_tells_when(self, guest: APIClient, buyer: User) -> None:
        post(guest, "/auth/otp/request", {"phone_number": buyer.phone_number})
        response = post(guest, "/auth/otp/request", {"phone_number": buyer.phone_number})

        assert problem(response) == (429, "otp_too_soon", {"retry_after": 30})
        assert response["Retry-After"] == "30"


class TestTokens:
    def test_refresh_gives_the_next_pair(self, guest: APIClient, buyer: User) -> None:
        pair = sessions.start_session(user=buyer, issuer=Issuer.MARKETPLACE)

        response = post(guest, "/auth/refresh", {"refreshToken": pair.refresh_token})

        assert response.status_code == 200
        assert response.json()["refresh_token"] != pair.refresh_token

    @pytest.mark.parametrize("token", ["x", "", None, 5, ["x"]])
    def test_refresh_refuses(self, guest: APIClient, token: Any) -> None:
        status, code, _ = problem(post(guest, "/auth/refresh", {"refresh_token": token}))

        assert (status, code) in {(401, "invalid_token"), (400, "validation_failed")}

    def test_logout_ends_the_session(self, buyer: User) -> None:
        client = signed_in(buyer)

        assert post(client, "/auth/logout").json() == {"message": "Signed out"}
        assert problem(client.get("/api/v1/auth/me"))[:2] == (401, "token_revoked")

    def test_me_is_the_user(self, buyer: User) -> None:
        response = signed_in(buyer).get("/api/v1/auth/me")

        buyer.refresh_from_db()
        assert response.json() == serializers.user_to_wire(buyer)
        assert response.json()["role"] == "buyer"

    def test_nobody_is_asked_to_sign_in(self, guest: APIClient) -> None:
        response = guest.get("/api/v1/auth/me")

        assert problem(response)[:2] == (401, "unauthorized")
        assert response["WWW-Authenticate"] == "Bearer"

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Bearer Bearer"])
    def test_takes_the_word_bearer_as_it_comes(
        self, guest: APIClient, buyer: User, scheme: str
    ) -> None:
        token = sessions.start_session(user=buyer, issuer=Issuer.MARKETPLACE).access_token

        response = guest.get("/api/v1/auth/me", HTTP_AUTHORIZATION=f"{scheme} {token}")
        assert response.status_code == 200

    @pytest.mark.parametrize("name", FORGERIES)
    def test_refuses_forgeries(self, guest: APIClient, settings: Any, name: str) -> None:
        settings.JWT_KEYS = [KEY, OLD_KEY]

        response = guest.get("/api/v1/auth/me", HTTP_AUTHORIZATION=f"Bearer {FORGERIES[name]()}")
        assert problem(response)[:2] == (401, "invalid_token")

    def test_a_claim_gives_no_right(self, guest: APIClient, buyer: User) -> None:
        pair = sessions.start_session(user=buyer, issuer=Issuer.MARKETPLACE)
        buyer.role = "admin"
        forged = tokens.issue(buyer, pair.session)

        response = guest.get("/api/v1/auth/me", HTTP_AUTHORIZATION=f"Bearer {forged}")
        assert response.json()["role"] == "buyer"


class TestProfile:
    def test_changes_what_is_named(self, buyer: User) -> None:
        client = signed_in(buyer)
        response = client.patch(
            "/api/v1/users/me",
            {"name": "Asha Rao", "avatarUrl": "https://example.com/a.png", "role": "admin"},
            format="json",
        )

        body = response.json()
        assert response.status_code == 200
        assert (body["name"], body["avatar_url"]) == ("Asha Rao", "https://example.com/a.png")
        assert (body["username"], body["role"]) == ("asha", "buyer")

    def test_null_clears(self, buyer: User) -> None:
        body = (
            signed_in(buyer)
            .put("/api/v1/users/me/", {"name": None, "username": None}, format="json")
            .json()
        )

        assert (body["name"], body["username"]) == (None, None)
        buyer.refresh_from_db()
        assert buyer.username_key is None

    def test_keeps_its_own_username_in_another_case(self, buyer: User) -> None:
        body = (
            signed_in(buyer).patch("/api/v1/users/me", {"username": "ASHA"}, format="json").json()
        )

        assert body["username"] == "ASHA"

    def test_refuses_the_name_of_another(self, buyer: User, seller: User) -> None:
        response = signed_in(buyer).patch("/api/v1/users/me", {"username": "BRUNO"}, format="json")

        assert problem(response) == (409, "username_taken", {"field": "username"})

    @pytest.mark.parametrize("url", ["javascript:alert(1)", "x", "https://a b", "ftp://x/y"])
    def test_refuses_other_addresses(self, buyer: User, url: str) -> None:
        response = signed_in(buyer).patch("/api/v1/users/me", {"avatar_url": url}, format="json")

        assert problem(response)[:2] == (400, "validation_failed")


class TestUser:
    def test_shows_the_public_face(self, stranger: User, buyer: User) -> None:
        response = signed_in(stranger).get(f"/api/v1/users/{buyer.public_id}")

        assert response.json() == {
            "id": buyer.public_id,
            "username": "asha",
            "name": "Asha",
            "avatar_url": None,
        }

    def test_hides_who_has_left(self, stranger: User, buyer: User) -> None:
        User.objects.filter(pk=buyer.pk).update(is_active=False)
        client = signed_in(stranger)

        for user_id in (buyer.public_id, "nobody", "0" * 300):
            assert problem(client.get(f"/api/v1/users/{user_id}"))[:2] == (404, "user_not_found")


class TestSchema:
    def test_outputs_are_documented_as_they_are(self, buyer: User) -> None:
        pair = sessions.start_session(user=buyer, issuer=Issuer.MARKETPLACE)
        documented: list[tuple[dict[str, Any], Serializer[Any]]] = [
            (serializers.user_to_wire(buyer), serializers.UserOutput()),
            (serializers.public_user_to_wire(buyer), serializers.PublicUserOutput()),
            (serializers.token_pair_to_wire(pair), serializers.TokenPairOutput()),
            (serializers.address_to_wire(Address(), default_id=None), serializers.AddressOutput()),
        ]
        for wire, output in documented:
            assert sorted(wire) == sorted(output.fields)


class TestMalformed:
    @pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"7", b"null", b"\xff", b"[" * 100])
    @pytest.mark.parametrize(
        "path", ["/api/v1/auth/otp/verify", "/api/v1/auth/register", "/api/auth/verify-otp"]
    )
    def test_is_told(self, client: Client, path: str, body: bytes) -> None:
        response = client.post(path, body, content_type="application/json")

        assert (response.status_code, response.json()["code"]) == (400, "malformed_request")


HOME = {
    "street": "1 Market Street",
    "city": "New York",
    "state": "NY",
    "zip": "10001",
    "country": "USA",
}
ADDRESSES = "/api/v1/users/me/addresses"


def add(user: User, **fields: Any) -> dict[str, Any]:
    response = signed_in(user).post(ADDRESSES, {**HOME, **fields}, format="json")
    assert response.status_code == 201, response.json()
    return dict(response.json())


def defaults(user: User) -> list[str]:
    listed = signed_in(user).get(ADDRESSES).json()["items"]
    return [address["label"] for address in listed if address["is_default"]]


class TestAddresses:
    def test_are_kept_with_the_code_of_their_country(self, buyer: User) -> None:
        address = add(buyer, label="Home", phone="+1 555 010 0001")

        told = {name: address[name] for name in address if name[-3:] not in ("_at", "id")}
        assert told == {
            "label": "Home",
            "name": None,
            "line1": "1 Market Street",
            "line2": None,
            "city": "New York",
            "state": "NY",
            "postal_code": "10001",
            "country": "USA",
            "country_code": "US",
            "phone_number": "+15550100001",
            "latitude": None,
            "longitude": None,
            "is_default": True,
        }
        assert signed_in(buyer).get(ADDRESSES).json() == {"items": [address], "next_cursor": None}

    def test_one_is_the_default_as_long_as_there_is_any(self, buyer: User) -> None:
        home, work = add(buyer, label="Home"), add(buyer, label="Work")
        assert defaults(buyer) == ["Home"]

        signed_in(buyer).patch(f"{ADDRESSES}/{work['id']}", {"is_default": True}, format="json")
        assert defaults(buyer) == ["Work"]
        add(buyer, label="Shed", is_default=True)
        assert defaults(buyer) == ["Shed"]

        for label in ("Shed", "Work", "Home"):
            assert defaults(buyer) == [label]
            ids = {row["label"]: row["id"] for row in self.listed(buyer)}
            assert signed_in(buyer).delete(f"{ADDRESSES}/{ids[label]}").status_code == 204
        assert self.listed(buyer) == []
        buyer.refresh_from_db()
        assert buyer.default_address_id is None
        assert home["id"] != work["id"]

    def listed(self, user: User) -> list[dict[str, Any]]:
        return list(signed_in(user).get(ADDRESSES).json()["items"])

    def test_a_change_leaves_the_rest(self, buyer: User) -> None:
        home = add(buyer, label="Home", latitude=40.7, longitude=-74)

        changed = signed_in(buyer).patch(
            f"{ADDRESSES}/{home['id']}",
            {"country": "Deutschland", "label": None, "latitude": None, "longitude": None},
            format="json",
        )

        told = changed.json()
        assert (told["country"], told["country_code"], told["label"]) == ("Deutschland", None, None)
        assert (told["latitude"], told["longitude"]) == (None, None)
        assert (told["line1"], told["is_default"]) == ("1 Market Street", True)

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"street": ""}, "line1"),
            ({"city": None}, "city"),
            ({"country_code": "XX"}, "country_code"),
            ({"latitude": 91, "longitude": 0}, "latitude"),
            ({"latitude": 1}, "longitude"),
            ({"phone_number": "12"}, "phone_number"),
            ({"zip": "1" * 21}, "postal_code"),
        ],
    )
    def test_name_the_wrong_field(self, buyer: User, fields: Any, field: str) -> None:
        response = signed_in(buyer).post(ADDRESSES, {**HOME, **fields}, format="json")

        status, code, details = problem(response)
        assert (status, code, list(details["fields"])) == (400, "validation_failed", [field])
        assert not Address.objects.filter(user=buyer).exists()

    def test_of_others_are_not_there(self, buyer: User, stranger: User) -> None:
        home = add(buyer, label="Home")
        client = signed_in(stranger)

        for key in (home["id"], "nothing"):
            for response in (
                client.patch(f"{ADDRESSES}/{key}", {"label": "Mine"}, format="json"),
                client.delete(f"{ADDRESSES}/{key}"),
            ):
                assert problem(response)[:2] == (404, "address_not_found")
        assert self.listed(buyer) == [home]

    def test_end_at_fifty(self, buyer: User) -> None:
        Address.objects.bulk_create(
            Address(user=buyer, line1="x", city="y", postal_code="z", country="USA")
            for _ in range(50)
        )

        response = signed_in(buyer).post(ADDRESSES, HOME, format="json")

        assert problem(response) == (409, "too_many_addresses", {"limit": 50})
        assert Address.objects.filter(user=buyer).count() == 50

    def test_selectors_find_the_default(self, buyer: User) -> None:
        assert selectors.default_address(user=buyer) is None
        home = add(buyer, label="Home")
        found = selectors.default_address(user=buyer)
        assert found is not None
        assert str(found.id) == home["id"]
