"""What belongs to the request in hand: its id, carried into errors, log lines and events."""

import re
from contextvars import ContextVar

from marketplace.core.ids import uuid7

REQUEST_ID_FORM = re.compile(r"^[A-Za-z0-9._-]{1,64}$")

request_id: ContextVar[str] = ContextVar("request_id", default="")


def new_request_id(offered: str | None = None) -> str:
    """The client's id where it has a valid form, else a new one."""
    if offered and REQUEST_ID_FORM.match(offered):
        return offered
    return uuid7().hex
