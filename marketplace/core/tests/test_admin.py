"""Filters that do not read a table to know its values; times to the second."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.paginator import EmptyPage
from django.db import connection
from django.template.defaultfilters import date
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.formats import localize
from unfold.templatetags import unfold_list

from marketplace.core.admin import KeyPaginator
from marketplace.core.clock import now
from marketplace.core.models import Job
from marketplace.events.models import Event, Position
from marketplace.tests.cast import assert_queries, make_user

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


class TestPages:
    """Later pages are found by their keys, those of the second half from the end."""

    @pytest.fixture
    def jobs(self, db: None) -> list[str]:
        made = [Job.objects.create(key=f"job-{number}", name="cleanup") for number in range(7)]
        return [job.key for job in reversed(made)]

    @pytest.mark.parametrize("number", [1, 2, 3, 4])
    @pytest.mark.parametrize(("searched", "keys"), [(False, 7), (True, 7), (True, 6)])
    def test_hold_what_the_plain_ones_hold(
        self,
        jobs: list[str],
        number: int,
        searched: bool,
        keys: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(KeyPaginator, "KEYS", keys)
        rows = Job.objects.order_by("-created_at", "-id")

        page = KeyPaginator(rows, 2, searched=searched).page(number)

        assert [job.key for job in page.object_list] == jobs[2 * number - 2 : 2 * number]
        assert page.has_next() == (number < 4)
        assert page.paginator.count == 7

    def test_of_a_search_read_the_table_once(self, jobs: list[str]) -> None:
        with assert_queries(2):
            page = KeyPaginator(Job.objects.order_by("id"), 2, searched=True).page(2)

            assert len(page.object_list) == 2
            assert page.paginator.count == 7

    def test_keep_the_filters_of_the_list(self, jobs: list[str]) -> None:
        Job.objects.filter(key="job-3").update(name="send_sms")
        rows = Job.objects.filter(name="cleanup").order_by("-created_at", "-id")

        page = KeyPaginator(rows, 2).page(3)

        assert [job.key for job in page.object_list] == ["job-1", "job-0"]

    def test_that_are_none_are_told(self, jobs: list[str]) -> None:
        with pytest.raises(EmptyPage):
            KeyPaginator(Job.objects.order_by("id"), 2).page(5)

    def test_choose_rows_by_their_keys(self, staff: Client) -> None:
        job = Job.objects.create(key="one", name="cleanup")

        page = staff.get("/admin/core/job/").content.decode()

        [box] = re.findall(r'<input[^>]*name="_selected_action"[^>]*>', page)
        assert f'value="{job.pk}"' in box
        assert 'type="checkbox"' in box


class TestHeadings:
    def test_are_made_once_for_a_list(self, staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """The theme asks for them again for every row."""
        for number in range(3):
            Job.objects.create(key=f"job-{number}", name="cleanup")
        made: list[str] = []
        original = unfold_list.label_for_field

        def count(name: str, *args: Any, **kwargs: Any) -> Any:
            made.append(name)
            return original(name, *args, **kwargs)

        monkeypatch.setattr(unfold_list, "label_for_field", count)
        page = staff.get("/admin/core/job/").content.decode()

        assert page.count('name="_selected_action"') == 3
        assert made.count("run_at") == 1


class TestPositions:
    def test_that_have_given_up_stand_first(self, staff: Client) -> None:
        """On every database, whatever it takes a missing value for."""
        for name in ("first", "second"):
            Position.objects.create(subscriber=name, topic="inventory")
        Position.objects.create(subscriber="third", topic="inventory", parked_at=now())

        page = staff.get("/admin/events/position/").content.decode()

        assert page.index(">third<") < page.index(">first<") < page.index(">second<")
