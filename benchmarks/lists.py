#!/usr/bin/env python3
"""Asks every list of the project for its first, middle and last page: queries, p50, p95, rows.
Ends with 1 if a p95 is 200 ms or more, if a full page costs other queries than one of ten rows,
or if a list could not be asked.

lists.py [NAME ...] [--contender NAME] [--requests N] [--limit SECONDS]
lists.py report RESULTS.jsonl            a NAME is a part of a list's name, such as /admin/chat
"""

import argparse
import http.client
import json
import math
import os
import re
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import services
from bench import load_contenders, machine
from server import Server
from services import LOAD_CORE, Services, need

GOAL_MS = 200
FEW, FULL = 10, 100
PRODUCTS = 10_000
STEPS = 400  # pages of 100 that are walked to find the middle and the end
COUNT_REQUESTS = 5
TRIES = 3
QUERIES = re.compile(r'desc="(\d+) queries"')
ADMIN_LINK = re.compile(rb'href="/admin/\w+/\w+/([0-9a-f-]{36})/change/')
ADMIN_LAST = re.compile(rb"[?&;]p=(\d+)")


class OutOfTime(Exception):
    """The time of this call is up (--limit)."""


class Listing(NamedTuple):
    kind: str
    name: str
    path: str
    header: str


class Answer(NamedTuple):
    body: bytes
    headers: http.client.HTTPMessage
    ms: float

    @property
    def queries(self) -> int:
        found = QUERIES.search(self.headers.get("Server-Timing", ""))
        return int(found[1]) if found else -1

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """One connection, one request after another."""

    def __init__(self, port: int, deadline: float):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.deadline = deadline

    def get(self, path: str, header: str) -> Answer:
        if time.monotonic() > self.deadline:
            raise OutOfTime
        headers = {} if header == "-" else dict([header.split(": ", 1)])
        started = time.perf_counter()
        self.connection.request("GET", path, headers=headers)
        answer = self.connection.getresponse()
        body = answer.read()
        ms = (time.perf_counter() - started) * 1000
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} for {path}: {body[:200]}")
        return Answer(body, answer.headers, ms)


def plus(path: str, query: str) -> str:
    return path + ("&" if "?" in path else "?") + query


def rows_of(kind: str, answer: Answer) -> int:
    if kind == "admin":
        return len(ids_of(answer))
    body = answer.json
    if isinstance(body, list):
        return len(body)
    rows = next((body[key] for key in ("items", "events", "rooms") if key in body), ())
    return len(rows)


def ids_of(answer: Answer) -> list[str]:
    """The keys of the rows of an admin page, from the links to them."""
    return list(dict.fromkeys(key.decode() for key in ADMIN_LINK.findall(answer.body)))


def cursors_of(client: Client, one: Listing, path: str) -> list[str]:
    """The cursors that lead from page to page."""
    cursors, following = [], client.get(path, one.header).json["next_cursor"]
    while following and len(cursors) < STEPS:
        cursors.append(following)
        page = plus(path, f"cursor={quote(following)}")
        following = client.get(page, one.header).json["next_cursor"]
    return cursors


def pages_of(client: Client, one: Listing) -> dict[str, str]:
    """first, full, middle, last: the address of each that this list has."""
    full = plus(one.path, f"limit={FULL}")
    if one.kind == "whole":
        return {"first": one.path}
    if one.kind == "cursor":
        cursors = cursors_of(client, one, full) or cursors_of(client, one, one.path)
        pages = {"first": one.path, "full": full}
        if cursors:
            middle, last = cursors[len(cursors) // 2], cursors[-1]
            pages["middle"] = plus(one.path, f"cursor={quote(middle)}")
            pages["last"] = plus(one.path, f"cursor={quote(last)}")
        return pages
    first = client.get(one.path, one.header)
    if one.kind == "seq":
        latest = first.json["latest_seq"]
        pages = {"middle": f"before_seq={latest // 2}", "last": "before_seq=22"}
    elif one.kind == "events":
        latest = first.json["latest_seq"]
        pages = {"middle": f"after={latest // 2}", "last": f"after={latest - 20}"}
    elif one.kind == "page":
        last = max(1, -(-int(first.headers["X-Total-Count"]) // 20))
        pages = {"middle": f"page={-(-last // 2)}", "last": f"page={last}"}
    else:
        last = max([1, *(int(found) for found in ADMIN_LAST.findall(first.body))])
        pages = {"middle": f"p={-(-last // 2)}", "last": f"p={last}"} if last > 1 else {}
        if "?" in one.path:  # a search or a filter: its ends are enough
            pages.pop("middle", None)
    found = {"first": one.path} if one.kind == "admin" else {"first": one.path, "full": full}
    return found | {name: plus(one.path, query) for name, query in pages.items()}


def usual_queries(answers: list[Answer]) -> int:
    """What most of them cost: now and then one reads what is kept for a second."""
    return Counter(answer.queries for answer in answers).most_common(1)[0][0]


def growth(client: Client, one: Listing) -> dict:
    """The queries of ten rows, and of a full page of the same list."""
    if one.kind == "whole" or (one.kind == "admin" and "?" in one.path):
        return {}
    if one.kind == "admin":
        keys = ids_of(client.get(one.path, one.header))
        if not keys:
            return {}
        path = one.path.partition("?")[0]
        asked = [f"{path}?id__in={','.join(some)}" for some in (keys[:FEW], keys)]
    else:
        asked = [plus(one.path, f"limit={count}") for count in (FEW, FULL)]
    found = []
    for path in asked:
        answers = [client.get(path, one.header) for _ in range(COUNT_REQUESTS)]
        found.append((rows_of(one.kind, answers[0]), usual_queries(answers)))
    (few, of_few), (full, of_full) = found
    return {"few": [few, of_few], "most": [full, of_full]}


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[math.ceil(len(values) * part) - 1]


def measure(client: Client, server: Server, one: Listing, path: str, count: int) -> dict:
    """The figures of one page. One that misses the goal is measured again, twice at most: what a
    busy machine does to one try it seldom does to three; `tries` tells."""
    for tries in range(1, TRIES + 1):
        found = measure_once(client, server, one, path, count) | {"tries": tries}
        if found["p95"] < GOAL_MS:
            break
    return found


def measure_once(client: Client, server: Server, one: Listing, path: str, count: int) -> dict:
    for _ in range(3):
        client.get(path, one.header)
    cpu = server.cpu()
    answers = [client.get(path, one.header) for _ in range(count)]
    times = [answer.ms for answer in answers]
    return {
        "rows": rows_of(one.kind, answers[0]),
        "queries": usual_queries(answers),
        "p50": round(percentile(times, 0.5), 1),
        "p95": round(percentile(times, 0.95), 1),
        "cpu_ms": round((server.cpu() - cpu) * 1000 / count, 1),
        "bytes": len(answers[0].body),
        "n": count,
    }


def ask(client: Client, server: Server, one: Listing, count: int):
    """The records of one list: one for each of its pages, and one for how its queries grow."""
    base = {"suite": "lists", "kind": one.kind, "name": one.name}
    try:
        for page, path in pages_of(client, one).items():
            yield base | {"page": page} | measure(client, server, one, path, count)
        more = growth(client, one)
        if more:
            yield base | {"page": "queries"} | more
    except OutOfTime:
        raise
    except Exception as error:
        client.connection.close()  # the next request opens it anew
        yield base | {"page": "-", "error": f"{type(error).__name__}: {error}"[:400]}


def fault_of(record: dict) -> str:
    """Why this record fails the run, or nothing."""
    if "error" in record:
        return record["error"]
    if "few" in record:
        (few, of_few), (full, of_full) = record["few"], record["most"]
        if of_few != of_full and full > few:
            return f"{of_few} queries for {few} rows, {of_full} for {full}"
        return ""
    if record["queries"] < 0:
        return "no count of queries (Server-Timing)"
    return f"p95 {record['p95']} ms" if record["p95"] >= GOAL_MS else ""


def line_of(record: dict) -> str:
    shown = (
        ""
        if "few" in record or "error" in record
        else (
            f"rows={record['rows']} queries={record['queries']} p50={record['p50']} "
            f"p95={record['p95']} cpu_ms={record['cpu_ms']} tries={record['tries']}"
        )
    )
    if "few" in record:
        shown = "{}: {} queries, {}: {}".format(*record["few"], *record["most"])
    return f"{record['name']:60} {record['page']:8} {shown} {fault_of(record)}".rstrip()


def table(records: list[dict]) -> str:
    """One line per list; milliseconds; p95 of each page."""
    names = list(dict.fromkeys(record["name"] for record in records))
    by = {(record["name"], record["page"]): record for record in records}
    head = ["list", "rows", "queries", "p50", "p95 first", "full", "middle", "last", "CPU ms"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name in names:
        first = by.get((name, "first"))
        if first is None:
            lines.append(f"| `{name}` | no result{' | ' * (len(head) - 1)} |")
            continue
        full = by.get((name, "full"), first)
        cells = [f"`{name}`", str(full["rows"]), str(first["queries"]), str(first["p50"])]
        for page in ("first", "full", "middle", "last"):
            one = by.get((name, page))
            cells.append("-" if one is None else str(one["p95"]))
        lines.append(f"| {' | '.join([*cells, str(first['cpu_ms'])])} |")
    return "\n".join(lines)


def report(records: list[dict]) -> int:
    print("\n" + table(records))
    faults = [
        f"{record['name']} {record['page']}: {why}"
        for record in records
        if (why := fault_of(record))
    ]
    measured = [record for record in records if "p95" in record]
    if measured:
        worst = max(measured, key=lambda record: record["p95"])
        print(
            f"\n{len({record['name'] for record in measured})} lists, {len(measured)} pages; "
            f"worst p95 {worst['p95']} ms ({worst['name']}, {worst['page']})"
        )
    print("\n".join(["", "FAULTS", *faults]) if faults else "no faults")
    return bool(faults or not measured)


def run(args, one: dict) -> int:
    need("psql", "redis-server")
    for how in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(how, lambda number, _: sys.exit(128 + number))
    deadline = time.monotonic() + args.limit
    data = services.data_dir()
    results = data / f"lists-{time.strftime('%Y%m%d-%H%M%S')}.jsonl"
    print(f"data, logs and results in {data}", flush=True)
    records = []
    with Services(data), results.open("a") as out:
        results.with_suffix(".machine.json").write_text(json.dumps(machine(), indent=1))
        server = Server(args.contender, one, services.PORT, data, {"products": PRODUCTS})
        services.ensure_database(server.database)
        for command in one["setup"]:
            server.call(command)
        listed = [Listing(*line.split("\t")) for line in server.call(one["lists"]).splitlines()]
        services.psql(server.database, "-c", "vacuum analyze")
        chosen = [x for x in listed if not args.names or any(name in x.name for name in args.names)]
        os.sched_setaffinity(0, {LOAD_CORE})
        with server:
            client = Client(server.port, deadline)
            try:
                for listing in chosen:
                    for record in ask(client, server, listing, args.requests):
                        records.append(record)
                        out.write(json.dumps(record) + "\n")
                        out.flush()
                        print(line_of(record), flush=True)
            except OutOfTime:
                records.append({"name": "-", "page": "-", "error": f"{OutOfTime.__doc__}"})
    print(f"\n{results}")
    return report(records)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="parts of names of lists; or: report FILE")
    parser.add_argument("--contender", default="project-lists")
    parser.add_argument("--requests", type=int, default=40, help="measured for each page")
    parser.add_argument("--limit", type=float, default=1200, help="seconds for all of it")
    args = parser.parse_args()
    if args.names[:1] == ["report"]:
        if len(args.names) != 2:
            parser.error("report needs one results file (*.jsonl)")
        return report([json.loads(x) for x in Path(args.names[1]).read_text().splitlines()])
    return run(args, load_contenders()[args.contender])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped")
