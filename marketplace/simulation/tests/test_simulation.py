"""The same seed, the same story; and in every story the goods add up."""

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F
from pytest_django import Settings

from marketplace.core import clock
from marketplace.simulation.market import Report, simulate
from orders.models import Order
from shops.models import Sku


def play(seed: int, *, hours: float = 6) -> Report:
    return simulate(seed=seed, hours=hours, sellers=2, buyers=3, couriers=1)


@pytest.mark.django_db
class TestSimulate:
    def test_the_same_seed_tells_the_same_story(self) -> None:
        first, second = play(7), play(7)

        assert (first.hash, first.events, first.orders) == (
            second.hash, second.events, second.orders,
        )  # fmt: skip
        assert first.faults == []
        assert first.orders["delivered"] >= 1
        assert first.events > 100

    def test_another_seed_tells_another(self) -> None:
        assert play(7, hours=3).hash != play(8, hours=3).hash

    def test_sees_a_piece_that_was_lost(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def lose_one_of_each(_shops: object) -> dict[str, int]:
            Sku.objects.filter(available__gt=0).update(available=F("available") - 1)
            return {}

        monkeypatch.setattr("marketplace.simulation.market._orders", lose_one_of_each)

        assert len(play(7, hours=1).faults) == 6

    def test_gives_the_clock_back(self) -> None:
        play(7, hours=1)

        assert abs((clock.now() - clock.real_now()).total_seconds()) < 1
        assert all(order.created_at <= clock.now() for order in Order.objects.order_by("id"))

    def test_is_refused_in_production(self, settings: Settings) -> None:
        settings.PROFILE = "production"

        with pytest.raises(CommandError, match="real ones"):
            call_command("simulate", "--hours", "1")
