"""Named rate buckets (docs/settings.md), one store for REST and sockets: this process, or Redis.

Fixed windows are aligned to the clock, so that one counter tells all: taken, left, and until when.
`message` is a sliding window. A store that does not answer stops nobody, except where guessing
is at stake: there nothing goes on without a count.
"""

import hashlib
import ipaddress
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import structlog
from django.conf import settings
from django.core.signals import setting_changed
from django.http import HttpRequest
from limits import RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter

from marketplace.core.errors import RateLimited, Unavailable
from marketplace.core.limit_store import ProcessStore

logger = structlog.get_logger(__name__)

FAIL_CLOSED = frozenset({"login", "otp_send", "otp_check"})
REDIS_TIMEOUT_S = 0.5
MESSAGE_WINDOW_S = 60
RETRY_STORE_AFTER_S = 2.0
"""How long the store is left alone after it failed, so that an outage costs no waiting."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a bucket: `limit` per window, `remaining` now, `reset_s` until it is full."""

    limit: int
    remaining: int
    reset_s: int


UNLIMITED = Allowance(limit=0, remaining=0, reset_s=0)


class BucketEmpty(RateLimited):
    """429 with the figures of the bucket, for the RateLimit headers."""

    def __init__(self, allowance: Allowance) -> None:
        super().__init__(retry_after=max(1, allowance.reset_s))
        self.allowance = allowance


class _Store:
    """The store in force, and a break after it failed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._storage: ProcessStore | RedisStorage | None = None
        self._down_until = 0.0

    def get(self) -> ProcessStore | RedisStorage | None:
        """The store, or None while it is left alone."""
        if time.monotonic() < self._down_until:
            return None
        storage = self._storage
        if storage is None:
            with self._lock:
                storage = self._storage = self._storage or _open_storage()
        return storage

    def failed(self, error: Exception) -> None:
        """Leave the store alone for a moment."""
        if time.monotonic() >= self._down_until:
            logger.warning("limit_store_unreachable", error=type(error).__name__)
        self._down_until = time.monotonic() + RETRY_STORE_AFTER_S

    def reset(self) -> None:
        """Start anew, for tests and changed settings."""
        self._storage = None
        self._down_until = 0.0


def _open_storage() -> ProcessStore | RedisStorage:
    url = getattr(settings, "REDIS_URL", "") or ""
    if not url:
        return ProcessStore()
    return RedisStorage(
        url,
        key_prefix="marketplace:limits",
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
    )


_store = _Store()


def reset_limits() -> None:
    """Forget all counts of this process and open the store anew; for tests."""
    _store.reset()


def _forget_on_change(*, setting: str, **_: object) -> None:
    if setting == "REDIS_URL":
        _store.reset()


setting_changed.connect(_forget_on_change, dispatch_uid="limits.store")


def rates_of(bucket: str) -> Sequence[tuple[int, int]]:
    """The (count, seconds) rows of a bucket; no row = no limit."""
    if bucket == "message":
        return [(int(getattr(settings, "MESSAGE_RATE_LIMIT", 30)), MESSAGE_WINDOW_S)]
    return list(getattr(settings, "LIMITS", {}).get(bucket, ()))


def check(bucket: str, key: str, *, cost: int = 1, rows: Sequence[int] | None = None) -> Allowance:
    """Take `cost` from the bucket of this key; gives what is left of its tightest row.

    cost 0 asks without taking. rows: only these rows of the bucket (each of them may have a key
    of another kind). Raises BucketEmpty, or Unavailable where a bucket may not go uncounted.
    """
    if bucket == "message":
        check_message(key, cost=cost)
        return UNLIMITED
    tightest = UNLIMITED
    for number, (count, seconds) in enumerate(rates_of(bucket)):
        if count <= 0 or (rows is not None and number not in rows):
            continue
        allowance = _take(bucket, number, key, count, seconds, cost)
        if tightest.limit == 0 or allowance.remaining < tightest.remaining:
            tightest = allowance
    return tightest


def _take(bucket: str, row: int, key: str, count: int, seconds: int, cost: int) -> Allowance:
    instant = time.time()
    window = int(instant // seconds)
    reset_s = max(1, math.ceil((window + 1) * seconds - instant))
    storage = _store.get()
    try:
        if storage is None:
            raise ConnectionError("The store is left alone for a moment.")
        name = f"{bucket}:{row}:{_short(key)}:{window}"
        taken = storage.incr(name, seconds, cost) if cost else storage.get(name) + 1
    except Exception as error:  # noqa: BLE001  # whatever the store's driver raises
        return _without_store(bucket, Allowance(count, count, reset_s), error)
    if taken > count:
        raise BucketEmpty(Allowance(count, 0, reset_s))
    return Allowance(count, count - taken + (0 if cost else 1), reset_s)


def check_message(user_key: str, *, cost: int = 1) -> None:
    """Take `cost` messages of this user's sliding minute. MESSAGE_RATE_LIMIT 0 = no limit.

    cost 0 asks without taking. Raises BucketEmpty; then nothing was taken.
    """
    count = settings.MESSAGE_RATE_LIMIT
    if count <= 0:
        return
    storage = _store.get()
    rate = RateLimitItemPerSecond(count, MESSAGE_WINDOW_S, namespace="message")
    name = _short(user_key)
    try:
        if storage is None:
            raise ConnectionError("The store is left alone for a moment.")
        limiter = MovingWindowRateLimiter(storage)
        if limiter.hit(rate, name, cost=cost) if cost else limiter.test(rate, name):
            return
        window = limiter.get_window_stats(rate, name)
    except Exception as error:  # noqa: BLE001  # whatever the store's driver raises
        _without_store("message", Allowance(count, count, MESSAGE_WINDOW_S), error)
        return
    reset_s = max(1, math.ceil(window.reset_time - time.time()))
    raise BucketEmpty(Allowance(count, max(0, window.remaining), reset_s))


def _without_store(bucket: str, full: Allowance, error: Exception) -> Allowance:
    if _store.get() is not None:
        _store.failed(error)
    if bucket in FAIL_CLOSED:
        raise Unavailable from error
    return full


def _short(key: str) -> str:
    """Keys carry phone numbers and addresses: the store sees a digest of the long ones."""
    return hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=12).hexdigest()


class LocalBucket:
    """A token bucket of one connection: `rate` per second, at most `burst` at once; no store."""

    __slots__ = ("_burst", "_last", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float | None = None) -> None:
        self._rate = rate
        self._burst = rate if burst is None else burst
        self._tokens = self._burst
        self._last = 0.0

    def take(self, now_s: float, cost: float = 1.0) -> bool:
        """Whether `cost` could be taken at this instant of a monotonic clock. Rate 0 = no limit."""
        if self._rate <= 0:
            return True
        if self._last:
            self._tokens = min(self._burst, self._tokens + (now_s - self._last) * self._rate)
        self._last = now_s
        if self._tokens < cost:
            return False
        self._tokens -= cost
        return True


def local_bucket(name: str) -> LocalBucket:
    """A fresh bucket for one connection, with the rate and burst of the settings."""
    rates = rates_of(name)
    if not rates:
        return LocalBucket(0)
    count, seconds = rates[0]
    return LocalBucket(count / seconds, count * getattr(settings, "LIMIT_BURSTS", {}).get(name, 1))


def client_address(*, peer: str, forwarded_for: str | None) -> str:
    """The address that counts: the peer, or with TRUSTED_PROXIES=n the n-th entry from the right.

    Everything left of it is what the client wrote. IPv6 is cut to its /64, which is one customer.
    """
    trusted = int(getattr(settings, "TRUSTED_PROXIES", 0))
    if trusted > 0 and forwarded_for:
        entries = [entry.strip() for entry in forwarded_for.split(",")]
        address = _network(entries[-trusted] if len(entries) >= trusted else entries[0])
        if address:
            return address
    return _network(peer) or peer


@lru_cache(maxsize=4096)
def _network(text: str) -> str | None:
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def caller_key(user_id: str | None, address: str) -> str:
    """Whose bucket and whose idempotency keys: the user's, else the address's."""
    return f"address:{address}" if user_id is None else f"user:{user_id}"


def request_address(request: HttpRequest) -> str:
    """The address that counts of an HTTP request."""
    return client_address(
        peer=request.META.get("REMOTE_ADDR") or "unknown",
        forwarded_for=request.META.get("HTTP_X_FORWARDED_FOR"),
    )
