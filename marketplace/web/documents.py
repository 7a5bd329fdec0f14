"""What programs and their writers read: OpenAPI, AsyncAPI, and the pages that show them.

Both documents are made from the code that serves: the routes' own declarations and the tables of
the topic consumers. Every script and style comes from this server.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson
from csp.decorators import csp_update
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from marketplace.core.http import ApiView
from marketplace.web.asyncapi import asyncapi_document


class DocumentView(ApiView):
    """One document: made once per process, sent again only to those who do not have it yet."""

    identity = "none"
    bucket = None

    def answer(self, request: Request, make: Callable[[], tuple[bytes, str]]) -> HttpResponse:
        """The document, or 304 for a client that named its tag."""
        body, tag = make()
        if request.headers.get("If-None-Match") == tag:
            return HttpResponseNotModified(headers={"ETag": tag})
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        return HttpResponse(body, content_type="application/json", headers=headers)


class OpenApiView(DocumentView):
    """`/api/v1/openapi.json`."""

    @extend_schema(
        operation_id="openapi", summary="This document", tags=["Documents"], responses={200: dict}
    )
    def get(self, request: Request) -> HttpResponse:
        """OpenAPI 3.0 of every REST route."""
        return self.answer(request, openapi_bytes)


class ShortOpenApiView(OpenApiView):
    """`/openapi.json`: the same document at the address where tools look first."""

    @extend_schema(
        operation_id="openapi_short",
        summary="This document",
        tags=["Documents"],
        responses={200: dict},
    )
    def get(self, request: Request) -> HttpResponse:
        """OpenAPI 3.0 of every REST route."""
        return super().get(request)


class AsyncApiView(DocumentView):
    """`/api/v1/asyncapi.json`."""

    @extend_schema(
        operation_id="asyncapi",
        summary="The sockets: topics, commands, events",
        tags=["Documents"],
        responses={200: dict},
    )
    def get(self, request: Request) -> HttpResponse:
        """AsyncAPI 3.0 of every topic, command and event, per protocol."""
        return self.answer(request, asyncapi_bytes)


@lru_cache(maxsize=1)
def openapi_document() -> dict[str, Any]:
    """OpenAPI 3.0 of every REST route of this process."""
    generator: Any = SchemaGenerator
    document: dict[str, Any] = generator().get_schema(request=None, public=True)
    for operations in document["paths"].values():
        for operation in operations.values():
            _make_readable(operation)
    return document


def _make_readable(operation: dict[str, Any]) -> None:
    """Headings begin with a capital; an operation without a summary is told by its description."""
    operation["tags"] = [tag[:1].upper() + tag[1:] for tag in operation.get("tags", [])]
    if not operation.get("summary") and operation.get("description"):
        sentence = str(operation["description"]).splitlines()[0].partition(". ")[0]
        operation["summary"] = sentence.rstrip(".")


@lru_cache(maxsize=1)
def openapi_bytes() -> tuple[bytes, str]:
    """The OpenAPI document as it is sent, with its tag."""
    return _encoded(openapi_document())


@lru_cache(maxsize=1)
def asyncapi_bytes() -> tuple[bytes, str]:
    """The AsyncAPI document as it is sent, with its tag."""
    return _encoded(asyncapi_document())


def _encoded(document: dict[str, Any]) -> tuple[bytes, str]:
    body = orjson.dumps(document, default=str, option=orjson.OPT_NON_STR_KEYS)
    return body, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


@require_safe
def swagger(request: HttpRequest) -> HttpResponse:
    """`/docs`, `/swagger`, `/api/swagger`, `/api-docs`: read the REST API and try it."""
    return render(request, "web/swagger.html")


@require_safe
@csp_update({"style-src": ["'unsafe-inline'"], "worker-src": ["blob:"]})
def redoc(request: HttpRequest) -> HttpResponse:
    """`/redoc`: read the REST API at length. It makes its own styles, and a worker to search in."""
    return render(request, "web/redoc.html")
