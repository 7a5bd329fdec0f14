"""The listening socket: made before anything else, so that a taken port is told in one line."""

import errno
import socket
from urllib.parse import urlsplit

from marketplace.serving.bounds import BACKLOG


class PortTaken(OSError):
    """Somebody else listens there; the message says what to do."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises PortTaken, OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as problem:
        if problem.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"Port {port} of {host} is taken. Stop what listens there, or set another PORT."
            ) from problem
        raise


def is_answered(host: str, port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection((reachable(host), port), timeout=1).close()
    except OSError:
        return False
    return True


def reachable(host: str) -> str:
    """An address by which this machine reaches a server that binds `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104  # compared, not bound


def host_header(public_url: str) -> str:
    """The Host that the server accepts as its own."""
    return urlsplit(public_url).netloc or "localhost"
