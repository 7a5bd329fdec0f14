"""One tree of errors, one formatter. Services raise them; each edge wraps the same object.

Statuses and codes: docs/errors.md.
"""

from typing import Any, ClassVar

from marketplace.core.context import request_id


class AppError(Exception):
    """A refusal that a client can act on: a stable `code`, a `status`, a message, details."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    default_message: ClassVar[str] = "Something went wrong."

    def __init__(self, message: str | None = None, **details: Any) -> None:
        self.message = message or self.default_message
        self.details = details
        super().__init__(self.message)


class Invalid(AppError):
    """400: the request itself is wrong."""

    code = "validation_failed"
    status = 400
    default_message = "The request is not valid."


class ValidationFailed(Invalid):
    """400 with the texts by field: `ValidationFailed.fields(title=["…"])`."""

    @classmethod
    def for_fields(cls, fields: dict[str, list[str]]) -> "ValidationFailed":
        """An error that names each wrong field with its texts; its message is the first of them."""
        name, texts = next(iter(fields.items()))
        return cls(f"{name}: {texts[0]}", fields=fields)


class MalformedRequest(Invalid):
    """400: not JSON, too deep, or not an object where one is due."""

    code = "malformed_request"
    default_message = "The request could not be read."


class CursorInvalid(Invalid):
    """400: a page cursor that this server did not make."""

    code = "cursor_invalid"
    default_message = "This cursor is not valid."


class Unauthorized(AppError):
    """401: no identity."""

    code = "unauthorized"
    status = 401
    default_message = "Sign in first."


class InvalidToken(Unauthorized):
    """401: a token that proves nothing."""

    code = "invalid_token"
    default_message = "Invalid token"


class TokenExpired(Unauthorized):
    """401: the token was good once."""

    code = "token_expired"
    default_message = "The token has expired."


class TokenRevoked(Unauthorized):
    """401: the session behind the token has ended."""

    code = "token_revoked"
    default_message = "The session has ended."


class Forbidden(AppError):
    """403: a known identity, a visible thing, no right."""

    code = "forbidden"
    status = 403
    default_message = "You may not do this."


class NotFound(AppError):
    """404: it does not exist, or the caller may not know that it does."""

    code = "not_found"
    status = 404
    default_message = "There is nothing here."


class MethodNotAllowed(AppError):
    """405."""

    code = "method_not_allowed"
    status = 405
    default_message = "This method is not allowed here."


class PayloadTooLarge(AppError):
    """413."""

    code = "payload_too_large"
    status = 413
    default_message = "The body is too large."


class UnsupportedMediaType(AppError):
    """415."""

    code = "unsupported_media_type"
    status = 415
    default_message = "This media type is not supported."


class Conflict(AppError):
    """409: the state of the thing does not allow it."""

    code = "conflict"
    status = 409
    default_message = "This conflicts with the present state."


class IllegalTransition(Conflict):
    """409: no such move from the present state."""

    code = "illegal_transition"
    default_message = "This move is not possible from the present state."


class Unprocessable(AppError):
    """422: understood, and refused by a rule."""

    code = "unprocessable"
    status = 422
    default_message = "This cannot be done."


class RateLimited(AppError):
    """429: wait `retry_after` seconds."""

    code = "rate_limited"
    status = 429
    default_message = "Too many requests. Please slow down."

    def __init__(self, message: str | None = None, *, retry_after: int = 1, **details: Any) -> None:
        super().__init__(message, retry_after=retry_after, **details)

    @property
    def retry_after(self) -> int:
        """Whole seconds until another try makes sense."""
        return int(self.details["retry_after"])


class Unavailable(AppError):
    """503: a part that is needed does not answer; nothing was done."""

    code = "unavailable"
    status = 503
    default_message = "The service is not available just now. Please try again."
    retry_after = 1


class InternalError(AppError):
    """500: a fault of ours, logged with its request id."""


def error_body(error: AppError) -> dict[str, Any]:
    """E of the contract: `{code, message, details, request_id}`. Every wrapper starts from it."""
    return {
        "code": error.code,
        "message": error.message,
        "details": error.details,
        "request_id": request_id.get() or None,
    }
