"""The kernel's routes, from the root: health, metrics, jobs."""

from django.urls import path

from marketplace.core.views import (
    AuthHealthView,
    HealthView,
    JobViewSet,
    LiveView,
    MetricsView,
    ReadyView,
    StatusHealthView,
    StorefrontHealthView,
)

urlpatterns = [
    path("livez", LiveView.as_view()),
    path("readyz", ReadyView.as_view()),
    path("metrics", MetricsView.as_view()),
    path("health", StorefrontHealthView.as_view()),
    path("api/health", StatusHealthView.as_view()),
    path("api/auth/health", AuthHealthView.as_view()),
    path("api/v1/health", HealthView.as_view()),
    path("api/v1/jobs", JobViewSet.as_view({"get": "list"})),
    path("api/v1/jobs/dead", JobViewSet.as_view({"get": "dead"})),
    path("api/v1/jobs/dead/<str:job_id>/retry", JobViewSet.as_view({"post": "retry"})),
    path("api/v1/jobs/<str:name>/run", JobViewSet.as_view({"post": "run"})),
]
