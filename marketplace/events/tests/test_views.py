"""The audit over REST: for admins, in pages, by whole values."""

from typing import Any

import pytest
from django.utils.http import urlencode
from rest_framework.test import APIClient

from accounts.models import User
from marketplace.events.models import AuditEntry
from marketplace.tests.cast import assert_queries, signed_in

pytestmark = pytest.mark.django_db

AUDIT = "/api/v1/audit"


def note(number: int, **fields: Any) -> AuditEntry:
    return AuditEntry.objects.create(
        **{"actor_id": "edith", "action": "thing.done", "target": f"thing:{number}"} | fields
    )


def listed(client: APIClient, **query: Any) -> dict[str, Any]:
    answer = client.get(f"{AUDIT}?{urlencode(query)}")
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


class TestAccess:
    def test_is_for_admins(
        self, buyer: User, employee: User, courier: User, stranger: User, guest: APIClient
    ) -> None:
        note(1)

        assert guest.get(AUDIT).status_code == 401
        for user in (buyer, employee, courier, stranger):
            answer = signed_in(user).get(AUDIT)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


class TestList:
    @pytest.fixture
    def client(self, admin: User) -> APIClient:
        return signed_in(admin)

    def test_tells_an_act_whole(self, client: APIClient) -> None:
        entry = note(1, details={"to": "x"}, address="192.0.2.7", request_id="req-7")

        [told] = listed(client)["items"]

        assert told.pop("created_at").endswith("Z")
        assert told == {
            "id": str(entry.id),
            "actor_id": "edith",
            "action": "thing.done",
            "target": "thing:1",
            "details": {"to": "x"},
            "address": "192.0.2.7",
            "request_id": "req-7",
        }

    def test_shows_what_is_absent_as_null(self, client: APIClient) -> None:
        note(1, actor_id=None, target="")

        [told] = listed(client)["items"]

        absent = ("actor_id", "target", "address", "request_id")
        assert [told[name] for name in absent] == [None] * 4

    def test_goes_through_all_in_pages_newest_first(self, client: APIClient) -> None:
        for number in range(5):
            note(number)

        first = listed(client, limit=2)
        second = listed(client, limit=2, cursor=first["next_cursor"])
        third = listed(client, limit=2, cursor=second["next_cursor"])

        targets = [one["target"] for page in (first, second, third) for one in page["items"]]
        assert targets == [f"thing:{number}" for number in (4, 3, 2, 1, 0)]
        assert third["next_cursor"] is None

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({"actor_id": "asha"}, ["thing:2"]),
            ({"action": "thing.lost"}, ["thing:3"]),
            ({"target": "thing:1"}, ["thing:1"]),
            ({"actorId": "edith", "action": "thing.done"}, ["thing:1"]),
            ({"actor_id": "edith", "target": "thing:2"}, []),
            ({"target": "thing"}, []),
        ],
    )
    def test_finds_whole_values(
        self, client: APIClient, query: dict[str, str], expected: list[str]
    ) -> None:
        note(1)
        note(2, actor_id="asha")
        note(3, action="thing.lost")

        assert [one["target"] for one in listed(client, **query)["items"]] == expected

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("limit=0", "validation_failed"),
            ("limit=x", "validation_failed"),
            ("cursor=x", "cursor_invalid"),
            ("action=%00", "validation_failed"),
            ("action=" + "x" * 65, "validation_failed"),
        ],
    )
    def test_refuses_what_is_no_question(self, client: APIClient, query: str, code: str) -> None:
        answer = client.get(f"{AUDIT}?{query}")

        assert (answer.status_code, answer.json()["code"]) == (400, code)

    def test_costs_the_same_for_one_and_for_many(self, client: APIClient) -> None:
        note(1)
        with assert_queries(2):
            listed(client, limit=100)
        for number in range(50):
            note(number)

        with assert_queries(2):
            assert len(listed(client, limit=100)["items"]) == 51

    def test_is_only_read(self, client: APIClient) -> None:
        for method in ("post", "put", "patch", "delete"):
            assert getattr(client, method)(AUDIT, {}, format="json").status_code == 405
