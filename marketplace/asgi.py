"""HTTP and every WebSocket in one application; the same under Daphne and uvicorn."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()  # before anything imports models

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402  # the application first
from django.urls import path, re_path  # noqa: E402  # the application first

from accounts.asgi import JWTAuthMiddleware, OriginMiddleware  # noqa: E402  # the application first
from marketplace.fastpath import orders, products  # noqa: E402  # the application first
from marketplace.fastpath.application import FastPath  # noqa: E402  # the application first
from marketplace.realtime.phoenix import PhoenixConsumer  # noqa: E402  # the application first
from marketplace.realtime.plain import PlainConsumer  # noqa: E402  # the application first

ONE_TOPIC_KINDS = {
    "chat/rooms": "room",
    "rooms": "room",
    "orders": "order",
    "deliveries": "delivery",
}


async def refuse(scope: dict[str, Any], receive: Any, send: Any) -> Any:
    """An unknown WebSocket path: closed before it is accepted, which clients see as HTTP 403."""
    await receive()
    await send({"type": "websocket.close"})


async def lifespan(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer uvicorn's start and stop; Daphne never asks."""
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


# Django types routes for HTTP views; Channels routes any ASGI application.
plain: Any = OriginMiddleware(JWTAuthMiddleware(PlainConsumer.as_asgi()))
phoenix: Any = OriginMiddleware(JWTAuthMiddleware(PhoenixConsumer.as_asgi()))

fast_path = FastPath(django_application, [products.LIST, products.DETAIL, orders.PLACE])

application = ProtocolTypeRouter(
    {
        "lifespan": lifespan,
        "http": fast_path,
        "websocket": URLRouter(
            [
                path("socket/websocket", phoenix),
                path("socket/websocket/", phoenix),
                *(
                    re_path(rf"^ws/{prefix}/(?P<id>[^/]+)/?$", plain, {"kind": kind})
                    for prefix, kind in ONE_TOPIC_KINDS.items()
                ),
                re_path(
                    r"^ws/track/(?P<id>[^/]+)/?$", plain, {"kind": "delivery", "prefix": "token_"}
                ),
                re_path(r"^ws/notifications/?$", plain, {"kind": "user", "id": "me"}),
                re_path(r"^(ws/?)?$", plain),
                re_path(r"", refuse),
            ]
        ),
    }
)
