"""Health, readiness, metrics, jobs over REST."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import shared_task
from django.db import OperationalError
from django.test import Client
from pytest_django import Settings

from marketplace.core import health, observe, views
from marketplace.core.models import Job, KeyFingerprint
from marketplace.core.tests.urls import NameAuthentication

pytestmark = [pytest.mark.urls("marketplace.core.urls"), pytest.mark.django_db]

JSON: Any = {"content_type": "application/json"}


@shared_task(name="test_view_task")  # type: ignore[untyped-decorator]  # untyped package
def noop(**_: Any) -> None:
    """Nothing."""


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views.JobViewSet, "authentication_classes", (NameAuthentication,))


class TestHealth:
    @pytest.fixture(autouse=True)
    def _at_noon(self) -> Iterator[None]:
        import time_machine

        with time_machine.travel("2026-01-10T12:00:00Z", tick=False):
            yield

    def test_of_gharbazaar_is_exact(self, client: Client) -> None:
        body = client.get("/api/v1/health").content.decode()

        assert body == (
            '{"success":true,"message":"API is healthy","timestamp":"2026-01-10T12:00:00.000Z"}'
        )

    @pytest.mark.parametrize(
        ("path", "status", "version"),
        [
            ("/api/health", "ok", "1.0.0"),
            ("/api/auth/health", "ok", "1.0.0"),
            ("/health", "healthy", "v1"),
        ],
    )
    def test_of_the_others_has_both(
        self, client: Client, path: str, status: str, version: str
    ) -> None:
        assert client.get(path).json() == {
            "status": status,
            "timestamp": "2026-01-10T12:00:00.000Z",
            "version": version,
            "success": True,
            "message": "API is healthy",
        }

    def test_asks_no_database_and_looks_at_no_token(
        self, django_assert_num_queries: Any, client: Client
    ) -> None:
        with django_assert_num_queries(0):
            response = client.get("/api/v1/health", headers={"Authorization": "Bearer bad"})

        assert response.status_code == 200
        assert not response.has_header("RateLimit-Limit")


class TestReadiness:
    @pytest.fixture(autouse=True)
    def _running(self, settings: Settings) -> Iterator[None]:
        settings.CELERY_BROKER_URL = ""
        settings.BUS_ENABLED = False
        yield
        observe.draining = False

    def test_names_the_parts(self, client: Client) -> None:
        body = client.get("/readyz").json()

        assert body["status"] == "ok"
        assert sorted(body["checks"]) == ["broker", "bus", "channel_layer", "database"]
        assert (body["checks"]["database"], body["checks"]["broker"]) == ("ok", "unused")

    def test_is_refused_while_the_process_drains(self, client: Client) -> None:
        observe.draining = True

        assert client.get("/readyz").status_code == 503
        assert client.get("/livez").status_code == 200

    def test_is_refused_without_the_database(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(*_: Any) -> None:
            raise OperationalError

        monkeypatch.setattr(KeyFingerprint.objects, "order_by", down)

        response = client.get("/readyz")

        assert response.status_code == 503
        assert response.json()["checks"]["database"] == "down"
        assert client.get("/livez").status_code == 200

    def test_tells_of_a_broker_that_is_down_and_goes_on(
        self, client: Client, settings: Settings
    ) -> None:
        settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"

        response = client.get("/readyz")

        assert (response.status_code, response.json()["checks"]["broker"]) == (200, "down")

    def test_asks_once_a_second(self, client: Client, django_assert_num_queries: Any) -> None:
        health.forget_checks()
        with django_assert_num_queries(1):
            for _ in range(5):
                client.get("/readyz")


class TestMetrics:
    def test_is_open_to_this_machine(self, client: Client) -> None:
        Job.objects.create(key="k", name="cleanup", state="dead")

        body = client.get("/metrics").content.decode()

        assert 'marketplace_jobs{state="dead"} 1.0' in body
        assert "marketplace_http_request_seconds_bucket" in body

    @pytest.mark.parametrize(
        "more",
        [
            {"REMOTE_ADDR": "8.8.8.8"},
            {"headers": {"X-Forwarded-For": "127.0.0.1"}},
            {"REMOTE_ADDR": "8.8.8.8", "headers": {"Authorization": "Bearer wrong"}},
            {"REMOTE_ADDR": "8.8.8.8", "headers": {"Authorization": "Bearer "}},
        ],
    )
    def test_is_closed_to_others(self, client: Client, settings: Settings, more: Any) -> None:
        settings.METRICS_TOKEN = "right"

        assert client.get("/metrics", **more).status_code == 401

    def test_is_open_with_the_token(self, client: Client, settings: Settings) -> None:
        settings.METRICS_TOKEN = "right"
        headers = {"Authorization": "Bearer right"}

        assert client.get("/metrics", REMOTE_ADDR="8.8.8.8", headers=headers).status_code == 200

    def test_without_a_token_setting_no_empty_token_opens_it(
        self, client: Client, settings: Settings
    ) -> None:
        settings.METRICS_TOKEN = ""

        assert client.get("/metrics", REMOTE_ADDR="8.8.8.8").status_code == 401


class TestJobs:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("get", "/api/v1/jobs"),
            ("get", "/api/v1/jobs/dead"),
            ("post", "/api/v1/jobs/cleanup/run"),
            ("post", "/api/v1/jobs/dead/x/retry"),
        ],
    )
    def test_are_for_admins(self, client: Client, asha: Client, method: str, path: str) -> None:
        assert getattr(client, method)(path, **JSON).status_code == 401
        assert getattr(asha, method)(path, **JSON).status_code == 403
        assert Job.objects.count() == 0

    def test_are_listed_by_name(self, edith: Client) -> None:
        Job.objects.create(key="k", name="cleanup")

        items = {item["name"]: item for item in edith.get("/api/v1/jobs").json()["items"]}

        assert items["cleanup"] == {
            "name": "cleanup",
            "schedule": "daily 03:00",
            "waiting": 1,
            "running": 0,
            "dead": 0,
        }

    def test_run_now(self, edith: Client) -> None:
        response = edith.post("/api/v1/jobs/cleanup/run", **JSON)

        assert response.status_code == 200
        assert (response.json()["name"], response.json()["state"]) == ("cleanup", "waiting")
        assert Job.objects.get().key.startswith("cleanup:now:")

    @pytest.mark.parametrize(
        ("name", "status", "code"),
        [
            ("unheard_of", 404, "job_not_found"),
            ("run_job", 404, "job_not_found"),
            ("test_view_task", 422, "unprocessable"),
        ],
    )
    def test_do_not_run_without_their_arguments(
        self, edith: Client, name: str, status: int, code: str
    ) -> None:
        response = edith.post(f"/api/v1/jobs/{name}/run", **JSON)

        assert (response.status_code, response.json()["code"]) == (status, code)
        assert Job.objects.count() == 0

    def test_that_are_dead_are_listed_and_retried(self, edith: Client) -> None:
        job = Job.objects.create(key="k", name="test_view_task", state="dead", last_error="no")

        [listed] = edith.get("/api/v1/jobs/dead").json()["items"]
        retried = edith.post(f"/api/v1/jobs/dead/{job.id}/retry", **JSON)

        assert (listed["id"], listed["last_error"]) == (str(job.id), "no")
        assert (retried.status_code, retried.json()["state"]) == (200, "waiting")
        assert edith.post(f"/api/v1/jobs/dead/{job.id}/retry", **JSON).status_code == 404
        assert edith.post("/api/v1/jobs/dead/nonsense/retry", **JSON).status_code == 404
