"""What a frame adapter is: bytes to calls, and back. It knows no event of any domain."""

import json
import re
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from marketplace.core.jsontext import read_json

if TYPE_CHECKING:
    from marketplace.core.errors import AppError
    from marketplace.events.live import LiveEvent
    from marketplace.realtime.session import Membership, Session
    from marketplace.realtime.topic import TopicRef


_SURROGATE = re.compile("[\ud800-\udfff]")


def read_leniently(data: str | bytes) -> Any:
    """The value of JSON whose text is no Unicode, mended: enough to see whom to answer.

    `read_json` has refused it for that alone. Raises MalformedRequest for anything else.
    """
    try:
        text = json.dumps(json.loads(data), ensure_ascii=False)
    except (ValueError, RecursionError):
        return read_json(data)
    return read_json(_SURROGATE.sub("\ufffd", text))


class Ref(NamedTuple):
    """What a client calls its request: echoed in the reply. An empty topic is none."""

    topic: str
    ref: Any = None
    join_ref: str | None = None


class Wire(Protocol):
    """One protocol version. All methods are pure but for `receive`, which calls the session."""

    name: ClassVar[str]
    dialect: ClassVar[str]
    # Whether durable events go out by their log names, with canonical payloads.
    speaks_log: ClassVar[bool]
    # Whether a connection is there for one topic, and ends with the right to it.
    one_topic: ClassVar[bool]
    # Whether who joins is pushed `presence_state`; the others have `online` in their reply alone.
    has_presence_state: ClassVar[bool]

    def receive(self, session: "Session", data: str | bytes) -> None:
        """Understand one frame and call the session."""

    def refuse(self, session: "Session", data: str | bytes, error: "AppError") -> None:
        """Answer one frame with this refusal, by its ref where it has one."""

    def event(self, topic: str, name: str, payload: bytes) -> bytes:
        """An event for everybody who speaks this protocol; the same bytes for all."""

    def log_event(self, event: "LiveEvent") -> bytes:
        """A durable event by its log name; only where `speaks_log`."""

    def reply_ok(self, ref: Ref, response: bytes) -> bytes:
        """A request has been done."""

    def reply_error(self, ref: Ref, error: "AppError", *, reason: str, request_id: str) -> bytes:
        """A request has been refused."""

    def fault(self, error: "AppError", *, request_id: str) -> bytes | None:
        """A refusal that belongs to no request, or None where the protocol has no words for it."""

    def left(self, ref: Ref, membership: "Membership | None") -> list[bytes]:
        """A topic has been left by the client's wish."""

    def replaced(self, membership: "Membership", *, by: "TopicRef") -> bytes | None:
        """A topic has been joined again: what the older channel hears."""

    def removed(self, membership: "Membership", reason: str) -> bytes:
        """The right to a topic has ended."""

    def crashed(self, membership: "Membership") -> bytes | None:
        """A fault of ours has ended a channel; the client joins again."""

    def push(self, membership: "Membership", name: str, payload: dict[str, Any]) -> bytes | None:
        """Something for this one member alone."""

    def notice(self, name: str, payload: dict[str, Any]) -> bytes | None:
        """A control event of the connection, or None where the protocol has no place for it."""

    def heartbeat(self, latest: dict[str, int]) -> bytes | None:
        """The newest seqs, sent every 30 s; None where the client asks for them."""
