"""Every HTTP route of the project, one include per app."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("", include("marketplace.web.urls")),
    path("api/v1/", include("accounts.urls")),
    path("api/", include("marketplace.compat.realtime_market")),
    path("", include("marketplace.core.urls")),
    path("api/v1/", include("marketplace.realtime.urls")),
    path("api/v1/", include("chat.urls")),
]

handler400 = "marketplace.core.problems.bad_request"
handler403 = "marketplace.core.problems.permission_denied"
handler404 = "marketplace.core.problems.unknown_path"
handler500 = "marketplace.core.problems.server_error"
