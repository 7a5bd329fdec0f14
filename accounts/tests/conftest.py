"""The cast, quick limits, and a sink of its own for the SMS of each test."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from marketplace.core.limits import reset_limits
from marketplace.tests.cast import (
    admin,
    buyer,
    courier,
    employee,
    guest,
    one_window,
    seller,
    stranger,
)

__all__ = ["admin", "buyer", "courier", "employee", "guest", "one_window", "seller", "stranger"]


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    reset_limits()


@pytest.fixture(autouse=True)
def sms(settings: Settings, tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """Every SMS of this test so far, oldest first."""
    settings.SMS_SINK = tmp_path / "sms.jsonl"
    settings.SMS_BACKEND = "mock"

    def messages() -> list[dict[str, Any]]:
        if not settings.SMS_SINK.exists():
            return []
        return [json.loads(line) for line in settings.SMS_SINK.read_text().splitlines()]

    return messages
