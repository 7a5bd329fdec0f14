"""Settings: read once, typed, joined from the names of five systems, refused when wrong."""

import itertools
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from marketplace.settings import addresses, base, databases, keys, rates
from marketplace.settings.reading import Reader, SettingsError, choose_profile, read_environment

LONG = "k" * 40
OTHER = "o" * 40


def chosen(values: Mapping[str, str]) -> databases.DatabaseChoice:
    return databases.choose_database(Reader(values), data_dir=Path("/data"))


def config(values: Mapping[str, str], *, base_dir: Path = Path("/nowhere")) -> dict[str, Any]:
    read = Reader(values)
    choice = databases.choose_database(read, data_dir=Path("/data"))
    return databases.database_config(choice, read, base_dir=base_dir)


def start(**values: str) -> subprocess.CompletedProcess[str]:
    """Start the product with this environment alone; it prints some settings, or refuses."""
    show = (
        "from django.conf import settings as s; "
        "print(s.PROFILE, s.SECURE_SSL_REDIRECT, s.BIND_HOST)"
    )
    environment = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "marketplace.settings"}
    return subprocess.run(
        [sys.executable, "-c", show],
        cwd=settings.BASE_DIR,
        env=environment | values,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


class TestProfile:
    @pytest.mark.parametrize(
        ("values", "profile"),
        [
            ({}, "local"),
            ({"MARKETPLACE_ENV": "production"}, "production"),
            ({"MIX_ENV": "prod"}, "production"),
            ({"NODE_ENV": "production"}, "production"),
            ({"NODE_ENV": "development"}, "local"),
            ({"NODE_ENV": "test"}, "test"),
            ({"MARKETPLACE_ENV": "local", "NODE_ENV": "production"}, "local"),
            ({"MARKETPLACE_ENV": "", "NODE_ENV": "production"}, "production"),
        ],
    )
    def test_is_that_of_the_first_name_that_is_set(
        self, values: dict[str, str], profile: str
    ) -> None:
        assert choose_profile(values) == profile


class TestReading:
    def test_takes_the_environment_before_the_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / ".env"
        file.write_text("PORT=4000\nLOG_LEVEL=warn\nSMS_SINK=sms.log\n")
        monkeypatch.setenv("MARKETPLACE_ENV", "local")
        monkeypatch.setenv("PORT", "5000")
        monkeypatch.setenv("LOG_LEVEL", "")

        read = read_environment(file)

        assert read.whole("PORT", 8000) == 5000
        assert read.text("LOG_LEVEL") == "warn", "an empty value is unset"
        assert "SMS_SINK" not in os.environ, "the file stays out of the process's environment"

    def test_leaves_the_file_alone_in_the_test_profile(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / ".env"
        file.write_text("PORT=4000\n")
        monkeypatch.delenv("PORT", raising=False)

        assert read_environment(file).whole("PORT", 8000) == 8000

    @pytest.mark.parametrize(("text", "value"), [("true", True), ("ON", True), ("0", False)])
    def test_reads_flags_in_the_usual_words(self, text: str, value: bool) -> None:
        assert Reader({"A": text}).flag("A", default=not value) is value

    @pytest.mark.parametrize(
        ("name", "call"),
        [
            ("FLAG", lambda read: read.flag("FLAG", default=True)),
            ("WHOLE", lambda read: read.whole("WHOLE", 1)),
            ("LOW", lambda read: read.whole("LOW", 1, least=1)),
            ("PRICE", lambda read: read.decimal("PRICE", "1")),
            ("WORD", lambda read: read.choice("WORD", "a", ("a", "b"))),
            ("WAITS", lambda read: read.wholes("WAITS", "1")),
        ],
    )
    def test_refuses_a_bad_value_with_its_name(self, name: str, call: Any) -> None:
        bad = dict.fromkeys(("FLAG", "WHOLE", "PRICE", "WORD", "WAITS"), "many") | {"LOW": "0"}

        with pytest.raises(SettingsError, match=name):
            call(Reader(bad))


class TestDatabase:
    def test_is_a_file_in_the_data_folder_where_nothing_is_set(self) -> None:
        assert chosen({}).url == "sqlite:////data/marketplace.sqlite3"

    def test_takes_database_url_before_all_and_tells_the_rest(self) -> None:
        choice = chosen(
            {
                "DATABASE_URL": "sqlite:///a.db",
                "POSTGRES_DB": "messaging",
                "MONGO_URL": "mongodb://m/x",
            }
        )

        assert choice.chosen == ("DATABASE_URL",)
        assert choice.ignored == ("POSTGRES_DB", "MONGO_URL")

    def test_joins_the_postgres_names_of_beat_messaging(self) -> None:
        choice = chosen(
            {
                "POSTGRES_HOST": "db",
                "POSTGRES_PORT": "5433",
                "POSTGRES_DB": "messaging_dev",
                "POSTGRES_USER": "post@gres",
                "POSTGRES_PASSWORD": "p/w:d",
                "MONGO_HOST": "localhost",
                "MONGO_PORT": "27017",
            }
        )

        assert choice.url == "postgres://post%40gres:p%2Fw%3Ad@db:5433/messaging_dev"
        assert choice.ignored == ("MONGO_HOST", "MONGO_PORT")

    def test_joins_the_seeds_of_realtime_market(self) -> None:
        values = {
            "MONGO_SEEDS": "a:27017, b:27017",
            "MONGO_DATABASE": "realtime_market_dev",
            "MONGO_USERNAME": "rm",
            "MONGO_PASSWORD": "s@cret",
            "MONGO_SSL": "true",
        }

        assert (
            chosen(values).url == "mongodb://rm:s%40cret@a:27017,b:27017/?tls=true&authSource=admin"
        )
        assert config(values)["NAME"] == "realtime_market_dev"
        assert chosen(values).ignored == ()

    def test_joins_the_host_of_beat_messaging(self) -> None:
        values = {"MONGO_HOST": "mongo", "MONGO_PORT": "27018", "MONGO_DB": "messaging"}

        assert chosen(values).url == "mongodb://mongo:27018/"
        assert config(values)["NAME"] == "messaging"

    def test_takes_the_mongodb_urls_in_their_order(self) -> None:
        values = {"MONGODB_URL": "mongodb://sf/", "MONGO_URL": "mongodb://bm/"}

        assert chosen(values).chosen == ("MONGODB_URL",)
        assert chosen(values | {"MONGODB_URI": "mongodb://gb/"}).chosen == ("MONGODB_URI",)

    def test_takes_storefronts_name_of_the_database(self) -> None:
        values = {"MONGODB_URL": "mongodb://sf:27017", "MONGODB_DB_NAME": "storefront"}

        assert config(values)["NAME"] == "storefront"
        assert config(values | {"MONGODB_URL": "mongodb://sf/shop"})["NAME"] == "shop"

    def test_makes_sqlite_durable_and_patient(self, tmp_path: Path) -> None:
        made = config({"DATABASE_URL": "sqlite:///deep/er/a.db"}, base_dir=tmp_path)

        assert made["NAME"] == str(tmp_path / "deep/er/a.db")
        assert (tmp_path / "deep/er").is_dir()
        assert made["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
        assert made["OPTIONS"]["timeout"] == 5
        assert "journal_mode=WAL; PRAGMA synchronous=FULL" in made["OPTIONS"]["init_command"]

    def test_bounds_statements_and_pool_of_postgresql(self) -> None:
        made = config(
            {"DATABASE_URL": "postgresql://u:p%40w@h:5432/n?sslmode=require", "DB_POOL_MAX": "4"}
        )

        assert (made["NAME"], made["USER"], made["PASSWORD"]) == ("n", "u", "p@w")
        assert made["OPTIONS"]["pool"] == {"min_size": 1, "max_size": 4, "timeout": 5}
        assert made["OPTIONS"]["sslmode"] == "require"
        assert "-c plan_cache_mode=force_custom_plan" in made["OPTIONS"]["options"]
        assert "-c statement_timeout=5000 -c lock_timeout=4000" in made["OPTIONS"]["options"]

    def test_lets_the_url_overrule_the_session(self) -> None:
        made = config({"DATABASE_URL": "postgres://h/n?options=-c%20statement_timeout%3D0"})

        assert made["OPTIONS"]["options"].endswith("-c statement_timeout=0")

    @pytest.mark.parametrize(
        ("values", "text"),
        [
            ({"DATABASE_URL": "mysql://h/n"}, "DATABASE_URL must begin with"),
            ({"DATABASE_URL": "sqlite://:memory:"}, "must name a file"),
            ({"DATABASE_URL": "postgres://h/"}, "must name a database"),
            ({"POSTGRES_PORT": "many"}, "POSTGRES_PORT must be a whole number"),
            ({"DB_POOL_MIN": "17"}, "DB_POOL_MIN"),
        ],
    )
    def test_refuses_what_it_cannot_use(self, values: dict[str, str], text: str) -> None:
        with pytest.raises(SettingsError, match=text):
            config(values)


class TestAddresses:
    @pytest.mark.parametrize(
        ("values", "url"),
        [
            ({}, "http://localhost:8000"),
            ({"PORT": "4000"}, "http://localhost:4000"),
            ({"PHX_HOST": "market.example", "PORT": "4000"}, "http://market.example:4000"),
            ({"BEAT_MESSASSING_SERVER": "http://beat.example:4000/"}, "http://beat.example:4000"),
            ({"BEAT_MESSASSING_SERVER": "4001"}, "http://localhost:4001"),
            ({"SERVER_URL": "https://os.example", "PHX_HOST": "x"}, "https://os.example"),
            (
                {"SERVER_URL": "https://os.example", "PUBLIC_URL": "https://p.example"},
                "https://p.example",
            ),
        ],
    )
    def test_public_url(self, values: dict[str, str], url: str) -> None:
        read = Reader(values)

        assert addresses.read_public_url(read, port=addresses.read_port(read)) == url

    def test_allows_every_named_host(self) -> None:
        read = Reader({"PHX_HOST": "market.example", "SERVER_URL": "https://os.example:444"})

        hosts = addresses.read_hosts(read, public_url="https://os.example:444")

        assert hosts == ["os.example", "market.example", "localhost", "127.0.0.1", "[::1]"]

    def test_joins_the_origins_of_three_names(self) -> None:
        read = Reader(
            {
                "CORS_ORIGINS": "http://localhost:3000, https://Shop.example/",
                "FRONTEND_URL": "https://gb.example/app",
                "CLIENT_URL": "https://shop.example",
            }
        )

        assert addresses.read_origins(read) == [
            "http://localhost:3000",
            "https://shop.example",
            "https://gb.example",
        ]

    def test_refuses_an_origin_without_scheme(self) -> None:
        with pytest.raises(SettingsError, match="CORS_ORIGINS"):
            addresses.read_origins(Reader({"CORS_ORIGINS": "*"}))

    def test_joins_redis_from_its_parts(self) -> None:
        read = Reader({"REDIS_HOST": "cache", "REDIS_DB": "2", "REDIS_PASSWORD": "p@w"})

        assert addresses.read_redis_url(read) == ("redis://:p%40w@cache:6379/2", ())

    def test_tells_the_parts_that_redis_url_makes_idle(self) -> None:
        read = Reader({"REDIS_URL": "redis://r:6379/0", "REDIS_HOST": "cache"})

        assert addresses.read_redis_url(read) == ("redis://r:6379/0", ("REDIS_HOST",))

    def test_joins_the_broker_of_beat_messaging(self) -> None:
        assert addresses.read_brokers(Reader({"KAFKA_HOST": "kafka"})) == ["kafka:9092"]
        assert addresses.read_brokers(Reader({"KAFKA_PORT": "9094"})) == []

    def test_reads_listeners_and_refuses_an_unknown_word(self) -> None:
        read = Reader({"EXTRA_LISTENERS": "3000:os,5000:gb:deny"})

        assert addresses.read_listeners(read) == [
            {"port": 3000, "tag": "os", "guests": None},
            {"port": 5000, "tag": "gb", "guests": "deny"},
        ]
        with pytest.raises(SettingsError, match="EXTRA_LISTENERS"):
            addresses.read_listeners(Reader({"EXTRA_LISTENERS": "5000:gb:maybe"}))


class TestKeys:
    def test_signs_with_the_first_and_verifies_with_all(self) -> None:
        read = Reader(
            {"SECRET_KEY_BASE": "base", "JWT_SECRET": "first", "JWT_PREVIOUS_KEYS": "old,first"}
        )

        made = keys.read_keys(read, generated_in=None, strict=False)

        assert made.signing_name == "JWT_SECRET"
        assert made.ring == ("first", "base", "old")
        assert made.secret_key == "base"

    def test_derives_what_is_unset(self) -> None:
        made = keys.read_keys(Reader({"SECRET_KEY_BASE": LONG}), generated_in=None, strict=True)

        assert made.ring == (LONG,)
        assert len({made.secret_key, made.otp_key, LONG}) == 3
        assert made == keys.read_keys(
            Reader({"SECRET_KEY_BASE": LONG}), generated_in=None, strict=True
        )

    @pytest.mark.parametrize(
        ("values", "text"),
        [
            ({}, "JWT_SECRET must be set in production"),
            ({"JWT_SECRET": "short"}, "JWT_SECRET has 5 bytes"),
            ({"JWT_SECRET": LONG, "JWT_PREVIOUS_KEYS": "short"}, "JWT_PREVIOUS_KEYS has 5 bytes"),
            ({"JWT_SECRET": LONG, "OTP_KEY": "short"}, "OTP_KEY has 5 bytes"),
            ({"JWT_SECRET": LONG, "OTP_KEY": LONG}, "OTP_KEY must not be"),
            (
                {"JWT_SECRET": LONG, "JWT_PREVIOUS_KEYS": OTHER, "OTP_KEY": OTHER},
                "OTP_KEY must not be",
            ),
        ],
    )
    def test_refuses_in_production(self, values: dict[str, str], text: str) -> None:
        with pytest.raises(SettingsError, match=text):
            keys.read_keys(Reader(values), generated_in=None, strict=True)

    def test_makes_one_key_for_all_who_start_together(self, tmp_path: Path) -> None:
        file = tmp_path / "data" / "secret.key"

        with ThreadPoolExecutor(8) as pool:
            made = set(pool.map(lambda _: keys.generated_key(file), range(32)))

        assert len(made) == 1
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert [one.name for one in file.parent.iterdir()] == ["secret.key"]

    def test_keeps_the_key_it_made(self, tmp_path: Path) -> None:
        first = keys.read_keys(Reader({}), generated_in=tmp_path, strict=False)

        assert keys.read_keys(Reader({}), generated_in=tmp_path, strict=False) == first
        assert first.signing_name == "generated"


class TestLimits:
    def test_has_the_contracts_rates_where_nothing_is_set(self) -> None:
        limits = rates.read_limits(Reader({}))

        assert limits["signup"] == [(20, 3600)]
        assert limits["login"] == [(5, 900), (50, 900), (100, 3600)]
        assert len(limits["otp_send"]) == 5

    def test_takes_a_list_in_the_order_of_its_row(self) -> None:
        limits = rates.read_limits(Reader({"LIMIT_LOGIN": "1/10, 2/20,3/30"}))

        assert limits["login"] == [(1, 10), (2, 20), (3, 30)]

    def test_takes_one_rate_for_all_of_a_row(self) -> None:
        assert rates.read_limits(Reader({"LIMIT_LOGIN": "0/1"}))["login"] == [(0, 1)] * 3

    @pytest.mark.parametrize("text", ["1/10,2/20", "ten/10", "10", "10/0", "-1/10"])
    def test_refuses_another_length_and_another_form(self, text: str) -> None:
        with pytest.raises(SettingsError, match="LIMIT_LOGIN"):
            rates.read_limits(Reader({"LIMIT_LOGIN": text}))

    def test_reads_storefronts_name_unless_ours_is_set(self) -> None:
        assert rates.read_limits(Reader({"RATE_LIMIT_PER_MINUTE": "90"}))["api"] == [(90, 60)]
        both = Reader({"RATE_LIMIT_PER_MINUTE": "90", "LIMIT_API": "5/1"})
        assert rates.read_limits(both)["api"] == [(5, 1)]


class TestSchedule:
    def test_sweeps_only_with_a_broker(self) -> None:
        alone = rates.read_schedule(Reader({}), broker=False, housekeeping=True)
        carried = rates.read_schedule(Reader({}), broker=True, housekeeping=True)

        assert alone == {
            "cleanup": "daily 03:00",
            "run_subscribers": 1,
            "release_reservations": 60,
        }
        assert carried == alone | {"sweep_jobs": 30, "sweep_presence": 20}

    def test_takes_an_interval(self) -> None:
        read = Reader({"TASK_CLEANUP_INTERVAL_S": "60"})

        assert rates.read_schedule(read, broker=False, housekeeping=True)["cleanup"] == 60


class TestStart:
    def test_production_starts_with_a_key_and_guards_the_transport(self) -> None:
        done = start(MARKETPLACE_ENV="production", JWT_SECRET=LONG)

        assert done.stdout == "production True 0.0.0.0\n"

    def test_plain_http_takes_back_the_transport_alone(self) -> None:
        done = start(NODE_ENV="production", JWT_SECRET=LONG, PLAIN_HTTP="true")

        assert done.stdout == "production False 0.0.0.0\n"

    @pytest.mark.parametrize(
        ("values", "line"),
        [
            ({}, "marketplace: JWT_SECRET must be set in production"),
            ({"JWT_SECRET": LONG, "DJANGO_DEBUG": "1"}, "marketplace: DJANGO_DEBUG is refused"),
            (
                {"JWT_SECRET": LONG, "FAILPOINT": "before_commit:kill"},
                "marketplace: FAILPOINT is refused",
            ),
            ({"JWT_SECRET": LONG, "JWKS_URL": "http://keys"}, "marketplace: JWKS_URL must begin"),
            (
                {"JWT_SECRET": LONG, "PAYPAL_CLIENT_ID": "a", "PAYPAL_CLIENT_SECRET": "b"},
                "marketplace: PAYPAL_WEBHOOK_ID must be set",
            ),
            (
                {"JWT_SECRET": LONG, "JWT_ALGORITHM": "none"},
                "marketplace: JWT_ALGORITHM must be HS256",
            ),
            ({"JWT_SECRET": LONG, "LIMIT_SIGNUP": "many"}, "marketplace: LIMIT_SIGNUP must be"),
        ],
    )
    def test_production_refuses_with_one_line(self, values: dict[str, str], line: str) -> None:
        done = start(MARKETPLACE_ENV="production", **values)

        assert done.returncode == 1
        assert done.stderr.startswith(line)
        assert len(done.stderr.splitlines()) == 1


class TestEnvExample:
    def test_names_every_setting_and_no_other(self) -> None:
        lines = (settings.BASE_DIR / ".env.example").read_text().splitlines()
        named = [line.split("=")[0] for line in lines if line and not line.startswith("#")]

        assert sorted(named) == sorted(base.read.names)

    def test_sets_nothing_and_says_what_each_name_means(self) -> None:
        lines = (settings.BASE_DIR / ".env.example").read_text().splitlines()

        for before, line in itertools.pairwise(lines):
            if line and not line.startswith("#"):
                assert line.endswith("="), line
                assert before.startswith("# "), line

    def test_the_code_reads_the_environment_in_one_place_only(self) -> None:
        allowed = {"marketplace/settings", "marketplace/tests", "benchmarks"}
        readers = []
        for file in settings.BASE_DIR.rglob("*.py"):
            place = file.relative_to(settings.BASE_DIR).as_posix()
            if place.startswith(".venv") or "/tests/" in place or "node_modules" in place:
                continue
            if any(place.startswith(one) for one in allowed):
                continue
            text = file.read_text()
            if "os.environ[" in text or "os.environ.get" in text or "getenv(" in text:
                readers.append(place)

        assert readers == []
