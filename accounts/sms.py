"""Providers that carry an SMS. Nothing here logs a number or a text."""

import os
from pathlib import Path
from typing import Protocol

import httpx2
import orjson
from django.conf import settings

from marketplace.core.clock import now, wire_time
from marketplace.core.errors import Unavailable

CONNECT_TIMEOUT_S = 3.0
TIMEOUT_S = 10.0


class SmsNotSent(Unavailable):
    """503: the provider did not take the message; it may be tried again."""

    code = "gateway_unavailable"
    default_message = "The SMS provider did not take the message."


class SmsProvider(Protocol):
    """Carries one SMS. Raises SmsNotSent."""

    def send(self, *, to: str, body: str) -> None:
        """Hand one message over."""


class SinkProvider:
    """Appends each message as a line of JSON to a file: the dev inbox reads it."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def send(self, *, to: str, body: str) -> None:
        """One write per line, so that lines of several processes do not mix."""
        line = orjson.dumps({"at": wire_time(now()), "to": to, "body": body}) + b"\n"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)


class WebhookProvider:
    """Posts `{to, body}` to an address of the operator's; any SMS service may stand behind it."""

    def __init__(self, url: str, *, transport: httpx2.BaseTransport | None = None) -> None:
        self._url = url
        self._transport = transport

    def send(self, *, to: str, body: str) -> None:
        """Hand one message over; every answer but 2xx is a failure."""
        timeout = httpx2.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        try:
            with httpx2.Client(timeout=timeout, transport=self._transport) as client:
                answer = client.post(self._url, json={"to": to, "body": body})
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            # The cause is dropped: it holds the request, and that holds number and code.
            raise SmsNotSent(f"The SMS provider failed: {type(error).__name__}.") from None
        if not answer.is_success:
            raise SmsNotSent(f"The SMS provider answered {answer.status_code}.")


def get_provider() -> SmsProvider:
    """The provider that `SMS_BACKEND` names."""
    if settings.SMS_BACKEND == "webhook":
        return WebhookProvider(str(settings.SMS_WEBHOOK_URL))
    return SinkProvider(str(settings.SMS_SINK))
