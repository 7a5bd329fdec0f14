"""Positions as they come in: every spelling that is one, and no other."""

from datetime import UTC, datetime
from typing import Any

import pytest

from accounts.models import User
from delivery.serializers import answer_fixes, read_fixes
from delivery.services.fixes import FixCommand, RecordedFixes, Verdict
from marketplace.core.errors import ValidationFailed
from marketplace.core.ids import uuid7

HERE = {"latitude": 40.7128, "longitude": -74.006}
NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)


def read(payload: dict[str, Any]) -> FixCommand:
    return read_fixes(payload, actor=User(), delivery_id=uuid7())


def fields_of(payload: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationFailed) as refusal:
        read(payload)
    return list(refusal.value.details["fields"])


class TestReadFixes:
    def test_takes_the_two_coordinates_alone(self) -> None:
        command = read(HERE)

        [one] = command.fixes
        assert (one.latitude, one.longitude) == (40.7128, -74.006)
        assert one.recorded_at == command.received_at
        assert not command.as_list

    @pytest.mark.parametrize(
        ("payload", "found"),
        [
            ({"latitude": "40.7", "longitude": " -74 "}, (40.7, -74.0, None, None)),
            (HERE | {"accuracy": 12, "speed": "6.5"}, (40.7128, -74.006, 12.0, 6.5)),
            (HERE | {"speedMps": 7}, (40.7128, -74.006, None, 7.0)),
            (HERE | {"speed_mps": 5, "speed": 9}, (40.7128, -74.006, None, 5.0)),
            (HERE | {"speed": None, "accuracy": None}, (40.7128, -74.006, None, None)),
            (HERE | {"delivery_id": "x", "status": "y"}, (40.7128, -74.006, None, None)),
        ],
    )
    def test_takes_numbers_and_numeric_text(
        self, payload: dict[str, Any], found: tuple[Any, ...]
    ) -> None:
        [one] = read(payload).fixes

        assert (one.latitude, one.longitude, one.accuracy, one.speed_mps) == found

    @pytest.mark.parametrize(
        "text",
        [
            "2026-01-10T12:00:00Z", "2026-01-10T13:00:00+01:00", "2026-01-10T12:00:00",
            1_768_046_400, 1_768_046_400_000, "1768046400", 1_768_046_400.0004,
        ],
    )  # fmt: skip
    def test_takes_times_in_every_form(self, text: Any) -> None:
        [one] = read(HERE | {"recorded_at": text}).fixes

        assert one.recorded_at == NOON

    @pytest.mark.parametrize(
        ("more", "field"),
        [
            ({"latitude": 91}, "latitude"),
            ({"latitude": -90.001}, "latitude"),
            ({"longitude": 180.5}, "longitude"),
            ({"latitude": float("nan")}, "latitude"),
            ({"latitude": "nan"}, "latitude"),
            ({"latitude": "1e999"}, "latitude"),
            ({"latitude": "1_0"}, "latitude"),
            ({"latitude": True}, "latitude"),
            ({"latitude": None}, "latitude"),
            ({"latitude": [1]}, "latitude"),
            ({"longitude": {"$gt": 0}}, "longitude"),
            ({"longitude": 10**400}, "longitude"),
            ({"accuracy": -1}, "accuracy"),
            ({"speed": "fast"}, "speed_mps"),
            ({"heading": 361}, "heading"),
            ({"recorded_at": "yesterday"}, "recorded_at"),
            ({"recorded_at": 1e300}, "recorded_at"),
            ({"recorded_at": True}, "recorded_at"),
        ],
    )
    def test_refuses_what_is_none(self, more: dict[str, Any], field: str) -> None:
        assert fields_of(HERE | more) == [field]

    def test_refuses_half_a_point(self) -> None:
        assert fields_of({"latitude": 1}) == ["longitude"]
        assert fields_of({}) == ["latitude"]

    def test_takes_up_to_a_hundred_points(self) -> None:
        command = read({"points": [HERE] * 100})

        assert (len(command.fixes), command.as_list) == (100, True)

    @pytest.mark.parametrize(
        ("points", "field"),
        [
            ([], "points"),
            ([HERE] * 101, "points"),
            ({}, "points"),
            ("x", "points"),
            ([HERE, 7], "points.1"),
            ([HERE, {"latitude": 1}], "points.1.longitude"),
        ],
    )
    def test_refuses_wrong_points(self, points: Any, field: str) -> None:
        assert fields_of({"points": points}) == [field]


def test_an_answer_is_one_verdict_or_a_list() -> None:
    good, late = Verdict("", False), Verdict("speed", True)

    assert answer_fixes(RecordedFixes([good], as_list=False)) == {
        "accepted": True,
        "rejected": None,
        "late": False,
    }
    assert answer_fixes(RecordedFixes([good, late], as_list=True)) == {
        "points": [
            {"accepted": True, "rejected": None, "late": False},
            {"accepted": False, "rejected": "speed", "late": True},
        ]
    }
