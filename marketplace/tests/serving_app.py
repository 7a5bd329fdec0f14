"""A small ASGI application to test servers with: no Django, every behaviour by its path."""

import asyncio
import gc
import sys
from typing import Any

from marketplace.realtime.frames import EXTENSION, text_frame
from marketplace.serving.answers import whole_writer
from marketplace.serving.websocket import Application, Message

members: set[Any] = set()


async def application(scope: Message, receive: Any, send: Any) -> None:
    """Answer what the tests ask for."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "http":
        await _http(scope, receive, send)
    else:
        await SOCKETS.get(scope["path"], _refuse)(scope, receive, send)


async def _lifespan(receive: Any, send: Any) -> None:
    for step in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{step}.complete"})


async def _http(scope: Message, receive: Any, send: Any) -> None:
    if scope["path"] == "/fail":
        raise RuntimeError("as asked")
    if scope["path"] == "/body":
        while (await receive()).get("more_body"):
            pass
    if scope["path"] == "/slow":
        await asyncio.sleep(1.0)
    if scope["path"] == "/whole" and _answered_whole(scope):
        return
    if scope["path"] == "/requests":
        await _tell(send, b"%d" % _living_requests())
        return
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
        if scope["path"] != "/flood"
        else {"type": "http.response.start", "status": 200, "headers": []}
    )
    if scope["path"] == "/flood":
        while (await _ask_disconnect(receive)) is False:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        return
    await send({"type": "http.response.body", "body": b"ok"})


def _answered_whole(scope: Message) -> bool:
    """By the server's own way, where it offers one; the query is a header's value."""
    write = whole_writer(scope)
    way = scope["query_string"].replace(b"+", b"\r\n") or b"whole"
    headers = [(b"content-length", b"2"), (b"x-way", way)]
    return write is not None and write(200, headers, b"ok")


async def _tell(send: Any, body: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def _living_requests() -> int:
    """How many requests of uvicorn are in memory; garbage is not collected from now on."""
    gc.disable()
    return sum(type(one).__name__ == "RequestResponseCycle" for one in gc.get_objects())


async def _ask_disconnect(receive: Any) -> bool:
    try:
        message = await asyncio.wait_for(receive(), timeout=0.001)
    except TimeoutError:
        return False
    return bool(message["type"] == "http.disconnect")


async def _refuse(_scope: Message, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.close"})


async def _echo(scope: Message, receive: Any, send: Any) -> None:
    """Text, bytes and close codes by the ASGI queue."""
    await receive()
    offered = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": offered[0] if offered else None})
    while (message := await receive())["type"] == "websocket.receive":
        text = message.get("text")
        if text is not None and text.startswith("close "):
            await send({"type": "websocket.close", "code": int(text.removeprefix("close "))})
        elif text == "crash":
            raise RuntimeError("as asked")
        else:
            await send({**message, "type": "websocket.send"})


async def _direct(scope: Message, receive: Any, send: Any) -> None:
    """The push path: frames by callback, answers as ready bytes."""
    writer = scope["extensions"][EXTENSION]
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def hear(content: str | bytes) -> None:
        if isinstance(content, bytes):
            content = f"{len(content)} bytes"
        if content.startswith("close "):
            writer.close(int(content.removeprefix("close ")))
        elif content == "abort":
            writer.abort()
        elif content == "flood":
            asyncio.get_running_loop().create_task(flood())
        elif content == "crash":
            raise RuntimeError("as asked")
        else:
            writer.write(text_frame(content.encode()))

    async def flood() -> None:
        while not ended.done():
            for _ in range(20):
                writer.write(text_frame(b"x" * 65536))
            await asyncio.sleep(0.01)

    writer.on_text = hear
    writer.on_close = ended.set_result
    await receive()
    await send({"type": "websocket.accept"})
    sys.stdout.write(f"closed {await ended}\n")
    sys.stdout.flush()


async def _broadcast(scope: Message, receive: Any, send: Any) -> None:
    """Every text goes to every member, as a room does."""
    writer = scope["extensions"][EXTENSION]
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def hear(content: str | bytes) -> None:
        frame = text_frame(content.encode() if isinstance(content, str) else content)
        for member in members:
            member.write(frame)

    writer.on_text = hear
    writer.on_close = ended.set_result
    await receive()
    await send({"type": "websocket.accept"})
    members.add(writer)
    try:
        await ended
    finally:
        members.discard(writer)


async def _never(_scope: Message, receive: Any, _send: Any) -> None:
    """Neither accept nor refuse."""
    while (await receive())["type"] != "websocket.disconnect":
        pass


SOCKETS: dict[str, Application] = {
    "/echo": _echo,
    "/direct": _direct,
    "/broadcast": _broadcast,
    "/never": _never,
}
