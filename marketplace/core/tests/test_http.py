"""The base of every REST view."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings
from structlog.testing import capture_logs

from marketplace.core import limits
from marketplace.core.errors import Unprocessable
from marketplace.core.problems import Place, Wire, register_dialect, wire_error

pytestmark = [pytest.mark.urls("marketplace.core.tests.urls"), pytest.mark.django_db]


def post(client: Client, path: str, body: Any, **more: Any) -> Any:
    more.setdefault("content_type", "application/json")
    return client.post(path, body, **more)


class TestCanonicalError:
    def test_is_a_problem_with_our_object(self, client: Client) -> None:
        response = client.get("/api/v1/echo", headers={"X-Request-ID": "abc-1"})

        assert response.status_code == 401
        assert response["Content-Type"] == "application/problem+json"
        assert response["WWW-Authenticate"] == "Bearer"
        assert response.json() == {
            "type": "urn:marketplace:error:unauthorized",
            "title": "Unauthorized",
            "status": 401,
            "detail": "Sign in first.",
            "instance": "/api/v1/echo",
            "code": "unauthorized",
            "message": "Sign in first.",
            "details": {},
            "request_id": "abc-1",
        }

    def test_names_the_wrong_fields(self, asha: Client) -> None:
        response = post(asha, "/api/v1/echo", "{}")

        assert response.status_code == 400
        assert response.json()["code"] == "validation_failed"
        assert response.json()["details"] == {"fields": {"title": ["This field is required."]}}


class TestRealtimeMarketError:
    def test_says_it_three_times_in_the_clients_words(self, client: Client) -> None:
        body = client.get("/api/rm").json()

        assert body.pop("request_id")
        assert body == {
            "success": False,
            "error": "Missing authentication token",
            "message": "Missing authentication token",
            "code": "unauthorized",
            "details": {},
            "errors": {"detail": "Missing authentication token"},
        }

    def test_takes_the_texts_of_the_route(self, asha: Client) -> None:
        response = post(asha, "/api/rm", {"title": "a"})

        assert (response.status_code, response.json()["message"]) == (409, "User already exists")

    @pytest.mark.parametrize(("method", "status"), [("put", 405), ("patch", 405), ("delete", 405)])
    def test_wraps_405_too(self, client: Client, method: str, status: int) -> None:
        response = getattr(client, method)("/api/rm")

        assert response.status_code == status
        assert response.json()["success"] is False
        assert response["Allow"] == "GET, POST, HEAD, OPTIONS"

    def test_wraps_413_and_415_too(self, client: Client) -> None:
        assert post(client, "/api/rm", "x" * 1_048_577).json()["error"] == "The body is too large."
        response = post(client, "/api/rm", "a=1", content_type="application/x-www-form-urlencoded")
        assert (response.status_code, response.json()["success"]) == (415, False)


class TestDialects:
    def test_are_one_function_each(self) -> None:
        def shout(error: Any, place: Place) -> Wire:
            return Wire(418, {"no": error.message.upper(), "at": place.path})

        register_dialect("shout", shout)

        wire = wire_error(Unprocessable("Not so."), path="/x", dialect="shout")

        assert (wire.status, wire.body) == (418, {"no": "NOT SO.", "at": "/x"})


class TestUnknownPath:
    def test_is_told_below_api_in_both_ways(self, client: Client) -> None:
        response = client.get("/api/v1/nothing/")

        assert response.status_code == 404
        body = response.json()
        assert (body["code"], body["success"]) == ("not_found", False)
        assert body["error"] == "Endpoint not found"
        assert body["path"] == "/api/v1/nothing"

    def test_is_told_elsewhere_to_programs(self, client: Client) -> None:
        body = client.get("/nothing").json()

        assert body["code"] == "not_found"
        assert "success" not in body

    def test_is_a_page_for_a_browser(self, client: Client) -> None:
        response = client.get("/nothing", headers={"Accept": "text/html,*/*"})

        assert response.status_code == 404
        assert response["Content-Type"].startswith("text/html")
        assert "Traceback" not in response.content.decode()

    @pytest.mark.parametrize(
        "path", ["/api/v1/raise/a%00b", "/%00", "/api/%00/x", "/api/v1/%ED%A0%80"]
    )
    def test_is_what_no_path_can_be(self, client: Client, path: str) -> None:
        assert client.get(path).status_code == 404


class TestOrderOfChecks:
    """Each request has every fault from its own on; the first in the order is told."""

    BIG = "x" * 1_048_577

    def test_unknown_path_is_first(self, client: Client) -> None:
        assert post(client, "/api/v1/nothing", self.BIG).status_code == 404

    def test_then_the_method(self, client: Client) -> None:
        response = client.put("/api/v1/echo", self.BIG, content_type="text/xml")
        assert response.status_code == 405

    def test_then_the_size(self, client: Client) -> None:
        assert post(client, "/api/v1/echo", self.BIG, content_type="text/xml").status_code == 413

    def test_then_the_media_type(self, client: Client) -> None:
        assert post(client, "/api/v1/echo", "{", content_type="text/xml").status_code == 415

    def test_then_the_identity(self, client: Client, settings: Settings) -> None:
        settings.LIMITS = {"api": [(1, 60)]}
        for _ in range(2):
            assert post(client, "/api/v1/echo", "{").status_code == 401

    def test_then_the_rate(self, asha: Client, settings: Settings) -> None:
        settings.LIMITS = {"api": [(1, 60)]}
        assert post(asha, "/api/v1/echo", "{").status_code == 400
        assert post(asha, "/api/v1/echo", "{").status_code == 429

    def test_then_the_input_then_the_right(self, asha: Client, edith: Client) -> None:
        assert asha.get("/api/v1/admin-only").status_code == 403
        assert edith.get("/api/v1/admin-only").status_code == 200


class TestIdentity:
    def test_none_does_not_look_at_the_token(self) -> None:
        client = Client(headers={"Authorization": "Bearer bad"})

        assert client.get("/api/v1/open").json() == {"known": False}

    def test_optional_takes_what_is_there(self, client: Client, asha: Client) -> None:
        assert client.get("/api/v1/optional").json() == {"known": False}
        assert asha.get("/api/v1/optional").json() == {"known": True}

    @pytest.mark.parametrize("path", ["/api/v1/optional", "/api/v1/echo"])
    def test_a_bad_token_is_refused_where_one_is_read(self, path: str) -> None:
        response = Client(headers={"Authorization": "Bearer bad"}).get(path)

        assert (response.status_code, response.json()["code"]) == (401, "invalid_token")


class TestRate:
    def test_is_told_in_headers(self, asha: Client, settings: Settings) -> None:
        settings.LIMITS = {"lookup": [(2, 60)]}

        response = asha.get("/api/v1/capped")

        assert response["RateLimit-Limit"] == "2"
        assert response["RateLimit-Remaining"] == "1"
        assert 1 <= int(response["RateLimit-Reset"]) <= 60

    def test_refuses_with_the_time_to_wait(self, asha: Client, settings: Settings) -> None:
        settings.LIMITS = {"lookup": [(1, 60)]}
        asha.get("/api/v1/capped")

        response = asha.get("/api/v1/capped")

        assert response.status_code == 429
        assert response.json()["details"] == {"retry_after": int(response["Retry-After"])}
        assert response["RateLimit-Remaining"] == "0"

    def test_counts_a_user_and_an_address_apart(
        self, client: Client, asha: Client, edith: Client, settings: Settings
    ) -> None:
        settings.LIMITS = {"lookup": [(1, 60)]}

        statuses = [one.get("/api/v1/capped").status_code for one in (client, asha, edith, client)]

        assert statuses == [200, 200, 200, 429]

    def test_a_new_forwarded_for_is_no_new_address(
        self, client: Client, settings: Settings
    ) -> None:
        settings.LIMITS = {"lookup": [(1, 60)]}
        client.get("/api/v1/capped", headers={"X-Forwarded-For": "1.1.1.1"})

        response = client.get("/api/v1/capped", headers={"X-Forwarded-For": "2.2.2.2"})

        assert response.status_code == 429


class TestBody:
    @pytest.mark.parametrize(
        "body",
        [
            "[" * 200_000,
            '{"a":' * 200_000,
            '{"title": NaN}',
            '{"title": 1e999}',
            "[]",
            '"text"',
            "3",
            "null",
            "{",
            "\x00",
            "title=a",
        ],
    )
    def test_that_cannot_be_read_is_malformed(self, asha: Client, body: str) -> None:
        response = post(asha, "/api/v1/echo", body)

        assert (response.status_code, response.json()["code"]) == (400, "malformed_request")

    @pytest.mark.parametrize(
        "body",
        [
            '{"title": "a\\u0000"}',
            '{"title": "\\ud800"}',
            '{"title": {"$ne": 1}}',
            '{"title": ["a"]}',
            '{"title": true}',
            '{"title": "12345678901"}',
            '{"title": "a", "data": {"x": ["\\u0000"]}}',
            '{"title": "a", "data": "\\udfff"}',
        ],
    )
    def test_with_a_wrong_value_is_not_valid(self, asha: Client, body: str) -> None:
        response = post(asha, "/api/v1/echo", body)

        assert (response.status_code, response.json()["code"]) == (400, "validation_failed")

    def test_bytes_that_are_not_utf8_are_malformed(self, asha: Client) -> None:
        assert post(asha, "/api/v1/echo", b'{"title": "\xff"}').status_code == 400

    @pytest.mark.parametrize(
        "kind",
        ["", "application/json", "application/json; charset=utf-8", "application/merge-patch+json"],
    )
    def test_without_a_type_is_json(self, asha: Client, kind: str) -> None:
        response = asha.generic("POST", "/api/v1/echo", '{"title": "a"}', content_type=kind)

        assert response.status_code == 201
        assert response.json()["title"] == "a"

    @pytest.mark.parametrize(
        "kind",
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
    )
    def test_of_another_type_is_415(self, asha: Client, kind: str) -> None:
        assert post(asha, "/api/v1/echo", "a=1", content_type=kind).status_code == 415

    def test_a_form_is_taken_where_the_view_takes_it(self, client: Client) -> None:
        assert client.post("/api/v1/form", {"a": "1"}).json() == {"names": ["a"]}

    def test_an_empty_one_is_an_empty_object(self, asha: Client) -> None:
        assert "title" in post(asha, "/api/v1/echo", "").json()["details"]["fields"]

    def test_of_a_plain_view_is_limited_too(self, client: Client) -> None:
        assert post(client, "/form", "x" * 1_048_576).content == b"page 1048576"
        assert post(client, "/form", "x" * 1_048_577).status_code == 413


class TestTranslation:
    @pytest.mark.parametrize(
        ("kind", "status", "code"),
        [
            ("bug", 500, "internal_error"),
            ("database", 503, "unavailable"),
            ("redis", 503, "unavailable"),
            ("out-of-range", 400, "validation_failed"),
            ("overflow", 400, "validation_failed"),
            ("nul", 400, "validation_failed"),
            ("duplicate", 409, "conflict"),
            ("not-null", 500, "internal_error"),
            ("missing", 404, "not_found"),
            ("throttled", 429, "rate_limited"),
            ("drf-403", 403, "forbidden"),
            ("drf-parse", 400, "malformed_request"),
        ],
    )
    def test_gives_each_exception_its_status(
        self, client: Client, kind: str, status: int, code: str
    ) -> None:
        response = client.get(f"/api/v1/raise/{kind}")

        assert (response.status_code, response.json()["code"]) == (status, code)
        assert response.has_header("Retry-After") == (status in (429, 503))

    def test_logs_a_fault_once_with_its_request(
        self, client: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        with capture_logs() as lines:
            client.get("/api/v1/raise/bug")

        assert [line["event"] for line in lines if line["log_level"] == "error"] == [
            "request_failed"
        ]
        assert caplog.records == []

    def test_tells_nothing_of_a_fault(self, client: Client) -> None:
        body = client.get("/api/v1/raise/bug").content.decode()

        assert "secret" not in body
        assert "Traceback" not in body

    def test_logs_a_fault_of_a_page_once(self, caplog: pytest.LogCaptureFixture) -> None:
        client = Client(raise_request_exception=False)

        with capture_logs() as lines:
            response = client.get("/broken")

        assert (response.status_code, response.json()["code"]) == (500, "internal_error")
        assert [line["event"] for line in lines if line["log_level"] == "error"] == [
            "request_failed"
        ]
        assert caplog.records == []

    def test_a_refusal_is_no_fault(self, client: Client) -> None:
        with capture_logs() as lines:
            client.get("/api/v1/echo")

        assert [line for line in lines if line["log_level"] in ("warning", "error")] == []


class TestMethods:
    def test_options_tells_the_methods_without_identity(self, client: Client) -> None:
        response = client.options("/api/v1/echo")

        assert (response.status_code, response["Allow"]) == (204, "GET, POST, HEAD, OPTIONS")

    def test_a_plain_view_refuses_with_our_body(self, client: Client) -> None:
        response = client.post("/page")

        assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
        assert response["Allow"] == "GET"

    def test_limits_are_fresh(self) -> None:
        assert limits.check("api", "nobody").remaining == 599
