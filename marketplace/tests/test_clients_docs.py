"""The clients that docs/realtime.md gives to copy, run word for word through a restart."""

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx2 as httpx
import pytest

from marketplace.tests.clients.node import require_node, run_script
from marketplace.tests.live import ROOT, Person, Server, Site

pytestmark = [pytest.mark.integration]

GUIDE = (ROOT / "docs" / "realtime.md").read_text()
BLOCKS = re.findall(r"```(js|python)\n(.*?)```", GUIDE.split("## Clients to copy")[1], re.DOTALL)


def test_the_guide_has_a_client_for_each_protocol() -> None:
    assert [language for language, _ in BLOCKS] == ["js", "js", "python", "js"]


class Talk:
    """Two people, their room, and a server that can be killed and started."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.server: Server = site.start("uvicorn")
        self.asha: Person = site.sign_up(self.server, "asha")
        self.bruno: Person = site.sign_up(self.server, "bruno")
        self.new_room()

    def new_room(self) -> None:
        """A room that nothing has been said in."""
        self.room_id = self.site.open_group(self.server, self.asha, self.bruno)

    def do(self, what: str) -> dict[str, Any]:
        """What a client asks for: somebody says something, or the server dies and comes back."""
        if what == "restart":
            self.server.restart()
            return {}
        number = what.removeprefix("say ")
        with httpx.Client(base_url=self.server.url, headers=self.asha.headers) as client:
            path = f"/api/v1/chat/rooms/{self.room_id}/messages"
            answer = client.post(path, json={"content": f"said {number}", "client_id": number})
        assert answer.status_code in (200, 201), answer.text
        return {}

    def history(self) -> list[str]:
        """All that was said."""
        answer = httpx.get(
            f"{self.server.url}/api/v1/chat/rooms/{self.room_id}/messages?limit=100",
            headers=self.asha.headers,
        )
        return [one["content"] for one in answer.json()["items"]]

    def check(self, shown: list[str]) -> None:
        """From the first that was shown on: everything, once, in order."""
        said = self.history()
        assert shown == said[said.index(shown[0]) :]
        assert shown[-2:] == ["said 100", "said 101"]


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    """One server for all clients."""
    with Site(tmp_path_factory.mktemp("docs")) as site:
        yield Talk(site)


class TestJavaScript:
    @pytest.mark.parametrize(
        ("kind", "place"), [("phoenix17", 0), ("phoenix18", 0), ("browser", 1), ("browser", 3)]
    )
    def test_loses_and_repeats_nothing(self, talk: Talk, kind: str, place: int) -> None:
        require_node()
        talk.new_room()

        async def answer(what: str) -> dict[str, Any]:
            return await asyncio.to_thread(talk.do, what)

        said = asyncio.run(
            run_script(
                "snippet.mjs", kind, talk.server.url, talk.room_id, talk.bruno.token,
                BLOCKS[place][1], answer=answer,
            )
        )  # fmt: skip

        talk.check(said[-1]["shown"])


class TestPython:
    def test_loses_and_repeats_nothing(self, talk: Talk) -> None:
        talk.new_room()
        code = BLOCKS[2][1].replace("ws://localhost:8000", talk.server.socket_url)
        shown: list[str] = []

        def show(_seq: int, content: str | None) -> None:
            if content is not None:
                shown.append(content)

        namespace: dict[str, Any] = {"print": show}
        exec(compile(code, "docs/realtime.md", "exec"), namespace)  # noqa: S102  # our own guide

        async def until(holds: Callable[[], bool], ask: str | None = None) -> None:
            async with asyncio.timeout(30):
                number = 0
                while not holds():
                    if ask is not None:
                        number += 1
                        await asyncio.to_thread(talk.do, f"{ask} {number}")
                    await asyncio.sleep(0.2)

        async def story() -> None:
            following = asyncio.create_task(namespace["talk"](talk.bruno.token, talk.room_id))
            await until(lambda: bool(shown), ask="say")
            await asyncio.to_thread(talk.do, "restart")
            await asyncio.to_thread(talk.do, "say 100")
            await until(lambda: "said 100" in shown)
            await asyncio.to_thread(talk.do, "say 101")
            await until(lambda: "said 101" in shown)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

        asyncio.run(story())

        talk.check(shown)
