"""The frames that a server itself sends and reads (RFC 6455); text frames are realtime's."""

from marketplace.realtime.frames import EXTENSION, FrameWriter, text_frame

__all__ = [
    "EXTENSION",
    "FrameWriter",
    "binary_frame",
    "close_frame",
    "is_close_code",
    "ping_frame",
    "pong_frame",
    "text_frame",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
LARGEST_CONTROL = 125
CLOSE_CODES_OF_PEERS = frozenset(
    {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}
)


def binary_frame(payload: bytes) -> bytes:
    """One unmasked, unfragmented binary frame."""
    return b"\x82" + text_frame(payload)[1:]


def close_frame(code: int | None) -> bytes:
    """A close frame; without a code it has an empty body."""
    return b"\x88\x00" if code is None else b"\x88\x02" + code.to_bytes(2, "big")


def ping_frame() -> bytes:
    """A ping without payload: any data from the peer answers it."""
    return b"\x89\x00"


def pong_frame(payload: bytes) -> bytes:
    """The answer to a ping, with its payload."""
    return b"\x8a" + len(payload).to_bytes(1, "big") + payload


def is_close_code(code: int) -> bool:
    """Whether a peer may put this code on the wire."""
    return code in CLOSE_CODES_OF_PEERS or 3000 <= code <= 4999
