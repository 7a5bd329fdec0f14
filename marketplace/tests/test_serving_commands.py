"""`manage.py serve` and `manage.py stack`, as an operator runs them: real processes, real ports."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketplace.serving import parts
from marketplace.tests.serving_client import RawSocket, free_port, read_all

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = (sys.executable, "-W", "ignore", str(ROOT / "manage.py"))


class Installation:
    """A folder and a port of its own: embedded database, no broker."""

    def __init__(self, folder: Path) -> None:
        self.run_dir = folder / "run"
        self.port = free_port()
        self.environment = {
            **os.environ,
            "MARKETPLACE_ENV": "local",
            "DATABASE_URL": f"sqlite:///{folder}/test.sqlite3",
            "REDIS_URL": "",
            "KAFKA_BROKERS": "",
            "DATA_DIR": str(folder),
            "RUN_DIR": str(self.run_dir),
            "LOG_DIR": str(folder / "log"),
            "PORT": str(self.port),
            "PUBLIC_URL": "",
            "DRAIN_LIMIT": "4",
            "DRAIN_SPREAD": "1",
        }
        self.log = folder / "log" / "server.jsonl"

    def run(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """One command to its end."""
        return subprocess.run(
            (*COMMAND, *arguments),
            env={**self.environment, **changed},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def pid(self) -> int:
        """The server's."""
        return int((self.run_dir / "server.pid").read_text())

    def status(self) -> int:
        """Of /readyz; 0 when nobody answers."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
                client.sendall(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                return int(read_all(client).split(b" ")[1])
        except OSError:
            return 0


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """Gone afterwards, whatever the test did."""
    made = Installation(tmp_path)
    yield made
    server = parts.BackgroundPart("server", (), made.run_dir)
    if (pid := server.pid()) is not None:
        os.kill(pid, signal.SIGKILL)


class TestStack:
    def test_starts_once_survives_a_kill_and_stops(self, installation: Installation) -> None:
        first = installation.run("stack", "start")
        assert first.returncode == 0, first.stdout + first.stderr
        assert installation.status() == 200
        first_pid = installation.pid()

        again = installation.run("stack", "start")
        assert again.returncode == 0, again.stdout + again.stderr
        assert installation.pid() == first_pid

        os.kill(first_pid, signal.SIGKILL)
        assert parts.wait_until_gone(first_pid, timeout_s=5)
        assert installation.run("stack", "status").returncode == 3
        restarted = installation.run("stack", "start")
        assert restarted.returncode == 0, restarted.stdout + restarted.stderr
        assert installation.pid() != first_pid
        assert installation.status() == 200

        stopped = installation.run("stack", "stop")
        assert stopped.returncode == 0, stopped.stdout + stopped.stderr
        assert installation.status() == 0
        assert not list(installation.run_dir.glob("*.pid"))
        assert '"event":"drain_finished","clean":true' in installation.log.read_text()

    def test_fails_at_once_on_a_port_of_somebody_else(self, installation: Installation) -> None:
        with socket.create_server(("127.0.0.1", installation.port)):
            refused = installation.run("stack", "start")

        assert refused.returncode == 1
        assert f"Port {installation.port} is taken" in refused.stderr
        assert not list(installation.run_dir.glob("*.pid"))


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
class TestServe:
    def test_serves_the_product_and_ends_with_0(
        self, installation: Installation, server: str
    ) -> None:
        assert installation.run("migrate", "--verbosity", "0").returncode == 0
        process = subprocess.Popen(
            (*COMMAND, "serve", "--server", server, "--banner"),
            env=installation.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            deadline = time.monotonic() + 30
            while installation.status() != 200:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.1)
            assert read_all(RawSocket(installation.port, "/nowhere").socket)[:12] == b"HTTP/1.1 403"
            secret = "eyJ0-not-a-token"
            read_all(RawSocket(installation.port, f"/ws/?token={secret}").socket)
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=10)
        finally:
            process.kill()

        assert process.returncode == 0, output
        assert f"http://localhost:{installation.port}/demo" in output
        assert "asha@example.com" in output
        assert secret not in output + installation.log.read_text()


class TestServeRefuses:
    def test_says_in_one_line_that_the_port_is_taken(self, installation: Installation) -> None:
        with socket.create_server(("127.0.0.1", installation.port)):
            refused = installation.run("serve")

        assert refused.returncode == 1
        assert refused.stderr.strip() == (
            f"CommandError: Port {installation.port} of 127.0.0.1 is taken. "
            "Stop what listens there, or set another PORT."
        )

    def test_says_in_one_line_that_the_database_is_empty(self, installation: Installation) -> None:
        refused = installation.run("serve")

        assert refused.returncode == 1
        assert refused.stderr.strip().count("\n") == 0
        assert "manage.py migrate" in refused.stderr


class TestPidFiles:
    @pytest.fixture
    def sleeper(self, tmp_path: Path) -> Iterator[parts.BackgroundPart]:
        """A part that only waits."""
        part = parts.BackgroundPart("worker", ("sleep", "60"), tmp_path)
        pid = part.start(folder=tmp_path)
        yield part
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def test_knows_a_living_process(self, sleeper: parts.BackgroundPart) -> None:
        assert sleeper.pid() == int(sleeper.pid_file.read_text())

    def test_takes_a_pid_that_was_given_anew_for_a_stale_one(
        self, sleeper: parts.BackgroundPart
    ) -> None:
        long_ago = time.time() - 3600
        os.utime(sleeper.pid_file, (long_ago, long_ago))

        assert sleeper.pid() is None

    def test_takes_an_ended_process_that_nobody_has_collected_for_gone(
        self, sleeper: parts.BackgroundPart
    ) -> None:
        os.kill(int(sleeper.pid_file.read_text()), signal.SIGTERM)

        assert parts.wait_until_gone(int(sleeper.pid_file.read_text()), timeout_s=5)
        assert sleeper.pid() is None

    @pytest.mark.parametrize("content", ["", "many", "999999999"])
    def test_takes_nonsense_for_stale(
        self, sleeper: parts.BackgroundPart, tmp_path: Path, content: str
    ) -> None:
        other = parts.BackgroundPart("beat", (), tmp_path)
        other.pid_file.write_text(content)

        assert other.pid() is None
        assert other.ask_to_stop() is None
        assert not other.pid_file.exists()

    def test_needs_worker_and_beat_only_with_a_broker(self, tmp_path: Path) -> None:
        embedded = parts.parts_of(run_dir=tmp_path, folder=ROOT, broker_url=None)
        shared = parts.parts_of(run_dir=tmp_path, folder=ROOT, broker_url="redis://localhost")

        assert [part.name for part in embedded] == ["server"]
        assert [part.name for part in shared] == ["server", "worker", "beat"]
