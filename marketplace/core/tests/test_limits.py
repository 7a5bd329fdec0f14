"""Named rate buckets and addresses."""

from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from limits.storage import RedisStorage
from pytest_django import Settings

from marketplace.core import limits
from marketplace.core.errors import Unavailable
from marketplace.core.limit_store import ProcessStore


@pytest.fixture(autouse=True)
def fresh_counts(settings: Settings) -> Iterator[None]:
    settings.REDIS_URL = ""
    settings.LIMITS = {
        "api": [(2, 60)],
        "two": [(2, 60), (3, 3600)],
        "off": [(0, 60)],
        "login": [(1, 60)],
    }
    settings.MESSAGE_RATE_LIMIT = 3
    limits.reset_limits()
    yield
    limits.reset_limits()


class BrokenStore:
    def incr(self, *_: Any) -> int:
        raise ConnectionError

    get = acquire_entry = get_moving_window = incr


class TestCheck:
    def test_tells_what_is_left(self) -> None:
        with time_machine.travel("2026-01-10T12:00:15Z", tick=False):
            assert limits.check("api", "a") == limits.Allowance(limit=2, remaining=1, reset_s=45)
            assert limits.check("api", "a").remaining == 0

    def test_refuses_what_is_over_and_says_how_long(self) -> None:
        with time_machine.travel("2026-01-10T12:00:15Z", tick=False):
            limits.check("api", "a", cost=2)

            with pytest.raises(limits.BucketEmpty) as caught:
                limits.check("api", "a")

        assert caught.value.retry_after == 45
        assert caught.value.code == "rate_limited"

    def test_keeps_keys_and_buckets_apart(self) -> None:
        limits.check("api", "a", cost=2)

        assert limits.check("api", "b").remaining == 1
        assert limits.check("two", "a").remaining == 1

    def test_begins_anew_in_the_next_window(self) -> None:
        with time_machine.travel("2026-01-10T12:00:59Z", tick=False) as clock:
            limits.check("api", "a", cost=2)
            clock.shift(1)
            assert limits.check("api", "a").remaining == 1

    def test_holds_the_longer_row_too(self) -> None:
        with time_machine.travel("2026-01-10T12:00:00Z", tick=False) as clock:
            limits.check("two", "a", cost=2)
            clock.shift(60)
            limits.check("two", "a")
            with pytest.raises(limits.BucketEmpty):
                limits.check("two", "a")

    def test_counts_only_the_rows_asked_for(self) -> None:
        limits.check("two", "address", cost=2, rows=[0])

        assert limits.check("two", "address", rows=[1]).remaining == 2

    def test_asks_without_taking(self) -> None:
        assert limits.check("api", "a", cost=0).remaining == 2
        assert limits.check("api", "a", cost=0).remaining == 2
        limits.check("api", "a", cost=2)
        with pytest.raises(limits.BucketEmpty):
            limits.check("api", "a", cost=0)

    def test_takes_everything_where_the_count_is_0_or_no_bucket_is_known(self) -> None:
        for _ in range(5):
            assert limits.check("off", "a") == limits.UNLIMITED
            assert limits.check("unheard_of", "a") == limits.UNLIMITED


class TestMessages:
    def test_slides(self) -> None:
        with time_machine.travel("2026-01-10T12:00:30Z", tick=False) as clock:
            limits.check_message("u", cost=2)
            clock.shift(31)
            limits.check_message("u")
            # A fixed window would be new by now; of the sliding one, only the first two are out.
            with pytest.raises(limits.BucketEmpty) as caught:
                limits.check_message("u")
            assert caught.value.retry_after == 29
            clock.shift(29.1)
            limits.check_message("u", cost=2)

    def test_takes_nothing_when_it_refuses(self) -> None:
        limits.check_message("u", cost=2)
        with pytest.raises(limits.BucketEmpty):
            limits.check_message("u", cost=2)
        limits.check_message("u")

    def test_is_off_at_0(self, settings: Settings) -> None:
        settings.MESSAGE_RATE_LIMIT = 0

        limits.check_message("u", cost=10_000)

    def test_forgets_what_has_ended(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ProcessStore, "SWEEP_EVERY", 1)
        store = ProcessStore()
        with time_machine.travel("2026-01-10T12:00:00Z", tick=False) as clock:
            store.incr("a", 10)
            store.acquire_entry("m", 3, 10)
            clock.shift(11)
            store.incr("b", 10)
        assert list(store._counts) == ["b"]
        assert store._times == {}


class TestWithoutStore:
    @pytest.fixture(autouse=True)
    def broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "_open_storage", BrokenStore)

    def test_lets_requests_and_messages_through(self) -> None:
        assert limits.check("api", "a").remaining == 2
        limits.check_message("u")

    @pytest.mark.parametrize("bucket", ["login"])
    def test_stops_what_could_be_guessed(self, bucket: str) -> None:
        with pytest.raises(Unavailable):
            limits.check(bucket, "a")

    def test_leaves_the_store_alone_for_a_moment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        limits.check("api", "a")

        assert limits._store.get() is None


class TestRedis:
    @pytest.fixture(autouse=True)
    def redis(self, settings: Settings) -> Iterator[None]:
        import os

        url = os.environ.get("TEST_REDIS_URL")
        if not url:
            pytest.skip("TEST_REDIS_URL names no server")
        settings.REDIS_URL = url
        limits.reset_limits()
        assert isinstance(limits._store.get(), RedisStorage)
        yield
        storage = limits._store.get()
        assert isinstance(storage, RedisStorage)
        storage.reset()

    def test_counts_as_the_process_does(self) -> None:
        limits.check("api", "redis", cost=2)
        with pytest.raises(limits.BucketEmpty):
            limits.check("api", "redis")

    def test_slides_as_the_process_does(self) -> None:
        limits.check_message("redis", cost=3)
        with pytest.raises(limits.BucketEmpty):
            limits.check_message("redis")


class TestLocalBucket:
    def test_gives_the_burst_then_the_rate(self) -> None:
        bucket = limits.LocalBucket(2, burst=3)

        assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
        assert [bucket.take(101.0) for _ in range(3)] == [True, True, False]

    def test_never_saves_more_than_the_burst(self) -> None:
        bucket = limits.LocalBucket(1, burst=2)
        bucket.take(1.0)

        assert [bucket.take(1000.0) for _ in range(3)] == [True, True, False]

    def test_is_off_at_0(self) -> None:
        assert all(limits.LocalBucket(0).take(1.0) for _ in range(1000))

    def test_takes_rate_and_burst_from_the_settings(self, settings: Settings) -> None:
        settings.LIMITS = {"joins": [(20, 1)]}
        settings.LIMIT_BURSTS = {"joins": 5}

        bucket = limits.local_bucket("joins")

        assert sum(bucket.take(1.0) for _ in range(150)) == 100


class TestClientAddress:
    @pytest.mark.parametrize(
        ("trusted", "forwarded", "address"),
        [
            (0, "9.9.9.9", "10.0.0.1"),
            (1, None, "10.0.0.1"),
            (1, "6.6.6.6, 9.9.9.9", "9.9.9.9"),
            (2, "6.6.6.6, 8.8.8.8, 9.9.9.9", "8.8.8.8"),
            (3, "9.9.9.9", "9.9.9.9"),
            (1, "nonsense", "10.0.0.1"),
            (1, "9.9.9.9:4711", "9.9.9.9"),
            (1, "[2001:db8:1:2:3::4]:80", "2001:db8:1:2::/64"),
        ],
    )
    def test_takes_the_entry_that_a_trusted_proxy_wrote(
        self, settings: Settings, trusted: int, forwarded: str | None, address: str
    ) -> None:
        settings.TRUSTED_PROXIES = trusted

        assert limits.client_address(peer="10.0.0.1", forwarded_for=forwarded) == address

    @pytest.mark.parametrize(
        ("peer", "address"),
        [
            ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("fe80::1%eth0", "fe80::/64"),
            ("testclient", "testclient"),
        ],
    )
    def test_cuts_ipv6_to_one_customer(self, peer: str, address: str) -> None:
        assert limits.client_address(peer=peer, forwarded_for=None) == address
