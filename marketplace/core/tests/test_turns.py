"""Threads with one key take turns; nobody waits inside a transaction, or for ever."""

import threading
import time

import pytest

from marketplace.core import turns
from marketplace.core.db import atomic
from marketplace.core.turns import turn


class TestTurn:
    def test_lets_one_thread_in_at_a_time(self) -> None:
        inside = most = 0

        def work() -> None:
            nonlocal inside, most
            with turn("shop:1"):
                inside += 1
                most = max(most, inside)
                time.sleep(0.002)
                inside -= 1

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=10)

        assert (most, inside) == (1, 0)

    def test_goes_on_when_the_wait_is_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(turns, "PATIENCE_S", 0.01)
        entered = []

        def work() -> None:
            with turn("shop:1"):
                entered.append("second")

        with turn("shop:1"):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join(timeout=10)
            assert entered == ["second"]

        with turn("shop:1"):
            entered.append("free again")
        assert entered == ["second", "free again"]

    def test_keeps_no_connection_from_the_one_it_waits_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        handed_back: list[str] = []
        monkeypatch.setattr(
            turns,
            "hand_back_connection",
            lambda: handed_back.append(threading.current_thread().name),
        )

        def work() -> None:
            with turn("shop:1"):
                pass

        with turn("shop:1"):
            thread = threading.Thread(target=work, name="second")
            thread.start()
            time.sleep(0.02)
        thread.join(timeout=10)

        assert handed_back == ["second"]

    @pytest.mark.django_db
    def test_waits_for_nobody_inside_a_transaction(self) -> None:
        with turn("shop:1"), atomic(), turn("shop:1"):
            pass
