"""Every failure as one AppError, and that error in the words of whoever asked.

A view names its dialect; a dialect is one function from the error to a body. Whatever is not an
AppError is translated here, once, so that nothing below HTTP has to know statuses.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import (
    BadRequest,
    ObjectDoesNotExist,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.http.multipartparser import MultiPartParserError
from django.http.request import UnreadablePostError
from django.utils.html import escape
from rest_framework import exceptions as drf

from marketplace.core.context import request_id
from marketplace.core.db import is_lost_race, is_unreachable
from marketplace.core.errors import (
    AppError,
    Conflict,
    Forbidden,
    InternalError,
    InvalidToken,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
    ValidationFailed,
    error_body,
)
from marketplace.core.inputs import validation_failed
from marketplace.core.jsontext import write_json

logger = structlog.get_logger(__name__)

PROBLEM_JSON = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Wire:
    """An error as it goes out."""

    status: int
    body: Mapping[str, Any]
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the error is told: the path, and texts that clients of this route expect by code."""

    path: str
    texts: Mapping[str, str]


Dialect = Callable[[AppError, Place], Wire]


def canonical(error: AppError, place: Place) -> Wire:
    """RFC 9457 around the error object of the contract."""
    body = error_body(error)
    problem = {
        "type": f"urn:marketplace:error:{error.code.replace(' ', '_')}",
        "title": title_of(error),
        "status": error.status,
        "detail": error.message,
        "instance": place.path,
        **body,
    }
    return Wire(error.status, problem, PROBLEM_JSON)


def realtime_market(error: AppError, place: Place) -> Wire:
    """Realtime Market: `error` = `errors.detail` = `message`, in the words of the route."""
    body = error_body(error)
    message = place.texts.get(error.code) or REALTIME_MARKET_TEXTS.get(error.code) or error.message
    body["message"] = message
    return Wire(
        error.status, {"success": False, "error": message, **body, "errors": {"detail": message}}
    )


REALTIME_MARKET_TEXTS = {
    "unauthorized": "Missing authentication token",
    "invalid_token": "Invalid token",
    "otp_invalid": "Invalid OTP",
}

_dialects: dict[str | None, Dialect] = {None: canonical, "rm": realtime_market}


def register_dialect(name: str, dialect: Dialect) -> None:
    """Let views with `dialect = name` answer their errors in this form."""
    _dialects[name] = dialect


def title_of(error: AppError) -> str:
    """The short text of a code: `otp_too_soon` → `Otp too soon`."""
    return error.code.replace("_", " ").capitalize()


def wire_error(
    error: AppError,
    *,
    path: str,
    dialect: str | None = None,
    texts: Mapping[str, str] | None = None,
) -> Wire:
    """The error in this dialect."""
    return _dialects[dialect](error, Place(path=path, texts=texts or {}))


def headers_of(error: AppError) -> dict[str, str]:
    """What the status demands beside the body."""
    if error.status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": "Bearer"}
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        return {"Retry-After": str(retry_after)}
    allowed = error.details.get("allow") if isinstance(error, MethodNotAllowed) else None
    return {"Allow": ", ".join(allowed)} if allowed else {}


def error_response(
    request: HttpRequest, failure: AppError, /, *, dialect: str | None = None, **extra: Any
) -> HttpResponse:
    """The error as a finished answer, for middlewares and for paths that no view serves.

    extra: further keys of the body. A browser outside the API gets a page.
    """
    path = request.path
    wire = wire_error(failure, path=path, dialect=dialect)
    response: HttpResponse
    if not is_api_path(path) and "text/html" in request.headers.get("Accept", ""):
        response = HttpResponse(_page(failure), status=wire.status)
    else:
        body = write_json({**wire.body, **extra})
        response = HttpResponse(body, status=wire.status, content_type=wire.content_type)
    for name, value in headers_of(failure).items():
        response[name] = value
    return logged(response)


def logged(response: HttpResponse) -> HttpResponse:
    """Tell Django that this answer needs no log line of its own: ours has been written."""
    # Django's own mark, read by its log_response.
    setattr(response, "_has_been_logged", True)  # noqa: B010  # the stubs do not know it
    return response


def is_api_path(path: str) -> bool:
    """Whether programs, not people, ask here."""
    return path == "/api" or path.startswith("/api/")


def _page(error: AppError) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title_of(error))}</title></head><body><main>"
        f"<h1>{escape(title_of(error))}</h1><p>{escape(error.message)}</p>"
        f"<p>Request <code>{escape(request_id.get())}</code></p>"
        '<p><a href="/">Back to the start</a></p></main></body></html>'
    )


# --- From any exception to an AppError ------------------------------------------------------


def to_app_error(error: BaseException) -> AppError:
    """What a client is told about this exception. InternalError = a fault of ours."""
    if isinstance(error, AppError):
        return error
    if isinstance(error, drf.APIException):
        return _from_rest_framework(error)
    if isinstance(error, DatabaseError | InterfaceError):
        return _from_database(error)
    for kinds, make in _FROM_DJANGO:
        if isinstance(error, kinds):
            return make()
    if isinstance(error, DjangoValidationError):
        detail = error.message_dict if hasattr(error, "error_dict") else error.messages
        return validation_failed(detail)
    if is_bad_value(error):
        return ValidationFailed("A value is out of range.", fields={})
    if _is_foreign_outage(error):
        return Unavailable()
    return InternalError()


_FROM_DJANGO: tuple[
    tuple[type[Exception] | tuple[type[Exception], ...], Callable[[], AppError]], ...
] = (
    (RequestDataTooBig, PayloadTooLarge),
    ((Http404, ObjectDoesNotExist), NotFound),
    (PermissionDenied, Forbidden),
    (
        (SuspiciousOperation, BadRequest, MultiPartParserError, UnreadablePostError),
        MalformedRequest,
    ),
)


def _from_rest_framework(error: drf.APIException) -> AppError:
    if isinstance(error, drf.ValidationError):
        return validation_failed(error.detail)
    if isinstance(error, drf.Throttled):
        return RateLimited(retry_after=max(1, round(getattr(error, "wait", None) or 1)))
    if isinstance(error, drf.AuthenticationFailed):
        return InvalidToken(str(error.detail))
    for kind, make in _FROM_REST_FRAMEWORK:
        if isinstance(error, kind):
            return make()
    return InternalError()


_FROM_REST_FRAMEWORK: tuple[tuple[type[drf.APIException], Callable[[], AppError]], ...] = (
    (drf.ParseError, MalformedRequest),
    (drf.NotAuthenticated, Unauthorized),
    (drf.PermissionDenied, Forbidden),
    (drf.NotFound, NotFound),
    (drf.MethodNotAllowed, MethodNotAllowed),
    (drf.UnsupportedMediaType, UnsupportedMediaType),
)


def _from_database(error: Exception) -> AppError:
    if isinstance(error, IntegrityError):
        return Conflict() if is_duplicate(error) else InternalError()
    if isinstance(error, DataError):
        return ValidationFailed("A value is out of range.", fields={})
    if is_lost_race(error) or is_unreachable(error):
        return Unavailable()
    return InternalError()


def is_duplicate(error: IntegrityError) -> bool:
    """Whether a unique index refused the row, on any of the three databases."""
    cause = error.__cause__
    text = str(error)
    return getattr(cause, "sqlstate", None) == "23505" or "UNIQUE" in text or "E11000" in text


def is_bad_value(error: BaseException) -> bool:
    """Whether a driver refused a value that no column can hold."""
    if isinstance(error, OverflowError):
        return "SQLite INTEGER" in str(error) or "8-byte ints" in str(error)
    return isinstance(error, ValueError) and "NUL" in str(error)


def _is_foreign_outage(error: BaseException) -> bool:
    """A store beside the database that does not answer: Redis, the broker, MongoDB's driver."""
    package = type(error).__module__.partition(".")[0]
    return package in {"redis", "kombu", "amqp", "pymongo"}


def log_failure(error: AppError, cause: BaseException) -> None:
    """One line for what is our fault or an outage; refusals are in the access log."""
    if isinstance(error, Unavailable) and not isinstance(cause, AppError):
        logger.warning("unavailable", error=type(cause).__name__, detail=str(cause)[:200])
    elif error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(cause, AppError):
        logger.error("request_failed", exc_info=cause)
    elif error.status < HTTPStatus.INTERNAL_SERVER_ERROR and isinstance(cause, DatabaseError):
        logger.warning("database_refused_value", error=type(cause).__name__)


# --- Django's own handlers (marketplace/urls.py names them) ---------------------------------


def unknown_path(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404 for a path that no route serves."""
    error = NotFound("There is nothing at this address.")
    if not is_api_path(request.path):
        return error_response(request, error)
    return error_response(
        request, error, success=False, error="Endpoint not found", path=request.path
    )


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400 for what Django itself refuses: a wrong host, a broken form."""
    error = to_app_error(exception) if exception is not None else MalformedRequest()
    return error_response(request, error)


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403 of pages."""
    return error_response(request, Forbidden())


def server_error(request: HttpRequest) -> HttpResponseBase:
    """500, or 503 where the database is away: one log line, nothing of it to the client."""
    cause = sys.exc_info()[1]
    error = InternalError() if cause is None else to_app_error(cause)
    if cause is not None:
        log_failure(error, cause)
    return error_response(request, error)
