"""JSON in and out of the REST views."""

from collections.abc import Mapping, Sequence
from typing import IO, Any

from django.http import HttpRequest
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from marketplace.core.errors import MalformedRequest, PayloadTooLarge
from marketplace.core.jsontext import read_json, write_json

MAX_BODY_BYTES = 1024 * 1024


def plain_request(request: Request) -> HttpRequest:
    """Django's request inside REST framework's."""
    return request._request  # noqa: SLF001  # there is no public name for it


class OrjsonRenderer(BaseRenderer):
    """Plain data as JSON."""

    media_type = "application/json"
    format = "json"
    charset = None
    render_style = "binary"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """The body; empty where there is nothing to say (204)."""
        return b"" if data is None else write_json(data)


class JsonParser(BaseParser):
    """A JSON object of at most MAX_BODY_BYTES, 32 levels deep."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The object. Raises PayloadTooLarge, MalformedRequest, ValidationFailed."""
        body = stream.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise PayloadTooLarge
        if not body.strip():
            return {}
        value = read_json(body)
        if not isinstance(value, dict):
            raise MalformedRequest("The body must be a JSON object.")
        return value


class JsonFirst(BaseContentNegotiation):
    """Answers do not depend on `Accept`; a body without `Content-Type` is JSON."""

    def select_parser(self, request: Request, parsers: Sequence[BaseParser]) -> BaseParser | None:  # type: ignore[override]  # None = 415
        """The parser for this media type, or None if the view does not take it."""
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        if not media_type or media_type.endswith("+json"):
            media_type = JsonParser.media_type
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(  # type: ignore[override]  # the stubs know only iterables of classes
        self, request: Request, renderers: Sequence[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """The first renderer of the view, whatever the client says it accepts."""
        return renderers[0], renderers[0].media_type or ""
