"""Health, readiness, metrics, and the jobs as operators see them."""

import hmac
import ipaddress
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from prometheus_client import CONTENT_TYPE_LATEST
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from marketplace.core import health, jobs
from marketplace.core.clock import now, wire_time
from marketplace.core.errors import Unauthorized
from marketplace.core.figures import render_figures
from marketplace.core.http import ApiView, BaseViewSet, cursor_page, has_role
from marketplace.core.inputs import read_id
from marketplace.core.limits import request_address
from marketplace.core.rendering import plain_request
from marketplace.core.serializers import (
    HealthOutput,
    JobOutput,
    JobPageOutput,
    PartsOutput,
    StatusHealthOutput,
    TaskListOutput,
    job_to_wire,
)

HEALTHY = {"success": True, "message": "API is healthy"}


class OpenView(ApiView):
    """For probes: no token is looked at, nothing is counted."""

    identity = "none"
    bucket = None


class HealthView(OpenView):
    """`/api/v1/health` (GB1): the process answers; no dependency is asked."""

    @extend_schema(operation_id="health", tags=["operations"], responses=HealthOutput)
    def get(self, request: Request) -> Response:
        """GharBazaar's body, to the letter."""
        return Response({**HEALTHY, "timestamp": wire_time(now())})


class StatusHealthView(OpenView):
    """`/api/health` (RM5): a status word and a version too."""

    status = "ok"
    version = "1.0.0"

    @extend_schema(operation_id="api_health", tags=["operations"], responses=StatusHealthOutput)
    def get(self, request: Request) -> Response:
        """The words of the route, beside GharBazaar's."""
        body = {"status": self.status, "timestamp": wire_time(now()), "version": self.version}
        return Response({**body, **HEALTHY})


@extend_schema_view(get=extend_schema(operation_id="auth_health"))
class AuthHealthView(StatusHealthView):
    """`/api/auth/health` (RM5)."""


@extend_schema_view(get=extend_schema(operation_id="storefront_health"))
class StorefrontHealthView(StatusHealthView):
    """`/health` (SF)."""

    status = "healthy"
    version = "v1"


class LiveView(OpenView):
    """`/livez`: the process runs; the state of the parts is told, and changes nothing."""

    @extend_schema(operation_id="livez", tags=["operations"], responses=PartsOutput)
    def get(self, request: Request) -> Response:
        """200, always."""
        return Response({"status": "ok", "checks": health.check_parts()})


class ReadyView(OpenView):
    """`/readyz`: requests may be sent here."""

    @extend_schema(
        operation_id="readyz", tags=["operations"], responses={200: PartsOutput, 503: PartsOutput}
    )
    def get(self, request: Request) -> Response:
        """503 while the database is away, and from the moment this process drains."""
        checks = health.check_parts()
        if health.is_ready(checks):
            return Response({"status": "ok", "checks": checks})
        return Response(
            {"status": "unavailable", "checks": checks}, status=503, headers={"Retry-After": "1"}
        )


class MetricsView(OpenView):
    """`/metrics`: for Prometheus, with METRICS_TOKEN or from this machine."""

    @extend_schema(
        operation_id="metrics",
        tags=["operations"],
        responses={(200, "text/plain"): OpenApiResponse(str, description="Prometheus text.")},
    )
    def get(self, request: Request) -> HttpResponse:
        """All figures of this process."""
        if not _may_scrape(request):
            raise Unauthorized("These figures need the metrics token.")
        return HttpResponse(render_figures(), content_type=CONTENT_TYPE_LATEST)


def _may_scrape(request: Request) -> bool:
    token = settings.METRICS_TOKEN
    offered = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    if token and hmac.compare_digest(offered.encode(), token.encode()):
        return True
    if "X-Forwarded-For" in request.headers and not settings.TRUSTED_PROXIES:
        # A proxy on this machine makes everybody look local.
        return False
    try:
        return ipaddress.ip_address(
            request_address(plain_request(request)).split("/")[0]
        ).is_loopback
    except ValueError:
        return False


def _actor_id(request: Request) -> str:
    return str(getattr(request.user, "public_id", request.user.pk))


class JobViewSet(BaseViewSet):
    """`/api/v1/jobs`: for admins."""

    permission_classes = (has_role("admin"),)

    @extend_schema(operation_id="list_tasks", tags=["operations"], responses=TaskListOutput)
    def list(self, request: Request) -> Response:
        """Every task with its schedule and its open jobs."""
        return Response({"items": jobs.list_tasks(), "next_cursor": None})

    @extend_schema(operation_id="run_task", tags=["operations"], request=None, responses=JobOutput)
    @action(detail=False, methods=["post"])
    def run(self, request: Request, name: str) -> Response:
        """Enqueue a scheduled task at once."""
        return Response(job_to_wire(jobs.run_now(name, actor_id=_actor_id(request))))

    @extend_schema(
        operation_id="list_dead_jobs",
        tags=["operations"],
        parameters=[
            OpenApiParameter("limit", int, description="1-100, default 20"),
            OpenApiParameter("cursor", str, description="`next_cursor` of the page before"),
        ],
        responses=JobPageOutput,
    )
    @action(detail=False, methods=["get"])
    def dead(self, request: Request) -> Response:
        """The jobs that gave up, newest first."""
        page: dict[str, Any] = cursor_page(jobs.list_dead(), request=request, to_wire=job_to_wire)
        return Response(page)

    @extend_schema(
        operation_id="retry_dead_job", tags=["operations"], request=None, responses=JobOutput
    )
    @action(detail=False, methods=["post"])
    def retry(self, request: Request, job_id: str) -> Response:
        """Let a dead job run again from the start."""
        key = read_id(job_id)
        if key is None:
            raise jobs.JobNotFound
        return Response(job_to_wire(jobs.retry_job(key, actor_id=_actor_id(request))))
