"""`manage.py simulate` as somebody at a terminal, and as a script, meets it."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from marketplace.management.commands import simulate
from marketplace.simulation.market import Report
from marketplace.tests.live import ROOT, Site, eventually

PLAYED = Report(
    events=3, hash="ab" * 32, requests=2, orders={"delivered": 1}, refusals={}, faults=[]
)


class Terminal:
    """The command with a terminal for its messages; its data goes to a pipe."""

    def __init__(self, site: Site, *arguments: str) -> None:
        self._reader, writer = pty.openpty()
        os.set_blocking(self._reader, False)
        self._shown = b""
        self.command = subprocess.Popen(
            [sys.executable, "manage.py", "simulate", *arguments],
            cwd=ROOT, env=site.environment(TERM="xterm"), stdout=subprocess.PIPE, stderr=writer,
            text=True, start_new_session=True,
        )  # fmt: skip
        os.close(writer)

    def shows(self, text: str) -> bool:
        """Whether this has been shown by now."""
        self._read()
        return text in self.text

    @property
    def text(self) -> str:
        """What has been read so far, without colours and movements."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self._shown.decode())

    def _read(self) -> None:
        # The end of a terminal is an error, too.
        with suppress(OSError):
            while said := os.read(self._reader, 65_536):
                self._shown += said

    def end(self) -> tuple[int, str]:
        """Its exit code and its data, once it has ended."""
        data, _ = self.command.communicate(timeout=60)
        self._read()
        os.close(self._reader)
        return self.command.returncode, data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A database to which nobody else writes."""
    with pytest.MonkeyPatch.context() as patched:
        # A file of its own: other sites of this process would meet its goods in their lists.
        patched.delenv("DATABASE_URL", raising=False)
        own = Site(tmp_path_factory.mktemp("simulate"))
    with own as made:
        yield made


@pytest.mark.integration
class TestSimulate:
    def test_tells_a_script_one_line_and_a_person_how_far_it_is(self, site: Site) -> None:
        asked = ("--seed", "7", "--hours", "1", "--buyers", "2", "--couriers", "1")

        line = site.manage("simulate", *asked)
        terminal = Terminal(site, *asked)
        eventually(lambda: terminal.shows("The market's day"), what="a bar", timeout=30)
        code, again = terminal.end()

        story = json.loads(line)
        assert line == json.dumps(story) + "\n"
        assert list(story) == ["events", "hash", "requests", "orders", "refusals", "faults"]
        assert re.fullmatch(r"[0-9a-f]{64}", story["hash"])
        assert (story["faults"], story["events"] > 0) == ([], True)
        assert (code, json.loads(again)["hash"]) == (0, story["hash"])
        parts = [int(part) for part in re.findall(r"(\d+)%", terminal.text)]
        assert parts == sorted(parts)
        assert parts[-1] > 50

    def test_ends_on_ctrl_c_with_one_sentence(self, site: Site) -> None:
        # Real seconds: without the signal it would go on for an hour.
        terminal = Terminal(site, "--hours", "1", "--speed", "1", "--buyers", "1")
        eventually(lambda: terminal.shows("The market's day"), what="a bar", timeout=30)

        terminal.command.send_signal(signal.SIGINT)
        code, data = terminal.end()

        assert (code, data) == (130, "")
        assert "Stopped. What was sold stays sold." in terminal.text
        assert "Traceback" not in terminal.text

    @pytest.mark.parametrize("wrong", [("--hours", "0"), ("--hours", "745"), ("--sellers", "51")])
    def test_refuses_what_it_cannot_play(self, wrong: tuple[str, str]) -> None:
        with pytest.raises(CommandError, match=wrong[0]):
            call_command("simulate", *wrong)

    def test_ends_with_1_where_goods_were_lost(self, monkeypatch: pytest.MonkeyPatch) -> None:
        report = replace(PLAYED, faults=["lamp: 9 of 10 pieces"])
        monkeypatch.setattr(
            "marketplace.management.commands.simulate.simulate", lambda **_asked: report
        )
        out = StringIO()

        with pytest.raises(CommandError, match="lamp: 9 of 10") as end:
            call_command("simulate", verbosity=2, stdout=out)

        assert end.value.returncode == 1
        assert json.loads(out.getvalue())["faults"] == ["lamp: 9 of 10 pieces"]


def test_a_ctrl_c_that_is_swallowed_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "COMES_AGAIN_S", 0.05)
    before = signal.getsignal(signal.SIGINT)

    with simulate.insisting_on_ctrl_c():
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        with pytest.raises(KeyboardInterrupt):
            time.sleep(5)

    assert signal.getsignal(signal.SIGINT) is before
