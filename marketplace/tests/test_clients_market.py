"""From a phone code to a parcel at the door, by the official clients: Realtime Market's own story.

On both servers, and over two processes with Redis; Node is needed. The database is the one that
DATABASE_URL names, so that the same stories run on each.
"""

import asyncio
import os
from pathlib import Path

import pytest

from marketplace.tests.clients.node import KINDS, require_node, run_script
from marketplace.tests.live import SERVERS, Server, Site, own_redis

pytestmark = [pytest.mark.integration]

QUICK = {"LIMIT_LOCATION": "0/1"}


def phone_of(place: int) -> str:
    """Another courier for every story."""
    return f"+4{os.getpid() % 100_000:05d}{place:04d}"


async def market(site: Site, kind: str, phone: str, server: Server, others: Server) -> None:
    """One kind of client's story."""
    sink = site.settings["SMS_SINK"]
    said = await run_script("market.mjs", kind, server.url, sink, phone, others.url)
    for line in said:
        site.secrets.update(line.get("secrets", []))
    assert said[-1] == {"done": True}


def hire(site: Site, place: int) -> str:
    """A courier, as the staff makes him; his phone."""
    phone = phone_of(place)
    site.manage(
        "create_staff", "--role", "courier", "--email", f"c{os.getpid()}-{place}@example.com",
        "--phone", phone, "--password", "Password123!",
    )  # fmt: skip
    return phone


@pytest.mark.parametrize("server_kind", SERVERS)
def test_the_whole_market_on_one_server(tmp_path: Path, server_kind: str) -> None:
    require_node()
    with Site(tmp_path, **QUICK) as site:
        server = site.start(server_kind)
        first = 10 * SERVERS.index(server_kind)
        phones = [hire(site, first + place) for place in range(len(KINDS))]

        async def all_kinds() -> None:
            stories = [
                market(site, kind, phone, server, server)
                for kind, phone in zip(KINDS, phones, strict=True)
            ]
            await asyncio.gather(*stories)

        asyncio.run(all_kinds())


def test_the_whole_market_over_two_processes(tmp_path: Path) -> None:
    require_node()
    url = os.environ.get("TEST_REDIS_URL") or os.environ.get("REDIS_URL")
    with own_redis(tmp_path) as redis:
        if redis is not None:
            url = redis.url
        if url is None:
            pytest.skip("needs redis-server on PATH, TEST_REDIS_URL or REDIS_URL")
        with Site(tmp_path, redis_url=url, **QUICK) as site:
            servers = site.start("daphne"), site.start("uvicorn")

            asyncio.run(market(site, "phoenix18", hire(site, 20), *servers))
