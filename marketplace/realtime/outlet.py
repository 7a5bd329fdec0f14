"""Where a session's frames go: straight to the transport, or through the server's `send`.

Both are bounded: a peer that does not read is cut off with a code that says "come back and resume".
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from marketplace.realtime.frames import FrameWriter, text_frame

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from marketplace.realtime.hub import Encoded

WAITING_EVENTS = 256
WAITING_BYTES = 1024 * 1024
CLOSE_GRACE_S = 5.0


class Outlet(Protocol):
    """The way out of one connection. `send` says False once the peer has fallen too far behind."""

    def send(self, encoded: "Encoded") -> bool:
        """Write what is shared by many."""

    def send_own(self, texts: list[bytes]) -> bool:
        """Write what is for this connection alone."""

    def close(self, code: int) -> None:
        """End the connection with this code, after what was written."""


class DirectOutlet:
    """Ready frames, written by the server's own transport; all of one commit in one write."""

    __slots__ = ("_count", "_loop", "_writer")

    def __init__(self, writer: FrameWriter, loop: asyncio.AbstractEventLoop) -> None:
        self._writer = writer
        self._loop = loop
        self._count = 0

    def send(self, encoded: "Encoded") -> bool:
        """Write the shared bytes."""
        self._writer.write(encoded.framed)
        return self._keeps_up(len(encoded.texts))

    def send_own(self, texts: list[bytes]) -> bool:
        """Frame and write; several texts leave as one write."""
        if len(texts) == 1:
            self._writer.write(text_frame(texts[0]))
        else:
            self._writer.write(b"".join([text_frame(text) for text in texts]))
        return self._keeps_up(len(texts))

    def send_both(self, texts: list[bytes], encoded: "Encoded") -> bool:
        """Own texts and shared bytes in one write."""
        self._writer.write(b"".join([text_frame(text) for text in texts]) + encoded.framed)
        return self._keeps_up(len(texts) + len(encoded.texts))

    def close(self, code: int) -> None:
        """Close; a peer that does not even take the close frame is dropped a little later."""
        self._writer.close(code)
        self._loop.call_later(CLOSE_GRACE_S, self._writer.abort)

    def _keeps_up(self, count: int) -> bool:
        buffered = self._writer.buffered()
        if not buffered:
            self._count = 0
            return True
        self._count += count
        return self._count <= WAITING_EVENTS and buffered <= WAITING_BYTES


class QueuedOutlet:
    """For servers without our extension: one task per busy connection writes message by message."""

    __slots__ = ("_bytes", "_loop", "_queue", "_send", "_task")

    def __init__(
        self, send: "Callable[[dict[str, Any]], Awaitable[None]]", loop: asyncio.AbstractEventLoop
    ) -> None:
        self._send = send
        self._loop = loop
        self._queue: deque[bytes | int] = deque()
        self._bytes = 0
        self._task: asyncio.Task[None] | None = None

    def send(self, encoded: "Encoded") -> bool:
        """Queue the shared texts."""
        return self.send_own(encoded.texts)

    def send_own(self, texts: list[bytes]) -> bool:
        """Queue these texts."""
        self._queue.extend(texts)
        self._bytes += sum(map(len, texts))
        self._start()
        return len(self._queue) <= WAITING_EVENTS and self._bytes <= WAITING_BYTES

    def close(self, code: int) -> None:
        """Close after what is queued; one that has fallen behind is closed at once."""
        if len(self._queue) > WAITING_EVENTS or self._bytes > WAITING_BYTES:
            self._queue.clear()
            if self._task is not None:
                self._task.cancel()
                self._task = None
        self._queue.append(code)
        self._start()

    def _start(self) -> None:
        if self._task is None:
            self._task = self._loop.create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._queue:
                item = self._queue.popleft()
                if isinstance(item, int):
                    await self._send({"type": "websocket.close", "code": item})
                    return
                self._bytes -= len(item)
                await self._send({"type": "websocket.send", "text": item.decode()})
        except Exception:  # noqa: BLE001  # each server has its own way to say it
            self._queue.clear()  # the peer is gone; its disconnect ends the session
        finally:
            self._task = None
