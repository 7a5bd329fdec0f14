"""A server in a process of its own, and a raw WebSocket client, for the tests of `serving`."""

import base64
import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Self

CLOSED_BY_PEER = -1
PATIENCE_S = 15.0


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess:
    """The test application served by one of the servers."""

    def __init__(self, server: str, *, drain_limit_s: float = 5) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "marketplace.tests.serving_run",
                server,
                str(self.port),
                str(drain_limit_s),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.read_until("ready")

    def read_until(self, wanted: str) -> None:
        """Read the output up to a line; a server that never says it is killed."""
        assert self.process.stdout is not None
        watchdog = threading.Timer(PATIENCE_S, self.process.kill)
        watchdog.start()
        try:
            for line in self.process.stdout:
                if line.strip() == wanted:
                    return
        finally:
            watchdog.cancel()
        raise AssertionError(f"the server did not say {wanted!r}")

    def terminate(self) -> None:
        """Ask it to end."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout: float = 10) -> int:
        """Its exit code."""
        return self.process.wait(timeout=timeout)

    def get(self, path: str) -> bytes:
        """One request on a connection of its own: status line, headers and body."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(
                b"GET %b HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n" % path.encode()
            )
            return read_all(connection)


@contextlib.contextmanager
def served(server: str, *, drain_limit_s: float = 5) -> Iterator[ServerProcess]:
    """A server that is gone afterwards, whatever the test did to it."""
    process = ServerProcess(server, drain_limit_s=drain_limit_s)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.process.pid, signal.SIGKILL)
        process.process.communicate()


def read_all(connection: socket.socket) -> bytes:
    """Everything until the peer closes."""
    received = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65536):
            received += data
    return bytes(received)


def read_until(connection: socket.socket, end: bytes) -> None:
    """Everything up to these bytes."""
    received = b""
    while not received.endswith(end):
        data = connection.recv(65536)
        assert data, received
        received += data


class RawSocket:
    """A WebSocket client that sends what it is told, right or wrong."""

    def __init__(self, port: int, path: str = "/echo", *, headers: str = "", key: str = "") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        key = key or base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{headers}\r\n".encode()
        )
        self.received = b""
        self.head = b""

    def accepted(self) -> Self:
        """Read the answer to the upgrade."""
        while b"\r\n\r\n" not in self.received:
            data = self.socket.recv(65536)
            assert data, self.received
            self.received += data
        self.head, _, self.received = self.received.partition(b"\r\n\r\n")
        assert self.head.startswith(b"HTTP/1.1 101 "), self.head
        return self

    def send(self, payload: bytes, *, first: int = 0x81, is_masked: bool = True) -> None:
        """One frame."""
        self.socket.sendall(frame(payload, first=first, is_masked=is_masked))

    def send_raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self.socket.sendall(data)

    def read(self) -> tuple[int, bytes]:
        """First byte and payload of the next frame; (CLOSED_BY_PEER, b"") when TCP has ended."""
        head = self._take(2)
        if len(head) < 2:
            return CLOSED_BY_PEER, b""
        size = head[1] & 0x7F
        if size == 126:
            size = int.from_bytes(self._take(2), "big")
        elif size == 127:
            size = int.from_bytes(self._take(8), "big")
        return head[0], self._take(size)

    def read_close(self) -> int:
        """The code of the close frame that comes next; text before it is skipped."""
        while True:
            first, payload = self.read()
            if first == 0x88:
                return int.from_bytes(payload[:2], "big")
            if first == CLOSED_BY_PEER:
                return CLOSED_BY_PEER

    def _take(self, size: int) -> bytes:
        while len(self.received) < size:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return b""
            self.received += data
        taken, self.received = self.received[:size], self.received[size:]
        return taken

    def close(self) -> None:
        """Let TCP go."""
        self.socket.close()


def frame(payload: bytes, *, first: int = 0x81, is_masked: bool = True) -> bytes:
    """A client's frame."""
    size = len(payload)
    bit = 0x80 if is_masked else 0
    if size <= 125:
        head = struct.pack("!BB", first, bit | size)
    elif size <= 0xFFFF:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    if not is_masked:
        return head + payload
    # Fixed, the example of RFC 6455: frames are parameters of tests, and each worker of a run must
    # collect the same ones.
    mask = b"\x37\xfa\x21\x3d"
    # As two numbers: byte by byte a large one takes so long that the server gives its sender up.
    repeated = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return head + mask + masked.to_bytes(size, "big")


def wait_until_refused(port: int, *, timeout: float = 3) -> bool:
    """Whether the port stops to take connections in time."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return True
        time.sleep(0.02)
    return False
