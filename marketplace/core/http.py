"""The base of every REST view: who asks, how often, in which words it is answered.

The checks come in one order for all routes: path and method, size and media type, identity,
rate; then the view reads its input, finds the thing, and acts.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeVar, cast

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.datastructures import MultiValueDict
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSetMixin

from marketplace.core import idempotency, limits
from marketplace.core.errors import (
    AppError,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    Unauthorized,
    UnsupportedMediaType,
)
from marketplace.core.inputs import InputSerializer
from marketplace.core.middleware import (
    BodyLimitMiddleware,
    RequestIdMiddleware,
    SecurityHeaders,
    ServerTimingMiddleware,
    SlashMiddleware,
    body_size,
)
from marketplace.core.pagination import cursor_page, page_limit
from marketplace.core.problems import (
    error_response,
    headers_of,
    log_failure,
    logged,
    register_dialect,
    to_app_error,
    wire_error,
)
from marketplace.core.rendering import (
    MAX_BODY_BYTES,
    JsonFirst,
    JsonParser,
    OrjsonRenderer,
    plain_request,
)

Identity = Literal["required", "optional", "none"]
Input = TypeVar("Input", bound=InputSerializer)


class ApiView(APIView):
    """A REST view. Subclasses set the attributes below; everything else is the same for all."""

    renderer_classes = (OrjsonRenderer,)
    parser_classes: Sequence[type[BaseParser]] = (JsonParser,)
    content_negotiation_class = JsonFirst
    permission_classes: Sequence[type[BasePermission]] = ()
    throttle_classes = ()

    dialect: ClassVar[str | None] = None
    """Whose words errors use: None = canonical, "rm", …"""
    error_texts: ClassVar[Mapping[str, str]] = {}
    """Texts that clients of these routes expect, by code."""
    identity: Identity = "required"
    """required: 401 without a token; optional: a token is used if there; none: not looked at."""
    identity_by_action: ClassVar[Mapping[str, Identity]] = {}
    """Exceptions from `identity`, by action of a viewset, else by method in lower case."""
    bucket: ClassVar[str | None] = "api"
    """The rate bucket of `core.limits`; None = not counted."""
    bucket_by_action: ClassVar[Mapping[str, str | None]] = {}
    idempotent: ClassVar[bool] = True
    """Whether POST takes `Idempotency-Key`; False where the answer holds tokens."""
    max_body_bytes: ClassVar[int] = MAX_BODY_BYTES
    also_answers: ClassVar[Collection[int]] = ()
    """Statuses of refusals that the route's form does not tell, for the API document."""

    request: Request
    format_kwarg: str | None = None
    _allowance: limits.Allowance | None = None
    _claim: idempotency.Claim | None = None
    _error: AppError | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Check, act, answer; the answer of a POST with a key is stored before it goes out."""
        self.args, self.kwargs = args, kwargs
        self.request = wrapped = self.initialize_request(request, *args, **kwargs)
        self.headers: dict[str, str] = {}
        try:
            self.initial(wrapped, *args, **kwargs)
            response = self._begin_once(wrapped)
            if response is None:
                handler = getattr(self, (wrapped.method or "get").lower())
                response = handler(wrapped, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  # the edge: everything becomes an answer
            response = self.handle_exception(error)
        self.response = self.finalize_response(wrapped, response, *args, **kwargs)
        if self._claim is not None:
            self._end_once(self._claim, self.response)
        return self.response

    # --- before the view acts ---------------------------------------------------------------

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """The checks that precede the view's own, in the order of the contract."""
        method = (request.method or "").lower()
        if method not in self.http_method_names or not hasattr(self, method):
            raise MethodNotAllowed(allow=self.allowed_methods)
        if any("\x00" in value for value in kwargs.values() if isinstance(value, str)):
            raise NotFound
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(
            request
        )
        if method == "options":
            request.user, request.auth = AnonymousUser(), None
            return
        self._check_body(request)
        self._identify(request)
        self._count(request)
        self.check_permissions(request)

    def _check_body(self, request: Request) -> None:
        size = body_size(plain_request(request))
        if size > self.max_body_bytes:
            raise PayloadTooLarge
        if size and JsonFirst().select_parser(request, request.parsers or ()) is None:
            raise UnsupportedMediaType

    def _identify(self, request: Request) -> None:
        identity = self.identity_by_action.get(self._action(), self.identity)
        if identity == "none":
            request.user, request.auth = AnonymousUser(), None
            return
        try:
            user = request.user
        except AppError:
            # DRF would ask the authenticators again wherever the user is looked at later.
            request.user, request.auth = AnonymousUser(), None
            raise
        if identity == "required" and not user.is_authenticated:
            raise Unauthorized

    def _action(self) -> str:
        return getattr(self, "action", None) or (self.request.method or "get").lower()

    def get_bucket(self) -> str | None:
        """The rate bucket of this request."""
        return self.bucket_by_action.get(self._action(), self.bucket)

    def _count(self, request: Request) -> None:
        bucket = self.get_bucket()
        if bucket is None:
            return
        try:
            self._allowance = limits.check(bucket, caller_of(request))
        except limits.BucketEmpty as error:
            self._allowance = error.allowance
            raise

    def permission_denied(
        self, request: Request, message: str | None = None, code: str | None = None
    ) -> Any:
        """403 for a known identity, 401 for none."""
        raise Forbidden(message) if request.user.is_authenticated else Unauthorized

    # --- Idempotency-Key --------------------------------------------------------------------

    def _begin_once(self, request: Request) -> HttpResponse | None:
        if request.method != "POST" or not self.idempotent:
            return None
        key = idempotency.read_key(plain_request(request))
        if key is None:
            return None
        path = plain_request(request).path_info
        cart = request.headers.get("X-Cart-Token")
        caller = (
            f"cart:{cart}" if cart and not request.user.is_authenticated else caller_of(request)
        )
        scope = idempotency.scope_of(caller=caller, method="POST", path=path, key=key)
        found = idempotency.begin(scope=scope, body_hash=_body_hash(request))
        if isinstance(found, idempotency.Claim):
            self._claim = found
            return None
        response = HttpResponse(found.body, status=found.status, content_type=found.content_type)
        response["Idempotent-Replayed"] = "true"
        return logged(response)

    def _end_once(self, claim: idempotency.Claim, response: HttpResponseBase) -> None:
        if isinstance(response, Response):
            response.render()
        kept = idempotency.is_kept(response.status_code, self._error)
        if kept and isinstance(response, HttpResponse):
            content_type = response.get("Content-Type", "")
            idempotency.store(
                claim,
                status=response.status_code,
                content_type=content_type,
                body=response.content,
            )
        else:
            idempotency.release(claim)

    # --- after ------------------------------------------------------------------------------

    def handle_exception(self, exc: Exception) -> Response:
        """The answer to any exception, in the view's dialect."""
        self._error = to_app_error(exc)
        if isinstance(exc, limits.BucketEmpty):
            # The figures of the bucket that refused, not of the one that let the request in.
            self._allowance = exc.allowance
        return exception_handler(exc, self.get_exception_handler_context())

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        """Ours, whatever the settings name."""
        return exception_handler

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Add the figures of the rate bucket."""
        finished = super().finalize_response(request, response, *args, **kwargs)
        allowance = self._allowance
        if allowance is not None and allowance.limit:
            finished["RateLimit-Limit"] = str(allowance.limit)
            finished["RateLimit-Remaining"] = str(allowance.remaining)
            finished["RateLimit-Reset"] = str(allowance.reset_s)
        return finished

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """The methods of this path; nothing more is told."""
        return Response(status=204, headers={"Allow": ", ".join(self.allowed_methods)})

    # --- for subclasses ---------------------------------------------------------------------

    def read(self, serializer: type[Input], *, partial: bool = False) -> dict[str, Any]:
        """The valid values of the body."""
        return serializer.read(self.request.data, partial=partial)

    def read_query(self, serializer: type[Input]) -> dict[str, Any]:
        """The valid values of the query."""
        return serializer.read(self.request.query_params)


class BaseViewSet(ViewSetMixin, ApiView):
    """Several routes of one noun: `list`, `retrieve`, `create` … and `@action`."""


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response:
    """Any exception of a view as its answer: the one place where errors become HTTP."""
    error = to_app_error(exc)
    log_failure(error, exc)
    view, request = context.get("view"), context.get("request")
    wire = wire_error(
        error,
        path=plain_request(request).path if isinstance(request, Request) else "",
        dialect=getattr(view, "dialect", None),
        texts=getattr(view, "error_texts", None),
    )
    response = Response(
        wire.body, status=wire.status, content_type=wire.content_type, headers=headers_of(error)
    )
    logged(response)
    return response


def caller_of(request: Request) -> str:
    """Whose bucket and whose keys: the user, else the address."""
    known = request.user.is_authenticated
    user_id = str(getattr(request.user, "public_id", request.user.pk)) if known else None
    return limits.caller_key(user_id, limits.request_address(plain_request(request)))


def _body_hash(request: Request) -> str:
    """A digest that equals for equal bodies; the random boundary of a form does not count."""
    if not (request.content_type or "").startswith("multipart/"):
        return hashlib.sha256(plain_request(request).body).hexdigest()
    digest = hashlib.sha256()
    form = cast("MultiValueDict[str, Any]", request.data)
    for name in sorted(form):
        digest.update(repr(name).encode())
        for value in form.getlist(name):
            if hasattr(value, "chunks"):
                for chunk in value.chunks():
                    digest.update(chunk)
                value.seek(0)
            else:
                digest.update(repr(value).encode())
    return digest.hexdigest()


def has_role(*roles: str) -> type[BasePermission]:
    """A permission class: the caller's stored role is one of these."""

    class HasRole(BasePermission):
        def has_permission(self, request: Request, view: APIView) -> bool:
            return getattr(request.user, "role", "") in roles

    return HasRole


def require_role(request: Request, *roles: str) -> None:
    """The same check for a view that has to read its input first. Raises Forbidden."""
    if getattr(request.user, "role", "") not in roles:
        raise Forbidden


__all__ = [
    "ApiView",
    "BaseViewSet",
    "BodyLimitMiddleware",
    "RequestIdMiddleware",
    "SecurityHeaders",
    "ServerTimingMiddleware",
    "SlashMiddleware",
    "caller_of",
    "cursor_page",
    "error_response",
    "exception_handler",
    "has_role",
    "page_limit",
    "register_dialect",
    "require_role",
    "to_app_error",
]
