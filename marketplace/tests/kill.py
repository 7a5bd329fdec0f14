"""Kill -9 the server while people send, then ask whether anything acked was lost or told twice.

`python -m marketplace.tests.kill --kills 20 --acked 4000 --seed 7` prints one summary line;
DATABASE_URL chooses the database. Bounded and seeded: the moments of the kills come from the seed.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx2 as httpx

from marketplace.tests.clients.talkers import Follower
from marketplace.tests.live import Person, Server, Site

SENDERS = ("plain", "plain", "phoenix-v2", "phoenix-v2", "rest", "rest")
RECEIVERS = ("plain", "phoenix-v1", "phoenix-v2")
LIMIT_S = 900.0
PAGE = 100
EVENT_PAGE = 200


@dataclass
class Plan:
    """How often to kill, and how much must be acked at least."""

    kills: int = 3
    acked: int = 300
    seed: int = 7
    server: str = "daphne"
    # Seconds between a ready server and the next kill.
    soonest: float = 0.2
    latest: float = 1.2
    pace_s: float = 0.005
    # Two share a direct room; more sit in a group. The senders take turns among them.
    people: int = 2
    failpoint: str = ""


@dataclass
class Outcome:
    """What was found; `faults` is empty when every promise held."""

    kills: int = 0
    acked: int = 0
    stored: int = 0
    resent: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def line(self, plan: Plan) -> str:
        """The summary in one line."""
        return (
            f"kills={self.kills} acked={self.acked} stored={self.stored} resent={self.resent} "
            f"faults={len(self.faults)} seed={plan.seed} server={plan.server} "
            f"seconds={self.seconds:.1f}"
        )


class Sender:
    """One person who sends numbered messages, each until it is acked."""

    def __init__(self, name: str, person: Person, room_id: str) -> None:
        self.name = name
        self.person = person
        self.room_id = room_id
        self.acked: dict[str, dict[str, Any]] = {}
        self.attempted: list[str] = []
        self.resent = 0

    async def run(self, enough: asyncio.Event, pace_s: float) -> None:
        """Send until it is enough."""
        while not enough.is_set():
            key = f"{self.name}-{len(self.attempted)}"
            self.attempted.append(key)
            self.acked[key] = await self.send({"content": key, "client_id": key})
            self.resent += bool(self.acked[key]["duplicate"])
            await asyncio.sleep(pace_s)

    async def send(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Send one message until it is acked; the ack."""
        raise NotImplementedError


class SocketSender(Sender):
    """By a socket that comes back by itself."""

    follower: Follower

    async def send(self, payload: dict[str, Any]) -> dict[str, Any]:
        """See Follower.send."""
        return await self.follower.send(payload)


class RestSender(Sender):
    """By POST, again and again with the same client_id."""

    client: httpx.AsyncClient

    async def send(self, payload: dict[str, Any]) -> dict[str, Any]:
        """POST until 200 or 201."""
        path = f"/api/v1/chat/rooms/{self.room_id}/messages"
        while True:
            try:
                answer = await self.client.post(path, json=payload, headers=self.person.headers)
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
                continue
            if answer.status_code in (200, 201):
                ack: dict[str, Any] = answer.json()
                return ack
            if answer.status_code not in (500, 502, 503):
                raise AssertionError(f"{answer.status_code}: {answer.text}")
            await asyncio.sleep(0.1)


def run(plan: Plan, folder: Path) -> Outcome:
    """Everything: people, senders, kills, checks."""
    with Site(folder) as site:
        server = site.start(plan.server)
        people = [site.sign_up(server, f"sender{n}") for n in range(plan.people)]
        if len(people) == 2:
            room_id = site.open_room(server, *people)
        else:
            room_id = site.open_group(server, people[0], *people[1:])
        return asyncio.run(_run(plan, server, people, room_id))


async def _run(plan: Plan, server: Server, people: list[Person], room_id: str) -> Outcome:
    chance = random.Random(plan.seed)
    outcome, enough, began = Outcome(), asyncio.Event(), time.monotonic()
    receivers = [
        Follower(protocol, lambda: server.socket_url, person.token, room_id).start()
        for protocol, person in zip(RECEIVERS, cycle(people), strict=False)
    ]
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        senders = [
            _sender(protocol, f"s{n}", person, room_id, server, client)
            for n, (protocol, person) in enumerate(zip(SENDERS, cycle(people), strict=False))
        ]
        followers = [one.follower for one in senders if isinstance(one, SocketSender)]
        work = [asyncio.create_task(one.run(enough, plan.pace_s)) for one in senders]
        watcher = asyncio.gather(*work)
        try:
            async with asyncio.timeout(LIMIT_S):
                await _kill_for_a_while(plan, server, chance, outcome, senders, watcher)
                enough.set()
                await watcher
                messages, events = await _read_back(client, people[0], room_id)
                latest = events[-1]["event_seq"] if events else 0
                for follower in (*receivers, *followers):
                    await follower.reach(latest)
        finally:
            watcher.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            for follower in (*receivers, *followers):
                await follower.stop()
    outcome.acked = sum(len(one.acked) for one in senders)
    outcome.resent = sum(one.resent for one in senders)
    outcome.stored = len(messages)
    outcome.seconds = time.monotonic() - began
    outcome.faults += find_faults(senders, messages, events)
    outcome.faults += follower_faults([*receivers, *followers], events)
    return outcome


def _sender(
    protocol: str, name: str, person: Person, room_id: str, server: Server,
    client: httpx.AsyncClient,
) -> Sender:  # fmt: skip
    if protocol == "rest":
        by_rest = RestSender(name, person, room_id)
        by_rest.client = client
        return by_rest
    by_socket = SocketSender(name, person, room_id)
    by_socket.follower = Follower(
        protocol, lambda: server.socket_url, person.token, room_id
    ).start()
    return by_socket


async def _kill_for_a_while(
    plan: Plan, server: Server, chance: random.Random, outcome: Outcome,
    senders: list[Sender], watcher: "asyncio.Future[Any]",
) -> None:  # fmt: skip
    if plan.failpoint:
        # The server that runs now knows no fail-point: the next one does.
        await asyncio.to_thread(server.restart, FAILPOINT=plan.failpoint)
    while True:
        if watcher.done():
            watcher.result()
        enough = sum(len(one.acked) for one in senders) >= plan.acked
        if enough and outcome.kills >= plan.kills:
            return
        if not server.is_running:
            outcome.kills += 1
            again = plan.failpoint if outcome.kills < plan.kills else ""
            await asyncio.to_thread(server.start, FAILPOINT=again)
        await asyncio.sleep(chance.uniform(plan.soonest, plan.latest))
        if outcome.kills < plan.kills and not plan.failpoint:
            server.kill()


async def _read_back(
    client: httpx.AsyncClient, reader: Person, room_id: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    messages: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    path = f"/api/v1/chat/rooms/{room_id}/messages"
    more = True
    while more:
        after = messages[-1]["seq"] if messages else 0
        bounds = {"after_seq": after, "limit": PAGE}
        page = (await client.get(path, params=bounds, headers=reader.headers)).json()
        messages += page["items"]
        more = page["has_more"]
    more = True
    while more:
        after = events[-1]["event_seq"] if events else 0
        bounds = {"after": after, "limit": EVENT_PAGE}
        page = (
            await client.get(
                f"/api/v1/topics/room:{room_id}/events", params=bounds, headers=reader.headers
            )
        ).json()
        events += page["events"]
        more = page["has_more"]
    return messages, events


def find_faults(
    senders: list[Sender], messages: list[dict[str, Any]], events: list[dict[str, Any]]
) -> list[str]:
    """Every way in which history and log break the promises."""
    faults: list[str] = []
    count = Counter(message["client_id"] for message in messages)
    stored = {message["client_id"]: message for message in messages}
    for sender in senders:
        for key, ack in sender.acked.items():
            if count[key] != 1:
                faults.append(f"{key}: acked, stored {count[key]} times")
            elif any(stored[key][name] != ack[name] for name in ("id", "seq", "number")):
                faults.append(f"{key}: acked as {ack['seq']}, stored as {stored[key]['seq']}")
        order = [key for key in stored if key in set(sender.attempted)]
        if order != sender.attempted[: len(order)]:
            faults.append(f"{sender.name}: stored in another order than sent")
    known = {key for sender in senders for key in sender.attempted}
    faults += [f"{key}: never sent" for key in count if key not in known]
    numbers = [message["number"] for message in messages]
    if numbers != list(range(1, len(numbers) + 1)):
        faults.append(f"numbers are not gapless: {_gap(numbers)}")
    seqs = [event["event_seq"] for event in events]
    if seqs != list(range(1, len(seqs) + 1)):
        faults.append(f"seqs are not gapless: {_gap(seqs)}")
    told = [event["payload"]["id"] for event in events if event["event"] == "message.sent"]
    if told != [message["id"] for message in messages]:
        faults.append("the log and the history differ")
    return faults


def follower_faults(followers: list[Follower], events: list[dict[str, Any]]) -> list[str]:
    """Who followed and resumed holds exactly the log."""
    log = [(event["event_id"], event["event_seq"]) for event in events]
    faults = [fault for follower in followers for fault in follower.faults]
    for follower in followers:
        if follower.events != log:
            name = follower.kind.protocol
            faults.append(f"{name}: heard {len(follower.events)} events, the log has {len(log)}")
    return faults


def _gap(numbers: list[int]) -> str:
    for before, after in zip([0, *numbers], numbers, strict=False):
        if after != before + 1:
            return f"{after} after {before}"
    return "none"


def main() -> int:
    """One run; 0 when every promise held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--acked", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--server", default="daphne", choices=("daphne", "uvicorn"))
    parser.add_argument("--failpoint", default="", help="<name>:kill:<nth> instead of kills")
    asked = parser.parse_args()
    plan = Plan(
        kills=asked.kills, acked=asked.acked, seed=asked.seed, server=asked.server,
        failpoint=asked.failpoint, pace_s=0.02, latest=2.5, people=len(SENDERS),
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="marketplace-kill-") as folder:
        outcome = run(plan, Path(folder))
    for fault in outcome.faults[:20]:
        sys.stdout.write(f"FAULT {fault}\n")
    sys.stdout.write(outcome.line(plan) + "\n")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
