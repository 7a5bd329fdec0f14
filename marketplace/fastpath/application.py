"""The ASGI application in front of Django: it takes what a fast route knows, and hands on the rest.

A request goes to Django whenever there is the least doubt: an unknown path or method, a header that
came twice, a header that concerns other parts of Django (`Origin`, a session's cookie), a body that
is large or not JSON, a host that Django does not accept.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from django.conf import settings

from marketplace.core import observe
from marketplace.core.errors import AppError
from marketplace.core.middleware import is_staff, server_timing
from marketplace.fastpath.requests import FastAnswer, FastRequest, LeaveToDjango, Outcome
from marketplace.fastpath.routes import FastRoute
from marketplace.fastpath.usual import Headers, UsualHeaders
from marketplace.realtime.runtime import runtime
from marketplace.serving.answers import WriteAnswer, whole_writer

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
# Django's own application and ours differ in how exactly they type a message.
Application = Callable[[Any, Any, Any], Awaitable[None]]

MAX_BODY_BYTES = 64 * 1024
JSON_TYPES = frozenset({"", "application/json", "application/json; charset=utf-8"})
# Other parts of Django look at these.
FOREIGN = ("origin", "access-control-request-method", "content-encoding")


class FastPath:
    """See the module. django: who answers everything else."""

    def __init__(self, django: Application, routes: Sequence[FastRoute]) -> None:
        self._django = django
        self._routes = routes
        self._exact: dict[tuple[str, str], FastRoute] = {}
        self._by_prefix: dict[tuple[str, str], FastRoute] = {}
        for route in routes:
            prefix, brace, _ = route.path.partition("{")
            (self._by_prefix if brace else self._exact)[route.method, prefix] = route
        self._usual = UsualHeaders()

    def before(self, django: Application) -> "FastPath":
        """The same routes in front of another application."""
        return FastPath(django, self._routes)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request, or have Django answer it."""
        found = self._find(scope["method"], scope["path"])
        headers = None if found is None or scope.get("root_path") else plain_headers(scope)
        usual = None if headers is None else self._usual.of(scope, headers)
        if found is None or headers is None or usual is None:
            await self._django(scope, receive, send)
            return
        route, argument = found
        origin, usual_headers = usual
        request = FastRequest(
            method=route.method,
            path=scope["path"],
            query_string=scope["query_string"].decode("latin-1"),
            headers=headers,
            peer=scope["client"][0] if scope.get("client") else "",
            argument=argument,
            origin=origin,
        )
        if route.method == "POST":
            messages, whole = await read_body(receive)
            receive = replayed(messages, receive)
            if whole is None or headers.get("content-type", "").lower() not in JSON_TYPES:
                await self._django(scope, receive, send)
                return
            request.body = whole
        observe.HTTP_IN_FLIGHT.inc()
        try:
            outcome = await gathered(route, request)
            if not isinstance(outcome, LeaveToDjango):
                await answer(route, request, outcome, usual_headers, send, whole_writer(scope))
                return
        finally:
            observe.HTTP_IN_FLIGHT.dec()
        await self._django(scope, receive, send)

    def _find(self, method: str, path: str) -> tuple[FastRoute, str] | None:
        route = self._exact.get((method, path))
        if route is not None:
            return route, ""
        head, slash, argument = path.rpartition("/")
        route = self._by_prefix.get((method, head + slash))
        if route is None or not argument or argument in route.reserved or "\x00" in argument:
            return None
        return route, argument


def plain_headers(scope: Mapping[str, Any]) -> dict[str, str] | None:
    """The headers by name; None where one came twice or is not for the fast path."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    if len(headers) != len(scope["headers"]) or any(name in headers for name in FOREIGN):
        return None
    if settings.SESSION_COOKIE_NAME in headers.get("cookie", ""):
        return None
    return headers


async def read_body(receive: Receive) -> tuple[list[MutableMapping[str, Any]], bytes | None]:
    """What came of the body, and the body; None where it is large or the client has gone."""
    messages = []
    size = 0
    while True:
        message = await receive()
        messages.append(message)
        if message["type"] != "http.request":
            return messages, None
        size += len(message.get("body", b""))
        if size > MAX_BODY_BYTES:
            return messages, None
        if not message.get("more_body"):
            return messages, b"".join(one.get("body", b"") for one in messages)


def replayed(messages: list[MutableMapping[str, Any]], receive: Receive) -> Receive:
    """A `receive` that gives what was read already, then what still comes."""
    waiting = list(messages)

    async def receive_again() -> MutableMapping[str, Any]:
        return waiting.pop(0) if waiting else await receive()

    return receive_again


async def gathered(route: FastRoute, request: FastRequest) -> Outcome:
    """What the route makes of it, together with all that came at the same time."""
    waiting: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def done(outcome: Outcome) -> None:
        if not waiting.done():
            waiting.set_result(outcome)

    # One writer: two batches of half the size cost more, and wait for each other.
    batcher = runtime().batcher(route.serve, writers=1, longest_gather_s=route.longest_gather_s)
    batcher.submit(None, request, done)
    return await waiting


async def answer(
    route: FastRoute,
    request: FastRequest,
    outcome: FastAnswer | AppError,
    usual: Headers,
    send: Send,
    write: WriteAnswer | None,
) -> None:
    """Send the answer, count it, and write its line in the access log.

    write: what the server offers for answers that are all there.
    """
    if isinstance(outcome, AppError):
        outcome = route.refusal(request, outcome)
    seconds = time.perf_counter() - request.started_at
    headers = [
        (b"content-type", outcome.content_type.encode()),
        (b"content-length", b"%d" % len(outcome.body)),
        *usual,
        *((name.lower().encode(), text.encode()) for name, text in outcome.headers.items()),
        *figures(request, seconds),
        (b"x-request-id", request.id.encode()),
    ]
    if write is None or not write(outcome.status, headers, outcome.body):
        await send({"type": "http.response.start", "status": outcome.status, "headers": headers})
        await send({"type": "http.response.body", "body": outcome.body})
    observe.answered(
        method=route.method,
        route=route.pattern,
        path=request.full_path,
        status=outcome.status,
        seconds=seconds,
        user_id=None if request.user is None else request.user.public_id,
        request_id=request.id,
    )


def figures(request: FastRequest, seconds: float) -> Iterator[tuple[bytes, bytes]]:
    """What is left of the bucket, and for those who may see it where the time went."""
    allowance = request.allowance
    if allowance.limit:
        yield b"ratelimit-limit", b"%d" % allowance.limit
        yield b"ratelimit-remaining", b"%d" % allowance.remaining
        yield b"ratelimit-reset", b"%d" % allowance.reset_s
    if settings.PROFILE == "local" or is_staff(request.user):
        yield b"server-timing", server_timing(seconds, request.queries).encode()
