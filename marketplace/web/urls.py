"""Routes of the pages and of the documents."""

from django.urls import URLPattern, URLResolver, path

from marketplace.web import documents, pages

urlpatterns: list[URLPattern | URLResolver] = [
    path("", pages.landing, name="landing"),
    path("favicon.ico", pages.icon, name="icon"),
    path("track/<str:token>", pages.track, name="track"),
    path("demo", pages.demo, name="demo"),
    path("demo/inbox", pages.inbox, name="inbox"),
    path("docs", documents.swagger, name="docs"),
    path("swagger", documents.swagger, name="swagger"),
    path("api/swagger", documents.swagger, name="api-swagger"),
    path("api-docs", documents.swagger, name="api-docs"),
    path("redoc", documents.redoc, name="redoc"),
    path("openapi.json", documents.ShortOpenApiView.as_view(), name="openapi-short"),
    path("api/v1/openapi.json", documents.OpenApiView.as_view(), name="openapi"),
    path("api/v1/asyncapi.json", documents.AsyncApiView.as_view(), name="asyncapi"),
]
