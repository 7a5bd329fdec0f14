"""The landing page, the demo page and the dev inbox."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from marketplace.tests.cast import assert_queries

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def sinks(settings: Settings, tmp_path: Path) -> Path:
    settings.SMS_SINK = tmp_path / "sms.jsonl"
    settings.EMAIL_SINK = tmp_path / "email.jsonl"
    return tmp_path


def write(path: Path, *entries: dict[str, Any]) -> None:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


class TestLanding:
    def test_tells_a_program_what_runs_here(self, client: Client) -> None:
        answer = client.get("/")

        assert answer.json() == {
            "success": True,
            "message": "Marketplace is running",
            "version": "1.0.0",
            "docs": "/docs",
            "health": "/health",
        }

    def test_shows_a_browser_the_page(self, client: Client) -> None:
        answer = client.get("/", headers=BROWSER)

        page = answer.content.decode()
        assert answer["Content-Type"] == "text/html; charset=utf-8"
        assert 'href="/demo"' in page
        assert 'href="/admin/"' in page
        assert "+15550100001" in page
        assert "Password123!" in page

    def test_needs_no_database(self, client: Client) -> None:
        assert client.get("/", headers=BROWSER).status_code == 200

    def test_hides_the_accounts_in_production(self, client: Client, settings: Settings) -> None:
        settings.PROFILE = "production"

        page = client.get("/", headers=BROWSER, secure=True).content.decode()

        assert "Password123!" not in page
        assert "/demo/inbox" not in page

    def test_refuses_to_be_written_to(self, client: Client) -> None:
        assert client.post("/").status_code == 405


class TestPolicy:
    @pytest.mark.parametrize("path", ["/", "/demo/inbox", "/docs"])
    def test_allows_nothing_inline_on_our_pages(self, client: Client, path: str) -> None:
        policy = client.get(path, headers=BROWSER)["Content-Security-Policy"]

        assert "unsafe" not in policy
        assert "default-src 'self'" in policy

    @pytest.mark.parametrize("path", ["/", "/demo/inbox", "/docs", "/redoc"])
    def test_has_no_inline_script_or_style_and_no_foreign_address(
        self, client: Client, path: str
    ) -> None:
        page = client.get(path, headers=BROWSER).content.decode()

        assert "<style" not in page
        assert " style=" not in page
        assert " onclick=" not in page
        assert page.count("<script") == page.count("<script src=") + page.count(
            '<script type="module" src='
        )
        assert 'src="http' not in page

    @pytest.mark.django_db
    def test_lets_the_admin_evaluate(self, client: Client) -> None:
        answer = client.get("/admin/login/")

        assert "script-src 'self' 'unsafe-eval'" in answer["Content-Security-Policy"]
        # With `no-referrer` a browser would send the sign-in form with `Origin: null`: refused.
        assert answer["Referrer-Policy"] == "same-origin"

    def test_says_no_referrer_everywhere_else(self, client: Client) -> None:
        assert client.get("/", headers=BROWSER)["Referrer-Policy"] == "no-referrer"


@pytest.mark.django_db
class TestDemo:
    def test_offers_the_people_that_exist(self, client: Client, buyer: User) -> None:
        with assert_queries(1):
            page = client.get("/demo", headers=BROWSER).content.decode()

        assert buyer.public_id in page
        assert "+15550100002" not in page

    def test_offers_nobody_in_production(
        self, client: Client, buyer: User, settings: Settings
    ) -> None:
        settings.PROFILE = "production"

        page = client.get("/demo", headers=BROWSER, secure=True).content.decode()

        assert buyer.public_id not in page
        assert "/demo/inbox" not in page

    def test_escapes_what_it_hands_to_the_script(self, client: Client, buyer: User) -> None:
        User.objects.filter(pk=buyer.pk).update(public_id="</script><script>alert(1)</script>")

        page = client.get("/demo", headers=BROWSER).content.decode()

        assert "<script>alert" not in page


class TestInbox:
    def test_shows_the_newest_of_both_sinks_first(self, client: Client, sinks: Path) -> None:
        write(
            sinks / "sms.jsonl",
            {"at": "2026-01-10T12:00:00.000Z", "to": "+15550100001", "body": "Code 111111"},
            {"at": "2026-01-10T12:00:02.000Z", "to": "+15550100002", "body": "Code 222222"},
        )
        write(
            sinks / "email.jsonl",
            {"at": "2026-01-10T12:00:01.000Z", "to": "a@example.com", "subject": "Hi", "body": "x"},
        )

        items = client.get("/demo/inbox").json()["items"]

        assert [item["to"] for item in items] == ["+15550100002", "a@example.com", "+15550100001"]
        assert items[1] == {
            "channel": "email",
            "at": "2026-01-10T12:00:01.000Z",
            "to": "a@example.com",
            "subject": "Hi",
            "body": "x",
        }

    def test_is_empty_before_anything_was_sent(self, client: Client, sinks: Path) -> None:
        answer = client.get("/demo/inbox")

        assert answer.json() == {"items": []}
        assert answer["Cache-Control"] == "no-store"

    def test_keeps_to_the_newest_50(self, client: Client, sinks: Path) -> None:
        write(
            sinks / "sms.jsonl",
            *(
                {"at": f"2026-01-10T12:{n // 60:02}:{n % 60:02}Z", "body": str(n)}
                for n in range(70)
            ),
        )

        items = client.get("/demo/inbox").json()["items"]

        assert [item["body"] for item in items] == [str(n) for n in range(69, 19, -1)]

    def test_passes_over_a_line_that_is_being_written(self, client: Client, sinks: Path) -> None:
        (sinks / "sms.jsonl").write_text('{"at": "1", "body": "whole"}\n[1]\n{"at": "2", "bo')

        items = client.get("/demo/inbox").json()["items"]

        assert [item["body"] for item in items] == ["whole"]

    def test_reads_only_the_end_of_a_long_file(self, client: Client, sinks: Path) -> None:
        line = json.dumps({"at": "1", "body": "x" * 1000}) + "\n"
        with (sinks / "sms.jsonl").open("w") as file:
            file.writelines(line for _ in range(3000))
            file.write(json.dumps({"at": "2", "body": "last"}) + "\n")

        items = client.get("/demo/inbox").json()["items"]

        assert len(items) == 50
        assert items[0]["body"] == "last"

    def test_escapes_what_was_sent(self, client: Client, sinks: Path) -> None:
        write(sinks / "sms.jsonl", {"at": "1", "to": "<b>", "body": "<script>alert(1)</script>"})

        page = client.get("/demo/inbox", headers=BROWSER).content.decode()

        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page

    @pytest.mark.parametrize("headers", [{}, BROWSER])
    def test_is_not_there_in_production(
        self, client: Client, sinks: Path, settings: Settings, headers: dict[str, str]
    ) -> None:
        write(sinks / "sms.jsonl", {"at": "1", "to": "+1", "body": "Code 111111"})
        settings.PROFILE = "production"

        answer = client.get("/demo/inbox", headers=headers, secure=True)

        assert answer.status_code == 404
        assert b"111111" not in answer.content


class TestStaticFiles:
    @pytest.mark.parametrize(
        "path",
        [
            "web/base.css",
            "web/demo.js",
            "web/connection.js",
            "web/favicon.svg",
            "drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js",
            "drf_spectacular_sidecar/redoc/bundles/redoc.standalone.js",
            "unfold/css/styles.css",
        ],
    )
    def test_come_from_this_server(self, client: Client, path: str) -> None:
        answer = client.get(f"/static/{path}")

        assert answer.status_code == 200
        assert len(answer.content) > 100

    def test_have_an_icon_for_browsers_that_guess(self, client: Client) -> None:
        answer = client.get("/favicon.ico")

        assert answer.status_code == 302
        assert answer["Location"] == "/static/web/favicon.svg"


class TestTrack:
    def test_gives_the_page_that_asks_by_itself(self, client: Client) -> None:
        answer = client.get("/track/some-token")

        assert answer.status_code == 200
        assert '{"token": "some-token", "tiles": ""}' in answer.content.decode()
        assert answer["Cache-Control"] == "no-store"
        assert answer["Referrer-Policy"] == "no-referrer"

    def test_puts_no_token_into_its_markup_unescaped(self, client: Client) -> None:
        answer = client.get("/track/%3Cscript%3E")

        assert "\\u003Cscript\\u003E" in answer.content.decode()
        assert '"<script>' not in answer.content.decode()

    @pytest.mark.django_db
    def test_may_load_tiles_from_where_the_setting_says(
        self, client: Client, settings: Settings
    ) -> None:
        assert "tiles.example" not in client.get("/track/t")["Content-Security-Policy"]
        settings.MAP_TILES_URL = "https://tiles.example/{z}/{x}/{y}.png"

        answer = client.get("/track/t")

        policy = dict(
            part.strip().split(" ", 1) for part in answer["Content-Security-Policy"].split(";")
        )
        assert policy["img-src"] == "'self' data: blob: https://tiles.example"
        assert "tiles.example" not in client.get("/demo")["Content-Security-Policy"]
