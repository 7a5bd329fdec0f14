"""Ask the application as a server does, once by the fast path and once by Django alone."""

import asyncio
import ipaddress
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from marketplace.asgi import django_application, fast_path

REQUEST_ID = "asked-by-a-test"
# Time is never the same twice; the order of a policy's parts is that of a set.
MOVING = ("server-timing", "content-security-policy", "ratelimit-reset")


@dataclass
class Answer:
    """What came back; `way` is who answered."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        """The body as a value."""
        return json.loads(self.body)


class Asker:
    """Knows which of the two answered."""

    def __init__(self) -> None:
        self.left_to_django = 0

    async def fast(self, method: str, target: str, **more: Any) -> Answer:
        """Ask in front; counts what goes on to Django."""

        async def django(scope: Any, receive: Any, send: Any) -> None:
            self.left_to_django += 1
            await django_application(scope, receive, send)

        return await ask(fast_path.before(django), method, target, **more)

    async def slow(self, method: str, target: str, **more: Any) -> Answer:
        """Ask Django alone."""
        return await ask(django_application, method, target, **more)

    async def both(self, method: str, target: str, **more: Any) -> Answer:
        """The answer of the fast path, which must have answered, and as Django would have."""
        before = self.left_to_django
        fast = await self.fast(method, target, address=new_address(), **more)
        assert self.left_to_django == before, "it was left to Django"
        slow = await self.slow(method, target, address=new_address(), **more)
        assert fast.status == slow.status
        assert fast.body == slow.body
        assert shown(fast.headers) == shown(slow.headers)
        return fast


def new_address() -> str:
    """Somebody who has not asked yet, so that nothing of his limit is taken; Redis remembers."""
    return str(ipaddress.IPv4Address(0x0A000000 + secrets.randbelow(2**24)))


def shown(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that do not move."""
    return {name: value for name, value in headers.items() if name not in MOVING} | {
        "content-security-policy": " ".join(
            sorted(part.strip() for part in headers["content-security-policy"].split(";"))
        )
    }


async def ask(
    application: Any,
    method: str,
    target: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    address: str = "192.0.2.7",
    port: int = 40_000,
    repeated: tuple[tuple[bytes, bytes], ...] = (),
) -> Answer:
    """One request. target: path with query. repeated: headers that stand there once more."""
    path, _, query = target.partition("?")
    sent = {"host": "localhost", "x-request-id": REQUEST_ID, **(headers or {})}
    if body:
        sent = {"content-length": str(len(body)), "content-type": "application/json"} | sent
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [*((n.encode(), v.encode()) for n, v in sent.items()), *repeated],
        "client": (address, port),
        "server": ("localhost", 80),
    }
    parts = [body[: len(body) // 2], body[len(body) // 2 :]]
    coming = [
        {"type": "http.request", "body": part, "more_body": place == 0}
        for place, part in enumerate(parts)
    ]
    answer = Answer()

    async def receive() -> Any:
        if coming:
            return coming.pop(0)
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {n.decode().lower(): v.decode() for n, v in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    async with asyncio.timeout(20):
        await application(scope, receive, send)
    return answer
