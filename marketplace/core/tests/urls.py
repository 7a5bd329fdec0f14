"""Routes of the tests alone: one view per rule of the base."""

from typing import Any

from asgiref.sync import sync_to_async
from django.db import DataError, IntegrityError, OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.http import require_GET
from redis.exceptions import ConnectionError as RedisConnectionError
from rest_framework import exceptions, serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from marketplace.core.errors import Conflict, Invalid, InvalidToken, Unprocessable
from marketplace.core.http import ApiView, has_role, require_role
from marketplace.core.inputs import InputSerializer
from marketplace.core.models import Job
from marketplace.core.rendering import JsonParser


class Caller:
    """A signed-in user without a table."""

    is_authenticated = True
    is_staff = False
    pk = 1

    def __init__(self, name: str) -> None:
        self.public_id = name
        self.role = "admin" if name == "edith" else "user"


class NameAuthentication(BaseAuthentication):
    """`Authorization: Bearer <name>`; the name `bad` is refused."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        name = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if name == "bad":
            raise InvalidToken
        return (Caller(name), None) if name else None


class TitleInput(InputSerializer):
    title = serializers.CharField(max_length=10)
    data = serializers.JSONField(required=False)  # type: ignore[assignment]  # a field, not theirs


class TestView(ApiView):
    __test__ = False
    authentication_classes = (NameAuthentication,)


class EchoView(TestView):
    """Everything required; counts its runs."""

    runs = 0

    def get(self, request: Request) -> Response:
        return Response({"user": getattr(request.user, "public_id", None)})

    def post(self, request: Request) -> Response:
        EchoView.runs += 1
        return Response({**self.read(TitleInput), "run": EchoView.runs}, status=201)


class OpenEchoView(EchoView):
    identity = "none"

    def get(self, request: Request) -> Response:
        return Response({"known": request.user.is_authenticated})


class OptionalView(TestView):
    identity = "optional"

    def get(self, request: Request) -> Response:
        return Response({"known": request.user.is_authenticated})


class TokenView(OpenEchoView):
    idempotent = False


class RealtimeMarketView(TestView):
    dialect = "rm"
    error_texts = {"conflict": "User already exists"}

    def get(self, request: Request) -> Response:
        return Response({})

    def post(self, request: Request) -> Response:
        self.read(TitleInput)
        raise Conflict


class FormView(TestView):
    identity = "none"
    parser_classes = (JsonParser, MultiPartParser)

    def post(self, request: Request) -> Response:
        return Response({"names": sorted(request.data)})


class AdminView(TestView):
    permission_classes = (has_role("admin"),)

    def get(self, request: Request) -> Response:
        return Response({})

    def post(self, request: Request) -> Response:
        self.read(TitleInput)
        require_role(request, "admin")
        return Response({})


class CappedView(TestView):
    identity = "optional"
    bucket = "lookup"

    def get(self, request: Request) -> Response:
        return Response({})


RAISED: dict[str, Exception] = {
    "bug": RuntimeError("a secret +15550100001"),
    "database": OperationalError("server closed the connection"),
    "out-of-range": DataError("integer out of range"),
    "overflow": OverflowError("Python int too large to convert to SQLite INTEGER"),
    "nul": ValueError("A string literal cannot contain NUL (0x00) characters."),
    "duplicate": IntegrityError("UNIQUE constraint failed: t.c"),
    "not-null": IntegrityError("NOT NULL constraint failed: t.c"),
    "redis": RedisConnectionError("refused"),
    "missing": Job.DoesNotExist(),
    "throttled": exceptions.Throttled(wait=7.4),
    "drf-403": exceptions.PermissionDenied(),
    "drf-parse": exceptions.ParseError(),
}


class RaisingView(TestView):
    identity = "none"

    def get(self, request: Request, kind: str) -> Response:
        raise RAISED[kind]


class OutcomeView(TestView):
    """Ends as the query says; counts its runs."""

    runs = 0

    def post(self, request: Request) -> Response:
        OutcomeView.runs += 1
        outcome = request.query_params.get("outcome")
        if outcome == "bug":
            raise RuntimeError
        if outcome == "invalid":
            raise Invalid
        if outcome == "refused":
            raise Unprocessable
        return Response({"run": OutcomeView.runs}, status=201)


def page(request: HttpRequest) -> HttpResponse:
    Job.objects.order_by("id").exists()
    return HttpResponse(f"page {len(request.body)}")


def broken_page(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a page fell over")


def ask_once() -> None:
    """One query in a thread of a server: its connection ends with it, as the server would do."""
    Job.objects.order_by("id").exists()
    connection.close()


def threaded_page(request: HttpRequest) -> HttpResponse:
    ask_once()
    return HttpResponse("threaded")


async def async_page(request: HttpRequest) -> HttpResponse:
    await sync_to_async(ask_once)()
    return HttpResponse("async")


urlpatterns = [
    path("api/v1/echo", EchoView.as_view()),
    path("api/v1/open", OpenEchoView.as_view()),
    path("api/v1/optional", OptionalView.as_view()),
    path("api/v1/tokens", TokenView.as_view()),
    path("api/rm", RealtimeMarketView.as_view()),
    path("api/v1/form", FormView.as_view()),
    path("api/v1/admin-only", AdminView.as_view()),
    path("api/v1/capped", CappedView.as_view()),
    path("api/v1/raise/<str:kind>", RaisingView.as_view()),
    path("api/v1/outcome", OutcomeView.as_view()),
    path("page", require_GET(page)),
    path("form", page),
    path("broken", broken_page),
    path("async", async_page),
    path("threaded", threaded_page),
]

handler400 = "marketplace.core.problems.bad_request"
handler403 = "marketplace.core.problems.permission_denied"
handler404 = "marketplace.core.problems.unknown_path"
handler500 = "marketplace.core.problems.server_error"
