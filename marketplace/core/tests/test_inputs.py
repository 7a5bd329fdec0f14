"""One way to read what clients send."""

import unicodedata
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from django.http import QueryDict
from rest_framework import serializers

from marketplace.core.errors import MalformedRequest, ValidationFailed
from marketplace.core.inputs import (
    AnyCaseChoiceField,
    IdField,
    InputSerializer,
    InstantField,
    read_id,
)


class LineInput(InputSerializer):
    unit_price = serializers.DecimalField(max_digits=12, decimal_places=2)


class ThingInput(InputSerializer):
    aliases: ClassVar[dict[str, tuple[str, ...]]] = {"phone_number": ("phone",)}

    phone_number = serializers.CharField(required=False)
    title = serializers.CharField(required=False, max_length=5, trim_whitespace=False)
    quantity = serializers.IntegerField(required=False)
    ratio = serializers.FloatField(required=False)
    kind = AnyCaseChoiceField(choices=["stripe", "mock"], required=False)
    owner_key = IdField(required=False)
    at = InstantField(required=False)
    data = serializers.JSONField(required=False)  # type: ignore[assignment]  # a field, not theirs
    lines = LineInput(many=True, required=False)


def problems(data: Any) -> dict[str, list[str]]:
    with pytest.raises(ValidationFailed) as caught:
        ThingInput.read(data)
    fields: dict[str, list[str]] = caught.value.details["fields"]
    return fields


class TestReading:
    @pytest.mark.parametrize("name", ["phone_number", "phoneNumber", "phone"])
    def test_takes_every_spelling(self, name: str) -> None:
        assert ThingInput.read({name: "+1555"}) == {"phone_number": "+1555"}

    def test_prefers_the_name_of_the_contract(self) -> None:
        data = {"phone": "c", "phoneNumber": "b", "phone_number": "a"}

        assert ThingInput.read(data) == {"phone_number": "a"}

    def test_takes_camel_case_in_nested_objects(self) -> None:
        values = ThingInput.read({"lines": [{"unitPrice": "1.50"}]})

        assert str(values["lines"][0]["unit_price"]) == "1.50"

    def test_ignores_unknown_keys(self) -> None:
        assert ThingInput.read({"role": "admin", "is_staff": True, "title": "a"}) == {"title": "a"}

    @pytest.mark.parametrize("data", [None, [], "text", 3, True])
    def test_wants_an_object(self, data: Any) -> None:
        with pytest.raises(MalformedRequest):
            ThingInput.read(data)

    def test_reads_a_query(self) -> None:
        assert ThingInput.read(QueryDict("phone=1&quantity=3")) == {
            "phone_number": "1",
            "quantity": 3,
        }

    def test_reads_the_same_twice(self) -> None:
        assert ThingInput.read({"title": "a"}) == {"title": "a"}
        assert ThingInput.read({"quantity": 2}) == {"quantity": 2}


class TestStrictness:
    @pytest.mark.parametrize("name", ["title", "quantity", "ratio", "kind", "owner_key", "at"])
    @pytest.mark.parametrize("value", [{}, [], {"$gt": ""}, [1], True])
    def test_refuses_a_wrong_kind(self, name: str, value: Any) -> None:
        assert list(problems({name: value})) == [name]

    @pytest.mark.parametrize("value", ["NaN", "inf", "-Infinity", "1e999", float("nan")])
    def test_refuses_numbers_that_are_none(self, value: Any) -> None:
        assert list(problems({"ratio": value})) == ["ratio"]

    @pytest.mark.parametrize("value", [2**63, -(2**63), "9" * 900, 1e300, "9" * 5000])
    def test_refuses_integers_beyond_64_bits(self, value: Any) -> None:
        assert list(problems({"quantity": value})) == ["quantity"]

    @pytest.mark.parametrize("value", ["a\x00b", "\ud800", "x\udfff"])
    def test_refuses_text_that_no_store_takes(self, value: str) -> None:
        assert list(problems({"title": value})) == ["title"]

    @pytest.mark.parametrize(
        "value", [{"a": "\x00"}, {"\x00": 1}, [["\x00"]], {"a": {"b": ["\ud800"]}}]
    )
    def test_refuses_it_in_free_objects_too(self, value: Any) -> None:
        assert list(problems({"data": value})) == ["data"]

    def test_counts_characters_after_composing_them(self) -> None:
        decomposed = unicodedata.normalize("NFD", "ééééé")

        assert ThingInput.read({"title": decomposed}) == {"title": "ééééé"}

    def test_tells_all_fields_at_once_with_their_place(self) -> None:
        found = problems({"title": "a\x00", "quantity": "x", "lines": [{"unit_price": "x"}]})

        assert sorted(found) == ["lines.0.unit_price", "quantity", "title"]

    def test_keeps_the_problems_of_both_looks(self) -> None:
        assert sorted(problems({"title": True, "kind": "x"})) == ["kind", "title"]


class TestFields:
    @pytest.mark.parametrize("value", ["STRIPE", "stripe", " Stripe "])
    def test_reads_a_choice_in_any_case(self, value: str) -> None:
        assert ThingInput.read({"kind": value}) == {"kind": "stripe"}

    @pytest.mark.parametrize(
        ("text", "hour"),
        [
            ("2026-01-10T12:00:00+02:00", 10),
            ("2026-01-10T12:00:00", 12),
            ("2026-01-10T12:00:00Z", 12),
        ],
    )
    def test_reads_an_instant_with_any_offset(self, text: str, hour: int) -> None:
        assert ThingInput.read({"at": text}) == {"at": datetime(2026, 1, 10, hour, tzinfo=UTC)}

    @pytest.mark.parametrize(
        "text", ["9999-12-31T23:59:59-23:00", "0001-01-01T00:00:00+23:00", "soon"]
    )
    def test_refuses_an_instant_that_is_none(self, text: str) -> None:
        assert list(problems({"at": text})) == ["at"]

    @pytest.mark.parametrize("text", ["1", "x" * 36, "", 7])
    def test_refuses_an_id_that_is_none(self, text: Any) -> None:
        assert list(problems({"owner_key": text})) == ["owner_key"]

    def test_knows_the_form_of_an_id(self) -> None:
        assert str(read_id("019A5B6E-7C1D-7A3B-9F00-5B1C2D3E4F50")) == (
            "019a5b6e-7c1d-7a3b-9f00-5b1c2d3e4f50"
        )
        assert read_id("shop_1") is None
        assert read_id("019a5b6e7c1d7a3b9f005b1c2d3e4f50") is None
        assert read_id("{019a5b6e-7c1d-7a3b-9f005b1c2d3e4f50}") is None
        assert read_id("019a5b6e-7c1d-7a3b9f00-5b1c-2d3e4f50") is None
        assert read_id("019a5b6e-7c1d-7a3b-9f00-5b1c2d3e4f5_") is None
        assert read_id("019a5b6e-7c1d-7a3b-9f00-5b1c2d3e4f50\n") is None
        assert read_id(None) is None
