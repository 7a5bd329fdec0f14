"""Ids that nobody else has, in the order of their making."""

import multiprocessing
import time
from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

from marketplace.core.ids import first_id, uuid7


class TestUuid7:
    def test_rises_within_a_process(self) -> None:
        made = [uuid7() for _ in range(10_000)]

        assert made == sorted(made)
        assert len(set(made)) == 10_000

    def test_has_the_form_of_the_standard_and_begins_no_earlier_than_now(self) -> None:
        before = time.time_ns() // 1_000_000
        made = uuid7()

        assert (made.version, made.variant) == (7, RFC_4122)
        # Never earlier than now, but later where the clock has once been ahead.
        assert made.int >> 80 >= before

    def test_never_repeats_its_random_part(self) -> None:
        assert len({uuid7().int & (2**62 - 1) for _ in range(10_000)}) == 10_000

    def test_makes_others_in_a_forked_process(self) -> None:
        uuid7()
        with multiprocessing.get_context("fork").Pool(2) as pool:
            made: list[list[UUID]] = pool.map(_some, [100, 100], chunksize=1)
        mine = _some(100)

        random = [one.int & (2**62 - 1) for part in (*made, mine) for one in part]
        assert len(set(random)) == 300


class TestFirstId:
    def test_is_the_lowest_of_its_millisecond(self) -> None:
        moment = datetime(2026, 1, 10, tzinfo=UTC)
        made = first_id(moment)

        assert made.int >> 80 == int(moment.timestamp() * 1000)
        assert first_id(moment - timedelta(milliseconds=1)) < made
        # Whatever counts and chance say in the rest, it is no lower.
        assert made.int & (2**80 - 1) == (0x7 << 76) | (0b10 << 62)

    def test_has_the_form_of_the_standard(self) -> None:
        made = first_id(datetime(2026, 1, 10, tzinfo=UTC))

        assert str(made) == "019ba533-e400-7000-8000-000000000000"
        assert (made.version, made.variant) == (7, RFC_4122)


def _some(number: int) -> list[UUID]:
    return [uuid7() for _ in range(number)]
