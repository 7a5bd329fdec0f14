"""Choices of a product: pure functions."""

import pytest

from marketplace.core.errors import ValidationFailed
from shops.services.options import checked_variances, chosen, options_key, sku_plans

SIZE = {"name": "Size", "options": ["S", "M"]}
COLOR = {"name": "Color", "options": ["red"]}


class TestCheckedVariances:
    def test_joins_blanks_and_keeps_the_order(self) -> None:
        kept = checked_variances([{"name": " Shoe  size ", "options": [" 42 ", 43]}])

        assert kept == [{"name": "Shoe size", "options": ["42", "43"]}]

    def test_takes_a_product_without_options(self) -> None:
        assert checked_variances([]) == []

    def test_counts_the_choices(self) -> None:
        many = [{"name": name, "options": [str(n) for n in range(15)]} for name in ("a", "b")]

        with pytest.raises(ValidationFailed) as refused:
            checked_variances(many)

        assert refused.value.details["fields"] == {
            "variances": ["These are 225 choices; a product has at most 200."]
        }

    def test_takes_five_at_most(self) -> None:
        many = [{"name": name, "options": ["x"]} for name in "abcdef"]

        with pytest.raises(ValidationFailed) as refused:
            checked_variances(many)

        assert checked_variances(many[:5]) == many[:5]
        assert refused.value.details["fields"] == {
            "variances": ["A product has at most 5 of these."]
        }


class TestSkuPlans:
    @pytest.mark.parametrize(
        ("stock", "shares"), [(0, [0, 0]), (1, [1, 0]), (7, [4, 3]), (10, [5, 5])]
    )
    def test_share_the_stock_out_to_the_piece(self, stock: int, shares: list[int]) -> None:
        plans = sku_plans([SIZE], stock_quantity=stock)

        assert [plan["available"] for plan in plans] == shares

    def test_number_the_one_of_a_product_without_options_zero(self) -> None:
        [plan] = sku_plans([], stock_quantity=3)

        assert (plan["number"], plan["options"], plan["options_key"]) == (0, {}, "")

    def test_refuse_two_for_a_product_without_options(self) -> None:
        with pytest.raises(ValidationFailed) as refused:
            sku_plans([], [{}, {}])

        assert list(refused.value.details["fields"]) == ["skus"]


class TestChosen:
    def test_gives_the_spelling_of_the_product(self) -> None:
        found = chosen([SIZE, COLOR], {"COLOR": "Red", " size": "m"}, where="options")

        assert found == {"Size": "M", "Color": "red"}

    def test_takes_a_new_option_where_it_may(self) -> None:
        assert chosen([SIZE], {"Size": "XL"}, where="options", may_be_new=True) == {"Size": "XL"}

    @pytest.mark.parametrize(
        "options", [{}, {"Size": "XL"}, {"Size": "S", "Weight": "1"}, {"Size": ["S"]}]
    )
    def test_refuses_what_is_no_choice(self, options: dict[str, object]) -> None:
        with pytest.raises(ValidationFailed) as refused:
            chosen([SIZE], options, where="options")

        assert list(refused.value.details["fields"]) == ["options"]


class TestOptionsKey:
    def test_is_the_same_for_the_same_choice(self) -> None:
        assert options_key({"Size": "S", "Color": "Red"}) == options_key(
            {"color": "red", "SIZE": "s"}
        )

    def test_differs_for_another(self) -> None:
        assert options_key({"a": "b|c"}) != options_key({"a|b": "c"})
