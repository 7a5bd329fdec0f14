"""The pages that a person sees first: what runs here, a place to try it, the dev inbox."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.views.decorators.http import require_safe

from marketplace.core.problems import unknown_path
from marketplace.web.inbox import newest_messages
from marketplace.web.people import DEMO_PASSWORD, PEOPLE, known_people

DATABASE_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mongodb": "MongoDB"}


def wants_page(request: HttpRequest) -> bool:
    """Whether a person with a browser asks, and not a program."""
    return "text/html" in request.headers.get("Accept", "")


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """`/`: a page for a browser, the service's own description for everyone else."""
    if wants_page(request):
        return _page(
            request,
            "landing",
            facts=_facts(),
            groups=_groups(),
            people=_shown_people(),
            password=DEMO_PASSWORD,
        )
    answer = JsonResponse(
        {
            "success": True,
            "message": "Marketplace is running",
            "version": settings.SPECTACULAR_SETTINGS["VERSION"],
            "docs": "/docs",
            "health": "/health",
        }
    )
    answer["Vary"] = "Accept"
    return answer


@require_safe
def demo(request: HttpRequest) -> HttpResponse:
    """`/demo`: sign in by phone code and talk in a room, over the plain WebSocket."""
    people = known_people() if inbox_is_open() else []
    return _page(request, "demo", people=[person for person in people if person["id"]])


@require_safe
def inbox(request: HttpRequest) -> HttpResponse:
    """`/demo/inbox`: what the mock providers sent; in production there is nothing here."""
    if not inbox_is_open():
        return unknown_path(request)
    messages = newest_messages(sms_sink=settings.SMS_SINK, email_sink=settings.EMAIL_SINK)
    answer: HttpResponse
    if wants_page(request):
        answer = _page(request, "inbox", messages=messages)
    else:
        answer = JsonResponse({"items": messages})
        answer["Vary"] = "Accept"
    answer["Cache-Control"] = "no-store"
    return answer


@require_safe
def track(request: HttpRequest, token: str) -> HttpResponse:
    """`/track/<token>`: the customer's page. It knows nothing: it asks with the token, live."""
    answer = render(
        request,
        "web/track.html",
        {
            "track_settings": {"token": token, "tiles": settings.MAP_TILES_URL},
            "attribution": settings.MAP_TILES_ATTRIBUTION,
        },
    )
    answer["Cache-Control"] = "no-store"
    if settings.MAP_TILES_URL:
        host = urlsplit(settings.MAP_TILES_URL)
        # What django-csp's decorator sets, whose argument would be read only once.
        vars(answer)["_csp_update"] = {"img-src": [f"{host.scheme}://{host.netloc}"]}
    return answer


@require_safe
def icon(request: HttpRequest) -> HttpResponse:
    """`/favicon.ico`, which browsers ask for by themselves."""
    return HttpResponseRedirect(static("web/favicon.svg"))


def inbox_is_open() -> bool:
    """Whether codes may be read by everyone who asks: never in production."""
    return bool(settings.PROFILE != "production")


def _page(request: HttpRequest, name: str, **context: Any) -> HttpResponse:
    shared = {"page": name, "inbox_open": inbox_is_open()}
    answer = render(request, f"web/{name}.html", shared | context)
    answer["Vary"] = "Accept"
    return answer


def _shown_people() -> list[dict[str, str]]:
    if not inbox_is_open():
        return []
    return [
        {
            "name": person.name,
            "part": person.part,
            "phone_number": person.phone_number,
            "email": person.email,
        }
        for person in PEOPLE
    ]


def _facts() -> list[tuple[str, str]]:
    return [
        ("Version", settings.SPECTACULAR_SETTINGS["VERSION"]),
        ("Profile", settings.PROFILE),
        ("Database", DATABASE_NAMES[settings.DATABASE_ENGINE]),
        ("Channel layer", "Redis" if settings.REDIS_URL else "in this process"),
        ("Later work", "Celery worker" if settings.CELERY_BROKER_URL else "in this process"),
        ("Event bus", "on" if settings.BUS_ENABLED else "off"),
    ]


def _groups() -> list[dict[str, Any]]:
    try_it = [
        _link("/demo", "Sign in by phone code; talk, order, sell and drive, live, in two browsers"),
        _link(
            "/admin/", "People, rooms, shops, orders, deliveries, events, jobs and audit, for staff"
        ),
    ]
    if inbox_is_open():
        try_it.insert(1, _link("/demo/inbox", "The codes and e-mails that were sent"))
    sockets = settings.PUBLIC_URL.replace("http", "ws", 1)
    return [
        {"title": "Try it", "links": try_it},
        {
            "title": "Documentation",
            "links": [
                _link("/docs", "The REST API, to read and to try (Swagger UI)"),
                _link("/redoc", "The same, to read at length (ReDoc)"),
                _link("/api/v1/openapi.json", "OpenAPI 3.0, for programs"),
                _link("/api/v1/asyncapi.json", "AsyncAPI 3.0: topics, commands and events"),
            ],
        },
        {
            "title": "Sockets",
            "links": [
                _address(
                    f"{sockets}/ws/?token=…", "Plain JSON over WebSocket, all topics on one line"
                ),
                _address(f"{sockets}/socket/websocket?token=…", "Phoenix Channels, v1 and v2"),
                _address(
                    "GET /api/v1/topics/{topic}/events",
                    "The log as JSON, or live as server-sent events",
                ),
            ],
        },
        {
            "title": "Operation",
            "links": [
                _link("/readyz", "Whether this server can take requests, and its parts"),
                _link("/livez", "Whether the process is alive"),
                _link("/health", "The short answer for clients"),
                _link("/metrics", "Prometheus figures, from this machine or with the token"),
            ],
        },
    ]


def _link(href: str, note: str) -> dict[str, str]:
    return {"href": href, "label": href, "note": note}


def _address(label: str, note: str) -> dict[str, str]:
    return {"href": "", "label": label, "note": note}
