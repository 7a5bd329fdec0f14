"""What happens to every HTTP request."""

from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from django.test import AsyncClient, Client
from pytest_django import Settings
from structlog.testing import capture_logs

from marketplace.core import observe
from marketplace.core.context import request_id

pytestmark = [pytest.mark.urls("marketplace.core.tests.urls"), pytest.mark.django_db]


class TestRequestId:
    def test_is_the_clients_where_it_has_a_form(self, client: Client) -> None:
        assert client.get("/page", headers={"X-Request-ID": "a.b-C_9"})["X-Request-ID"] == "a.b-C_9"

    @pytest.mark.parametrize("offered", ["", "x" * 65, "a b", "a\nb", "é", "<script>"])
    def test_is_ours_where_it_has_none(self, client: Client, offered: str) -> None:
        given = client.get("/page", headers={"X-Request-ID": offered})["X-Request-ID"]

        assert given != offered
        assert len(given) == 32

    def test_is_on_errors_of_all_kinds(self) -> None:
        client = Client(raise_request_exception=False)
        for path in ("/broken", "/nothing", "/api/v1/echo"):
            response = client.get(path)
            assert response.json()["request_id"] == response["X-Request-ID"]

    def test_does_not_stay_for_the_next_request(self, client: Client) -> None:
        first = client.get("/page")["X-Request-ID"]

        assert client.get("/page")["X-Request-ID"] != first


class TestSlash:
    @pytest.mark.parametrize("path", ["/page", "/page/"])
    def test_is_one_path_with_and_without(self, client: Client, path: str) -> None:
        assert client.get(path).status_code == 200

    def test_is_never_a_redirect_for_writes(self, asha: Client) -> None:
        response = asha.post("/api/v1/echo/", '{"title":"a"}', content_type="application/json")

        assert response.status_code == 201

    def test_drops_one_slash_only(self, client: Client) -> None:
        assert client.get("/page//").status_code == 404

    @pytest.mark.urls("marketplace.urls")
    def test_leaves_the_admin_alone(self, client: Client) -> None:
        assert client.get("/admin/login/").status_code == 200


class TestServerTiming:
    def test_is_told_to_everyone_locally(self, client: Client, settings: Settings) -> None:
        settings.PROFILE = "local"

        timing = client.get("/page")["Server-Timing"]

        assert timing.startswith("total;dur=")
        assert timing.endswith(';desc="1 queries"')

    @pytest.mark.parametrize("path", ["/page", "/api/v1/echo", "/nothing"])
    def test_is_not_told_to_strangers_elsewhere(
        self, client: Client, settings: Settings, path: str
    ) -> None:
        settings.PROFILE = "production"
        settings.SECURE_SSL_REDIRECT = False

        assert not client.get(path).has_header("Server-Timing")

    def test_is_told_to_staff_everywhere(self, edith: Client, settings: Settings) -> None:
        settings.PROFILE = "production"

        assert edith.get("/api/v1/echo").has_header("Server-Timing")

    async def test_counts_the_queries_of_an_async_server(self, settings: Settings) -> None:
        settings.PROFILE = "local"

        for path in ("/threaded", "/async"):
            response: Any = await AsyncClient().get(path)
            assert response["Server-Timing"].endswith(';desc="1 queries"')


class TestSecurityHeaders:
    @pytest.mark.parametrize("path", ["/page", "/nothing", "/api/v1/echo"])
    def test_are_on_every_answer(self, client: Client, path: str) -> None:
        response = client.get(path)

        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["X-Frame-Options"] == "SAMEORIGIN"
        assert response["Referrer-Policy"] == "no-referrer"
        assert response["Cross-Origin-Opener-Policy"] == "same-origin"
        assert response["Cross-Origin-Resource-Policy"] == "same-origin"
        assert response["X-DNS-Prefetch-Control"] == "off"
        assert "geolocation" in response["Permissions-Policy"]
        assert "default-src 'self'" in response["Content-Security-Policy"]
        assert not response.has_header("Server")

    def test_ask_for_tls_in_production_only(self, client: Client, settings: Settings) -> None:
        assert not client.get("/page").has_header("Strict-Transport-Security")

        settings.PROFILE = "production"
        settings.PLAIN_HTTP = False
        assert client.get("/page")["Strict-Transport-Security"].startswith("max-age=31536000")

        settings.PLAIN_HTTP = True
        assert not client.get("/page").has_header("Strict-Transport-Security")


class TestAsync:
    """The same chain under ASGI: nothing of it needs a thread of its own."""

    async def test_every_middleware_answers(self) -> None:
        response = await AsyncClient().get("/async", headers={"X-Request-ID": "async-1"})

        assert response["X-Request-ID"] == "async-1"
        assert response["X-Frame-Options"] == "SAMEORIGIN"

    async def test_the_view_knows_the_request_id(self) -> None:
        client = AsyncClient(raise_request_exception=False)
        response = await client.get("/broken", headers={"X-Request-ID": "async-2"})

        assert response.json()["request_id"] == "async-2"
        assert request_id.get() == ""

    @pytest.mark.parametrize(("size", "status"), [(1_048_577, 413), (20, 400)])
    async def test_a_chunked_body_is_measured_and_read(self, size: int, status: int) -> None:
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": "/api/v1/echo",
            "query_string": b"",
            "headers": [(b"host", b"testserver"), (b"authorization", b"Bearer asha")],
        }
        server = ApplicationCommunicator(get_asgi_application(), scope)
        await server.send_input(
            {"type": "http.request", "body": b" " * (size - 2), "more_body": True}
        )
        await server.send_input({"type": "http.request", "body": b"{]", "more_body": False})

        answer = await server.receive_output(5)

        assert answer["status"] == status
        await server.wait(5)


class TestAccessLog:
    def test_has_one_line_per_request(self, asha: Client) -> None:
        with capture_logs() as lines:
            asha.get("/api/v1/echo?token=secret&x=1", headers={"X-Request-ID": "log-1"})

        [line] = [line for line in lines if line["event"] == "request"]
        assert line["path"] == "/api/v1/echo?token=[redacted]&x=1"
        assert (line["method"], line["status"], line["user_id"]) == ("GET", 200, "asha")

    def test_hides_tracking_tokens_in_paths(self, client: Client) -> None:
        with capture_logs() as lines:
            client.get("/track/abcdef/map")

        assert [line["path"] for line in lines] == ["/track/[redacted]/map"]

    def test_counts_by_route_and_not_by_path(self, client: Client) -> None:
        label = ("GET", "/api/v1/raise/<str:kind>", "404")
        before = observe.HTTP_REQUESTS.labels(*label)._value.get()

        client.get("/api/v1/raise/missing")

        assert observe.HTTP_REQUESTS.labels(*label)._value.get() == before + 1
        assert observe.HTTP_IN_FLIGHT._value.get() == 0
