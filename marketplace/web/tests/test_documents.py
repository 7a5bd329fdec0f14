"""OpenAPI, AsyncAPI and the pages that show them."""

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from openapi_spec_validator import OpenAPIV30SpecValidator

from marketplace.realtime.topic import consumers
from marketplace.web.asyncapi import asyncapi_document
from marketplace.web.documents import openapi_document

BROWSER = {"Accept": "text/html"}
METHODS = {"get", "put", "post", "patch", "delete", "options", "head"}
# A page for people, though it stands under /api.
NO_OPERATION = {"/api/swagger"}


def api_paths() -> set[str]:
    """Every route under /api, as the URL configuration has it, in OpenAPI's spelling."""
    found = {f"/{route}" for route in _routes(get_resolver().url_patterns)}
    return {path for path in found if path.startswith("/api/")} - NO_OPERATION


def _routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, route)
        else:
            yield re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in openapi_document()["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]


class TestOpenApi:
    def test_is_of_the_projects_version(self) -> None:
        project = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())["project"]

        assert openapi_document()["info"]["version"] == project["version"]

    def test_is_valid(self) -> None:
        document = json.loads(json.dumps(openapi_document(), default=str))

        assert document["openapi"].startswith("3.0")
        assert list(OpenAPIV30SpecValidator(document).iter_errors()) == []

    def test_names_every_route_under_api(self) -> None:
        assert len(api_paths()) > 10
        assert api_paths() - set(openapi_document()["paths"]) == set()

    def test_declares_the_bearer_scheme_and_asks_for_it(self) -> None:
        document = openapi_document()

        scheme = document["components"]["securitySchemes"]["bearerAuth"]
        assert scheme == {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        rooms = document["paths"]["/api/v1/chat/rooms"]["get"]
        assert {"bearerAuth": []} in rooms["security"]

    def test_tells_every_operation_in_a_summary(self) -> None:
        silent = [
            f"{method} {path}"
            for path, method, operation in operations()
            if not (operation.get("summary") or operation.get("description"))
        ]

        assert silent == []

    def test_has_one_operation_id_each(self) -> None:
        ids = [operation["operationId"] for _, _, operation in operations()]

        assert sorted(ids) == sorted(set(ids))

    def test_holds_examples(self) -> None:
        assert '"example' in json.dumps(openapi_document(), default=str)

    @pytest.mark.parametrize("path", ["/api/v1/openapi.json", "/openapi.json"])
    def test_is_served_once_per_client(self, client: Client, path: str) -> None:
        first = client.get(path)

        assert first["Content-Type"] == "application/json"
        assert first.json()["info"]["title"] == "Marketplace"
        again = client.get(path, headers={"If-None-Match": first["ETag"]})
        assert (again.status_code, again.content) == (304, b"")


class TestPages:
    @pytest.mark.parametrize("path", ["/api/swagger", "/docs", "/swagger", "/api-docs", "/redoc"])
    def test_are_there_with_all_their_parts(self, client: Client, path: str) -> None:
        answer = client.get(path, headers=BROWSER)

        page = answer.content.decode()
        assert answer.status_code == 200
        assert 'data-url="/api/v1/openapi.json"' in page
        parts = re.findall(r'<(?:script src|link rel="[a-z]+" href)="([^"]+)"', page)
        assert len(parts) >= 4
        for part in parts:
            assert part.startswith("/static/")
            assert client.get(part).status_code == 200


class TestAsyncApi:
    def test_is_served(self, client: Client) -> None:
        answer = client.get("/api/v1/asyncapi.json")

        assert answer.json()["asyncapi"] == "3.0.0"
        assert set(answer.json()["servers"]) == {"plain", "phoenix", "feed"}

    def test_names_every_event_of_every_consumer_per_protocol(self) -> None:
        document = asyncapi_document()

        for consumer in consumers().values():
            for spelling in consumer.spellings:
                if spelling.dialect not in ("plain", "phoenix") or not spelling.is_told:
                    continue
                told = messages_at(document, spelling.prefix, spelling.dialect)
                for row in consumer.events:
                    spoken = row.in_voice(spelling.voice, spelling.dialect)
                    for name in () if spoken is None else spoken.names:
                        assert name in told, f"{spelling.prefix} {name}"
                for command in consumer.commands:
                    assert command.name in told

    def test_spells_topics_as_each_protocol_does(self) -> None:
        addresses = {channel["address"] for channel in asyncapi_document()["channels"].values()}

        assert {
            "room:{room_id}",
            "chat:room_{room_id}",
            "group:{room_id}",
            "/api/v1/topics/room:{room_id}/events",
        } <= addresses

    def test_shows_the_fields_as_they_are_sent(self) -> None:
        message = asyncapi_document()["components"]["messages"]["plain.room.new_message"]

        fields = set(message["payload"]["allOf"][1]["properties"])
        assert {"id", "_id", "room_id", "chat_room_id", "content", "client_id", "seq"} <= fields

    def test_has_no_reference_into_nothing(self) -> None:
        document = asyncapi_document()

        for reference in references(document):
            assert resolve(document, reference) is not None, reference

    def test_keeps_to_the_words_of_the_standard(self) -> None:
        document = asyncapi_document()

        assert {operation["action"] for operation in document["operations"].values()} == {
            "send",
            "receive",
        }
        for operation in document["operations"].values():
            channel = resolve(document, operation["channel"]["$ref"])
            for message in operation["messages"]:
                assert message["$ref"].rpartition("/")[2] in channel["messages"]


def messages_at(document: dict[str, Any], prefix: str, dialect: str) -> set[str]:
    [channel] = [
        channel
        for channel in document["channels"].values()
        if (channel["address"] or "").partition("{")[0] == prefix
        and channel["servers"] == [{"$ref": f"#/servers/{dialect}"}]
    ]
    return {resolve(document, one["$ref"])["name"] for one in channel["messages"].values()}


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(document: dict[str, Any], reference: str) -> Any:
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node
