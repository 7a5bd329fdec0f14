"""Phoenix Channels, serializers v1 (objects) and v2 (arrays), as the official clients speak them.

Every push gets exactly one reply. Frames: docs/realtime.md; protocol: Phoenix' `Socket.Message`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs

import orjson

from marketplace.core.errors import AppError, MalformedRequest, ValidationFailed, error_body
from marketplace.core.jsontext import read_json
from marketplace.events.live import LiveEvent
from marketplace.realtime import codes
from marketplace.realtime.connection import ConnectionConsumer
from marketplace.realtime.session import Session, UnmatchedTopic, since_of
from marketplace.realtime.wire import Ref, Wire, read_leniently

if TYPE_CHECKING:
    from marketplace.realtime.session import Membership
    from marketplace.realtime.topic import TopicRef

ReadJson = Callable[[str | bytes], Any]

SUBPROTOCOL = "phoenix"
PUSH = 0
REF_CHARACTERS = 128


class PhoenixWire:
    """What both versions share: the meaning of a message; each version has its frames."""

    name: ClassVar[str]
    dialect: ClassVar[str] = "phoenix"
    speaks_log: ClassVar[bool] = False
    one_topic: ClassVar[bool] = False
    has_presence_state: ClassVar[bool] = True
    names_channels: ClassVar[bool]

    def receive(self, session: Session, data: str | bytes) -> None:
        """Understand one frame and call the session; what is none ends the connection with 4003."""
        try:
            join_ref, ref, topic, event, payload = self.read(data)
        except ValidationFailed as error:
            # A frame, with a text in it that is none: a wrong value like any other.
            self.refuse(session, data, error)
            return
        except AppError:
            session.close(codes.NOT_UNDERSTOOD)
            return
        where = Ref(topic, ref, join_ref)
        if event == "heartbeat" and topic == "phoenix":
            session.reply_ok(where, {"latest": session.runtime.latest_of(session)})
        elif event == "phx_join":
            session.do(self._join, session, where, payload)
        elif event == "phx_leave":
            session.do(self._leave, session, where)
        else:
            session.do(self._push, session, where, event, payload)

    def refuse(self, session: Session, data: str | bytes, error: AppError) -> None:
        """Every push gets its reply, a refused one too; what is no push ends the connection."""
        try:
            join_ref, ref, topic, _, _ = self.read(data, read_leniently)
        except AppError:
            session.close(codes.NOT_UNDERSTOOD)
            return
        session.reply_error(Ref(topic, ref, join_ref), error, None, "")

    def read(self, data: str | bytes, read_text: ReadJson = read_json) -> "Message":
        """One message. Raises MalformedRequest, ValidationFailed for text that is no Unicode."""
        raise NotImplementedError

    def message(
        self, join_ref: str | None, ref: str | None, topic: str, event: str, payload: bytes
    ) -> bytes:
        """One message to a client."""
        raise NotImplementedError

    def _join(self, session: Session, where: Ref, payload: Any) -> Any:
        params = payload if isinstance(payload, dict) else {}
        token = params.get("token")
        # v1 sends no join_ref: there the ref of the join is the name of the channel.
        where = Ref(where.topic, where.ref, where.join_ref or where.ref)
        try:
            since, epoch = since_of(params)
        except AppError as error:
            session.reply_error(where, error, None, "")
            return None
        token = token if isinstance(token, str) else None
        return session.join(where.topic, where, token=token, since=since, epoch=epoch)

    def _leave(self, session: Session, where: Ref) -> None:
        membership = session.memberships.get(where.topic)
        if membership is not None and self._is_stale(membership, where):
            return
        session.leave(where.topic, where)

    def _push(self, session: Session, where: Ref, event: str, payload: Any) -> Any:
        membership = session.memberships.get(where.topic)
        if membership is None:
            session.reply_error(Ref(where.topic, where.ref), UnmatchedTopic(), None, "")
            return None
        if self._is_stale(membership, where):
            return None
        where = Ref(where.topic, where.ref, membership.join_ref)
        if payload is None:
            payload = {}
        if not isinstance(payload, dict):
            if isinstance(payload, str):
                payload = {"id": payload}
            else:
                error = MalformedRequest("The payload must be an object.")
                session.reply_error(where, error, None, "")
                return None
        return session.command(membership, event, payload, where)

    def _is_stale(self, membership: "Membership", where: Ref) -> bool:
        """A message of an older channel of the same topic; without a join_ref it is of this one."""
        return where.join_ref is not None and where.join_ref != membership.join_ref

    def event(self, topic: str, name: str, payload: bytes) -> bytes:
        """A broadcast; the same bytes for everybody."""
        return self.message(None, None, topic, name, payload)

    def log_event(self, event: LiveEvent) -> bytes:
        """This protocol speaks names of its own."""
        raise NotImplementedError

    def reply_ok(self, ref: Ref, response: bytes) -> bytes:
        """A push has been done."""
        return self.message(
            ref.join_ref, ref.ref, ref.topic, "phx_reply",
            b'{"status":"ok","response":' + response + b"}",
        )  # fmt: skip

    def reply_error(self, ref: Ref, error: AppError, *, reason: str, request_id: str) -> bytes:
        """A push has been refused: E, with the word that clients compare in `reason`."""
        response = error_body(error) | {"reason": reason}
        if request_id:
            response["request_id"] = request_id
        return self.message(
            ref.join_ref, ref.ref, ref.topic, "phx_reply",
            b'{"status":"error","response":' + orjson.dumps(response) + b"}",
        )  # fmt: skip

    def fault(self, error: AppError, *, request_id: str) -> None:
        """The protocol has no words for a refusal without a push."""
        return

    def left(self, ref: Ref, membership: "Membership | None") -> list[bytes]:
        """Reply first, then the channel's end."""
        told = [self.reply_ok(ref, b"{}")]
        if membership is not None:
            told.append(self._close(membership))
        return told

    def replaced(self, membership: "Membership", *, by: "TopicRef") -> bytes | None:
        """The older channel hears its end.

        On v1 only where it had another name: without a join_ref it would close the new channel.
        """
        if not self.names_channels and membership.ref.spelled == by.spelled:
            return None
        return self._close(membership)

    def removed(self, membership: "Membership", reason: str) -> bytes:
        """The final end of a channel: the client does not rejoin."""
        return self._close(membership)

    def crashed(self, membership: "Membership") -> bytes:
        """A fault of ours: the client rejoins by itself."""
        return self.message(
            membership.join_ref, membership.join_ref, membership.ref.spelled, "phx_error",
            b'{"reason":"channel_crash"}',
        )  # fmt: skip

    def _close(self, membership: "Membership") -> bytes:
        return self.message(
            membership.join_ref, membership.join_ref, membership.ref.spelled, "phx_close", b"{}"
        )

    def push(self, membership: "Membership", name: str, payload: dict[str, Any]) -> bytes:
        """A push to this one member."""
        return self.message(
            membership.join_ref, None, membership.ref.spelled, name, orjson.dumps(payload)
        )

    def notice(self, name: str, payload: dict[str, Any]) -> bytes:
        """A control event; clients without a channel of that name pass it over."""
        return self.message(None, None, "phoenix", name, orjson.dumps(payload))

    def heartbeat(self, latest: dict[str, int]) -> None:
        """The newest seqs stand in the reply to the client's own heartbeat."""
        return


class PhoenixV1(PhoenixWire):
    """Objects; outgoing ones carry no join_ref."""

    name = "phoenix-v1"
    names_channels = False

    def read(self, data: str | bytes, read_text: ReadJson = read_json) -> "Message":
        """`{"topic","event","payload","ref"}`, a `join_ref` may stand beside them."""
        if isinstance(data, bytes):
            raise MalformedRequest
        frame = read_text(data)
        if not isinstance(frame, dict):
            raise MalformedRequest
        topic, event = frame.get("topic"), frame.get("event")
        if not isinstance(topic, str) or not isinstance(event, str):
            raise MalformedRequest
        return (
            ref_of(frame.get("join_ref")),
            ref_of(frame.get("ref")),
            topic,
            event,
            frame.get("payload"),
        )

    def message(
        self, join_ref: str | None, ref: str | None, topic: str, event: str, payload: bytes
    ) -> bytes:
        """One object."""
        head = orjson.dumps({"topic": topic, "event": event, "ref": ref})
        return head[:-1] + b',"payload":' + payload + b"}"


class PhoenixV2(PhoenixWire):
    """Arrays `[join_ref, ref, topic, event, payload]`, and binary pushes."""

    name = "phoenix-v2"
    names_channels = True

    def read(self, data: str | bytes, read_text: ReadJson = read_json) -> "Message":
        """Five items, or the binary form."""
        if isinstance(data, bytes):
            return _read_binary(data, read_text)
        frame = read_text(data)
        if not isinstance(frame, list) or len(frame) != 5:
            raise MalformedRequest
        join_ref, ref, topic, event, payload = frame
        if not isinstance(topic, str) or not isinstance(event, str):
            raise MalformedRequest
        return ref_of(join_ref), ref_of(ref), topic, event, payload

    def message(
        self, join_ref: str | None, ref: str | None, topic: str, event: str, payload: bytes
    ) -> bytes:
        """One array."""
        return orjson.dumps([join_ref, ref, topic, event])[:-1] + b"," + payload + b"]"


# join_ref, ref, topic, event and payload of one message.
Message = tuple[str | None, str | None, str, str, Any]


def _read_binary(data: bytes, read_text: ReadJson) -> Message:
    """`00 jr_len ref_len topic_len event_len`, the four texts, then the payload, which is JSON."""
    if len(data) < 5 or data[0] != PUSH:
        raise MalformedRequest
    lengths, rest = data[1:5], data[5:]
    if len(rest) < sum(lengths):
        raise MalformedRequest
    texts = []
    for length in lengths:
        try:
            texts.append(rest[:length].decode())
        except UnicodeDecodeError as error:
            raise MalformedRequest from error
        rest = rest[length:]
    join_ref, ref, topic, event = texts
    try:
        payload = read_text(rest) if rest else {}
    except ValidationFailed:
        raise
    except AppError:
        payload = BINARY  # not JSON: refused by its reply, not by the connection's end
    return join_ref or None, ref or None, topic, event, payload


BINARY: list[Any] = []


def ref_of(value: Any) -> str | None:
    """A ref as text; a number is one too. Raises MalformedRequest for what is neither."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and len(value) <= REF_CHARACTERS:
        return value
    raise MalformedRequest


V1: Wire = PhoenixV1()
V2: Wire = PhoenixV2()


class PhoenixConsumer(ConnectionConsumer):
    """`/socket/websocket`."""

    def wire_of(self, scope: dict[str, Any]) -> Wire | None:
        """`vsn` 2.x is v2; 1.x or none is v1, as the raw sockets of Realtime Market speak it."""
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        version = query.get("vsn", ["1.0.0"])[0]
        if version.startswith("2."):
            return V2
        return V1 if version.startswith("1.") else None

    def subprotocol_of(self, scope: dict[str, Any]) -> str | None:
        """`phoenix`, where the client offers it."""
        return SUBPROTOCOL if SUBPROTOCOL in scope.get("subprotocols", []) else None
