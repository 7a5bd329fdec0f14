"""Filters that do not read a table to know its values; times to the second."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.template.defaultfilters import date
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.formats import localize

from marketplace.core.models import Job
from marketplace.events.models import Event
from marketplace.tests.cast import make_user

LISTS = [
    ("events/event", "name", "room.created"),
    ("events/position", "subscriber", "nobody"),
    ("core/job", "name", "cleanup"),
    ("core/idempotencykey", "answered", "yes"),
]


@pytest.fixture
def staff(client: Client, db: None) -> Client:
    edith = make_user("Edith", number=5, role="admin", is_staff=True, is_superuser=True)
    client.force_login(edith)
    return client


class TestFilters:
    @pytest.mark.parametrize(("table", "name", "value"), LISTS)
    def test_read_no_column_for_their_choices(
        self, staff: Client, table: str, name: str, value: str
    ) -> None:
        if connection.vendor == "mongodb":
            pytest.skip("there is no SQL to look at")
        with CaptureQueriesContext(connection) as captured:
            answer = staff.get(f"/admin/{table}/", {name: value})

        assert answer.status_code == 200
        assert [one["sql"] for one in captured.captured_queries if "DISTINCT" in one["sql"]] == []

    def test_show_the_rows_of_one_value(self, staff: Client) -> None:
        Job.objects.create(key="one", name="cleanup")
        Job.objects.create(key="two", name="send_sms")

        page = staff.get("/admin/core/job/", {"name": "send_sms"}).content.decode()

        assert ">two<" in page
        assert ">one<" not in page

    def test_offer_every_kind_of_event_also_where_there_is_none(self, staff: Client) -> None:
        assert Event.objects.filter(name="member.left").count() == 0

        assert "?name=member.left" in staff.get("/admin/events/event/").content.decode()

    @pytest.mark.parametrize("answered", ["yes", "no"])
    def test_take_keys_by_their_answer(self, staff: Client, answered: str) -> None:
        page: Any = staff.get("/admin/core/idempotencykey/", {"answered": answered})

        assert page.status_code == 200


class TestTimes:
    def test_are_told_to_the_second_in_an_order_that_sorts(self) -> None:
        at = datetime(2026, 1, 10, 18, 5, 9, tzinfo=UTC)

        assert localize(at) == "2026-01-10 18:05:09"
        assert date(at, "DATETIME_FORMAT") == "2026-01-10 18:05:09"
