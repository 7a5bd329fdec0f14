"""What an order costs: to the cent, by the terms of the moment."""

from dataclasses import replace
from decimal import Decimal

import pytest
from pytest_django import Settings

from orders.pricing import Terms, price, rounded, spread, terms_in_force

D = Decimal
USUAL = Terms(
    tax_rate=D("0.08"),
    tax_inclusive=False,
    tax_shipping=False,
    shipping_flat=D("5.99"),
    shipping_free_over=D(50),
    currency="USD",
)


def terms(**changes: object) -> Terms:
    return replace(USUAL, **changes)  # type: ignore[arg-type]  # fields of Terms


class TestPrice:
    def test_adds_tax_and_shipping(self) -> None:
        totals, [line] = price([(D("20.00"), 2)], currency="USD", terms=USUAL, ships=True)

        assert (totals.subtotal, totals.tax, totals.shipping, totals.total) == (
            D("40.00"), D("3.20"), D("5.99"), D("49.19"),
        )  # fmt: skip
        assert (totals.loyalty_discount, totals.tax_included, totals.item_count) == (D(0), D(0), 2)
        assert (line.line_total, line.tax, line.discount) == (D("40.00"), D("3.20"), D(0))

    def test_takes_the_discount_of_a_tier_before_the_tax(self) -> None:
        totals, [line] = price(
            [(D("20.00"), 2)], currency="USD", terms=USUAL, ships=True, loyalty_percentage=D(5)
        )

        assert (totals.loyalty_discount, totals.tax, totals.total) == (
            D("2.00"), D("3.04"), D("47.03"),
        )  # fmt: skip
        assert line.charged == D("41.04")

    @pytest.mark.parametrize(
        ("amount", "shipping"), [("49.99", "5.99"), ("50.00", "5.99"), ("50.01", "0")]
    )
    def test_ships_free_above_the_bound(self, amount: str, shipping: str) -> None:
        totals, _ = price([(D(amount), 1)], currency="USD", terms=USUAL, ships=True)

        assert totals.shipping == D(shipping)

    def test_looks_at_the_goods_before_discounts(self) -> None:
        totals, _ = price(
            [(D("52.00"), 1)], currency="USD", terms=USUAL, ships=True, loyalty_percentage=D(10)
        )

        assert (totals.shipping, totals.total) == (D(0), D("50.54"))

    def test_can_be_never_free(self) -> None:
        never = terms(shipping_free_over=None)

        totals, _ = price([(D(900), 1)], currency="USD", terms=never, ships=True)

        assert totals.shipping == D("5.99")

    def test_ships_nothing_that_is_picked_up(self) -> None:
        totals, _ = price([(D("20.00"), 2)], currency="USD", terms=USUAL, ships=False)

        assert (totals.shipping, totals.total) == (D(0), D("43.20"))

    def test_knows_no_shipping_in_another_currency(self) -> None:
        totals, _ = price([(D(3000), 1)], currency="JPY", terms=USUAL, ships=True)

        assert (totals.shipping, totals.tax, totals.total) == (D(0), D(240), D(3240))

    def test_finds_the_tax_inside_the_prices(self) -> None:
        totals, lines = price(
            [(D("10.00"), 1), (D("3.33"), 3)],
            currency="USD",
            terms=terms(tax_inclusive=True, tax_rate=D("0.19")),
            ships=True,
        )

        assert (totals.tax, totals.tax_included) == (D(0), D("3.19"))
        assert totals.total == totals.subtotal + totals.shipping
        assert sum(line.tax_included for line in lines) == D("3.19")
        assert [line.tax for line in lines] == [0, 0]

    @pytest.mark.parametrize(
        ("inclusive", "tax", "included", "total"),
        [(False, "3.68", "0", "49.67"), (True, "0", "3.40", "45.99")],
    )
    def test_taxes_the_shipping_where_told(
        self, inclusive: bool, tax: str, included: str, total: str
    ) -> None:
        taxed = terms(tax_shipping=True, tax_inclusive=inclusive)

        totals, _ = price([(D("20.00"), 2)], currency="USD", terms=taxed, ships=True)

        assert (totals.tax, totals.tax_included, totals.total) == (D(tax), D(included), D(total))

    def test_rounds_the_tax_of_the_sum_and_not_of_each_line(self) -> None:
        totals, lines = price([(D("0.99"), 1)] * 7, currency="USD", terms=USUAL, ships=False)

        assert totals.tax == D("0.55")
        assert [line.tax for line in lines] == [D("0.08")] * 6 + [D("0.07")]

    def test_adds_up_whatever_is_ordered(self) -> None:
        for pieces in range(1, 40):
            totals, lines = price(
                [(D("0.37") * pieces, pieces), (D("19.99"), 1), (D("0.01"), 3)],
                currency="USD",
                terms=USUAL,
                ships=True,
                loyalty_percentage=D(15),
            )

            assert sum(line.charged for line in lines) + totals.shipping == totals.total
            assert sum(line.discount for line in lines) == totals.loyalty_discount
            assert (
                totals.subtotal
                - totals.discount
                - totals.loyalty_discount
                + totals.tax
                + totals.shipping
                == totals.total
            )

    def test_takes_the_terms_of_the_settings(self, settings: Settings) -> None:
        settings.TAX_RATE, settings.SHIPPING_FLAT = D(0), D(0)
        settings.SHIPPING_FREE_OVER = None

        totals, _ = price([(D(5), 1)], currency="USD", terms=terms_in_force(), ships=True)

        assert totals.total == 5


class TestSpread:
    @pytest.mark.parametrize(
        ("amount", "weights", "shares"),
        [
            ("0.10", ["1", "1", "1"], ["0.04", "0.03", "0.03"]),
            ("1.00", ["1", "2"], ["0.33", "0.67"]),
            ("0.01", ["1", "3"], ["0.00", "0.01"]),
            ("0.05", ["0", "0"], ["0.05", "0"]),
            ("0.00", ["5"], ["0.00"]),
        ],
    )
    def test_gives_the_rest_to_the_largest_remainders(
        self, amount: str, weights: list[str], shares: list[str]
    ) -> None:
        found = spread(D(amount), [D(one) for one in weights], currency="USD")

        assert found == [D(one) for one in shares]

    def test_gives_nothing_to_nobody(self) -> None:
        assert spread(D(5), [], currency="USD") == []


class TestRounded:
    @pytest.mark.parametrize(
        ("amount", "currency", "wanted"),
        [("0.005", "USD", "0.01"), ("0.0049", "USD", "0.00"), ("0.5", "JPY", "1"),
         ("0.0005", "KWD", "0.001")],
    )  # fmt: skip
    def test_is_half_up_in_minor_units(self, amount: str, currency: str, wanted: str) -> None:
        assert str(rounded(D(amount), currency)) == wanted
