"""Amounts have the digits of their currency, and two wire forms."""

from decimal import Decimal

import pytest

from marketplace.core.money import CURRENCIES, digits_of, fits, money_number, money_text


class TestDigits:
    @pytest.mark.parametrize(
        ("currency", "digits"), [("USD", 2), ("EUR", 2), ("JPY", 0), ("KWD", 3)]
    )
    def test_are_those_of_the_currency(self, currency: str, digits: int) -> None:
        assert digits_of(currency) == digits

    def test_are_known_of_every_currency(self) -> None:
        assert len(CURRENCIES) > 150
        assert all(len(code) == 3 and code.isupper() for code in CURRENCIES)

    @pytest.mark.parametrize(
        ("amount", "currency", "fitting"),
        [
            ("1.99", "USD", True),
            ("1.990", "USD", True),
            ("1.999", "USD", False),
            ("1.999", "KWD", True),
            ("100", "JPY", True),
            ("100.5", "JPY", False),
            ("1E+3", "JPY", True),
        ],
    )
    def test_bound_an_amount(self, amount: str, currency: str, fitting: bool) -> None:
        assert fits(Decimal(amount), currency) is fitting


class TestWireForms:
    @pytest.mark.parametrize(
        ("amount", "currency", "text"),
        [("100", "USD", "100.00"), ("19.900", "USD", "19.90"), ("1E+3", "JPY", "1000")],
    )
    def test_canonical_is_text(self, amount: str, currency: str, text: str) -> None:
        assert money_text(Decimal(amount), currency) == text

    @pytest.mark.parametrize(
        ("amount", "number"), [("100.00", 100), ("99.50", 99.5), ("0.00", 0), ("19.99", 19.99)]
    )
    def test_others_take_numbers(self, amount: str, number: float) -> None:
        found = money_number(amount)

        assert found == number
        assert type(found) is type(number)
