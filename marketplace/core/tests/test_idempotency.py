"""A POST that is sent again is done once."""

import hashlib
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client

from marketplace.core import idempotency
from marketplace.core.clock import now
from marketplace.core.ids import uuid7
from marketplace.core.models import IdempotencyKey
from marketplace.core.tests.urls import EchoView, OutcomeView

pytestmark = pytest.mark.urls("marketplace.core.tests.urls")

KEY = {"Idempotency-Key": "order-1"}


def post(client: Client, path: str, body: Any = '{"title": "a"}', key: str = "order-1") -> Any:
    return client.post(
        path, body, content_type="application/json", headers={"Idempotency-Key": key}
    )


@pytest.mark.django_db
class TestRepeat:
    def test_gets_the_first_answer_and_runs_nothing(self, asha: Client) -> None:
        first = post(asha, "/api/v1/echo")
        runs = EchoView.runs

        second = post(asha, "/api/v1/echo")

        assert (second.status_code, second.content) == (201, first.content)
        assert second["Idempotent-Replayed"] == "true"
        assert second["Content-Type"] == "application/json"
        assert not first.has_header("Idempotent-Replayed")
        assert EchoView.runs == runs

    def test_with_another_body_is_refused(self, asha: Client) -> None:
        post(asha, "/api/v1/echo")

        response = post(asha, "/api/v1/echo", '{"title": "b"}')

        assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")

    def test_of_another_caller_or_path_or_key_is_another_request(
        self, asha: Client, edith: Client
    ) -> None:
        runs = EchoView.runs
        post(asha, "/api/v1/echo")
        post(edith, "/api/v1/echo")
        post(asha, "/api/v1/open")
        post(asha, "/api/v1/echo", key="order-2")

        assert EchoView.runs == runs + 4

    def test_with_a_slash_is_the_same_path(self, asha: Client) -> None:
        post(asha, "/api/v1/echo")

        assert post(asha, "/api/v1/echo/")["Idempotent-Replayed"] == "true"

    def test_after_a_day_is_new(self, asha: Client) -> None:
        with time_machine.travel("2026-01-10T12:00:00Z", tick=False) as clock:
            post(asha, "/api/v1/echo")
            clock.shift(86_400)
            assert not post(asha, "/api/v1/echo").has_header("Idempotent-Replayed")

    def test_where_tokens_are_answered_is_not_kept(self, client: Client) -> None:
        runs = EchoView.runs
        post(client, "/api/v1/tokens")
        post(client, "/api/v1/tokens")

        assert EchoView.runs == runs + 2
        assert IdempotencyKey.objects.count() == 0

    def test_of_the_same_form_is_the_same(self, client: Client) -> None:
        for _ in range(2):
            response = client.post("/api/v1/form", {"a": "1"}, headers=KEY)

        assert response["Idempotent-Replayed"] == "true"
        other = client.post("/api/v1/form", {"a": "2"}, headers=KEY)
        assert other.status_code == 422

    @pytest.mark.parametrize("key", ["", "x" * 129, "a\x07b"])
    def test_with_a_wrong_key_is_not_valid(self, asha: Client, key: str) -> None:
        response = post(asha, "/api/v1/echo", key=key)

        assert (response.status_code, response.json()["code"]) == (400, "validation_failed")


@pytest.mark.django_db
class TestWhatIsKept:
    @pytest.mark.parametrize(("outcome", "status"), [("bug", 500), ("invalid", 400)])
    def test_not_a_fault_nor_wrong_input(self, asha: Client, outcome: str, status: int) -> None:
        runs = OutcomeView.runs
        for _ in range(2):
            response = post(asha, f"/api/v1/outcome?outcome={outcome}")

        assert response.status_code == status
        assert OutcomeView.runs == runs + 2

    def test_a_refusal_by_a_rule(self, asha: Client) -> None:
        runs = OutcomeView.runs
        for _ in range(2):
            response = post(asha, "/api/v1/outcome?outcome=refused")

        assert (response.status_code, response["Idempotent-Replayed"]) == (422, "true")
        assert response["Content-Type"] == "application/problem+json"
        assert OutcomeView.runs == runs + 1


def made_at() -> datetime:
    """What the id of the only key tells; ids never fall, also where a test has moved the clock."""
    return datetime.fromtimestamp((IdempotencyKey.objects.get().id.int >> 80) / 1000, UTC)


@pytest.mark.django_db
class TestWhileTheFirstRuns:
    def test_the_second_is_told_to_wait(self, asha: Client) -> None:
        scope = idempotency.scope_of(
            caller="user:asha", method="POST", path="/api/v1/echo", key="order-1"
        )
        body = b'{"title": "a"}'
        idempotency.begin(scope=scope, body_hash=hashlib.sha256(body).hexdigest())

        response = post(asha, "/api/v1/echo", body)

        assert (response.status_code, response.json()["code"]) == (409, "idempotency_in_progress")
        assert response["Retry-After"] == "1"

    def test_a_crashed_run_is_taken_over_after_its_lease(self) -> None:
        with time_machine.travel("2026-01-10T12:00:00Z", tick=False) as clock:
            crashed = idempotency.begin(scope="s", body_hash="b")
            clock.shift(59)
            with pytest.raises(idempotency.IdempotencyInProgress):
                idempotency.begin(scope="s", body_hash="b")
            clock.shift(1)
            heir = idempotency.begin(scope="s", body_hash="b")
            with pytest.raises(idempotency.IdempotencyInProgress):
                idempotency.begin(scope="s", body_hash="b")

            assert isinstance(crashed, idempotency.Claim)
            assert isinstance(heir, idempotency.Claim)
            idempotency.store(heir, status=201, content_type="application/json", body=b"heir")
            # The first run was only slow: what it says now counts no more.
            idempotency.store(crashed, status=201, content_type="application/json", body=b"late")
            idempotency.release(crashed)
            assert idempotency.begin(scope="s", body_hash="b") == idempotency.Replay(
                201, "application/json", b"heir"
            )

    def test_of_two_heirs_one_takes_over(self) -> None:
        idempotency.begin(scope="s", body_hash="b")
        seen_by_both = IdempotencyKey.objects.get()
        idempotency._take_over(seen_by_both, "b", uuid7(), now())

        with pytest.raises(idempotency.IdempotencyInProgress):
            idempotency._take_over(seen_by_both, "b", uuid7(), now())

    def test_cleanup_forgets_what_is_over(self) -> None:
        idempotency.begin(scope="s", body_hash="b")

        assert idempotency.delete_expired(now()) == 0
        assert idempotency.delete_expired(made_at() + timedelta(hours=25)) == 1

    def test_cleanup_leaves_an_old_key_that_was_taken_over(self) -> None:
        idempotency.begin(scope="s", body_hash="b")
        later = made_at() + timedelta(hours=25)
        IdempotencyKey.objects.update(expires_at=later + timedelta(hours=1))

        assert idempotency.delete_expired(later) == 0
        assert idempotency.delete_expired(later + timedelta(hours=1)) == 1


@pytest.mark.django_db(transaction=True)
class TestRace:
    def test_of_many_equal_requests_one_runs(self) -> None:
        barrier = threading.Barrier(6)
        claims: list[object] = []

        def begin() -> None:
            barrier.wait()
            try:
                claims.append(idempotency.begin(scope="race", body_hash="b"))
            except idempotency.IdempotencyInProgress:
                pass
            finally:
                connection.close()

        threads = [threading.Thread(target=begin) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(claims) == 1
        assert IdempotencyKey.objects.count() == 1
