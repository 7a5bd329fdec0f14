"""The bounded ways out: what fits, what does not, and how one ends that has fallen behind."""

import asyncio
from typing import Any

import pytest

from marketplace.realtime.frames import text_frame
from marketplace.realtime.hub import Encoded
from marketplace.realtime.outlet import DirectOutlet, QueuedOutlet
from marketplace.realtime.sse import StreamOutlet

MIB = 1024 * 1024


class Transport:
    """A server's transport whose peer reads nothing while `takes` is False."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.takes = True
        self.unsent = 0
        self.code: int | None = None
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.written.append(data)
        self.unsent = 0 if self.takes else self.unsent + len(data)

    def buffered(self) -> int:
        return self.unsent

    def close(self, code: int) -> None:
        self.code = code

    def abort(self) -> None:
        self.aborted = True


def direct(transport: Transport) -> DirectOutlet:
    return DirectOutlet(transport, asyncio.get_running_loop())  # type: ignore[arg-type]  # stands for one


class TestDirect:
    async def test_writes_what_belongs_together_at_once(self) -> None:
        transport = Transport()

        assert direct(transport).send_both([b"own"], Encoded([b"one", b"two"]))

        assert transport.written == [b"".join(map(text_frame, (b"own", b"one", b"two")))]

    async def test_gives_up_after_256_texts_that_nobody_takes(self) -> None:
        transport = Transport()
        transport.takes = False
        outlet = direct(transport)

        kept_up = [outlet.send_own([b"x"]) for _ in range(257)]

        assert kept_up == [True] * 256 + [False]

    async def test_gives_up_after_a_mebibyte(self) -> None:
        transport = Transport()
        transport.takes = False
        outlet = direct(transport)
        head = len(text_frame(b"x" * 100_000)) - 100_000

        assert outlet.send(Encoded([b"x" * (MIB - head - 4)]))
        assert not outlet.send(Encoded([b"xxxxxxxxxx"]))

    async def test_forgets_what_was_behind_once_the_peer_has_read(self) -> None:
        transport = Transport()
        outlet = direct(transport)
        for _ in range(3):
            transport.takes = False
            assert all(outlet.send_own([b"x"]) for _ in range(200))
            transport.takes = True
            assert outlet.send_own([b"x"])

    async def test_drops_a_peer_that_does_not_take_the_close_frame(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("marketplace.realtime.outlet.CLOSE_GRACE_S", 0.01)
        transport = Transport()

        direct(transport).close(4008)
        assert (transport.code, transport.aborted) == (4008, False)
        await asyncio.sleep(0.05)

        assert transport.aborted is True


class Server:
    """A server's `send`, which does not return while `gate` is shut."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, message: dict[str, Any]) -> None:
        await self.gate.wait()
        self.sent.append(message.get("text", message.get("code")))


class TestQueued:
    async def test_sends_in_order_and_closes_after_what_was_queued(self) -> None:
        server = Server()
        outlet = QueuedOutlet(server, asyncio.get_running_loop())

        assert outlet.send_own([b"one", b"two"])
        assert outlet.send(Encoded([b"three"]))
        outlet.close(1012)
        await asyncio.sleep(0.01)

        assert server.sent == ["one", "two", "three", 1012]

    async def test_gives_up_after_256_texts_and_closes_without_sending_them(self) -> None:
        server = Server()
        server.gate.clear()
        outlet = QueuedOutlet(server, asyncio.get_running_loop())

        kept_up = [outlet.send_own([b"x"]) for _ in range(257)]
        outlet.close(4008)
        server.gate.set()
        await asyncio.sleep(0.01)

        assert kept_up == [True] * 256 + [False]
        assert server.sent == [4008]

    async def test_gives_up_after_a_mebibyte(self) -> None:
        server = Server()
        server.gate.clear()
        outlet = QueuedOutlet(server, asyncio.get_running_loop())

        assert outlet.send_own([b"x" * MIB])
        assert not outlet.send_own([b"x"])

    async def test_is_quiet_where_the_peer_is_gone(self) -> None:
        async def gone(_message: dict[str, Any]) -> None:
            raise ConnectionResetError

        outlet = QueuedOutlet(gone, asyncio.get_running_loop())

        assert outlet.send_own([b"x"])
        await asyncio.sleep(0.01)
        assert outlet.send_own([b"y"])


class TestStream:
    async def test_gives_up_after_256_events_or_a_mebibyte(self) -> None:
        many, large = StreamOutlet(), StreamOutlet()

        assert [many.send_own([b"x"]) for _ in range(257)] == [True] * 256 + [False]
        assert [large.send_own([b"x" * MIB]), large.send_own([b"x"])] == [True, False]
        assert await large.next(0.1) == b"x" * MIB
        assert large.send_own([b"x"])
