"""Lists in pages."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import RequestFactory

from marketplace.core.clock import now
from marketplace.core.errors import CursorInvalid, ValidationFailed
from marketplace.core.models import Job
from marketplace.core.pagination import cursor_page, make_cursor, page_limit, read_cursor

ORDER = ("-created_at", "-id")


def page(**query: Any) -> dict[str, Any]:
    request = RequestFactory().get("/", query)
    return cursor_page(Job.objects.all(), request=request, to_wire=lambda job: job.key)


@pytest.mark.django_db
class TestCursorPage:
    @pytest.fixture(autouse=True)
    def jobs(self) -> None:
        """Seven rows, of which each three share their instant."""
        instant = now()
        Job.objects.bulk_create(
            Job(key=str(n), name="cleanup", created_at=instant + timedelta(seconds=n // 3))
            for n in range(7)
        )

    def test_visits_every_row_once_in_order(self) -> None:
        seen: list[str] = []
        cursor = ""
        for _ in range(4):
            answer = page(limit=2, **({"cursor": cursor} if cursor else {}))
            seen += answer["items"]
            cursor = answer["next_cursor"]

        assert seen == ["6", "5", "4", "3", "2", "1", "0"]
        assert cursor is None

    def test_is_not_moved_by_rows_that_come_in_front(self) -> None:
        first = page(limit=2)
        Job.objects.create(key="new", name="cleanup", created_at=now() + timedelta(hours=1))

        assert page(limit=2, cursor=first["next_cursor"])["items"] == ["4", "3"]

    def test_has_20_rows_if_nothing_is_said(self) -> None:
        Job.objects.bulk_create(Job(key=f"more-{n}", name="cleanup") for n in range(30))

        assert len(page()["items"]) == 20

    def test_goes_up_too(self) -> None:
        request = RequestFactory().get("/", {"limit": 3})
        order = ("created_at", "id")
        first = cursor_page(
            Job.objects.all(), request=request, order=order, to_wire=lambda job: job.key
        )
        request = RequestFactory().get("/", {"cursor": first["next_cursor"]})
        rest = cursor_page(
            Job.objects.all(), request=request, order=order, to_wire=lambda job: job.key
        )

        assert first["items"] + rest["items"] == ["0", "1", "2", "3", "4", "5", "6"]


class TestCursor:
    @pytest.mark.parametrize("text", ["", "x", "!!!", "AAAA", "é", "=" * 40, "\x00", "A" * 5000])
    def test_that_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(CursorInvalid):
            read_cursor(text, ORDER)

    def test_that_was_changed_is_refused(self) -> None:
        cursor = make_cursor(Job(key="a", name="cleanup"), ORDER)
        for place in range(len(cursor) - 1):
            changed = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
            with pytest.raises(CursorInvalid):
                read_cursor(changed, ORDER)

    def test_of_another_order_is_refused(self) -> None:
        cursor = make_cursor(Job(key="a", name="cleanup"), ORDER)

        with pytest.raises(CursorInvalid):
            read_cursor(cursor, ("-run_at", "-id"))


class TestPageLimit:
    @pytest.mark.parametrize(
        ("text", "limit"),
        [(None, 20), ("", 20), ("1", 1), ("100", 100), ("101", 100), ("9" * 50, 100)],
    )
    def test_is_cut_to_100(self, text: str | None, limit: int) -> None:
        assert page_limit({} if text is None else {"limit": text}) == limit

    @pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "\x00"])
    def test_below_1_is_not_valid(self, text: str) -> None:
        with pytest.raises(ValidationFailed):
            page_limit({"limit": text})
