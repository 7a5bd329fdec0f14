"""Real servers in processes of their own, for tests that need a network, a kill or a restart.

A `Site` is one deployment: database, data folder, keys and settings that its servers share. Its
servers are ended by their process id when the block ends, and their logs must then hold neither a
traceback nor a secret that the site gave out.
"""

import atexit
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx2 as httpx

from marketplace.tests.serving_client import free_port

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent.parent
SERVERS = ("daphne", "uvicorn")
START_S = 60.0
LOG_TAIL = 40
LOG_WIDTH = 240
FAULT = re.compile(r"Traceback \(most recent call last\)|exception was never retrieved")
LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\dT.*$", re.MULTILINE)
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "SYSTEMROOT")
# No rate of these tests is about a person's pace; the tests of limits set their own.
NO_LIMITS = {
    "MESSAGE_RATE_LIMIT": "0",
    "LIMIT_SIGNUP": "0/60",
    "LIMIT_OTP_SEND": "0/60",
    "LIMIT_OTP_CHECK": "0/60",
    "LIMIT_API": "0/60",
    "LIMIT_LOOKUP": "0/60",
    "OTP_RESEND_WAITS_S": "0",
}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who signed up by phone: `id` is the public id."""

    id: str
    username: str
    phone: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """How he speaks to REST."""
        return {"Authorization": f"Bearer {self.token}"}


class ServerEnded(AssertionError):
    """A server that was to become ready has ended or never answered."""


class Server:
    """One `manage.py serve` process."""

    def __init__(self, site: "Site", *, kind: str, port: int, log: Path) -> None:
        self.site = site
        self.kind = kind
        self.port = port
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where HTTP is served."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        """Where WebSockets are served."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self.process is not None
        return self.process.pid

    def start(self, *, wait: bool = True, **changed: str) -> Self:
        """Start it, on its old port; `changed` settings hold for this run alone."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve", "--port", str(self.port),
                 "--server", self.kind],
                cwd=ROOT, env=self.site.environment(PORT=str(self.port), **changed),
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        """Return when `/readyz` says so."""
        assert self.process is not None
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                if httpx.get(self.url + "/readyz", timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        raise ServerEnded(f"not ready: {self.kind} on {self.port}\n{self.tail()}")

    def kill(self) -> None:
        """`kill -9`: the process has no say in it."""
        self._signal(signal.SIGKILL)

    def terminate(self, *, timeout: float = 20) -> int:
        """SIGTERM, as an operator stops it; its exit code."""
        return self._signal(signal.SIGTERM, timeout=timeout)

    def restart(self, **changed: str) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start(wait=True, **changed)

    def wait_until_ended(self, *, timeout: float = 30) -> int:
        """Its exit code, once it ended by itself."""
        assert self.process is not None
        return self.process.wait(timeout)

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self.process is not None and self.process.poll() is None

    def _signal(self, number: signal.Signals, *, timeout: float = 20) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        return self.process.wait(timeout)

    def tail(self) -> str:
        """The end of its log."""
        if not self.log.exists():
            return "(no log)"
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_TAIL:]
        return "\n".join(line[:LOG_WIDTH] for line in lines)


class Site:
    """One deployment: `with Site(tmp_path) as site: server = site.start("uvicorn")`.

    expected_fault: the words of a log line whose traceback a test provokes on purpose.
    """

    def __init__(
        self, folder: Path, *, redis_url: str = "", expected_fault: str = "", **settings: str
    ) -> None:
        self.folder = folder
        self.expected_fault = expected_fault
        self.folder.mkdir(parents=True, exist_ok=True)
        self.redis_url = redis_url
        self.database_url = database_for(folder)
        self.settings = {
            **NO_LIMITS,
            "MARKETPLACE_ENV": "local",
            "DATABASE_URL": self.database_url,
            "DATA_DIR": str(folder / "data"),
            "RUN_DIR": str(folder / "run"),
            "SMS_SINK": str(sink_for(folder, self.database_url)),
            "JWT_SECRET": SECRET,
            "DRAIN_SPREAD": "0.2",
            "LOG_LEVEL": "info",
            **settings,
        }
        if redis_url:
            self.settings["REDIS_URL"] = redis_url
        self.servers: list[Server] = []
        self.helpers: list[subprocess.Popen[bytes]] = []
        self.secrets: set[str] = {SECRET}
        self._people = 0

    def environment(self, **changed: str) -> dict[str, str]:
        """What a process of this site sees; nothing of the caller's settings leaks in."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        return kept | {"PYTHONUNBUFFERED": "1"} | self.settings | changed

    def start(self, kind: str = "daphne", *, wait: bool = True, **changed: str) -> Server:
        """One more server of this site."""
        number = len(self.servers) + 1
        log = self.folder / f"{kind}-{number}.log"
        server = Server(self, kind=kind, port=free_port(), log=log)
        self.servers.append(server)
        if self.redis_url and not self.helpers:
            self.helpers.append(self._start_jobs())
        return server.start(wait=wait, **changed)

    def _start_jobs(self) -> subprocess.Popen[bytes]:
        """With Redis jobs are Celery's; one runner stands for worker and beat here."""
        with (self.folder / "jobs.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "manage.py", "run_jobs"],
                cwd=ROOT, env=self.environment(), stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def manage(self, *arguments: str, **changed: str) -> str:
        """Run a management command of this site; its output."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=self.environment(**changed), capture_output=True, text=True,
            timeout=START_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def shell(self, code: str) -> str:
        """Run some lines inside the project, for what has no route yet."""
        return self.manage("shell", "--no-imports", "-c", code)

    # -- people and rooms ------------------------------------------------------------------------

    def sign_up(self, server: Server, name: str = "person") -> Person:
        """Register by phone, take the code from the SMS sink, trade it for a token."""
        self._people += 1
        number = f"{os.getpid() % 100_000:05d}{time.monotonic_ns() // 1000 % 100_000:05d}"
        phone = f"+1{number}{self._people % 100:02d}"
        username = f"{name}_{number}_{self._people}"
        with httpx.Client(base_url=server.url, timeout=20) as client:
            made = client.post(
                "/api/auth/register", json={"username": username, "phone_number": phone}
            )
            assert made.status_code == 201, made.text
            code = self.code_for(phone)
            answer = client.post("/api/auth/verify-otp", json={"phone_number": phone, "otp": code})
            assert answer.status_code == 200, answer.text
        token = answer.json()["token"]
        self.secrets.add(token)
        return Person(made.json()["user_id"], username, phone, token)

    def code_for(self, phone: str) -> str:
        """The newest code that was sent to this phone."""
        sink = Path(self.settings["SMS_SINK"])

        def find() -> str | None:
            lines = sink.read_text().splitlines() if sink.exists() else []
            sent = [json.loads(line) for line in lines]
            bodies = [one["body"] for one in sent if one["to"] == phone]
            found = re.search(r"\b(\d{6})\b", bodies[-1]) if bodies else None
            return found[1] if found else None

        return eventually(find, what=f"a code for {phone}")

    def open_room(self, server: Server, one: Person, other: Person) -> str:
        """The direct room of these two."""
        return self._make_room(server, one, kind="direct", member_ids=[other.id])

    def open_group(self, server: Server, owner: Person, *others: Person) -> str:
        """A group of all of these."""
        room_id = self._make_room(server, owner, kind="group", title="Everybody")
        ids = [one.id for one in others]
        self.shell(
            "from accounts.models import User\n"
            "from chat.models import Room\n"
            "from chat.services.members import add_member\n"
            f"room = Room.objects.get(id={room_id!r})\n"
            f"for public_id in {ids!r}:\n"
            "    add_member(room=room, user=User.objects.get(public_id=public_id))\n"
        )
        return room_id

    def _make_room(self, server: Server, actor: Person, **body: Any) -> str:
        answer = httpx.post(
            server.url + "/api/v1/chat/rooms", json=body, headers=actor.headers, timeout=20
        )
        assert answer.status_code in (200, 201), answer.text
        room_id: str = answer.json()["id"]
        return room_id

    # -- the end ---------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for server in self.servers:
            if server.is_running:
                server.kill()
        for helper in self.helpers:
            helper.kill()
            helper.wait()
        if kind is None:
            self.check_logs()
            return
        for server in self.servers:
            sys.stdout.write(f"--- {server.log}\n{server.tail()}\n")
        jobs = self.folder / "jobs.log"
        if jobs.exists():
            sys.stdout.write(f"--- {jobs}\n{jobs.read_text(errors='replace')[-4000:]}\n")

    def check_logs(self) -> None:
        """No traceback, no token, no code in any log of this site."""
        for log in sorted(self.folder.glob("*.log")):
            text = log.read_text(errors="replace")
            for found in FAULT.finditer(text):
                at = found.start()
                [*_, line] = LOG_LINE.findall(text[:at]) or [""]
                if not self.expected_fault or self.expected_fault not in line:
                    raise AssertionError(f"{log}: {text[max(0, at - 500) : at + 3000]}")
            for secret in self.secrets:
                assert secret not in text, f"{log} holds a secret"


SECRET = "a-signing-key-of-the-live-tests-" + os.urandom(8).hex()


def eventually(
    find: Callable[[], T | None], *, what: str, timeout: float = 15, step: float = 0.02
) -> T:
    """What `find` gives, once it gives something."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = find()
        if found:
            return found
        time.sleep(step)
    raise AssertionError(f"waited {timeout} s in vain for {what}")


# -- databases -----------------------------------------------------------------------------------


def database_for(folder: Path) -> str:
    """A migrated database: a SQLite file of its own, or this process's one on the given server."""
    given = os.environ.get("DATABASE_URL", "")
    if given and not given.startswith("sqlite"):
        return _served_database(given)
    file = folder / "site.sqlite3"
    shutil.copy(_template(), file)
    return f"sqlite:///{file}"


def sink_for(folder: Path, database_url: str) -> Path:
    """Where codes are sent: sites that share a database share its jobs, so any may send them."""
    return (folder if database_url.startswith("sqlite") else _shared_folder()) / "sms.jsonl"


@cache
def _shared_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="marketplace-live-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _template() -> Path:
    folder = _shared_folder()
    file = folder / "template.sqlite3"
    _migrate(f"sqlite:///{file}", folder)
    return file


@cache
def _served_database(given: str) -> str:
    """One fresh database for all sites of this test process; it is dropped at the end."""
    name = f"marketplace_live_{os.getpid()}"
    parts = urlsplit(given)
    url = urlunsplit(parts._replace(path=f"/{name}"))
    if parts.scheme.startswith("mongodb"):
        atexit.register(_drop_mongo, url, name)
    else:
        _administer(given, f'DROP DATABASE IF EXISTS "{name}"', f'CREATE DATABASE "{name}"')
        atexit.register(_administer, given, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    _migrate(url, _shared_folder())
    return url


def _administer(url: str, *statements: str) -> None:
    import psycopg

    at_home = urlunsplit(urlsplit(url)._replace(scheme="postgresql", path="/postgres"))
    with psycopg.connect(at_home, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def _drop_mongo(url: str, name: str) -> None:
    import pymongo

    with pymongo.MongoClient[Any](url) as client:
        client.drop_database(name)


def _migrate(url: str, folder: Path) -> None:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    own = {"DATABASE_URL": url, "DATA_DIR": str(folder), "MARKETPLACE_ENV": "local"}
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=ROOT, env=kept | own | {"JWT_SECRET": SECRET}, check=True, timeout=180,
    )  # fmt: skip


# -- a Redis of one's own ------------------------------------------------------------------------


class Redis:
    """A redis-server that a test may restart; it keeps nothing on disk."""

    def __init__(self, folder: Path, program: str) -> None:
        self.folder = folder
        self.program = program
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """As REDIS_URL takes it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        import redis

        self.process = subprocess.Popen(
            [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "no", "--dir", str(self.folder)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
        )  # fmt: skip

        def answers() -> bool:
            try:
                with redis.Redis.from_url(self.url) as client:
                    return bool(client.ping())
            except redis.RedisError:
                return False

        eventually(answers, what="redis-server")

    def stop(self) -> None:
        """Kill it: everything in it is gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@contextmanager
def own_redis(folder: Path) -> Iterator[Redis | None]:
    """A Redis on a free port; None where the machine has no redis-server."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    redis = Redis(folder, program)
    redis.start()
    try:
        yield redis
    finally:
        redis.stop()
