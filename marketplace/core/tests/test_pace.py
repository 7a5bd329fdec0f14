"""Work that can wait gives way in a rush, and only then."""

import pytest

from marketplace.core import observe, pace


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it rested, without resting."""
    found: list[float] = []
    monkeypatch.setattr("marketplace.core.pace.time.sleep", found.append)
    return found


class TestGiveWay:
    def test_rests_while_many_wait(self, rests: list[float]) -> None:
        observe.HTTP_IN_FLIGHT.inc(pace.BUSY)
        try:
            pace.give_way(0.01)
            pace.give_way(10)
        finally:
            observe.HTTP_IN_FLIGHT.dec(pace.BUSY)

        assert rests == [0.09, pace.LONGEST_REST_S]

    def test_goes_on_at_once_otherwise(self, rests: list[float]) -> None:
        observe.HTTP_IN_FLIGHT.inc(pace.BUSY - 1)
        try:
            pace.give_way(0.01)
        finally:
            observe.HTTP_IN_FLIGHT.dec(pace.BUSY - 1)

        assert rests == []

    def test_comes_after_a_piece_of_work_also_where_that_fails(
        self, rests: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seconds = iter([1.0, 1.01, 5.0, 5.02])
        monkeypatch.setattr("marketplace.core.pace.time.perf_counter", lambda: next(seconds))

        def fail() -> None:
            with pace.giving_way():
                raise RuntimeError

        observe.HTTP_IN_FLIGHT.inc(pace.BUSY)
        try:
            with pace.giving_way():
                assert rests == []
            with pytest.raises(RuntimeError):
                fail()
        finally:
            observe.HTTP_IN_FLIGHT.dec(pace.BUSY)

        assert rests == pytest.approx([0.09, 0.18])
