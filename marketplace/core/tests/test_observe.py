"""Logs without secrets."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from marketplace.core import observe
from marketplace.core.context import request_id
from marketplace.core.redaction import mask_phone, redact, redact_text

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


class TestRedaction:
    @pytest.mark.parametrize(
        ("text", "safe"),
        [
            (f"token {JWT} refused", "token [redacted] refused"),
            ("Authorization: Bearer abc.def-1", "Authorization: Bearer [redacted]"),
            ("/ws/?token=abc&x=1", "/ws/?token=[redacted]&x=1"),
            ("/ws/?a=1&ticket=abc", "/ws/?a=1&ticket=[redacted]"),
            ("GET /track/a1b2c3/map", "GET /track/[redacted]/map"),
            ("Key (phone)=(+15550100001) exists", "Key (phone)=(+1********01) exists"),
            ("?phone=%2B15550100001", "?phone=%2**********01"),
            ("nothing to hide, 1+1=2", "nothing to hide, 1+1=2"),
        ],
    )
    def test_of_text(self, text: str, safe: str) -> None:
        assert redact_text(text) == safe

    def test_of_fields_by_their_name(self) -> None:
        line = {
            "password": "Password123!",
            "otp": "123456",
            "code": "123456",
            "phone_number": "+15550100001",
            "content": "hello",
            "nested": {"refresh_token": "abc", "list": [f"Bearer {JWT}"]},
            "user_id": "u",
        }

        assert {key: redact(value, key) for key, value in line.items()} == {
            "password": "[redacted]",
            "otp": "[redacted]",
            "code": "[redacted]",
            "phone_number": "+1********01",
            "content": "[redacted]",
            "nested": {"refresh_token": "[redacted]", "list": ["Bearer [redacted]"]},
            "user_id": "u",
        }

    def test_leaves_codes_of_errors_and_sockets(self) -> None:
        assert redact("rate_limited", "code") == "rate_limited"
        assert redact(4401, "code") == 4401

    def test_of_short_phones_is_whole(self) -> None:
        assert mask_phone("+1555") == "[redacted]"


class TestLogs:
    @pytest.fixture(autouse=True)
    def _restored(self) -> Iterator[None]:
        yield
        observe.configure_logging()

    @pytest.fixture
    def lines(self, settings: Settings, tmp_path: Path) -> Any:
        settings.LOG_DIR = tmp_path
        settings.LOG_LEVEL = "info"
        observe.configure_logging("server")

        def read() -> list[dict[str, Any]]:
            text = (tmp_path / "server.jsonl").read_text(encoding="utf-8")
            return [json.loads(line) for line in text.splitlines()]

        return read

    def test_are_one_object_per_line_in_a_file_per_part(self, lines: Any) -> None:
        token = request_id.set("r-1")
        observe.get_logger("x").info("thing_done", user_id="u", access_token=JWT)
        request_id.reset(token)

        [line] = lines()
        assert list(line)[:3] == ["timestamp", "level", "event"]
        assert line["timestamp"].endswith("Z")
        assert (line["level"], line["event"], line["request_id"]) == ("info", "thing_done", "r-1")
        assert line["access_token"] == "[redacted]"

    def test_of_other_packages_look_the_same(self, lines: Any) -> None:
        logging.getLogger("django.request").warning("Not Found: %s", f"/track/abc?token={JWT}")

        [line] = lines()
        assert (line["level"], line["event"]) == (
            "warn",
            "Not Found: /track/[redacted]?token=[redacted]",
        )

    def test_have_a_traceback_in_one_field(self, lines: Any) -> None:
        try:
            raise ValueError("phone +15550100001")
        except ValueError:
            observe.get_logger("x").exception("failed")

        [line] = lines()
        assert line["level"] == "error"
        assert "ValueError: phone +1********01" in line["exception"]

    def test_keep_the_level(self, lines: Any) -> None:
        observe.get_logger("x").debug("detail")
        logging.getLogger("x").debug("detail")
        observe.get_logger("x").warning("said")

        assert [line["event"] for line in lines()] == ["said"]

    def test_of_a_command_leave_its_output_alone(
        self, settings: Settings, capsys: pytest.CaptureFixture[str]
    ) -> None:
        settings.LOG_DIR = None
        observe.configure_logging()
        observe.get_logger("x").warning("said")

        printed = capsys.readouterr()
        assert printed.out == ""
        assert "said" in printed.err

    def test_of_sockets_tell_the_reason(self, lines: Any) -> None:
        observe.socket_opened(protocol="plain", user_id="u", address="1.2.3.4")
        observe.socket_closed(protocol="plain", user_id="u", code=4401, reason="token_expired")

        opened, closed = lines()
        assert (opened["event"], closed["event"]) == ("connect", "disconnect")
        assert (closed["close_code"], closed["reason"]) == (4401, "token_expired")
