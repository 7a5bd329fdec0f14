#!/usr/bin/env python3
"""Turns kept results into the goals and tables of RESULTS.md: medians over rounds, ratios to the
base of the same round of the same call. A row with faults is shown as no result.

summary.py RESULTS.jsonl ... [--write]      --write replaces the figures in RESULTS.md
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import report

Record = dict[str, Any]
Rounds = dict[tuple[str, int], dict[str, Record]]  # (results file, round) -> contender -> record

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"
BEGIN, END = "<!-- figures: written by summary.py -->", "<!-- end of figures -->"
ENOUGH_ROUNDS = 5
MODE_ORDER = (
    *("s10", "s100", "s500", "s2000", "m10", "r10", "r100", "r500", "i1000", "i5000"),
    *("g500", "gs", "list", "list100k", "list1m", "detail", "order"),
)


class Goal(NamedTuple):
    """What one of these contenders must reach in a mode, as a ratio to the base."""

    text: str
    mode: str
    key: str
    base: str
    contenders: tuple[str, ...]
    floor: float
    at_most: bool = False


BOTH = ("project-plain", "project-plain-uvicorn")
DAPHNE, REDIS = ("project-plain",), ("project-plain-redis",)
GPS = ("project-gps", "project-gps-uvicorn")
SHOP = ("project-shop", "project-shop-uvicorn")
SQLALCHEMY, DRF = "fastapi-sqlalchemy", "drf-uvicorn-pool"
GOALS = (
    Goal("deliveries/s, 10 members", "s10", "del_s", "node-sio", BOTH, 1.1),
    Goal("deliveries/s, 100 members", "s100", "del_s", "node-sio", BOTH, 5),
    Goal("the same, Daphne alone", "s100", "del_s", "node-sio", DAPHNE, 3),
    Goal("deliveries/s, 500 members", "s500", "del_s", "node-sio", BOTH, 9),
    Goal("deliveries/s, 50 rooms of 10", "m10", "del_s", "node-sio", BOTH, 1.1),
    Goal("through Redis, 100 members", "s100", "del_s", "node-sio", REDIS, 3),
    Goal("through Redis, 500 members", "s500", "del_s", "node-sio", REDIS, 7),
    Goal("through Redis, 50 rooms of 10", "m10", "del_s", "node-sio", REDIS, 0.8),
    Goal("delivery p50 at 6 messages/s to 500", "r500", "del_p50", "node-sio", BOTH, 0.85, True),
    Goal("KiB per idle socket, 5,000", "i5000", "kib_per_conn", "node-sio", BOTH, 1.6, True),
    Goal("positions/s of 500 couriers", "gs", "ack_s", "gps-node-sio", GPS, 1.4),
    Goal("lists of products/s", "list", "ok_s", SQLALCHEMY, SHOP, 2.5),
    Goal("lists of products/s", "list", "ok_s", DRF, SHOP, 7),
    Goal("single products/s", "detail", "ok_s", SQLALCHEMY, SHOP, 2.5),
    Goal("single products/s", "detail", "ok_s", DRF, SHOP, 9),
    Goal("orders/s", "order", "ok_s", SQLALCHEMY, SHOP, 4),
    Goal("orders/s", "order", "ok_s", "fastify", SHOP, 2),
    Goal("p99 of an order", "order", "p99", SQLALCHEMY, SHOP, 0.25, True),
    Goal("deliveries/s, 100 members", "s100", "del_s", "naive-daphne", BOTH, 80),
    Goal("deliveries/s, 500 members", "s500", "del_s", "naive-daphne", BOTH, 150),
    Goal("KiB per idle socket, 5,000", "i5000", "kib_per_conn", "naive-daphne", BOTH, 0.8, True),
)


def read(paths: list[Path]) -> dict[str, Rounds]:
    """Mode -> rounds; the same mode in several files makes more rounds, never a mixed one."""
    found: dict[str, Rounds] = defaultdict(lambda: defaultdict(dict))
    for path in paths:
        for line in path.read_text().splitlines():
            record = json.loads(line)
            if record["suite"] == "lists":  # lists.py makes its own table
                continue
            found[record["mode"]][path.name, record["round"]][record["name"]] = record
    order = {mode: place for place, mode in enumerate(MODE_ORDER)}
    return dict(sorted(found.items(), key=lambda item: order.get(item[0], len(order))))


def records_of(rounds: Rounds, name: str) -> list[Record]:
    """All runs of one contender in one mode."""
    return [records[name] for records in rounds.values() if name in records]


def what_is_wrong(records: list[Record]) -> str:
    """The faults in words, empty if there are none. Merged positions are allowed by contract."""
    found = report.faults([{k: v for k, v in one.items() if k != "merged"} for one in records])
    return "" if found == "none" else found


def head(*cells: str) -> list[str]:
    """The first two lines of a table."""
    return [row(*cells), "|---" * len(cells) + "|"]


def row(*cells: str) -> str:
    """One line of a table."""
    return f"| {' | '.join(cells)} |"


def table(mode: str, rounds: Rounds) -> list[str]:
    """One mode: a line per contender."""
    names = list(dict.fromkeys(name for records in rounds.values() for name in records))
    suite = next(one["suite"] for records in rounds.values() for one in records.values())
    base = report.BASE[suite] if report.BASE[suite] in names else names[0]
    _key, unit, latencies = report.FIGURE[suite]
    heads = [unit, "x", "x per server-CPU-s", *latencies, "server cpu", "generator cpu"]
    lines = [f"### {mode}: {unit}, ratios to {base}", ""]
    lines += head("contender", *heads, "faults", "rounds")
    for name in names:
        records = records_of(rounds, name)
        wrong = what_is_wrong(records)
        cells = ["-"] * len(heads) if wrong else figures(rounds, name, base, suite)
        count = f"{len(records)}" + " (too few)" * (len(records) < ENOUGH_ROUNDS)
        faults = f"no result: {wrong}" if wrong else "none"
        lines.append(row(name, *cells, faults, count))
    return [*lines, ""]


def figures(rounds: Rounds, name: str, base: str, suite: str) -> list[str]:
    """The cells of a contender without faults."""
    records = records_of(rounds, name)
    key, _unit, latencies = report.FIGURE[suite]
    cells = [report.number([one.get(key) for one in records], 1 if suite == "idle" else 0)]
    sound_base = not what_is_wrong(records_of(rounds, base))
    for figure in (report.main_figure, report.per_cpu):
        ratios = report.ratios(rounds, name, base, figure) if sound_base else []
        cells.append(report.number(ratios, 2))
    cells += [report.number([one.get(latency) for one in records], 1) for latency in latencies]
    cells += [report.number([one.get(cpu) for one in records], 2) for cpu in ("srv_cpu", "gen_cpu")]
    return cells


def goal_table(found: dict[str, Rounds]) -> list[str]:
    """Every goal with what the best of its contenders reached."""
    lines = ["### Goals", "", *head("goal", "mode", "against", "floor", "reached", "by", "met")]
    for goal in GOALS:
        reached = reach(goal, found.get(goal.mode, {}))
        sign = "≤" if goal.at_most else "≥"
        cells = ["-", "-", "not measured"]
        if reached:
            name, ratio, count = reached
            cells = [f"{ratio:.2f}", name, verdict(goal, ratio, count)]
        lines.append(row(goal.text, goal.mode, goal.base, f"{sign} {goal.floor:g}", *cells))
    return [*lines, ""]


def reach(goal: Goal, rounds: Rounds) -> tuple[str, float, int] | None:
    """The best contender, its median ratio and its rounds; rows with faults do not count."""
    reached: list[tuple[str, float, int]] = []
    for name in goal.contenders:
        if what_is_wrong(records_of(rounds, name) + records_of(rounds, goal.base)):
            continue
        found = report.ratios(rounds, name, goal.base, lambda one: one.get(goal.key))
        if found:
            reached.append((name, median(found), len(found)))
    if not reached:
        return None
    return (min if goal.at_most else max)(reached, key=lambda one: one[1])


def verdict(goal: Goal, ratio: float, rounds: int) -> str:
    """Whether the floor is reached, and by how much it is missed."""
    if rounds < ENOUGH_ROUNDS:
        return f"too few rounds: {rounds}"
    if ratio <= goal.floor if goal.at_most else ratio >= goal.floor:
        return "yes"
    return f"no, {abs(ratio / goal.floor - 1):.0%} short"


def machine_table(paths: list[Path]) -> list[str]:
    """Where, when and on what commit each file was made."""
    lines = ["### Runs", ""]
    lines += head("results", "commit", "machine", "PostgreSQL, Redis, Node, Python")
    for path in paths:
        facts = path.with_suffix(".machine.json")
        made: Record = json.loads(facts.read_text()) if facts.exists() else defaultdict(lambda: "?")
        machine = f"{made['cpu']}, {made['cores']} cores, Linux {made['kernel']}"
        redis = str(made["redis"]).removeprefix("Redis server v=").split()[0]
        programs = ", ".join([str(made["postgres"]), redis, str(made["node"]), str(made["python"])])
        lines.append(row(path.name, str(made["project"]), machine, programs))
    return [*lines, ""]


def without_faults(rounds: Rounds) -> Rounds:
    """The same rounds without the contenders that have no result here."""
    names = dict.fromkeys(name for records in rounds.values() for name in records)
    faulty = {name for name in names if what_is_wrong(records_of(rounds, name))}
    return {
        key: {name: one for name, one in records.items() if name not in faulty}
        for key, records in rounds.items()
    }


def growth_tables(found: dict[str, Rounds]) -> list[str]:
    """What one piece of the same work costs at each size, and as a multiple of the first."""
    lines: list[str] = []
    for modes, unit in report.GROWTH.values():
        sizes = {mode: without_faults(found[mode]) for mode in modes if mode in found}
        if len(sizes) > 1:
            lines += [*report.growth_lines(sizes, unit), ""]
    return lines


def main() -> None:
    """Print the figures, or put them in RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--write", action="store_true", help="replace the figures in RESULTS.md")
    args = parser.parse_args()
    found = read(args.results)
    lines = machine_table(args.results) + goal_table(found)
    for mode, rounds in found.items():
        lines += table(mode, rounds)
    text = "\n".join(lines + growth_tables(found))
    if not args.write:
        print(text)
        return
    before, _begin, rest = RESULTS.read_text().partition(BEGIN)
    _old, _end, after = rest.partition(END)
    RESULTS.write_text(f"{before}{BEGIN}\n\n{text}{END}{after}")


if __name__ == "__main__":
    main()
