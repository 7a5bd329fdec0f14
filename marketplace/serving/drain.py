"""What SIGTERM starts: nothing new, everything begun is finished, clients are told to come back."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from marketplace.serving.websocket import SERVICE_RESTART, WebSocketHost

logger = structlog.get_logger(__name__)

POLL_S = 0.02
MARGIN_S = 0.5
GRACE_S = 1.0
SAME_SIGNAL_S = 0.25
SPREAD_PER_SOCKET_S = 0.02
ENDED_BY_FORCE = 1


class Part(Protocol):
    """Something that runs beside the server in this process, such as the job runner."""

    def start(self) -> None:
        """Begin; returns at once."""

    def stop(self, timeout: float) -> object:
        """End within `timeout` seconds: what was begun is finished or handed back."""


class Listening(Protocol):
    """What a server offers to its drain."""

    host: WebSocketHost

    def stop_listening(self) -> None:
        """No new connections; those that live may still ask, and are told to close."""

    def requests(self) -> int:
        """How many HTTP requests are in hand."""

    def idle(self) -> int:
        """How many HTTP connections wait for a request."""

    def close_idle(self) -> None:
        """Close HTTP connections that wait for a request."""

    def abort_all(self) -> None:
        """Drop everything that is still open."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How to serve: the same for both servers. Times in seconds."""

    drain_spread_s: float = 5.0
    drain_limit_s: float = 10.0
    parts: Collection[Part] = ()
    drain_application: Callable[[float], Awaitable[None]] | None = None
    set_draining: Callable[[], None] | None = None
    on_ready: Callable[[], None] | None = None
    sweep_s: float = 2.0
    threads: int | None = None


def watch_signals(
    loop: asyncio.AbstractEventLoop, *, begin: Callable[[], Any], limit_s: float
) -> None:
    """The first SIGTERM or SIGINT begins the drain, a later one ends the process at once.

    A signal to the whole process group may come twice, from a parent that hands it on as well. A
    thread ends the process at the limit, should something block the loop itself.
    """
    begun_at: list[float] = []

    def receive() -> None:
        if begun_at:
            if loop.time() - begun_at[0] > SAME_SIGNAL_S:
                leave(ENDED_BY_FORCE)
            return
        begun_at.append(loop.time())
        last_resort = threading.Timer(limit_s, leave, args=(0,))
        last_resort.daemon = True
        last_resort.start()
        begin()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, receive)


def leave(code: int) -> None:
    """End the process without waiting for any thread: a stuck one would keep it alive."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def drain(server: Listening, options: ServeOptions) -> bool:
    """Finish what was begun within the limit; whether everything ended by itself."""
    logger.info("drain_started", sockets=len(server.host.connections), requests=server.requests())
    deadline = asyncio.get_running_loop().time() + options.drain_limit_s - MARGIN_S
    if options.set_draining is not None:
        options.set_draining()
    server.host.draining = True
    server.stop_listening()
    stopping = _stop_parts(options.parts, options.drain_limit_s - MARGIN_S)
    clean = await _by(deadline, _end_sockets(server, options))
    clean &= await _by(deadline, _until(lambda: not server.requests()))
    await _let_idle_ask(server, deadline)
    clean &= await _by(deadline, _until(lambda: not server.requests()))
    server.close_idle()
    clean &= await _by(deadline, _until(lambda: not any(one.is_alive() for one in stopping)))
    if not clean:
        logger.warning(
            "drain_cut_short",
            sockets=len(server.host.connections),
            requests=server.requests(),
            parts=sum(one.is_alive() for one in stopping),
        )
        server.abort_all()
        for task in server.host.tasks:
            task.cancel()
        await asyncio.sleep(POLL_S)
    logger.info("drain_finished", clean=clean)
    return clean


def _stop_parts(parts: Collection[Part], limit_s: float) -> list[threading.Thread]:
    threads = [
        threading.Thread(target=part.stop, args=(limit_s,), name="stop-part", daemon=True)
        for part in parts
    ]
    for thread in threads:
        thread.start()
    return threads


async def _end_sockets(server: Listening, options: ServeOptions) -> None:
    spread_s = min(options.drain_spread_s, len(server.host.connections) * SPREAD_PER_SOCKET_S)
    if options.drain_application is not None:
        await options.drain_application(spread_s)
    left = [one for one in server.host.connections if one.is_open()]
    for number, connection in enumerate(left, start=1):
        connection.close(SERVICE_RESTART)
        if number % 50 == 0:  # those that come back at once must not do it in one moment
            await asyncio.sleep(min(POLL_S, spread_s * 50 / len(left)))
    await _until(lambda: not server.host.connections and not server.host.tasks)


async def _let_idle_ask(server: Listening, deadline: float) -> None:
    """A request may be on its way on a connection that looks idle: its answer says `close`."""
    grace_until = min(deadline, asyncio.get_running_loop().time() + GRACE_S)
    await _by(grace_until, _until(lambda: not server.idle()))


async def _until(reached: Callable[[], bool]) -> None:
    while not reached():  # noqa: ASYNC110  # the counts belong to three servers and have no event
        await asyncio.sleep(POLL_S)


async def _by(deadline: float, work: Awaitable[None]) -> bool:
    remaining_s = deadline - asyncio.get_running_loop().time()
    try:
        await asyncio.wait_for(work, timeout=max(remaining_s, 0.01))
    except TimeoutError:
        return False
    except Exception:  # the edge of the process: a drain goes on, whatever one part of it does
        logger.exception("drain_step_failed")
        return False
    return True
