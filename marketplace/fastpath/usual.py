"""The headers that every answer has, asked of Django's own middleware once for each origin.

So whatever a middleware adds to an answer, and whatever it refuses (a host that is not ours, plain
HTTP in production), holds for the fast path as well, without being written down twice.
"""

from collections.abc import Mapping
from http import HTTPStatus
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.module_loading import import_string

from marketplace.core.middleware import GetResponse

# What these do, the fast path does for each request; static files are none of its paths.
OWN = frozenset(
    {
        "marketplace.core.middleware.RequestIdMiddleware",
        "marketplace.core.middleware.ServerTimingMiddleware",
        "marketplace.core.static.StaticFilesMiddleware",
    }
)
# What tells Django under which origin it is asked.
TELLING = ("host", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port")
ORIGINS = 1000

Headers = list[tuple[bytes, bytes]]


class UsualHeaders:
    """Origins that Django accepts, and the headers of an answer there."""

    def __init__(self) -> None:
        self._chain: Any = None
        self._known: dict[tuple[Any, ...], tuple[str, Headers] | None] = {}

    def of(
        self, scope: Mapping[str, Any], headers: Mapping[str, str]
    ) -> tuple[str, Headers] | None:
        """The origin and its headers; None where Django has more to say to this request."""
        key = (scope["scheme"], *(headers.get(name) for name in TELLING))
        if key not in self._known:
            if len(self._known) >= ORIGINS:
                # Somebody makes hosts up.
                self._known.clear()
            self._known[key] = self._ask(scope)
        return self._known[key]

    def _ask(self, scope: Mapping[str, Any]) -> tuple[str, Headers] | None:
        if self._chain is None:
            self._chain = _chain()
        request = ASGIRequest(dict(scope) | {"method": "GET"}, BytesIO())
        try:
            response = self._chain(request)
            origin = request.build_absolute_uri("/")[:-1]
        except SuspiciousOperation:
            return None
        if response.status_code != HTTPStatus.OK:
            return None
        return origin, [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in response.items()
            if name not in ("Content-Type", "Content-Length")
        ]


def _chain() -> GetResponse:
    """All middlewares around a view that says nothing."""
    chain: GetResponse = _view
    for name in reversed(settings.MIDDLEWARE):
        if name not in OWN:
            chain = import_string(name)(chain)
    return chain


def _view(request: HttpRequest) -> HttpResponseBase:
    return HttpResponse(b"", content_type="application/json")
