"""Every HTTP route of the project, one include per app."""

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include("accounts.urls")),
    path("api/", include("marketplace.compat.realtime_market")),
]
