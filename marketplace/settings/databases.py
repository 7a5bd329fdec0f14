"""Which database: one URL out of all the names that the source systems used for theirs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import environ

from marketplace.settings.reading import Reader, SettingsError

POSTGRES_NAMES = (
    "POSTGRES_HOST",
    "POSTGRES_PORT",
    "POSTGRES_DB",
    "POSTGRES_USER",
    "POSTGRES_PASSWORD",
)
MONGO_URL_NAMES = ("MONGODB_URI", "MONGODB_URL", "MONGO_URL")
MONGO_SEED_NAMES = ("MONGO_SEEDS", "MONGO_DATABASE", "MONGO_SSL")
MONGO_HOST_NAMES = ("MONGO_HOST", "MONGO_PORT", "MONGO_DB")
MONGO_SIGN_IN_NAMES = ("MONGO_USERNAME", "MONGO_PASSWORD")
MONGO_NAME_NAMES = ("MONGODB_DB_NAME", "MONGO_DATABASE", "MONGO_DB")
DEFAULT_NAME = "marketplace"

BUSY_TIMEOUT_S = 5
STATEMENT_TIMEOUT_MS = 5_000
LOCK_TIMEOUT_MS = 4_000
CONNECT_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class DatabaseChoice:
    """The URL in force, the names it came from, and the set names that it makes idle."""

    url: str
    chosen: tuple[str, ...]
    ignored: tuple[str, ...]

    @property
    def engine(self) -> str:
        """`sqlite`, `postgresql` or `mongodb`."""
        scheme = urlsplit(self.url).scheme
        if scheme == "sqlite":
            return "sqlite"
        if scheme in {"postgres", "postgresql"}:
            return "postgresql"
        if scheme in {"mongodb", "mongodb+srv"}:
            return "mongodb"
        raise SettingsError(
            f"{self.chosen[0]} must begin with sqlite:///, postgres://, postgresql://, "
            f"mongodb:// or mongodb+srv://, not {scheme or 'nothing'}"
        )


def choose_database(read: Reader, *, data_dir: Path) -> DatabaseChoice:
    """DATABASE_URL, else the POSTGRES names, else the MongoDB names, else a file of our own."""
    url = read.group(["DATABASE_URL"])
    postgres = read.group(POSTGRES_NAMES)
    mongo_urls = read.group(MONGO_URL_NAMES)
    seeds = read.group(MONGO_SEED_NAMES)
    hosts = read.group(MONGO_HOST_NAMES)
    sign_in = read.group(MONGO_SIGN_IN_NAMES)
    name = read.group(["MONGODB_DB_NAME"])

    candidates: list[tuple[dict[str, str], Callable[[], str]]] = [
        (url, lambda: url["DATABASE_URL"]),
        (postgres, lambda: _postgres_url(postgres)),
        *(({key: value}, lambda value=value: value) for key, value in mongo_urls.items()),
    ]
    if "MONGO_SEEDS" in seeds:
        candidates.append((seeds | sign_in, lambda: _seeds_url(read, seeds, sign_in)))
    if "MONGO_HOST" in hosts or "MONGO_PORT" in hosts:
        candidates.append((hosts | sign_in, lambda: _host_url(hosts, sign_in)))

    every = [*url, *postgres, *mongo_urls, *seeds, *hosts, *sign_in, *name]
    for names, make in candidates:
        if names:
            made = make()
            used = set(names)
            if made.startswith("mongodb"):
                used |= set(name) | (set(seeds) & {"MONGO_DATABASE"}) | (set(hosts) & {"MONGO_DB"})
            ignored = tuple(one for one in every if one not in used)
            return DatabaseChoice(url=made, chosen=tuple(names), ignored=ignored)
    file = quote(str(data_dir / "marketplace.sqlite3"))
    return DatabaseChoice(url=f"sqlite:///{file}", chosen=("default",), ignored=tuple(every))


def _postgres_url(values: dict[str, str]) -> str:
    user = quote(values.get("POSTGRES_USER", "postgres"), safe="")
    password = quote(values.get("POSTGRES_PASSWORD", ""), safe="")
    host = values.get("POSTGRES_HOST", "localhost")
    port = values.get("POSTGRES_PORT", "5432")
    name = quote(values.get("POSTGRES_DB", DEFAULT_NAME), safe="")
    if not port.isdecimal():
        raise SettingsError(f"POSTGRES_PORT must be a whole number, not {port!r}")
    return f"postgres://{user}{':' + password if password else ''}@{host}:{port}/{name}"


def _seeds_url(read: Reader, seeds: dict[str, str], sign_in: dict[str, str]) -> str:
    address = ",".join(part.strip() for part in seeds["MONGO_SEEDS"].split(",") if part.strip())
    tls = read.flag("MONGO_SSL", default=False)
    return _mongo_url(address, sign_in, query=["tls=true"] if tls else [])


def _host_url(hosts: dict[str, str], sign_in: dict[str, str]) -> str:
    port = hosts.get("MONGO_PORT", "27017")
    if not port.isdecimal():
        raise SettingsError(f"MONGO_PORT must be a whole number, not {port!r}")
    return _mongo_url(f"{hosts.get('MONGO_HOST', 'localhost')}:{port}", sign_in, query=[])


def _mongo_url(address: str, sign_in: dict[str, str], *, query: list[str]) -> str:
    account = ""
    if "MONGO_USERNAME" in sign_in:
        user = quote(sign_in["MONGO_USERNAME"], safe="")
        account = f"{user}:{quote(sign_in.get('MONGO_PASSWORD', ''), safe='')}@"
        # The source systems' containers keep their one account in `admin`.
        query = [*query, "authSource=admin"]
    return f"mongodb://{account}{address}/{'?' + '&'.join(query) if query else ''}"


def database_config(choice: DatabaseChoice, read: Reader, *, base_dir: Path) -> dict[str, Any]:
    """Django's `DATABASES["default"]` for the chosen URL."""
    pool_min = read.whole("DB_POOL_MIN", 1)
    # Up to seven stay with the threads that write or read in batches; requests share the others.
    pool_max = read.whole("DB_POOL_MAX", 16, least=1)
    if pool_min > pool_max:
        raise SettingsError(f"DB_POOL_MIN ({pool_min}) must not be above DB_POOL_MAX ({pool_max})")
    names = read.group(MONGO_NAME_NAMES)
    if choice.engine == "sqlite":
        return _sqlite(choice, base_dir=base_dir)
    if choice.engine == "postgresql":
        return _postgresql(choice, pool_min=pool_min, pool_max=pool_max)
    return _mongodb(choice, names, pool_min=pool_min, pool_max=pool_max)


def _sqlite(choice: DatabaseChoice, *, base_dir: Path) -> dict[str, Any]:
    path = unquote(urlsplit(choice.url).path)[1:]
    if not path or ":memory:" in choice.url:
        raise SettingsError(f"{choice.chosen[0]} must name a file: sqlite:///<path>")
    file = base_dir / path
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{choice.chosen[0]}: cannot make {file.parent}: {error}") from None
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(file),
        "OPTIONS": {
            "timeout": BUSY_TIMEOUT_S,
            # A transaction that reads first and writes later would fail at once when another
            # one wrote between, whatever the time-out: take the write lock at its start.
            "transaction_mode": "IMMEDIATE",
            # FULL: a commit is on the disk when it is acked, also through a power cut.
            "init_command": sqlite_pragmas(synchronous="FULL"),
        },
    }


def sqlite_pragmas(*, synchronous: str) -> str:
    """What each new SQLite connection is told. Django itself switches foreign keys on."""
    return (
        f"PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous}; "
        "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-16000; PRAGMA mmap_size=134217728;"
    )


def _postgresql(choice: DatabaseChoice, *, pool_min: int, pool_max: int) -> dict[str, Any]:
    config: dict[str, Any] = environ.Env.db_url_config(choice.url)
    if not config.get("NAME"):
        raise SettingsError(f"{choice.chosen[0]} must name a database: postgres://host/name")
    config["ENGINE"] = "django.db.backends.postgresql"
    given: dict[str, Any] = dict(parse_qsl(urlsplit(choice.url).query))
    # What the URL says comes last, so that it wins: `?options=-c statement_timeout=0`.
    session = (
        # A generic plan misjudges ranges by a factor of ten on the product list.
        "-c plan_cache_mode=force_custom_plan "
        f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS} "
        "-c idle_in_transaction_session_timeout=30000 " + given.pop("options", "")
    )
    config["OPTIONS"] = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "application_name": "marketplace",
        **given,
        "options": session.strip(),
        "pool": {"min_size": pool_min, "max_size": pool_max, "timeout": CONNECT_TIMEOUT_S},
    }
    return config


def _mongodb(
    choice: DatabaseChoice, names: dict[str, str], *, pool_min: int, pool_max: int
) -> dict[str, Any]:
    in_url = unquote(urlsplit(choice.url).path.strip("/"))
    by_source = {
        "MONGO_SEEDS": "MONGO_DATABASE",
        "MONGO_HOST": "MONGO_DB",
        "MONGO_PORT": "MONGO_DB",
    }
    own = names.get(by_source.get(choice.chosen[0], "MONGODB_DB_NAME"))
    return {
        "ENGINE": "django_mongodb_backend",
        "HOST": choice.url,
        "NAME": in_url or own or names.get("MONGODB_DB_NAME") or DEFAULT_NAME,
        "OPTIONS": {
            "serverSelectionTimeoutMS": CONNECT_TIMEOUT_S * 1000,
            "connectTimeoutMS": CONNECT_TIMEOUT_S * 1000,
            "socketTimeoutMS": 2 * STATEMENT_TIMEOUT_MS,
            "waitQueueTimeoutMS": CONNECT_TIMEOUT_S * 1000,
            "minPoolSize": pool_min,
            "maxPoolSize": pool_max,
        },
    }
