"""The one AutoSchema: what every route has is added here, so that no view lists it."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter

from marketplace.core.errors import AppError
from marketplace.core.problems import wire_error

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
EXAMPLE_ID = "019a5b6e-7c1d-7a3b-9f00-5b1c2d3e4f50"
EXAMPLE_TIME = "2026-01-10T12:00:00.000Z"
PAGE = [
    OpenApiParameter("limit", int, description="1-100, default 20"),
    OpenApiParameter("cursor", str, description="`next_cursor` of the page before"),
]
"""What every list takes."""

ERRORS: dict[int, tuple[str, str, str]] = {
    400: ("validation_failed", "The request is not valid.", "Wrong input."),
    401: ("unauthorized", "Sign in first.", "No identity, or one that has ended."),
    403: ("forbidden", "You may not do this.", "No right."),
    404: ("not_found", "There is nothing here.", "No such thing, or none that the caller may see."),
    405: ("method_not_allowed", "This method is not allowed here.", "Wrong method."),
    409: ("conflict", "This conflicts with the present state.", "The state does not allow it."),
    413: ("payload_too_large", "The body is too large.", "Over 1 MiB."),
    415: ("unsupported_media_type", "This media type is not supported.", "Not JSON."),
    422: ("idempotency_key_reused", "This key was used for another request.", "Refused by a rule."),
    429: ("rate_limited", "Too many requests. Please slow down.", "Wait `Retry-After` seconds."),
    500: ("internal_error", "Something went wrong.", "A fault of ours; quote its request id."),
    503: ("unavailable", "The service is not available just now.", "Try again after a moment."),
}
"""Status → code and message of the example, and what it means."""

_ERROR_PROPERTIES: dict[str, Any] = {
    "code": {"type": "string", "description": "Stable; programs compare this."},
    "message": {"type": "string", "description": "For people."},
    "details": {"type": "object", "additionalProperties": {}},
    "request_id": {"type": "string", "nullable": True},
}
_SCHEMAS: dict[str | None, tuple[str, str, dict[str, Any]]] = {
    None: (
        "Problem",
        "application/problem+json",
        {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "instance": {"type": "string"},
        },
    ),
    "rm": (
        "RealtimeMarketError",
        "application/json",
        {
            "success": {"type": "boolean"},
            "error": {"type": "string"},
            "errors": {"type": "object", "properties": {"detail": {"type": "string"}}},
        },
    ),
}

_OWN_ERRORS: dict[str | None, dict[int, tuple[str, str, str]]] = {}


def register_error_schema(
    dialect: str,
    *,
    name: str,
    properties: Mapping[str, Any],
    content_type: str = "application/json",
    errors: Mapping[int, tuple[str, str, str]] | None = None,
) -> None:
    """Describe the error body of a dialect: what it has beside code, message, details, id.

    errors: like ERRORS, where a status means something else in this dialect.
    """
    _SCHEMAS[dialect] = (name, content_type, dict(properties))
    _OWN_ERRORS[dialect] = dict(errors or {})


class ApiSchema(AutoSchema):
    """Standard errors, the bearer scheme and the idempotency header on every route."""

    def get_auth(self) -> list[dict[str, Any]]:
        """What the view's `identity` says: a token, a token or none, none."""
        bearer: dict[str, Any] = {"bearerAuth": []}
        identity = self._identity()
        if identity is None:
            return list(super().get_auth())
        return {"required": [bearer], "optional": [bearer, {}]}.get(identity, [{}])

    def get_override_parameters(self) -> list[Any]:
        """`Idempotency-Key` where the view takes it."""
        parameters = list(super().get_override_parameters())
        if self.method == "POST" and getattr(self.view, "idempotent", False):
            parameters.append(
                OpenApiParameter(
                    "Idempotency-Key",
                    str,
                    OpenApiParameter.HEADER,
                    description="1 to 128 characters. A repeated request gets the first answer, "
                    "with `Idempotent-Replayed: true`, for 24 hours.",
                )
            )
        return parameters

    def _get_response_bodies(
        self, direction: Literal["request", "response"] = "response"
    ) -> dict[str, Any]:
        responses = super()._get_response_bodies(direction)
        if direction == "response" and self._identity() is not None:
            for status in self._error_statuses():
                responses.setdefault(str(status), self._error_response(status))
        return dict(sorted(responses.items()))

    def _identity(self) -> str | None:
        default = getattr(self.view, "identity", None)
        names = (getattr(self.view, "action", None), (self.method or "").lower())
        exceptions = getattr(self.view, "identity_by_action", {})
        return next((exceptions[name] for name in names if name in exceptions), default)

    def _error_statuses(self) -> list[int]:
        method = self.method or "GET"
        wanted = {405, 500, 503}
        if method in WITH_BODY:
            wanted |= {400, 413, 415, 422}
        if method in WRITES:
            wanted.add(409)
        if "{" in self.path:
            wanted.add(404)
        if self._identity() != "none":
            wanted |= {400, 401, 403}
        if getattr(self.view, "bucket", None):
            wanted.add(429)
        return sorted(wanted | set(getattr(self.view, "also_answers", ())))

    def _error_response(self, status: int) -> dict[str, Any]:
        name, content_type, own = _SCHEMAS[getattr(self.view, "dialect", None)]
        schema = {
            "type": "object",
            "properties": _ERROR_PROPERTIES | own,
            "required": list(_ERROR_PROPERTIES | own),
        }
        component = ResolvedComponent(  # type: ignore[no-untyped-call]  # theirs
            name=name, type=ResolvedComponent.SCHEMA, schema=schema, object=name
        )
        self.registry.register_on_missing(component)
        return {
            "description": self._error(status)[2],
            "content": {content_type: {"schema": component.ref, "example": self._example(status)}},
        }

    def _example(self, status: int) -> dict[str, Any]:
        code, message, _ = self._error(status)
        details: dict[str, dict[str, Any]] = {
            "validation_failed": {"fields": {"title": [message]}},
            "rate_limited": {"retry_after": 12},
        }
        # Worded by the same functions that word the real ones.
        kind: type[AppError] = type("Example", (AppError,), {"code": code, "status": status})
        wire = wire_error(
            kind(message, **details.get(code, {})),
            path=self.path,
            dialect=getattr(self.view, "dialect", None),
        )
        return {**wire.body, "request_id": EXAMPLE_ID.replace("-", "")}

    def _error(self, status: int) -> tuple[str, str, str]:
        own = _OWN_ERRORS.get(getattr(self.view, "dialect", None), {})
        return own.get(status) or ERRORS[status]


def fill_examples(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing hook: a JSON body without an example gets one made of its schema."""
    schemas = result.get("components", {}).get("schemas", {})
    for path in result.get("paths", {}).values():
        for operation in path.values():
            if not isinstance(operation, dict):
                continue
            bodies = [operation.get("requestBody", {}), *operation.get("responses", {}).values()]
            for body in bodies:
                for media_type, media in body.get("content", {}).items():
                    has_one = "example" in media or "examples" in media
                    if "json" in media_type and "schema" in media and not has_one:
                        media["example"] = example_of(media["schema"], schemas)
    return result


def tell_null_references(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing hook: an object that may be null is said so in a way that validators hold to.

    `nullable` beside `allOf` allows nothing: what stands in `allOf` still wants an object.
    """
    for schema in _all_schemas(result.get("components", {}).get("schemas", {})):
        if schema.get("nullable") and "allOf" in schema:
            schema["oneOf"] = [*schema.pop("allOf"), {"enum": [None], "nullable": True}]
    return result


def _all_schemas(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for child in list(node.values()):
            yield from _all_schemas(child)
    elif isinstance(node, list):
        for child in node:
            yield from _all_schemas(child)


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int = 0) -> Any:
    """A value that this schema allows, made of its examples, defaults, choices and formats."""
    for key in ("example", "default"):
        if schema.get(key) is not None:
            return schema[key]
    if "$ref" in schema:
        if depth > 6:
            return {}
        return example_of(schemas.get(schema["$ref"].rsplit("/", 1)[-1], {}), schemas, depth + 1)
    for key in ("allOf", "oneOf", "anyOf"):
        if schema.get(key):
            return example_of(schema[key][0], schemas, depth + 1)
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: example_of(one, schemas, depth + 1) for name, one in properties.items()}
    if kind == "array":
        return [example_of(schema.get("items", {}), schemas, depth + 1)]
    return _scalar(kind, schema)


def _scalar(kind: str | None, schema: Mapping[str, Any]) -> Any:
    if kind == "boolean":
        return True
    if kind in ("integer", "number"):
        return max(1, int(schema.get("minimum", 1)))
    if kind == "string":
        by_format = {
            "uuid": EXAMPLE_ID,
            "date-time": EXAMPLE_TIME,
            "email": "asha@example.com",
            "uri": "https://example.com/",
            "date": "2026-01-10",
            "decimal": "100.00",
        }
        return by_format.get(str(schema.get("format")), "text")
    return {}
