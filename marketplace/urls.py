"""Every HTTP route of the project, one include per app."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView

from accounts.admin_sign_in import sign_in
from marketplace.web.operations import LiveTopicsView, OverviewView
from shops.views import public_file

urlpatterns: list[URLPattern | URLResolver] = [
    # Pages of people: Django's own way, which is a redirect to the form with the slash.
    re_path(
        r"^(?P<path>admin(?:/.*[^/])?)$", RedirectView.as_view(url="/%(path)s/", query_string=True)
    ),
    path("admin/login/", sign_in),
    path("admin/", admin.site.urls),
    path("", include("marketplace.web.urls")),
    path("api/v1/", include("accounts.urls")),
    path("api/", include("marketplace.compat.realtime_market")),
    path("api/", include("marketplace.compat.storefront")),
    path("api/", include("marketplace.compat.storefront_orders")),
    path("api/", include("marketplace.compat.storefront_tracking")),
    path("", include("marketplace.core.urls")),
    path("api/v1/ops/topics", LiveTopicsView.as_view()),
    path("api/v1/ops/overview", OverviewView.as_view()),
    path("api/v1/", include("marketplace.events.urls")),
    path("api/v1/", include("marketplace.realtime.urls")),
    path("api/v1/", include("chat.urls")),
    path("api/v1/", include("shops.urls")),
    path("api/v1/", include("orders.urls")),
    path("api/v1/", include("delivery.urls")),
    path("media/<path:name>", public_file),
]

handler400 = "marketplace.core.problems.bad_request"
handler403 = "marketplace.core.problems.permission_denied"
handler404 = "marketplace.core.problems.unknown_path"
handler500 = "marketplace.core.problems.server_error"
