"""The Channels consumer under both WebSocket adapters: accept, prove identity, hand frames over.

It runs its own receive loop instead of Channels' dispatch, which hops to the one shared thread for
every frame, and takes frames straight from the server where that offers it.
"""

from typing import Any, ClassVar

import structlog
from channels.consumer import AsyncConsumer

from accounts.services.tokens import Claims
from marketplace.core.context import new_request_id
from marketplace.core.errors import AppError
from marketplace.realtime import codes
from marketplace.realtime.frames import EXTENSION, FrameWriter
from marketplace.realtime.outlet import DirectOutlet, Outlet, QueuedOutlet
from marketplace.realtime.runtime import Runtime, has_ended, runtime
from marketplace.realtime.session import Session
from marketplace.realtime.wire import Wire

logger = structlog.get_logger(__name__)


class ConnectionConsumer(AsyncConsumer):
    """One WebSocket connection; `scope["claims"]` by JWTAuthMiddleware, None = anonymous."""

    channel_layer_alias: ClassVar[None] = None

    def wire_of(self, scope: dict[str, Any]) -> Wire | None:
        """The protocol version that this client asks for, or None to refuse with HTTP 403."""
        raise NotImplementedError

    def subprotocol_of(self, scope: dict[str, Any]) -> str | None:
        """The subprotocol to answer with."""
        return None

    def begin(self, session: Session, scope: dict[str, Any]) -> None:
        """What the client is told first."""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """The whole life of the connection."""
        message = await receive()
        if message["type"] != "websocket.connect":
            return
        wire = self.wire_of(scope)
        here = runtime()
        claims: Claims | None = scope.get("claims")
        refusal = None
        if wire is None:
            refusal = "version"
        elif here.draining:
            refusal = "draining"
        elif claims is not None and has_ended(claims):
            refusal = "token_expired"
        if wire is None or refusal is not None:
            logger.info("socket_refused", reason=refusal, path=scope.get("path"))
            await send({"type": "websocket.close"})
            return
        writer: FrameWriter | None = (scope.get("extensions") or {}).get(EXTENSION)
        early: list[str | bytes] = []
        if writer is not None:
            writer.on_text = early.append
        await send({"type": "websocket.accept", "subprotocol": self.subprotocol_of(scope)})
        out: Outlet = QueuedOutlet(send, here.loop)
        if writer is not None:
            out = DirectOutlet(writer, here.loop)
        session = await _open(here, wire, out, scope)
        if session is None:
            await _until_gone(receive)
            return
        try:
            self.begin(session, scope)
            for data in early:
                session.receive(data)
            if writer is not None:
                writer.on_text = session.receive
            await _pump(session, receive)
        finally:
            session.end()


async def _open(here: Runtime, wire: Wire, out: Outlet, scope: dict[str, Any]) -> Session | None:
    """The session of this connection; None after a refusal, with no frame before it."""
    claims: Claims | None = scope.get("claims")
    user = None
    scope["epoch"] = None

    def refuse(code: int, reason: str, key: str) -> None:
        logger.info(
            "socket_refused",
            protocol=wire.name,
            user_id=None if claims is None else claims.user_id,
            request_id=key,
            close_code=code,
            reason=reason,
        )
        out.close(code)

    if claims is not None:
        try:
            identity = await here.identify(claims)
        except AppError as error:
            code = codes.TOKEN if error.status == 401 else codes.DRAINING
            refuse(code, error.code, new_request_id())
            return None
        except Exception:
            logger.exception("authentication_failed")
            refuse(codes.DRAINING, "internal_error", new_request_id())
            return None
        user, scope["epoch"] = identity.user, identity.epoch
    session = Session(
        here,
        wire,
        out,
        user=user,
        auth_session_id=None if claims is None else str(claims.session_id),
        expires_at=0.0 if claims is None else claims.expires_at,
        address=scope.get("client_address", ""),
    )
    if here.draining:
        # The drain has begun while it came in, and has not counted it.
        refuse(codes.DRAINING, "draining", session.key)
        return None
    if here.is_revoked(session):
        refuse(codes.TOKEN, "token_revoked", session.key)
        return None
    if not here.admit(session):
        refuse(codes.FLOODING, "too_many_connections", session.key)
        return None
    return session


async def _pump(session: Session, receive: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            if session.close_code is None:
                session.close_code = message.get("code")
            return
        data = message.get("text")
        session.receive(message["bytes"] if data is None else data)


async def _until_gone(receive: Any) -> None:
    while (await receive())["type"] != "websocket.disconnect":
        pass
