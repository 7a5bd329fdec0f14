"""Frames as recorded from real clients, read and written; no database, no connection.

The incoming ones are what npm phoenix 1.7 and 1.8 and the raw sockets of Realtime Market send.
"""

from typing import Any

import orjson
import pytest

from chat.consumers import RoomConsumer
from marketplace.core.errors import AppError, MalformedRequest, RateLimited
from marketplace.realtime.phoenix import V1, V2, PhoenixConsumer
from marketplace.realtime.plain import FIXED, FIXED_REF, PLAIN
from marketplace.realtime.session import Membership
from marketplace.realtime.topic import TopicRef
from marketplace.realtime.wire import Ref, Wire, read_leniently

ROOM = "019ab0c4-9a2e-7b0c-8f11-5c1d2e3f4a5b"
TOPIC = f"chat:room_{ROOM}"
REF = TopicRef(RoomConsumer, ROOM, TOPIC, "standard")


class Witness:
    """Stands for a session: writes down what a frame made the wire do."""

    def __init__(
        self, wire: Wire, *, joined: str | None = None, join_ref: str | None = "3"
    ) -> None:
        self.wire = wire
        self.runtime = self
        self.calls: list[Any] = []
        self.sent: list[Any] = []
        self.code: int | None = None
        self.memberships: dict[str, Any] = {}
        if joined is not None:
            ref = TopicRef(RoomConsumer, ROOM, joined, "standard")
            self.memberships[joined] = Membership(self, ref, join_ref)  # type: ignore[arg-type]

    def hear(self, frame: Any) -> "Witness":
        data = frame if isinstance(frame, str | bytes) else orjson.dumps(frame).decode()
        self.wire.receive(self, data)  # type: ignore[arg-type]  # stands for a session
        return self

    def do(self, function: Any, *arguments: Any) -> None:
        function(*arguments)

    def join(self, topic: str, ref: Ref, **asked: Any) -> None:
        self.calls.append(("join", topic, tuple(ref), asked))

    def leave(self, topic: str, ref: Ref) -> None:
        self.calls.append(("leave", topic, tuple(ref)))

    def command(self, membership: Any, name: str, payload: Any, ref: Ref) -> None:
        self.calls.append(("command", name, payload, tuple(ref)))

    def refresh(self, payload: Any, ref: Ref) -> None:
        self.reply_ok(ref, {"expires_at": "t"})

    def latest_of(self, _session: Any) -> dict[str, int]:
        return {TOPIC: 5}

    def reply_ok(self, ref: Ref, response: Any) -> None:
        self.send([self.wire.reply_ok(ref, orjson.dumps(response))])

    def reply_error(self, ref: Ref, error: AppError, failure: str | None, asked: str) -> None:
        self.send([self.wire.reply_error(ref, error, reason=error.code, request_id="r1")])

    def misunderstood(self, error: AppError) -> None:
        self.calls.append(("misunderstood", error.code))

    def send(self, texts: list[bytes]) -> None:
        self.sent += [orjson.loads(text) for text in texts]

    def close(self, code: int) -> None:
        self.code = code


def binary(join_ref: str, ref: str, topic: str, event: str, payload: bytes) -> bytes:
    """A push as phoenix.js encodes an ArrayBuffer."""
    texts = [text.encode() for text in (join_ref, ref, topic, event)]
    return bytes([0, *map(len, texts)]) + b"".join(texts) + payload


class TestPhoenixFramesOfClients:
    @pytest.mark.parametrize(
        ("wire", "frame", "call"),
        [
            (V2, '["3","3","%s","phx_join",{}]',
             ("join", TOPIC, (TOPIC, "3", "3"), {"token": None, "since": None, "epoch": None})),
            (V2, '["3","3","%s","phx_join",{"last_seq":12,"epoch":"e","token":"t"}]',
             ("join", TOPIC, (TOPIC, "3", "3"), {"token": "t", "since": 12, "epoch": "e"})),
            (V1, '{"topic":"%s","event":"phx_join","payload":{},"ref":"1"}',
             ("join", TOPIC, (TOPIC, "1", "1"), {"token": None, "since": None, "epoch": None})),
            (V1, '{"topic":"%s","event":"phx_join","payload":{},"ref":1}',
             ("join", TOPIC, (TOPIC, "1", "1"), {"token": None, "since": None, "epoch": None})),
            (V1, '{"topic":"%s","event":"phx_join","payload":{},"ref":"4","join_ref":"4"}',
             ("join", TOPIC, (TOPIC, "4", "4"), {"token": None, "since": None, "epoch": None})),
            (V2, '["3","9","%s","phx_leave",{}]', ("leave", TOPIC, (TOPIC, "9", "3"))),
            (V2, '["3","5","%s","message",{"content":"hi"}]',
             ("command", "message", {"content": "hi"}, (TOPIC, "5", "3"))),
            (V2, '[null,"5","%s","message",{"content":"hi"}]',
             ("command", "message", {"content": "hi"}, (TOPIC, "5", "3"))),
            (V1, '{"topic":"%s","event":"typing","payload":null,"ref":"6"}',
             ("command", "typing", {}, (TOPIC, "6", "3"))),
            (V2, '["3","5","%s","mark_read","m1"]',
             ("command", "mark_read", {"id": "m1"}, (TOPIC, "5", "3"))),
        ],
    )  # fmt: skip
    def test_are_understood(self, wire: Wire, frame: str, call: Any) -> None:
        witness = Witness(wire, joined=TOPIC).hear(frame % TOPIC)

        assert witness.calls == [call]
        assert (witness.sent, witness.code) == ([], None)

    @pytest.mark.parametrize(
        ("wire", "frame", "answer"),
        [
            (V2, '[null,"7","phoenix","heartbeat",{}]',
             [None, "7", "phoenix", "phx_reply",
              {"status": "ok", "response": {"latest": {TOPIC: 5}}}]),
            (V1, '{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"7"}',
             {"topic": "phoenix", "event": "phx_reply", "ref": "7",
              "payload": {"status": "ok", "response": {"latest": {TOPIC: 5}}}}),
        ],
    )  # fmt: skip
    def test_ask_for_the_newest_seqs_by_heartbeat(
        self, wire: Wire, frame: str, answer: Any
    ) -> None:
        assert Witness(wire).hear(frame).sent == [answer]

    def test_may_be_binary_on_v2(self) -> None:
        witness = Witness(V2, joined=TOPIC)

        witness.hear(binary("3", "8", TOPIC, "message", b'{"content":"bytes"}'))

        assert witness.calls == [("command", "message", {"content": "bytes"}, (TOPIC, "8", "3"))]

    @pytest.mark.parametrize("payload", [b"\xff\xfe", b"{", b"\x00\x01"])
    def test_are_refused_by_their_ref_where_the_bytes_are_no_json(self, payload: bytes) -> None:
        witness = Witness(V2, joined=TOPIC).hear(binary("3", "8", TOPIC, "message", payload))

        [[join_ref, ref, _, _, reply]] = witness.sent
        assert (join_ref, ref) == ("3", "8")
        assert reply["response"]["code"] == "malformed_request"
        assert witness.code is None

    def test_of_an_older_channel_are_passed_over(self) -> None:
        witness = Witness(V2, joined=TOPIC).hear(f'["2","5","{TOPIC}","message",{{}}]')

        assert (witness.calls, witness.sent, witness.code) == ([], [], None)

    @pytest.mark.parametrize(
        ("wire", "frame"),
        [
            (V2, "{"), (V2, "[]"), (V2, "{}"), (V2, '["1","1","t","e"]'),
            (V2, '["1","1",1,"e",{}]'), (V2, '[{},"1","t","e",{}]'), (V2, b"\x00\x01"),
            (V2, b"\x01\x00\x00\x00\x00"), (V2, b"\x00\xff\xff\xff\xff"),
            (V2, "[" * 40 + "]" * 40), (V1, "[]"), (V1, b"\x00"), (V1, '{"topic":1,"event":"e"}'),
        ],
    )  # fmt: skip
    def test_that_are_none_end_the_connection(self, wire: Wire, frame: str | bytes) -> None:
        witness = Witness(wire, joined=TOPIC).hear(frame)

        assert (witness.calls, witness.code) == ([], 4003)

    @pytest.mark.parametrize("version", ["2.0.0", "2.1", "1.0.0", None, "9.0.0", "x"])
    def test_choose_their_version_in_the_url(self, version: str | None) -> None:
        query = b"" if version is None else f"vsn={version}".encode()

        wire = PhoenixConsumer().wire_of({"query_string": query})

        expected = {"2.0.0": V2, "2.1": V2, "1.0.0": V1, None: V1}
        assert wire is expected.get(version)


class TestPhoenixFramesOfOurs:
    def test_are_the_bytes_that_clients_expect(self) -> None:
        member = Membership(Witness(V2), REF, "3")  # type: ignore[arg-type]  # stands for a session
        asked = Ref(TOPIC, "5", "3")

        assert V2.reply_ok(asked, b"{}") == (
            f'["3","5","{TOPIC}","phx_reply",{{"status":"ok","response":{{}}}}]'.encode()
        )
        assert V1.reply_ok(asked, b"{}") == (
            f'{{"topic":"{TOPIC}","event":"phx_reply","ref":"5",'
            '"payload":{"status":"ok","response":{}}}'.encode()
        )
        assert V2.event(TOPIC, "new_message", b'{"a":1}') == (
            f'[null,null,"{TOPIC}","new_message",{{"a":1}}]'.encode()
        )
        assert V1.event(TOPIC, "new_message", b'{"a":1}') == (
            f'{{"topic":"{TOPIC}","event":"new_message","ref":null,"payload":{{"a":1}}}}'.encode()
        )
        assert V2.removed(member, "removed") == f'["3","3","{TOPIC}","phx_close",{{}}]'.encode()
        assert V2.crashed(member) == (
            f'["3","3","{TOPIC}","phx_error",{{"reason":"channel_crash"}}]'.encode()
        )
        assert V2.left(asked, None) == [V2.reply_ok(asked, b"{}")]
        assert V2.left(asked, member) == [
            V2.reply_ok(asked, b"{}"), f'["3","3","{TOPIC}","phx_close",{{}}]'.encode()
        ]  # fmt: skip
        assert (V2.heartbeat({}), V2.fault(MalformedRequest(), request_id="")) == (None, None)

    def test_refuse_with_the_word_that_clients_compare(self) -> None:
        text = V2.reply_error(
            Ref(TOPIC, "5", "3"), MalformedRequest("No."), reason="room_not_found", request_id="r"
        )

        assert orjson.loads(text)[4] == {
            "status": "error",
            "response": {
                "code": "malformed_request", "message": "No.", "details": {},
                "request_id": "r", "reason": "room_not_found",
            },
        }  # fmt: skip


class TestPlainFrames:
    @pytest.mark.parametrize(
        ("frame", "call"),
        [
            ({"type": "join", "topic": TOPIC, "since": 4, "ref": "1"},
             ("join", TOPIC, (TOPIC, "1", None), {"token": None, "since": 4, "epoch": None})),
            ({"type": "join", "topic": TOPIC, "payload": {"token": "t", "since": "4"}, "ref": 1},
             ("join", TOPIC, (TOPIC, 1, None), {"token": "t", "since": 4, "epoch": None})),
            ({"type": "leave", "topic": TOPIC, "ref": "1"}, ("leave", TOPIC, (TOPIC, "1", None))),
            ({"type": "event", "topic": TOPIC, "event": "typing", "ref": "1"},
             ("command", "typing", {}, (TOPIC, "1", None))),
            ({"type": "event", "topic": TOPIC, "event": "mark_read", "payload": "m1", "ref": "1"},
             ("command", "mark_read", {"id": "m1"}, (TOPIC, "1", None))),
            ("{", ("misunderstood", "malformed_request")),
            ("[]", ("misunderstood", "malformed_request")),
            (b"{}", ("misunderstood", "malformed_request")),
            ('{"type":"nonsense"}', ("misunderstood", "validation_failed")),
        ],
    )  # fmt: skip
    def test_are_understood(self, frame: Any, call: Any) -> None:
        assert Witness(PLAIN, joined=TOPIC).hear(frame).calls == [call]

    def test_answer_a_newer_token_without_a_topic(self) -> None:
        witness = Witness(PLAIN).hear({"type": "access_token", "token": "t", "ref": "1"})

        assert witness.sent == [
            {"type": "reply", "ref": "1", "topic": None, "status": "ok",
             "response": {"expires_at": "t"}}
        ]  # fmt: skip

    @pytest.mark.parametrize("payload", [[], 1, True])
    def test_refuse_a_payload_that_is_no_object(self, payload: Any) -> None:
        frame = {"type": "event", "topic": TOPIC, "event": "x", "payload": payload, "ref": "1"}

        [reply] = Witness(PLAIN, joined=TOPIC).hear(frame).sent

        assert (reply["ref"], reply["response"]["code"]) == ("1", "malformed_request")

    @pytest.mark.parametrize("kind", ["join", "leave", "jo\\u0069n", "\\u006ceave"])
    def test_cannot_leave_the_one_topic_of_a_url(self, kind: str) -> None:
        witness = Witness(FIXED, joined=TOPIC)

        witness.hear(f'{{"type":"{kind}","topic":"user:me","ref":"1"}}')

        [reply] = witness.sent
        assert (reply["ref"], reply["response"]["code"]) == ("1", "validation_failed")
        assert witness.calls == []

    def test_may_leave_out_the_one_topic_of_a_url(self) -> None:
        witness = Witness(FIXED, joined=TOPIC).hear({"type": "event", "event": "typing", "ref": 1})

        assert witness.calls == [("command", "typing", {}, (TOPIC, 1, None))]
        assert orjson.loads(FIXED.reply_ok(Ref(TOPIC, FIXED_REF), b"{}")) == {
            "type": "reply", "topic": TOPIC, "status": "ok", "response": {}
        }  # fmt: skip


class TestTextThatIsNoUnicode:
    FRAMES = (
        (V2, f'["3","5","{TOPIC}","message",{{"content":"\\ud800"}}]'),
        (V1, f'{{"topic":"{TOPIC}","event":"message","ref":"5","payload":{{"a":["\\udfff"]}}}}'),
        (V2, binary("3", "5", TOPIC, "message", b'{"content":"\\ud800"}')),
        (PLAIN, f'{{"type":"event","topic":"{TOPIC}","event":"m","ref":5,"payload":["\\ud800"]}}'),
        (FIXED, '{"type":"event","event":"message","ref":"5","payload":{"content":"x\\udc00"}}'),
    )  # fmt: skip

    @pytest.mark.parametrize(("wire", "frame"), FRAMES)
    def test_is_refused_by_its_ref_and_the_connection_stays(
        self, wire: Wire, frame: str | bytes
    ) -> None:
        witness = Witness(wire, joined=TOPIC).hear(frame)

        [told] = witness.sent
        reply = told if isinstance(told, dict) else {"ref": told[1], **told[4]}
        response = reply.get("response") or reply["payload"]["response"]
        assert (str(reply["ref"]), response["code"]) == ("5", "validation_failed")
        assert response["details"]["fields"]
        assert (witness.calls, witness.code) == ([], None)

    @pytest.mark.parametrize("wire", [PLAIN, V2])
    def test_may_stand_in_the_ref_itself(self, wire: Wire) -> None:
        frame = '["3","\\ud800","t","e",{}]'
        if wire is PLAIN:
            frame = '{"type":"event","ref":"\\ud800","topic":"t","event":"e"}'

        witness = Witness(wire).hear(frame)

        [told] = witness.sent
        assert (told["ref"] if isinstance(told, dict) else told[1]) == "\ufffd"

    @pytest.mark.parametrize("text", ["{", "nonsense", '{"a":NaN}'])
    def test_is_told_from_what_is_no_json(self, text: str) -> None:
        with pytest.raises(MalformedRequest):
            read_leniently(text)

    def test_does_not_stop_a_flood_from_being_answered(self) -> None:
        witness = Witness(V2)

        V2.refuse(witness, '["3","5","t","e",{"a":"\\ud800"}]', RateLimited())  # type: ignore[arg-type]

        assert witness.sent[0][4]["response"]["reason"] == "rate_limited"
