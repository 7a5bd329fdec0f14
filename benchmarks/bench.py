#!/usr/bin/env python3
"""Runs contenders one after another, round by round, each pinned to one core;
prints medians and same-round ratios. Ends with 1 if a run failed.

bench.py chat|idle|gps|rest [NAME ...] [--modes M,M] [--rounds N] [--warm S] [--dur S]
                                       [--base NAME] [--stock N] [--connections N]
bench.py report RESULTS.jsonl [--base NAME]
bench.py list
"""

import argparse
import json
import os
import platform
import re
import resource
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path

import inputs
import report
import services
from inputs import GROWTH_ONLY, MODES
from server import Server
from services import KIT, LOAD_CORE, SERVER_CORE, Services, need, pinned, psql, redis_flush


def load_contenders() -> dict:
    """contenders.toml, project.toml and the file named by BENCH_CONTENDERS, where they exist."""
    files = ["contenders.toml", "project.toml", os.environ.get("BENCH_CONTENDERS") or "-"]
    found = {}
    for path in (KIT / name for name in files):
        if path.is_file():
            found |= tomllib.loads(path.read_text())
    for name, one in found.items():
        if "like" in one:  # the keys of an earlier table, then its own
            other = found[one["like"]]
            found[name] = other | one | {"env": other.get("env", {}) | one.get("env", {})}
    return found


def run_sockets(server: Server, mode: str, args) -> dict:
    shape = MODES[args.suite][mode]
    command = [str(KIT / "wsgen"), "--port", str(server.port), "--mode", shape.kind]
    command += ["--wire", str(KIT / "wire" / f"{server.one['wire']}.wire")]
    command += ["--clients", str(inputs.clients_file(server, args.suite, mode))]
    command += ["--rate", str(shape.rate), "--warm", str(args.warm), "--dur", str(args.dur)]
    command += ["--connect-timeout", str(max(60, shape.sockets // 10))]
    with server:
        out = generate(server, command, shape.sockets if shape.kind == "idle" else 0)
    if server.one.get("coalesces") and "lost" in out:
        out["merged"] = out.pop("lost")  # by its contract a newer value may replace an older one
    return out


def generate(server: Server, command: list[str], idle_sockets: int) -> dict:
    """Run the load generator; take the server's processor time between its MEASURE and END."""
    out, before, started = {}, server.rss(), (0.0, 0.0)
    load = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=pinned(LOAD_CORE),
    )
    try:
        for line in load.stdout:
            if line.startswith("READY"):
                out["rss_ready_mb"] = round(server.rss() / 1e6, 1)
            elif line.startswith("MEASURE"):
                started = time.monotonic(), server.cpu()
            elif line.startswith("END"):
                span = time.monotonic() - started[0]
                out["srv_cpu"] = round((server.cpu() - started[1]) / span, 3)
                out["rss_end_mb"] = round(server.rss() / 1e6, 1)
            elif line.startswith("{"):
                out |= json.loads(line)
                if idle_sockets:
                    time.sleep(1)
                    out["kib_per_conn"] = round((server.rss() - before) / 1024 / idle_sockets, 1)
        note = load.stderr.read().strip()
        if load.wait(timeout=60):
            out["error"] = note[-300:] or f"generator ended with {load.returncode}"
        elif note:
            out["note"] = note[-300:]
    finally:
        if load.poll() is None:
            load.kill()
        load.wait()
    return out


def run_rest(server: Server, mode: str, args) -> dict:
    kind, requests = MODES["rest"][mode].kind, inputs.requests_file(server, mode)
    with server:
        size = check_answer(server, kind, requests)
        warm = run_wrk(server, requests, args.connections, args.warm)
        cpu = server.cpu()
        out = run_wrk(server, requests, args.connections, args.dur)
        span = out.pop("span")
        out["srv_cpu"] = round((server.cpu() - cpu) / span, 3)
    good = out.pop("good")
    out |= {"ok_s": round(good / span, 1), "answer_bytes": size}
    if kind == "order":
        out["verify"] = verify_orders(server, args.stock)
        out["lost"] = max(0, warm["good"] + good - out["verify"].get("orders", 0))
    return out


def check_answer(server: Server, kind: str, requests: Path) -> int | None:
    """The first GET must give what the row claims: a wrong route would look fast. Its size."""
    method, path, token = (requests.read_text().split("\n", 1)[0] + "\t-").split("\t")[:3]
    if method != "GET":
        return None
    headers = {} if token == "-" else {"Authorization": f"Bearer {token}"}
    url = f"http://127.0.0.1:{server.port}{path}"
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
        body, total = answer.read(), answer.headers.get("X-Total-Count")
    products = body.count(b'"price"')
    if kind == "list" and (products < 20 or not (total or b'"count"' in body)):
        raise RuntimeError(f"{path}: no page of 20 products with a total: {body[:200]}")
    if not products:
        raise RuntimeError(f"{path}: no product: {body[:200]}")
    return len(body)


def run_wrk(server: Server, requests: Path, connections: int, seconds: float) -> dict:
    command = ["wrk", "-t1", f"-c{connections}", "--latency", f"-d{max(1, round(seconds))}s"]
    command += ["-s", str(KIT / "wrk/requests.lua"), f"http://127.0.0.1:{server.port}"]
    command += ["--", str(requests), str(time.time())]
    begin = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=pinned(LOAD_CORE))
    text = done.stdout
    if done.returncode:
        raise RuntimeError(done.stderr[-300:] or text[-300:])
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    out = {"span": time.monotonic() - begin, "failed": int(failed[1]) if failed else 0}
    out["good"] = int(re.search(r"(\d+) requests in", text)[1]) - out["failed"]
    for p in ("50", "99"):
        out["p" + p] = milliseconds(re.search(rf"\s{p}%\s+(\S+)", text)[1])
    errors = re.search(r"Socket errors: (.*)", text)
    out["socket_errors"] = sum(map(int, re.findall(r"\d+", errors[1]))) if errors else 0
    return out


def milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return round(float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit], 2)


def verify_orders(server: Server, stock: int) -> dict:
    if "verify" in server.one:
        return json.loads(server.call(server.one["verify"]))
    script = str(KIT / "sql/verify_orders.sql")
    return json.loads(psql(server.database, "-v", f"stock={stock}", "-f", script))


def prepare(server: Server, shape: inputs.Shape, first: bool, stock: int) -> None:
    """The same start for everyone: empty Redis, empty tables, full stock."""
    peer = "database" not in server.one
    redis_flush()
    if first:
        services.ensure_database(server.database, shape.products if peer else 0)
    for command in server.one.get("setup", []) if first else []:
        server.call(command)
    for command in server.one.get("reset", []) if shape.kind == "order" else []:
        server.call(command)
    if peer:
        psql(server.database, "-c", "truncate messages, locations")
        if shape.kind == "order":
            reset = str(KIT / "sql/reset_orders.sql")
            psql(server.database, "-v", f"stock={stock}", "-f", reset)


def run_one(name: str, one: dict, mode: str, port: int, data: Path, met: set, args) -> dict:
    shape = MODES[args.suite][mode]
    values = {"suite": args.suite, "mode": mode, "stock": args.stock} | shape._asdict()  # noqa: SLF001  # public, so named by NamedTuple
    server = Server(name, one, port, data, values)
    prepare(server, shape, (name, server.database) not in met, args.stock)
    met.add((name, server.database))
    return (run_rest if args.suite == "rest" else run_sockets)(server, mode, args)


def machine() -> dict:
    def version(*command: str) -> str:
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError:
            return "absent"
        return done.stdout.strip() or "unknown"

    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "pinned": {"server": SERVER_CORE, "load": LOAD_CORE},
        "kernel": platform.release(),
        "postgres": psql("postgres", "-c", "show server_version"),
        "redis": version("redis-server", "--version"),
        "node": version("node", "--version"),
        "python": platform.python_version(),
        "project": version("git", "-C", str(KIT), "describe", "--always", "--dirty"),
    }


def chosen(args, contenders: dict) -> tuple[list[str], list[str]]:
    """Names and modes of this call; ends with a message if one of them does not exist."""
    fitting = [n for n, one in contenders.items() if args.suite in one["suites"]]
    modes = [m for m in MODES[args.suite] if m not in GROWTH_ONLY]
    names, modes = args.names or fitting, args.modes.split(",") if args.modes else modes
    unknown = [n for n in names if n not in fitting]
    unknown += [m for m in modes if m not in MODES[args.suite]]
    if unknown:
        sys.exit(f"not in {args.suite}: {', '.join(unknown)} (see bench.py list and README.md)")
    return names, modes


def run(args, contenders: dict) -> int:
    names, modes = chosen(args, contenders)
    rest = args.suite == "rest"
    need("redis-server", "psql", *["wrk"] * rest)
    if not rest and not (KIT / "wsgen").exists():
        sys.exit("build the generator first: cc -O2 -Wall -Wextra -o wsgen wsgen.c")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for how in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(how, lambda number, _: sys.exit(128 + number))
    data = services.data_dir()
    results = data / f"{args.suite}-{time.strftime('%Y%m%d-%H%M%S')}.jsonl"
    print(f"data, logs and results in {data}", flush=True)
    failed, met = 0, set()
    with Services(data), results.open("a") as out:
        results.with_suffix(".machine.json").write_text(json.dumps(machine(), indent=1))
        turns = [(r, m, n) for r in range(args.rounds) for m in modes for n in names]
        turns = [(r, m, n) for r, m, n in turns if m in contenders[n].get("modes", modes)]
        for i, (turn, mode, name) in enumerate(turns):
            record = {"suite": args.suite, "name": name, "mode": mode, "round": turn}
            port = services.PORT + i % 200  # the last one may still be in TIME_WAIT
            try:
                record |= run_one(name, contenders[name], mode, port, data, met, args)
            except Exception as error:
                record["error"] = f"{error}"[-600:]
            failed += "error" in record
            out.write(json.dumps(record) + "\n")
            out.flush()
            print(report.one_line(record), flush=True)
    print(f"\n{results}")
    report.tables(results, args.base)
    return bool(failed)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suite", choices=[*MODES, "report", "list"])
    parser.add_argument("names", nargs="*", help="contenders, or the results file")
    parser.add_argument("--modes", default="", help="default: all of the suite but the large ones")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm", type=float, default=1, help="seconds before measuring")
    parser.add_argument("--dur", type=float, default=3, help="seconds measured")
    parser.add_argument("--base", default="", help="contender that ratios refer to")
    parser.add_argument("--stock", type=int, default=1_000_000, help="rest order: pieces each")
    parser.add_argument("--connections", type=int, default=16, help="rest: HTTP connections")
    args = parser.parse_intermixed_args()
    contenders = load_contenders()
    if args.suite == "list":
        for name, one in contenders.items():
            print(f"{name:26} {', '.join(one['suites']):12} {one.get('wire', '')}")
        return 0
    if args.suite == "report":
        if len(args.names) != 1:
            parser.error("report needs one results file (*.jsonl)")
        report.tables(Path(args.names[0]), args.base)
        return 0
    return run(args, contenders)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped")
