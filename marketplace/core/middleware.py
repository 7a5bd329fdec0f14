"""What happens to every HTTP request, whatever view serves it; the same sync and async."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed

from marketplace.core import observe
from marketplace.core.context import new_request_id, request_id
from marketplace.core.errors import MethodNotAllowed, PayloadTooLarge
from marketplace.core.problems import error_response, unknown_path
from marketplace.core.queries import QueryCount, counted_queries
from marketplace.core.rendering import MAX_BODY_BYTES

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class Middleware:
    """`before` may answer at once; `after` may change the answer. Both are plain functions."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer, or hand the request on."""
        if self._is_async:
            return self._call_async(request)
        response = self.before(request)
        try:
            if response is None:
                response = cast(HttpResponseBase, self.get_response(request))
            return self.after(request, response)
        finally:
            self.ended(request)

    async def _call_async(self, request: HttpRequest) -> HttpResponseBase:
        response = self.before(request)
        try:
            if response is None:
                response = await cast(Awaitable[HttpResponseBase], self.get_response(request))
            return self.after(request, response)
        finally:
            self.ended(request)

    def before(self, request: HttpRequest) -> HttpResponseBase | None:
        """An answer, if the request goes no further."""
        return None

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """The answer that goes out."""
        return response

    def ended(self, request: HttpRequest) -> None:
        """Called last, also when the client went away in the middle."""


class RequestIdMiddleware(Middleware):
    """Give the request its id, and write its one line in the access log.

    It stands first, so that every other line, error and event carries the id.
    """

    def before(self, request: HttpRequest) -> HttpResponseBase | None:
        """Take the client's id, or make one."""
        name = new_request_id(request.headers.get("X-Request-ID"))
        request_id.set(name)
        request.request_id = name  # type: ignore[attr-defined]  # ours
        request.started_at = time.perf_counter()  # type: ignore[attr-defined]  # ours
        observe.HTTP_IN_FLIGHT.inc()
        return None

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Echo the id, count and log the request."""
        response["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]  # ours
        seconds = time.perf_counter() - request.started_at  # type: ignore[attr-defined]  # ours
        observe.request_done(request, status=response.status_code, seconds=seconds)
        return response

    def ended(self, request: HttpRequest) -> None:
        """One fewer in flight; what this thread does next belongs to no request."""
        observe.HTTP_IN_FLIGHT.dec()
        request_id.set("")


class SlashMiddleware(Middleware):
    """One form of each path, without the slash at its end, and never a redirect.

    `/admin/` keeps Django's own way. Plain views that refuse a method get the usual error body.
    """

    def before(self, request: HttpRequest) -> HttpResponseBase | None:
        """Drop one slash; refuse what can be no path."""
        path = request.path_info
        if "\x00" in path:
            return unknown_path(request)
        if len(path) > 1 and path.endswith("/") and not _is_admin(path):
            request.path_info = path[:-1]
            request.path = request.path[:-1]
        return None

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """A 405 without a body gets one."""
        if isinstance(response, HttpResponseNotAllowed) and not response.content:
            allowed = [method.strip() for method in response["Allow"].split(",")]
            return error_response(request, MethodNotAllowed(allow=allowed))
        return response


def _is_admin(path: str) -> bool:
    return path.startswith("/admin/")


class ServerTimingMiddleware(Middleware):
    """Time and queries of each answer in `Server-Timing`: local to everyone, else to staff."""

    def before(self, request: HttpRequest) -> HttpResponseBase | None:
        """Start counting; the count travels with the context into the view's thread."""
        count = QueryCount()
        counted_queries.set(count)
        request.queries = count  # type: ignore[attr-defined]  # ours
        request.timed_from = time.perf_counter()  # type: ignore[attr-defined]  # ours
        return None

    async def _call_async(self, request: HttpRequest) -> HttpResponseBase:
        response = await super()._call_async(request)
        if (
            not response.has_header("Server-Timing")
            and settings.SESSION_COOKIE_NAME in request.COOKIES
        ):
            # A page that never looked at its user: ask now, staff sees the figures everywhere.
            user = await request.auser() if hasattr(request, "auser") else None
            if user is not None and is_staff(user):
                _tell(request, response)
        return response

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Tell the figures to those who may see them."""
        if settings.PROFILE == "local" or is_staff(_known_user(request, load=not self._is_async)):
            _tell(request, response)
        return response


def _tell(request: HttpRequest, response: HttpResponseBase) -> None:
    seconds = time.perf_counter() - request.timed_from  # type: ignore[attr-defined]  # ours
    response["Server-Timing"] = server_timing(seconds, request.queries)  # type: ignore[attr-defined]  # ours


def server_timing(seconds: float, count: QueryCount) -> str:
    """The header's text: the whole time, and the part and number of the database calls."""
    return (
        f"total;dur={seconds * 1000:.1f}, "
        f'db;dur={count.seconds * 1000:.1f};desc="{count.number} queries"'
    )


def _known_user(request: HttpRequest, *, load: bool) -> Any:
    """The user of the request where looking costs no query; with `load` also where it does."""
    user = getattr(request, "_cached_user", None) or request.__dict__.get("user")
    if user is None or not hasattr(user, "_wrapped"):
        return user
    if load and settings.SESSION_COOKIE_NAME in request.COOKIES:
        return user
    return None


def is_staff(user: Any) -> bool:
    """Whether this user may see how the house works."""
    return bool(getattr(user, "is_staff", False)) or getattr(user, "role", "") in (
        "employee",
        "admin",
    )


class BodyLimitMiddleware(Middleware):
    """413 for a body over the limit before a plain view reads it. API views look themselves."""

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        """Called when the path is known: an unknown one is 404 first."""
        if hasattr(getattr(view, "cls", None), "max_body_bytes"):
            return None
        limit = getattr(view, "max_body_bytes", MAX_BODY_BYTES)
        return error_response(request, PayloadTooLarge()) if body_size(request) > limit else None


def body_size(request: HttpRequest) -> int:
    """How many bytes came, also where no Content-Length was given (chunked)."""
    try:
        size = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        size = 0
    stream = getattr(request, "_stream", None)
    unread = not getattr(request, "_read_started", False)
    if size <= 0 and unread and stream is not None and stream.seekable():
        size = int(stream.seek(0, 2))
        stream.seek(0)
        if size:
            # DRF reads a body only where a length says that there is one.
            request.META["CONTENT_LENGTH"] = str(size)
    return max(0, size)


class SecurityHeaders(Middleware):
    """The headers of contracts 1.4 that Django and django-csp do not set by themselves."""

    FIXED = (
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "SAMEORIGIN"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("X-DNS-Prefetch-Control", "off"),
        ("Permissions-Policy", "camera=(), microphone=(), geolocation=(self), payment=()"),
    )
    STRICT_TRANSPORT_S = 31_536_000

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Add each header that a view has not set on purpose."""
        for name, value in self.FIXED:
            response.setdefault(name, value)
        if settings.PROFILE == "production" and not getattr(settings, "PLAIN_HTTP", False):
            value = f"max-age={self.STRICT_TRANSPORT_S}; includeSubDomains"
            response.setdefault("Strict-Transport-Security", value)
        for name in ("Server", "X-Powered-By"):
            if response.has_header(name):
                del response[name]
        return response
