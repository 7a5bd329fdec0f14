"""WebSocket frames as bytes: what a hub builds once and hands to every transport as it is."""

from collections.abc import Callable
from typing import Protocol

EXTENSION = "marketplace.frames"
TEXT_FRAME = 0x81
LARGEST_SHORT = 125
LARGEST_MEDIUM = 0xFFFF


class FrameWriter(Protocol):
    """What a server puts into `scope["extensions"]["marketplace.frames"]` of a WebSocket.

    `on_text` and `on_close` may be set before the connection is accepted. Then whole messages go
    straight to `on_text` (`str` for text, `bytes` for binary) instead of `receive()`, and
    `on_close` hears the close code once. `receive()` still ends with `websocket.disconnect`. Both
    are called on the event loop and must not block.
    """

    on_text: Callable[[str | bytes], None] | None
    on_close: Callable[[int], None] | None

    def write(self, data: bytes) -> None:
        """Hand over ready frames, one or several joined; nothing happens on a closed connection."""

    def buffered(self) -> int:
        """Bytes that the peer has not taken yet, beyond what the kernel holds."""

    def abort(self) -> None:
        """Drop the TCP connection at once; the client sees 1006."""

    def close(self, code: int) -> None:
        """Send a close frame with any code, wait for the answer, then close TCP."""


def text_frame(payload: bytes) -> bytes:
    """One unmasked, unfragmented text frame: what a server sends to a client."""
    size = len(payload)
    if size <= LARGEST_SHORT:
        return b"\x81" + size.to_bytes(1, "big") + payload
    if size <= LARGEST_MEDIUM:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload
