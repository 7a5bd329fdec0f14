"""An answer of HTTP written whole, where the server offers it: one write instead of two messages.

ASGI has a server look at each header of each answer, which takes it longer than all else that it
does for a short one.
"""

from collections.abc import Sequence
from typing import Any, Protocol

EXTENSION = "marketplace.answer"


class WriteAnswer(Protocol):
    """What a server puts into `scope["extensions"]["marketplace.answer"]` of a request."""

    def __call__(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, /) -> bool:
        """Write a whole answer, whose headers name its length, if that can be done at once.

        False: nothing was written, and it goes ASGI's way. Raises ValueError for a header that
        would end another one.
        """


def head_lines(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The lines of these headers. Raises ValueError where one has a line break of its own."""
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    if lines.count(b"\n") != len(headers) or lines.count(b"\r") != len(headers):
        raise ValueError("A header has no line breaks.")
    return lines


def whole_writer(scope: Any) -> WriteAnswer | None:
    """What the server of this request offers."""
    writer: WriteAnswer | None = (scope.get("extensions") or {}).get(EXTENSION)
    return writer
