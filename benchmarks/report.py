"""Tables from a results file: medians over rounds; a ratio is taken within each round."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

Record = dict[str, Any]
Figure = Callable[[Record], float | None]

BASE = {
    "chat": "node-sio",
    "idle": "node-sio",
    "gps": "gps-node-sio",
    "rest": "fastapi-sqlalchemy",
}
# per suite: what is compared, its unit, which latencies are shown
FIGURE = {
    "chat": ("del_s", "deliveries/s", ("ack_p50", "ack_p99", "del_p50", "del_p99")),
    "gps": ("ack_s", "updates/s", ("ack_p50", "ack_p99", "del_p50", "del_p99")),
    "rest": ("ok_s", "good answers/s", ("p50", "p99")),
    "idle": ("kib_per_conn", "KiB per connection", ("connect_s",)),
}
# the same work on more and more: what one piece of it costs
GROWTH = {
    "chat": (("s10", "s100", "s500", "s2000"), "server CPU microseconds per delivery"),
    "rest": (("list", "list100k", "list1m"), "microseconds per answer, database included"),
}
FAULTS = (
    *("lost", "merged", "stale", "dup", "reordered", "foreign"),
    *("refused", "unacked", "stalls", "dead", "failed", "socket_errors"),
)
SHOWN = (
    *("ack_s", "del_s", "ok_s", "ack_p50", "ack_p99", "del_p50", "del_p99", "p50", "p99"),
    *("srv_cpu", "gen_cpu", "kib_per_conn", "connect_s", "answer_bytes"),
)


def one_line(record: Record) -> str:
    shown = [f"{k}={record[k]}" for k in SHOWN if record.get(k) is not None]
    shown += [f"{k.upper()}={record[k]}" for k in FAULTS if record.get(k)]
    shown += [f"{k}: {record[k]}" for k in ("verify", "note", "error") if k in record]
    return f"{record['round']} {record['mode']:8} {record['name']:24} " + " ".join(shown)


def number(values: Sequence[float | None], digits: int = 0) -> str:
    known = [v for v in values if v is not None and v != -1]
    return f"{median(known):,.{digits}f}" if known else "-"


def main_figure(record: Record) -> float | None:
    """What is compared in this suite; None where the run failed."""
    return record.get(FIGURE[record["suite"]][0])


def per_cpu(record: Record) -> float | None:
    used, figure = record.get("srv_cpu"), main_figure(record)
    return figure / used if used and figure else None


def cost(record: Record) -> float | None:
    """Microseconds for one piece of work: of the server's processor; rest: of the clock."""
    if record["suite"] == "rest":
        figure = main_figure(record)
    else:  # a window without one whole message has no cost per delivery: measure longer (--dur)
        whole = record.get("del_s", 0) * record.get("span_s", 0) > record.get("sockets", 0)
        figure = per_cpu(record) if whole else None
    return 1e6 / figure if figure else None


def ratios(
    rounds: Mapping[Any, Mapping[str, Record]], name: str, base: str, figure: Figure
) -> list[float]:
    pairs = [(figure(r[name]), figure(r[base])) for r in rounds.values() if name in r and base in r]
    return [a / b for a, b in pairs if a and b]


def faults(records: list[Record]) -> str:
    totals = {k: sum(r.get(k, 0) for r in records) for k in FAULTS}
    shown = [f"{k} {n}" for k, n in totals.items() if n]
    shown += [
        f"verify failed {n}"
        for n in [sum(not r["verify"]["ok"] for r in records if "verify" in r)]
        if n
    ]
    shown += [f"{n} failed runs" for n in [sum("error" in r for r in records)] if n]
    return ", ".join(shown) or "none"


def tables(path: Path, base: str) -> None:
    found: dict[str, dict[int, dict[str, Record]]]
    found = defaultdict(lambda: defaultdict(dict))  # mode -> round -> name -> record
    for line in path.read_text().splitlines():
        record = json.loads(line)
        found[record["mode"]][record["round"]][record["name"]] = record
    for mode, rounds in found.items():
        names = dict.fromkeys(name for r in rounds.values() for name in r)
        suite = next(x["suite"] for r in rounds.values() for x in r.values())
        wanted = base or BASE[suite]
        to = wanted if wanted in names else next(iter(names))  # else the first of the run
        _key, unit, latency = FIGURE[suite]
        print(f"\n### {mode}: {unit}, ratios to {to}\n")
        shown = " | ".join(["x", "x per server-CPU-s", *latency, "srv cpu", "gen cpu"])
        print(f"| contender | {unit} | {shown} | faults | n |")
        print("|---" * (8 + len(latency)) + "|")
        for name in names:
            all_records = [r[name] for r in rounds.values() if name in r]
            good = [r for r in all_records if "error" not in r]
            cells = [name, number([main_figure(r) for r in good], 1 if suite == "idle" else 0)]
            cells += [number(ratios(rounds, name, to, f), 2) for f in (main_figure, per_cpu)]
            cells += [number([r.get(k) for r in good], 1) for k in latency]
            cells += [number([r.get(k) for r in good], 2) for k in ("srv_cpu", "gen_cpu")]
            print("| " + " | ".join([*cells, faults(all_records), str(len(good))]) + " |")
    for modes, unit in GROWTH.values():
        sizes = {mode: found[mode] for mode in modes if mode in found}
        if len(sizes) > 1:
            print("\n" + "\n".join(growth_lines(sizes, unit)))


def growth_lines(found: Mapping[str, Mapping[Any, Mapping[str, Record]]], unit: str) -> list[str]:
    """One piece of the same work at each size, and that as a multiple of the first size."""
    lines = [f"### growth: {unit}, and times the first", ""]
    lines += [f"| contender | {' | '.join(found)} |", "|---" * (1 + len(found)) + "|"]
    for name in dict.fromkeys(n for rounds in found.values() for r in rounds.values() for n in r):
        cells: list[str] = []
        first = 0.0
        for rounds in found.values():
            costs = [c for r in rounds.values() if name in r and (c := cost(r[name]))]
            first = first or (median(costs) if costs else 0.0)
            cells.append(f"{median(costs):.1f} ({median(costs) / first:.2f})" if costs else "-")
        lines.append(f"| {' | '.join([name, *cells])} |")
    return lines
