"""Plain JSON frames: one object each. The topic stands in the frame, or is fixed by the URL.

`{"type":"join","topic":"room:…","since":12,"ref":"1"}` and its answers: docs/realtime.md.
"""

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs

import orjson

from marketplace.core.context import request_id
from marketplace.core.errors import (
    AppError,
    Invalid,
    MalformedRequest,
    ValidationFailed,
    error_body,
)
from marketplace.core.jsontext import read_json
from marketplace.events.live import LiveEvent
from marketplace.realtime import codes
from marketplace.realtime.connection import ConnectionConsumer
from marketplace.realtime.session import Session, UnmatchedTopic, since_of
from marketplace.realtime.topic import guest_topics
from marketplace.realtime.wire import Ref, Wire, read_leniently

if TYPE_CHECKING:
    from marketplace.realtime.session import Membership
    from marketplace.realtime.topic import TopicRef

HEARTBEAT_S = 30


class PlainWire:
    """The open form, `/ws/`: every frame names its topic."""

    name: ClassVar[str] = "plain"
    dialect: ClassVar[str] = "plain"
    speaks_log: ClassVar[bool] = False
    one_topic: ClassVar[bool] = False
    has_presence_state: ClassVar[bool] = False

    def receive(self, session: Session, data: str | bytes) -> None:
        """Understand one frame and call the session."""
        if isinstance(data, bytes):
            session.misunderstood(MalformedRequest("Binary frames are not understood here."))
            return
        try:
            frame = read_frame(data)
        except ValidationFailed as error:
            # A frame, with a text in it that is none: a wrong value like any other.
            self.refuse(session, data, error)
            return
        except AppError as error:
            session.misunderstood(error)
            return
        kind = frame.get("type")
        if self.one_topic and kind in ("join", "leave"):
            refusal = Invalid("The topic of this address is fixed.")
            session.reply_error(self.ref_of(session, frame), refusal, None, "")
        elif kind == "event":
            self._event(session, frame)
        elif kind == "join":
            session.do(self._join, session, frame)
        elif kind == "leave":
            topic = self.topic_of(session, frame)
            session.do(session.leave, topic, Ref(topic, frame.get("ref")))
        elif kind == "ping":
            session.send([orjson.dumps({"type": "pong", "ref": echo(frame.get("ref"))})])
        elif kind == "access_token":
            session.do(session.refresh, frame, Ref("", frame.get("ref")))
        else:
            session.misunderstood(
                Invalid("The type of this frame is not known.", type=_short(kind))
            )

    def refuse(self, session: Session, data: str | bytes, error: AppError) -> None:
        """A reply to the frame's ref, else an `error` frame."""
        try:
            found = read_leniently(data) if isinstance(data, str) else {}
        except AppError:
            found = {}
        frame = found if isinstance(found, dict) else {}
        session.reply_error(self.ref_of(session, frame), error, None, "")

    def ref_of(self, session: Session, frame: dict[str, Any]) -> Ref:
        """What the frame calls itself."""
        return Ref(self.topic_of(session, frame), frame.get("ref"))

    def topic_of(self, session: Session, frame: dict[str, Any]) -> str:
        """The topic that the frame names."""
        topic = frame.get("topic")
        return topic if isinstance(topic, str) else ""

    def _event(self, session: Session, frame: dict[str, Any]) -> None:
        topic = self.topic_of(session, frame)
        ref = Ref(topic, frame.get("ref"))
        name, payload = frame.get("event"), frame.get("payload")
        if payload is None:
            payload = {}
        elif isinstance(payload, str):
            payload = {"id": payload}
        if not isinstance(name, str) or not isinstance(payload, dict):
            error = MalformedRequest("An event has a name and an object as payload.")
            session.reply_error(ref, error, None, "")
            return
        session.do(self._command, session, topic, name, payload, ref)

    def _command(
        self, session: Session, topic: str, name: str, payload: dict[str, Any], ref: Ref
    ) -> Any:
        if not topic:
            # Asked again now: the join that a one-topic URL makes may have come in between.
            topic = self.topic_of(session, {})
            ref = Ref(topic, ref.ref)
        membership = session.memberships.get(topic)
        if membership is None:
            session.reply_error(ref, UnmatchedTopic(), None, "")
            return None
        return session.command(membership, name, payload, ref)

    def _join(self, session: Session, frame: dict[str, Any]) -> Any:
        topic = self.topic_of(session, frame)
        ref = Ref(topic, frame.get("ref"))
        payload = frame.get("payload")
        payload = payload if isinstance(payload, dict) else {}
        try:
            since, epoch = since_of(payload | frame)
        except AppError as error:
            session.reply_error(ref, error, None, "")
            return None
        token = payload.get("token")
        return session.join(
            topic, ref, token=token if isinstance(token, str) else None, since=since, epoch=epoch
        )

    def event(self, topic: str, name: str, payload: bytes) -> bytes:
        """An event; the same bytes for everybody."""
        head = orjson.dumps({"type": "event", "topic": topic, "event": name})
        return head[:-1] + b',"payload":' + payload + b"}"

    def log_event(self, event: LiveEvent) -> bytes:
        """This protocol speaks names of its own."""
        raise NotImplementedError

    def reply_ok(self, ref: Ref, response: bytes) -> bytes:
        """A request has been done."""
        head = {"type": "reply", "ref": echo(ref.ref), "topic": ref.topic or None, "status": "ok"}
        return orjson.dumps(head)[:-1] + b',"response":' + response + b"}"

    def reply_error(self, ref: Ref, error: AppError, *, reason: str, request_id: str) -> bytes:
        """A request has been refused."""
        if ref.ref is None:
            return self.fault(error, request_id=request_id)
        frame = {
            "type": "reply",
            "ref": echo(ref.ref),
            "topic": ref.topic or None,
            "status": "error",
        }
        return orjson.dumps(frame | {"response": body(error, request_id)})

    def fault(self, error: AppError, *, request_id: str) -> bytes:
        """A refusal that belongs to no request."""
        return orjson.dumps({"type": "error", "error": body(error, request_id)})

    def left(self, ref: Ref, membership: "Membership | None") -> list[bytes]:
        """A topic has been left."""
        return [self.reply_ok(ref, b"{}")]

    def replaced(self, membership: "Membership", *, by: "TopicRef") -> None:
        """A second join replaces the first without a word."""
        return

    def removed(self, membership: "Membership", reason: str) -> bytes:
        """The right to a topic has ended."""
        topic = membership.ref.spelled
        payload = orjson.dumps({"topic": topic, "reason": reason})
        return self.event(topic, "removed", payload)

    def crashed(self, membership: "Membership") -> None:
        """The error reply has said it; the topic stays joined."""
        return

    def push(self, membership: "Membership", name: str, payload: dict[str, Any]) -> bytes | None:
        """Something for this one connection; presence in Phoenix' form is not spoken here."""
        if name.startswith("presence_"):
            return None
        return self.event(membership.ref.spelled, name, orjson.dumps(payload))

    def notice(self, name: str, payload: dict[str, Any]) -> bytes:
        """A control event of the connection."""
        return orjson.dumps({"type": "event", "topic": None, "event": name, "payload": payload})

    def heartbeat(self, latest: dict[str, int]) -> bytes:
        """The newest seqs: this finds the loss of the last event."""
        return orjson.dumps({"type": "heartbeat", "latest": latest})


class _NoRef:
    """Stands for "a reply is due and has no ref": the join that a one-topic URL makes itself."""


FIXED_REF = _NoRef()


class FixedWire(PlainWire):
    """A one-topic URL: the same frames, the topic may be left out, join and leave are refused."""

    one_topic: ClassVar[bool] = True

    def topic_of(self, session: Session, frame: dict[str, Any]) -> str:
        """The one topic, whatever the frame leaves out."""
        topic = frame.get("topic")
        if isinstance(topic, str):
            return topic
        return next(iter(session.memberships), "")

    def reply_ok(self, ref: Ref, response: bytes) -> bytes:
        """The reply to the join that the URL made has no ref."""
        if ref.ref is not FIXED_REF:
            return super().reply_ok(ref, response)
        head = {"type": "reply", "topic": ref.topic or None, "status": "ok"}
        return orjson.dumps(head)[:-1] + b',"response":' + response + b"}"

    def reply_error(self, ref: Ref, error: AppError, *, reason: str, request_id: str) -> bytes:
        """A refused join of the URL's topic is an `error` frame: it has no ref."""
        if ref.ref is FIXED_REF:
            return self.fault(error, request_id=request_id)
        return super().reply_error(ref, error, reason=reason, request_id=request_id)


PLAIN: Wire = PlainWire()
FIXED: Wire = FixedWire()


class PlainConsumer(ConnectionConsumer):
    """`/ws/`: all topics on one connection. With a kind in the URL: that one topic."""

    def wire_of(self, scope: dict[str, Any]) -> Wire:
        """There is one version."""
        return FIXED if self._topic(scope) else PLAIN

    def begin(self, session: Session, scope: dict[str, Any]) -> None:
        """`ready` first; on a one-topic URL the join follows by itself."""
        ready: dict[str, Any] = {"type": "ready", "heartbeat": HEARTBEAT_S}
        ready["user_id"] = session.user_id
        ready["epoch"] = scope["epoch"]
        session.send([orjson.dumps(ready)])
        topic = self._topic(scope)
        if topic is not None:
            session.do(self._join_fixed, session, topic, scope)
        elif session.user_id is None:
            for given in guest_topics(session.wire.dialect):
                session.do(session.hold, given)

    def _topic(self, scope: dict[str, Any]) -> str | None:
        fixed = scope.get("url_route", {}).get("kwargs", {})
        if "kind" not in fixed:
            return None
        return f"{fixed['kind']}:{fixed.get('prefix', '')}{fixed['id']}"

    async def _join_fixed(self, session: Session, topic: str, scope: dict[str, Any]) -> None:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        try:
            since, epoch = since_of({name: values[0] for name, values in query.items()})
        except AppError as error:
            session.reply_error(Ref(topic), error, None, "")
            session.close(codes.ACCESS_ENDED)
            return
        await session.join(topic, Ref(topic, FIXED_REF), token=None, since=since, epoch=epoch)
        if topic not in session.memberships:
            session.close(codes.ACCESS_ENDED)


def read_frame(data: str) -> dict[str, Any]:
    """The one object of a frame. Raises MalformedRequest, ValidationFailed."""
    frame = read_json(data)
    if not isinstance(frame, dict):
        raise MalformedRequest("A frame is one JSON object.")
    return frame


def echo(ref: Any) -> Any:
    """A ref as it came, if it is a text or a whole number; anything else is not echoed."""
    if isinstance(ref, str):
        return ref[:128]
    return ref if isinstance(ref, int) and not isinstance(ref, bool) else None


def body(error: AppError, asked: str) -> dict[str, Any]:
    """E, with the request id of this very command."""
    return error_body(error) | {"request_id": asked or request_id.get() or None}


def _short(value: Any) -> Any:
    return value[:64] if isinstance(value, str) else None
