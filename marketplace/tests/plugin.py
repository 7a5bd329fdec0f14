"""What every run of the suite has: the test profile, no network, an honest account of skips.

Loaded by pytest.ini with `-p`, before Django reads its settings.
"""

import ipaddress
import os
import socket
from collections.abc import Iterator
from typing import Any

os.environ["MARKETPLACE_ENV"] = "test"


def own_redis_url(url: str, worker: str) -> str:
    """The same Redis with a numbered database of its own for each xdist worker."""
    place, slash, number = url.rpartition("/")
    if not slash or not number.isdecimal():
        return url
    return f"{place}/{(int(number) + int(worker.removeprefix('gw')) + 1) % 16}"


if os.environ.get("REDIS_URL") and os.environ.get("PYTEST_XDIST_WORKER", "").startswith("gw"):
    os.environ["REDIS_URL"] = own_redis_url(
        os.environ["REDIS_URL"], os.environ["PYTEST_XDIST_WORKER"]
    )

if os.environ.get("DATABASE_URL", "").startswith("mongodb"):
    # Before any client is made: only later ones have its listener.
    from marketplace.tests import mongo_flush  # noqa: F401  # listening is the effect

import pytest  # noqa: E402  # after the profile is chosen

LIMIT_KEYS = "marketplace:limits*"
NO_TRANSACTIONS = "needs transactions, which this database does not have"
DATABASE_FIXTURES = frozenset(
    {"db", "transactional_db", "django_db_reset_sequences", "live_server"}
)


class NetworkBlocked(RuntimeError):
    """A test tried to leave the machine."""


def is_loopback(host: str | bytes | None) -> bool:
    """Whether this host name or address stays on the machine."""
    if not host:
        return True
    text = host.decode() if isinstance(host, bytes) else host
    if text == "localhost" or text.endswith(".localhost") or text == socket.gethostname():
        return True
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


@pytest.fixture(autouse=True, scope="session")
def _network_blocked() -> Iterator[None]:
    """Refuse every connection and every look-up of a name that leads away from this machine."""
    real_connect, real_connect_ex = socket.socket.connect, socket.socket.connect_ex
    real_getaddrinfo = socket.getaddrinfo

    def refuse(host: Any) -> None:
        if not is_loopback(host):
            raise NetworkBlocked(f"The suite stays on this machine; a test asked for {host!r}")

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            refuse(address[0])
        real_connect(self, address)

    def connect_ex(self: socket.socket, address: Any) -> int:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            refuse(address[0])
        return real_connect_ex(self, address)

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        refuse(host)
        return real_getaddrinfo(host, *args, **kwargs)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", connect)
    patch.setattr(socket.socket, "connect_ex", connect_ex)
    patch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield
    patch.undo()


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to hide the tests that need transactions; give this process its own names in Redis."""
    expression = str(config.getoption("markexpr", "") or "")
    if "not transactions" in expression:
        raise pytest.UsageError(
            "Tests marked `transactions` are never deselected: a database without transactions "
            "skips them, and the report names them."
        )
    from django.conf import settings

    if settings.REDIS_URL:
        own = f"marketplace:test:{os.getpid()}"
        settings.CHANNEL_LAYERS["default"]["CONFIG"]["prefix"] = f"{own}:layer"
        settings.CACHES["default"]["KEY_PREFIX"] = f"{own}:cache"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark a test `integration` if it uses the database, else `unit`, unless it says so itself."""
    for item in items:
        if item.get_closest_marker("unit") or item.get_closest_marker("integration"):
            continue
        fixtures = set(getattr(item, "fixturenames", ()))
        uses_database = item.get_closest_marker("django_db") or fixtures & DATABASE_FIXTURES
        item.add_marker("integration" if uses_database else "unit")


@pytest.fixture(autouse=True)
def _full_limits() -> None:
    """Every test starts with nothing counted, whatever address the test before it came from."""
    forget_limits()


def forget_limits() -> None:
    """Nothing is counted any more, in this process or in Redis."""
    from django.conf import settings
    from django.core.cache import cache

    from marketplace.core.limits import reset_limits

    reset_limits()
    if not settings.REDIS_URL:
        cache.clear()
        return
    import redis

    with redis.Redis.from_url(settings.REDIS_URL) as store:
        if keys := list(store.scan_iter(LIMIT_KEYS, count=1000)):
            store.delete(*keys)


@pytest.fixture(autouse=True)
def _transactions_where_marked(request: pytest.FixtureRequest) -> None:
    """Skip a marked test where nothing can roll back, with the one reason that is counted."""
    if request.node.get_closest_marker("transactions") is None:
        return
    request.getfixturevalue("_database_ready")


@pytest.fixture
def _database_ready(request: pytest.FixtureRequest, django_db_setup: None) -> None:
    from marketplace.core.db import has_transactions

    with request.getfixturevalue("django_db_blocker").unblock():
        able = has_transactions()
    if not able:
        pytest.skip(NO_TRANSACTIONS)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Iterator[None]:
    """Before the test database is dropped: end the sessions that threads of tests left open."""
    if fixturedef.argname == "django_db_setup":
        from django.db.backends.signals import connection_created

        connection_created.connect(_take_your_time, dispatch_uid="suite.take_your_time")
    result = yield
    if fixturedef.argname == "django_db_setup":
        blocker = request.getfixturevalue("django_db_blocker")
        fixturedef.addfinalizer(lambda: _end_other_sessions(blocker))
    return result


def _take_your_time(*, connection: Any, **_: Any) -> None:
    """Making and dropping a database waits for the disk: no time-out of the product holds there."""
    from django.db.backends.base.base import NO_DB_ALIAS

    if connection.vendor == "postgresql" and connection.alias == NO_DB_ALIAS:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0; SET lock_timeout = 0")


def _end_other_sessions(blocker: Any) -> None:
    from django.db import connection

    if connection.vendor != "postgresql":
        return
    with blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() "
            # PostgreSQL ends its own workers, such as an autovacuum, by itself.
            "AND backend_type = 'client backend'"
        )


def pytest_report_header() -> str:
    """Which database and which Redis this run is about."""
    from django.conf import settings

    redis = "Redis" if settings.REDIS_URL else "no Redis"
    return f"marketplace: {settings.DATABASE_ENGINE}, {redis}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Count and name the tests that were skipped for lack of transactions."""
    skipped = [
        report.nodeid
        for report in terminalreporter.stats.get("skipped", [])
        if NO_TRANSACTIONS in str(report.longrepr)
    ]
    if not skipped:
        return
    terminalreporter.section("skipped for lack of transactions")
    for nodeid in sorted(skipped):
        terminalreporter.write_line(nodeid)
    terminalreporter.write_line(f"{len(skipped)} tests skipped: {NO_TRANSACTIONS}")
