"""JSON as it may enter."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from marketplace.core.errors import MalformedRequest, ValidationFailed
from marketplace.core.jsontext import read_json, write_json


class TestReadJson:
    def test_keeps_the_last_of_equal_keys(self) -> None:
        assert read_json(b'{"a": 1, "a": 2}') == {"a": 2}

    def test_takes_32_levels_and_no_33rd(self) -> None:
        assert read_json(b"[" * 32 + b"]" * 32) != []

        with pytest.raises(MalformedRequest):
            read_json(b"[" * 33 + b"]" * 33)

    @pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
    def test_survives_depth_that_no_recursion_could(self, opening: bytes) -> None:
        with pytest.raises(MalformedRequest):
            read_json(opening * 200_000)

    def test_survives_a_million_brackets_side_by_side(self) -> None:
        assert len(read_json(b"[" + b"[]," * 200_000 + b"[]]")) == 200_001

    def test_does_not_count_brackets_in_text(self) -> None:
        assert read_json(b'{"a": "' + b"[" * 500 + b'"}') == {"a": "[" * 500}

    @pytest.mark.parametrize(
        "text",
        [
            b"NaN",
            b"Infinity",
            b"-Infinity",
            b"1e999",
            b"1" * 400,
            b"{",
            b"",
            b"\xff",
            b"nul",
            b"{'a':1}",
        ],
    )
    def test_refuses_what_is_not_json(self, text: bytes) -> None:
        with pytest.raises(MalformedRequest):
            read_json(text)

    def test_names_the_field_of_a_lone_surrogate(self) -> None:
        with pytest.raises(ValidationFailed) as caught:
            read_json(b'{"a": [{"name": "\\ud800"}]}')

        assert caught.value.details == {"fields": {"a.0.name": ["This is not valid Unicode text."]}}

    def test_refuses_a_lone_surrogate_in_a_key(self) -> None:
        with pytest.raises(ValidationFailed):
            read_json(b'{"\\udfff": 1}')

    def test_refuses_a_surrogate_in_depth_without_recursion(self) -> None:
        with pytest.raises(MalformedRequest):
            read_json(b"[" * 200_000 + b'"\\ud800"')

    def test_reads_a_pair_of_surrogates_as_one_character(self) -> None:
        assert read_json(b'"\\ud83d\\ude00"') == "\U0001f600"

    def test_refuses_text_frames_with_surrogates(self) -> None:
        with pytest.raises(ValidationFailed):
            read_json('{"a": "\ud800"}')


class TestWriteJson:
    def test_gives_every_kind_its_wire_form(self) -> None:
        value = {
            "at": datetime(2026, 1, 10, 12, tzinfo=UTC),
            "price": Decimal("100.00"),
            "id": UUID("019A5B6E-7C1D-7A3B-9F00-5B1C2D3E4F50"),
        }

        assert write_json(value) == (
            b'{"at":"2026-01-10T12:00:00.000Z","price":"100.00",'
            b'"id":"019a5b6e-7c1d-7a3b-9f00-5b1c2d3e4f50"}'
        )

    def test_escapes_a_surrogate_instead_of_failing(self) -> None:
        assert write_json({"echo": "\ud800"}) == b'{"echo":"\\ud800"}'
