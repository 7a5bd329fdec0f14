"""Both servers, as processes: frames, limits, close codes, and what SIGTERM does."""

import base64
import hashlib
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from marketplace.tests.serving_client import (
    CLOSED_BY_PEER,
    RawSocket,
    ServerProcess,
    frame,
    read_all,
    read_until,
    served,
    wait_until_refused,
)

SERVERS = ("daphne", "uvicorn")
PATHS = ("/echo", "/direct")


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """One process for all tests that leave it as it was."""
    with served(request.param) as process:
        yield process


class TestHandshake:
    def test_answers_with_the_accept_key_and_the_subprotocol(self, server: ServerProcess) -> None:
        key = base64.b64encode(b"0123456789abcdef").decode()
        digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode())  # noqa: S324
        header = "Sec-WebSocket-Protocol: phoenix, base64url.bearer.phx.eyJ\r\n"

        client = RawSocket(server.port, key=key, headers=header).accepted()

        assert b"Sec-WebSocket-Accept: " + base64.b64encode(digest.digest()) in client.head
        assert b"Sec-WebSocket-Protocol: phoenix\r\n" in client.head + b"\r\n"
        assert b"server:" not in client.head.lower()
        assert b"extensions" not in client.head.lower()

    def test_refuses_with_403_before_accept(self, server: ServerProcess) -> None:
        assert read_all(RawSocket(server.port, "/unknown").socket).startswith(b"HTTP/1.1 403 ")

    @pytest.mark.parametrize(
        ("changed", "by", "status"),
        [
            (b"Version: 13", b"Version: 8", b"426"),
            (b"Key: ", b"Key: short", b"400"),
            (b"Connection: Upgrade", b"Connection: keep-alive, Upgrade", b"101"),
            (b"GET /echo ", b"GET http://test/echo?a=b ", b"101"),
        ],
    )
    def test_judges_the_request(
        self, server: ServerProcess, changed: bytes, by: bytes, status: bytes
    ) -> None:
        request = (
            b"GET /echo HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.sendall(request.replace(changed, by))

            assert client.recv(4096).split(b" ")[1] == status

    def test_gives_up_on_an_application_that_does_not_answer(self, server: ServerProcess) -> None:
        answer = read_all(RawSocket(server.port, "/never").socket)  # 10 sweeps of 0.1 s

        assert answer.startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize("path", PATHS)
class TestFrames:
    def test_echoes_text_of_every_length_form(self, server: ServerProcess, path: str) -> None:
        client = RawSocket(server.port, path).accepted()
        for size in (0, 1, 125, 126, 65535, 65536, 131_072):
            client.send(b"a" * size)
            assert client.read() == (0x81, b"a" * size)

    def test_reads_a_message_byte_by_byte(self, server: ServerProcess, path: str) -> None:
        client = RawSocket(server.port, path).accepted()
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in frame("grüße".encode() + b"x" * 200):
            client.send_raw(bytes([byte]))

        assert client.read() == (0x81, "grüße".encode() + b"x" * 200)

    def test_reads_many_frames_of_one_packet_in_order(
        self, server: ServerProcess, path: str
    ) -> None:
        client = RawSocket(server.port, path).accepted()
        client.send_raw(b"".join(frame(b"%d" % number) for number in range(200)))

        assert [client.read()[1] for _ in range(200)] == [b"%d" % number for number in range(200)]

    def test_joins_fragments_with_a_ping_between(self, server: ServerProcess, path: str) -> None:
        client = RawSocket(server.port, path).accepted()
        client.send("€".encode()[:1], first=0x01)
        client.send(b"between", first=0x89)
        client.send(b"", first=0x00)
        client.send("€".encode()[1:], first=0x80)

        assert client.read() == (0x8A, b"between")
        assert client.read() == (0x81, "€".encode())

    def test_takes_binary(self, server: ServerProcess, path: str) -> None:
        client = RawSocket(server.port, path).accepted()
        client.send(b"\x00\xff", first=0x82)

        assert client.read() in ((0x82, b"\x00\xff"), (0x81, b"2 bytes"))

    @pytest.mark.parametrize(
        ("sent", "code"),
        [
            (frame(b"plain", is_masked=False), 1002),
            (frame(b"x", first=0xC1), 1002),  # a reserved bit: no extension was agreed
            (frame(b"x", first=0x83), 1002),  # reserved opcode
            (frame(b"x", first=0x8B), 1002),  # reserved control opcode
            (frame(b"x", first=0x80), 1002),  # goes on with nothing
            (frame(b"x", first=0x01) + frame(b"y", first=0x81), 1002),  # two messages mixed
            (frame(b"x", first=0x09), 1002),  # fragmented ping
            (frame(b"x" * 126, first=0x89), 1002),  # ping over 125 bytes
            (frame(b"\x03", first=0x88), 1002),  # half a close code
            (frame(b"\x03\xed", first=0x88), 1002),  # 1005 must not be sent
            (frame(b"\x03\xe8\xff", first=0x88), 1007),  # the reason is no UTF-8
            (frame(b"\xff\xfe"), 1007),
            (frame(b"\xed\xa0\x80"), 1007),  # half a surrogate pair
            (frame(b"a" * 131_073), 1009),
            (frame(b"a" * 100_000, first=0x01) + frame(b"a" * 40_000, first=0x80), 1009),
            (b"\x81\xff" + b"\xff" * 8 + b"mask", 1009),  # announces 2**64 bytes
        ],
    )
    def test_refuses(self, server: ServerProcess, path: str, sent: bytes, code: int) -> None:
        client = RawSocket(server.port, path).accepted()
        client.send_raw(sent)

        assert client.read_close() == code
        assert client.read()[0] == CLOSED_BY_PEER

    def test_tells_1009_to_a_peer_that_is_still_sending(
        self, server: ServerProcess, path: str
    ) -> None:
        client = RawSocket(server.port, path).accepted()
        client.send_raw(frame(b"a" * 4_194_304))

        assert client.read_close() == 1009

    def test_answers_a_close_with_its_code(self, server: ServerProcess, path: str) -> None:
        client = RawSocket(server.port, path).accepted()
        client.send((4001).to_bytes(2, "big") + b"bye", first=0x88)

        assert client.read() == (0x88, (4001).to_bytes(2, "big"))
        assert client.read()[0] == CLOSED_BY_PEER

    @pytest.mark.parametrize("code", [1000, 1012, 4401])
    def test_closes_with_any_code_and_waits_for_the_answer(
        self, server: ServerProcess, path: str, code: int
    ) -> None:
        client = RawSocket(server.port, path).accepted()
        client.send(b"close %d" % code)
        assert client.read_close() == code
        client.send(b"late", first=0x81)
        client.send(code.to_bytes(2, "big"), first=0x88)

        assert client.read()[0] == CLOSED_BY_PEER

    def test_cuts_a_peer_that_never_answers_the_close(
        self, server: ServerProcess, path: str
    ) -> None:
        client = RawSocket(server.port, path).accepted()
        client.send(b"close 4401")

        assert client.read_close() == 4401
        assert client.read()[0] == CLOSED_BY_PEER  # after 3 sweeps

    def test_closes_with_1011_when_the_application_fails(
        self, server: ServerProcess, path: str
    ) -> None:
        client = RawSocket(server.port, path).accepted()
        client.send(b"crash")

        assert client.read_close() == 1011


class TestWatch:
    def test_pings_a_silent_peer_and_drops_it_without_an_answer(
        self, server: ServerProcess
    ) -> None:
        client = RawSocket(server.port).accepted()
        begun_at = time.monotonic()

        assert client.read() == (0x89, b"")
        assert client.read()[0] == CLOSED_BY_PEER
        assert 1.5 < time.monotonic() - begun_at < 4.0  # 7 to 10, then 15 sweeps of 0.1 s

    def test_keeps_a_peer_that_answers(self, server: ServerProcess) -> None:
        client = RawSocket(server.port).accepted()
        assert client.read() == (0x89, b"")
        client.send(b"", first=0x8A)

        assert client.read() == (0x89, b"")


class TestFrameWriter:
    def test_aborts_without_a_close_frame(self, server: ServerProcess) -> None:
        client = RawSocket(server.port, "/direct").accepted()
        client.send(b"abort")

        assert client.read()[0] == CLOSED_BY_PEER

    def test_hears_how_the_connection_ended(self, server: ServerProcess) -> None:
        client = RawSocket(server.port, "/direct").accepted()
        client.send((4555).to_bytes(2, "big"), first=0x88)

        server.read_until("closed 4555")

    def test_hears_of_a_lost_connection(self, server: ServerProcess) -> None:
        client = RawSocket(server.port, "/direct").accepted()
        client.close()

        server.read_until("closed 1006")

    def test_aborts_who_reads_nothing(self, server: ServerProcess) -> None:
        client = RawSocket(server.port, "/direct").accepted()
        client.send(b"flood")
        begun_at = time.monotonic()

        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            _stay_alive(client, until=begun_at + 3)

    def test_speaks_with_a_library(self, server: ServerProcess) -> None:
        with connect(f"ws://127.0.0.1:{server.port}/direct", compression="deflate") as client:
            client.send(["frag", "ment", "ed"])
            assert client.recv() == "fragmented"
            client.send("close 4001")
            with pytest.raises(ConnectionClosedError) as closed:
                client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4001


class TestHttp:
    def test_answers_without_naming_the_server(self, server: ServerProcess) -> None:
        answer = server.get("/")

        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"\r\n\r\nok")
        assert b"\r\nserver:" not in answer.lower()

    def test_answers_500_when_the_application_fails(self, server: ServerProcess) -> None:
        assert server.get("/fail").startswith(b"HTTP/1.1 500 ")

    def test_refuses_an_enormous_body_before_it_is_stored(self, server: ServerProcess) -> None:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 67108865\r\n\r\n")

            assert read_all(client).startswith(b"HTTP/1.1 413 ")

    def test_refuses_an_enormous_body_that_announces_no_length(self, server: ServerProcess) -> None:
        part = b"100000\r\n" + b"x" * 1_048_576 + b"\r\n"
        head = b"POST /body HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.sendall(head)

            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                client.sendall(part * 100)

    def test_waits_for_a_slow_reader_of_a_stream(self, server: ServerProcess) -> None:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.sendall(b"GET /flood HTTP/1.1\r\nHost: test\r\n\r\n")
            time.sleep(0.5)
            resident_kib = _resident_kib(server.process.pid)
            time.sleep(1.0)

            assert _resident_kib(server.process.pid) - resident_kib < 8192


@pytest.fixture(scope="module")
def uvicorn() -> Iterator[ServerProcess]:
    """The server that writes answers whole."""
    with served("uvicorn") as process:
        yield process


class TestWholeAnswers:
    def test_is_what_messages_would_have_made_of_it(self, uvicorn: ServerProcess) -> None:
        date = re.compile(rb"date: [^\r]+")
        whole, usual = uvicorn.get("/whole"), uvicorn.get("/")

        assert date.search(whole)
        assert date.sub(b"", whole).replace(b"x-way: whole\r\n", b"") == date.sub(b"", usual)

    def test_keeps_the_connection_and_the_order_of_requests(self, uvicorn: ServerProcess) -> None:
        asked = b"GET /whole?%b HTTP/1.1\r\nHost: test\r\n\r\n"
        last = b"GET /whole?4 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", uvicorn.port), timeout=10) as client:
            client.sendall(
                asked % b"1" + b"GET /slow HTTP/1.1\r\nHost: test\r\n\r\n" + asked % b"2"
            )
            client.sendall(asked % b"3" + last)
            answers = read_all(client)

        assert answers.count(b"HTTP/1.1 200 OK\r\n") == 5
        assert re.findall(rb"x-way: (\d)", answers) == [b"1", b"2", b"3", b"4"]
        assert answers.count(b"connection: close") == 1

    def test_ends_with_a_client_that_keeps_nothing(self, uvicorn: ServerProcess) -> None:
        with socket.create_connection(("127.0.0.1", uvicorn.port), timeout=10) as client:
            client.sendall(b"GET /whole HTTP/1.0\r\nHost: test\r\n\r\n")
            answer = read_all(client)

        assert answer.endswith(b"connection: close\r\n\r\nok")

    def test_lets_no_header_end_another_one(self, uvicorn: ServerProcess) -> None:
        answer = uvicorn.get("/whole?a+set-cookie:b")

        assert answer.startswith(b"HTTP/1.1 500 ")
        assert b"set-cookie" not in answer

    def test_leaves_nothing_to_the_collector(self, uvicorn: ServerProcess) -> None:
        def living() -> int:
            chunk = uvicorn.get("/requests").partition(b"\r\n\r\n")[2]
            return int(chunk.split(b"\r\n")[1])

        before = living()
        for _ in range(30):
            uvicorn.get("/whole")
            uvicorn.get("/")

        assert living() - before < 5

    def test_is_not_offered_by_every_server(self) -> None:
        with served("daphne") as daphne:
            answer = daphne.get("/whole")

        assert answer.endswith(b"\r\n\r\nok")
        assert b"x-way" not in answer


@pytest.mark.parametrize("name", SERVERS)
class TestDrain:
    def test_closes_sockets_with_1012_and_exits_0(self, name: str) -> None:
        with served(name) as server:
            clients = [RawSocket(server.port, path).accepted() for path in PATHS * 20]
            server.terminate()
            for client in clients:
                assert client.read_close() == 1012
                client.send((1012).to_bytes(2, "big"), first=0x88)

            assert server.wait(3) == 0

    def test_finishes_the_request_in_hand_and_takes_no_new_one(self, name: str) -> None:
        with served(name) as server:
            answers: list[bytes] = []
            asking = threading.Thread(target=lambda: answers.append(server.get("/slow")))
            asking.start()
            time.sleep(0.3)
            server.terminate()

            assert wait_until_refused(server.port)
            assert not answers
            asking.join()
            assert answers[0].endswith(b"\r\n\r\nok")
            assert server.wait(3) == 0

    @pytest.mark.parametrize("path", [b"/", b"/whole"])
    def test_answers_on_a_living_connection_and_says_close(self, name: str, path: bytes) -> None:
        with served(name) as server:
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
                client.sendall(b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n" % path)
                read_until(client, b"ok")
                server.terminate()
                wait_until_refused(server.port)
                client.sendall(b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n" % path)
                answer = read_all(client)

            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"connection: close" in answer.lower()
            assert server.wait(3) == 0

    def test_exits_0_at_the_limit_whatever_still_runs(self, name: str) -> None:
        with served(name, drain_limit_s=1.5) as server:
            stuck = RawSocket(server.port, "/echo").accepted()  # never answers the close
            with socket.create_connection(("127.0.0.1", server.port)) as reader:
                reader.sendall(b"GET /flood HTTP/1.1\r\nHost: test\r\n\r\n")  # never reads
                time.sleep(0.2)
                begun_at = time.monotonic()
                server.terminate()

                assert server.wait(4) == 0
                assert time.monotonic() - begun_at < 2.0
            assert stuck.read_close() == 1012

    def test_ends_at_once_by_a_second_signal(self, name: str) -> None:
        with served(name) as server:
            silent = RawSocket(server.port, "/echo").accepted()
            with socket.create_connection(("127.0.0.1", server.port)) as reader:
                # Never reads, so that there is something to drain up to the limit.
                reader.sendall(b"GET /flood HTTP/1.1\r\nHost: test\r\n\r\n")
                time.sleep(0.2)
                server.terminate()
                time.sleep(0.4)
                assert server.process.poll() is None
                os.kill(server.process.pid, signal.SIGTERM)

                assert server.wait(3) == 1
            assert silent.read_close() == 1012


def _stay_alive(client: RawSocket, *, until: float) -> None:
    """Send pongs, so that no unanswered ping ends the connection."""
    while time.monotonic() < until:
        client.send(b"", first=0x8A)
        time.sleep(0.05)


def _resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])
