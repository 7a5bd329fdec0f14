"""One kept form for each phone number, address, name (OTP7)."""

import pytest

from accounts import formats

SPELLINGS = [
    "+15550100001",
    "0015550100001",
    "+1 555 010 0001",
    "+1-555-010-0001",
    "+1.555.010.0001",
    "+1 (555) 010-0001",
    "00 1 555 010 0001",
    " +15550100001 ",
    "+1\t555\t0100001",
    "+1\u00a0555\u00a00100001",
    "+1\u2009555 0100001",
    "+1\u2010555\u20110100001",
    "+1\u2013555\u20130100001",
    "\uff0b15550100001",
    "+\uff11\uff15\uff15\uff15\uff10\uff11\uff10\uff10\uff10\uff10\uff11",
    "+\u0661\u0665\u0665\u0665\u0660\u0661\u0660\u0660\u0660\u0660\u0661",
    "+\u0967\u096b\u096b\u096b\u0966\u0967\u0966\u0966\u0966\u0966\u0967",
    "+1\u200b5550100001",
    "+1\u20615550100001",
    "(+1)5550100001",
]


class TestPhoneNumber:
    @pytest.mark.parametrize("text", SPELLINGS)
    def test_is_one_for_all_spellings(self, text: str) -> None:
        assert formats.phone_number(text) == "+15550100001"

    @pytest.mark.parametrize("text", ["+1234567890", "+1234567", "+123456789012345"])
    def test_needs_no_numbering_plan(self, text: str) -> None:
        assert formats.phone_number(text) == text

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "+",
            "15550100001",
            "5550100",
            "+0555010000",
            "+123456",
            "+1234567890123456",
            "+1555010000a",
            "+15550100001\n+15550100002",
            "++15550100001",
            "+" + " " * 80 + "15550100001",
        ],
    )
    def test_refuses(self, text: str) -> None:
        assert formats.phone_number(text) is None

    def test_leaves_the_last_four_digits_out_of_the_prefix(self) -> None:
        assert formats.phone_prefix("+15550100001") == "+1555010"


class TestEmail:
    @pytest.mark.parametrize("text", [" Asha@Example.COM ", "asha@example.com"])
    def test_is_trimmed_and_lower_case(self, text: str) -> None:
        assert formats.email(text) == "asha@example.com"

    @pytest.mark.parametrize(
        "text",
        ["", "asha", "@example.com", "asha@example", "a b@example.com", "a@b..com", "a@@b.com"],
    )
    def test_refuses(self, text: str) -> None:
        assert formats.email(text) is None


class TestUsername:
    @pytest.mark.parametrize("text", ["abc", "Asha_Rao-1.0", "a" * 32])
    def test_stays_as_typed(self, text: str) -> None:
        assert formats.username(text) == text

    @pytest.mark.parametrize(
        "text", ["", "ab", "a" * 33, "a b c", "asha\n", "\u0430\u0448a", "a/b"]
    )
    def test_refuses(self, text: str) -> None:
        assert formats.username(text) is None
