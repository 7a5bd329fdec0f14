"""The parts of one installation as background processes: pid files, start, stop."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

POLL_S = 0.05
CLOCK_SLACK_S = 2.0
NAMES = ("server", "worker", "beat", "relay", "consumer")


@dataclass(frozen=True, slots=True)
class BackgroundPart:
    """One process. Its pid stands in `<run_dir>/<name>.pid`, what it prints in `<name>.log`."""

    name: str
    command: Sequence[str]
    run_dir: Path

    @property
    def pid_file(self) -> Path:
        """Where the pid stands, the one to signal."""
        return self.run_dir / f"{self.name}.pid"

    @property
    def output(self) -> Path:
        """What the process prints."""
        return self.run_dir / f"{self.name}.log"

    def pid(self) -> int | None:
        """The pid of the living process; a stale pid file counts as none."""
        try:
            pid = int(self.pid_file.read_text())
            written_at = self.pid_file.stat().st_mtime
        except (OSError, ValueError):
            return None
        return pid if is_alive(pid) and not _began_after(pid, written_at) else None

    def start(self, *, folder: Path) -> int:
        """Start it in the background; returns its pid at once."""
        with self.output.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603  # our own commands
                self.command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        process.returncode = 0  # it outlives this object, which would warn of it
        written = self.pid_file.with_suffix(".new")
        written.write_text(f"{process.pid}\n")
        written.replace(self.pid_file)
        return process.pid

    def ask_to_stop(self) -> int | None:
        """SIGTERM; gives the pid to wait for."""
        pid = self.pid()
        if pid is None:
            self.forget()
            return None
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        return pid

    def forget(self) -> None:
        """Remove the pid file."""
        self.pid_file.unlink(missing_ok=True)

    def last_words(self, lines: int = 5) -> str:
        """The end of what it printed."""
        try:
            text = self.output.read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def parts_of(*, run_dir: Path, folder: Path, broker_url: str | None) -> tuple[BackgroundPart, ...]:
    """The parts that this configuration needs; without a broker `serve` runs the jobs."""
    celery = (sys.executable, "-m", "celery", "-A", "marketplace")
    server = BackgroundPart("server", (sys.executable, str(folder / "manage.py"), "serve"), run_dir)
    if not broker_url:
        return (server,)
    schedule = str(run_dir / "beat-schedule")
    return (
        server,
        BackgroundPart("worker", (*celery, "worker", "--without-gossip"), run_dir),
        BackgroundPart("beat", (*celery, "beat", "--schedule", schedule, "--pidfile="), run_dir),
    )


def parts_in(run_dir: Path) -> tuple[BackgroundPart, ...]:
    """All parts that may have been started here, whatever the settings say today."""
    return tuple(BackgroundPart(name, (), run_dir) for name in NAMES)


def is_alive(pid: int) -> bool:
    """Whether this process runs; one that has ended and is only remembered does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    fields = _stat_fields(pid)
    return not fields or fields[0] != "Z"


def wait_until_gone(pid: int, *, timeout_s: float) -> bool:
    """Whether the process ended in time."""
    deadline = time.monotonic() + timeout_s
    while is_alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


@contextlib.contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """One `stack` command at a time per folder: two starts at once would start everything twice."""
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / "stack.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _began_after(pid: int, instant: float) -> bool:
    """Whether this pid was given anew after `instant`: then the pid file is about somebody gone."""
    fields = _stat_fields(pid)
    if not fields:
        return False
    ticks = os.sysconf("SC_CLK_TCK")
    with Path("/proc/uptime").open() as uptime:
        booted_at = time.time() - float(uptime.read().split()[0])
    return booted_at + int(fields[19]) / ticks > instant + CLOCK_SLACK_S


def _stat_fields(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the state on; empty where there is no /proc."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return []
