"""The official clients and a plain script live through an evening with a dying server.

Two servers with one Redis, and one server alone; Node is needed for the Phoenix clients.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from marketplace.tests.clients.node import KINDS, require_node, run_script
from marketplace.tests.clients.plain_story import plain_story
from marketplace.tests.live import SERVERS, Redis, Server, Site, own_redis

pytestmark = [pytest.mark.integration]

Outage = Callable[[], Awaitable[bool]]


class Together:
    """The same outage for all stories: it happens once every story has asked for it."""

    def __init__(self, stories: int, happen: Callable[[], None], *, lost: bool) -> None:
        self._missing = stories
        self._happen = happen
        self._lost = lost
        self._over = asyncio.Event()

    async def __call__(self) -> bool:
        """Return when it is over: whether the connections were lost in it."""
        self._missing -= 1
        if self._missing == 0:
            # What is sent from now on meets the outage at any of its moments.
            await asyncio.sleep(0.1)
            await asyncio.to_thread(self._happen)
            self._over.set()
        await self._over.wait()
        return self._lost


async def node_story(site: Site, kind: str, servers: tuple[Server, Server], outage: Outage) -> None:
    """One Node client's story."""

    async def answer(what: str) -> dict[str, bool]:
        assert what == "outage"
        return {"reconnects": await outage()}

    sink = site.settings["SMS_SINK"]
    said = await run_script("story.mjs", kind, servers[0].url, sink, servers[1].url, answer=answer)
    for line in said:
        site.secrets.update(line.get("secrets", []))
    assert said[-1] == {"done": True}


async def all_stories(
    site: Site, servers: tuple[Server, Server], happen: Callable[[], None], *, lost: bool
) -> None:
    """Every client at once, through one outage."""
    outage = Together(len(KINDS) + 1, happen, lost=lost)
    await asyncio.gather(
        *(node_story(site, kind, servers, outage) for kind in KINDS),
        plain_story(site, servers[0], servers[1], outage),
    )


class TestOneServer:
    @pytest.mark.parametrize("kind", SERVERS)
    def test_every_client_resumes_after_a_kill(self, tmp_path: Path, kind: str) -> None:
        require_node()
        with Site(tmp_path) as site:
            server = site.start(kind)

            asyncio.run(all_stories(site, (server, server), server.restart, lost=True))

    @pytest.mark.parametrize("kind", SERVERS)
    def test_a_plain_script_resumes_after_a_kill(self, tmp_path: Path, kind: str) -> None:
        with Site(tmp_path) as site:
            server = site.start(kind)
            outage = Together(1, server.restart, lost=True)

            asyncio.run(plain_story(site, server, server, outage))


class TestTwoServers:
    """The friend's connection is on the other process: all that reaches him comes through Redis."""

    def test_a_restart_of_redis_loses_nothing(self, tmp_path: Path) -> None:
        require_node()
        with own_redis(tmp_path) as redis:
            if redis is None:
                pytest.skip("needs redis-server on PATH")
            with Site(tmp_path, redis_url=redis.url) as site:
                servers = site.start("daphne"), site.start("uvicorn")

                asyncio.run(all_stories(site, servers, lambda: restart(redis), lost=False))

    def test_a_kill_of_both_loses_nothing(self, tmp_path: Path) -> None:
        require_node()
        url = os.environ.get("TEST_REDIS_URL") or os.environ.get("REDIS_URL")
        with own_redis(tmp_path) as redis:
            if redis is not None:
                url = redis.url
            if url is None:
                pytest.skip("needs redis-server on PATH, TEST_REDIS_URL or REDIS_URL")
            with Site(tmp_path, redis_url=url) as site:
                servers = site.start("uvicorn"), site.start("daphne")

                def both() -> None:
                    for server in servers:
                        server.kill()
                    for server in servers:
                        server.start(wait=False)
                    for server in servers:
                        server.wait_ready()

                asyncio.run(all_stories(site, servers, both, lost=True))


def restart(redis: Redis) -> None:
    """Kill it, and start it empty."""
    redis.stop()
    redis.start()
