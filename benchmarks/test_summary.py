"""The summary shows no figure that is not sound."""

import json
from pathlib import Path
from typing import Any

import summary


def results(folder: Path, *records: dict[str, Any]) -> list[Path]:
    """A results file with these chat runs of s100; ratios are taken within a round."""
    same = {"suite": "chat", "mode": "s100", "srv_cpu": 0.5, "span_s": 3.0, "sockets": 100}
    path = folder / "chat-20260101-120000.jsonl"
    path.write_text("".join(json.dumps(same | record) + "\n" for record in records))
    return [path]


def run(name: str, number: int, deliveries: float, **more: Any) -> dict[str, Any]:
    """One run of a contender in a round."""
    return {"name": name, "round": number, "del_s": deliveries, **more}


def goal(found: dict[str, summary.Rounds], text: str) -> str:
    """The line of the first goal with this text."""
    return next(line for line in summary.goal_table(found) if text in line)


class TestTable:
    def test_takes_ratios_within_each_round(self, tmp_path: Path) -> None:
        rounds = [(100.0, 500.0), (200.0, 600.0), (100.0, 900.0)]
        runs = [run("node-sio", i, base) for i, (base, _own) in enumerate(rounds)]
        runs += [run("project-plain", i, own) for i, (_base, own) in enumerate(rounds)]

        lines = summary.table("s100", summary.read(results(tmp_path, *runs))["s100"])

        assert lines[-2].startswith("| project-plain | 600 | 5.00 | 5.00 |")
        assert lines[-2].endswith("| none | 3 (too few) |")

    def test_shows_a_row_with_faults_as_no_result(self, tmp_path: Path) -> None:
        runs = [run("node-sio", i, 100.0) for i in range(5)]
        runs += [run("project-plain", i, 900.0, lost=int(i == 3)) for i in range(5)]

        lines = summary.table("s100", summary.read(results(tmp_path, *runs))["s100"])

        assert "900" not in lines[-2]
        assert lines[-2].endswith("| no result: lost 1 | 5 |")

    def test_gives_no_ratio_to_a_base_with_faults(self, tmp_path: Path) -> None:
        runs = [run("node-sio", i, 100.0, dup=1) for i in range(5)]
        runs += [run("project-plain", i, 900.0) for i in range(5)]

        lines = summary.table("s100", summary.read(results(tmp_path, *runs))["s100"])

        assert lines[-2].startswith("| project-plain | 900 | - | - |")


class TestGoals:
    def test_takes_the_better_server_that_has_a_result(self, tmp_path: Path) -> None:
        runs = [run("node-sio", i, 100.0) for i in range(5)]
        runs += [run("project-plain", i, 400.0) for i in range(5)]
        runs += [run("project-plain-uvicorn", i, 900.0, error="killed") for i in range(5)]

        found = summary.read(results(tmp_path, *runs))

        assert goal(found, "100 members").endswith("| 4.00 | project-plain | no, 20% short |")
        assert goal(found, "Daphne alone").endswith("| 4.00 | project-plain | yes |")

    def test_counts_no_goal_as_met_on_few_rounds(self, tmp_path: Path) -> None:
        runs = [run(name, i, 900.0) for i in range(4) for name in ("node-sio", "project-plain")]

        found = summary.read(results(tmp_path, *runs))

        assert goal(found, "100 members").endswith("| too few rounds: 4 |")

    def test_says_what_was_not_measured(self) -> None:
        assert goal({}, "through Redis, 500").endswith("| - | - | not measured |")
