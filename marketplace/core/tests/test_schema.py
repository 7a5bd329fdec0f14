"""What the OpenAPI document says of every route by itself."""

from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from marketplace.core.schema import example_of, fill_examples


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    generator = SchemaGenerator(urlconf="marketplace.core.urls")
    return fill_examples(generator.get_schema(request=None, public=True))


class TestSchema:
    def test_is_valid(self, document: dict[str, Any]) -> None:
        validate_schema(document)

    def test_has_the_standard_errors(self, document: dict[str, Any]) -> None:
        responses = document["paths"]["/api/v1/jobs/{name}/run"]["post"]["responses"]

        assert sorted(responses) == [
            "200",
            "400",
            "401",
            "403",
            "404",
            "405",
            "409",
            "413",
            "415",
            "422",
            "429",
            "500",
            "503",
        ]
        problem = responses["404"]["content"]["application/problem+json"]
        assert problem["schema"] == {"$ref": "#/components/schemas/Problem"}
        assert problem["example"]["code"] == "not_found"

    def test_tells_who_needs_a_token(self, document: dict[str, Any]) -> None:
        assert document["paths"]["/api/v1/jobs"]["get"]["security"] == [{"bearerAuth": []}]
        assert document["paths"]["/livez"]["get"]["security"] == [{}]
        assert "401" not in document["paths"]["/livez"]["get"]["responses"]

    def test_names_the_idempotency_key(self, document: dict[str, Any]) -> None:
        parameters = document["paths"]["/api/v1/jobs/{name}/run"]["post"]["parameters"]

        assert "Idempotency-Key" in [parameter["name"] for parameter in parameters]

    def test_has_an_example_for_every_answer(self, document: dict[str, Any]) -> None:
        missing = [
            (path, method, status)
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
            for status, response in operation["responses"].items()
            for kind, media in response.get("content", {}).items()
            if "json" in kind and "example" not in media and "examples" not in media
        ]

        assert missing == []

    def test_ends_in_a_schema_that_holds_itself(self) -> None:
        schemas = {"Node": {"type": "object", "properties": {"next": {"$ref": "#/x/Node"}}}}

        assert "next" in example_of({"$ref": "#/x/Node"}, schemas)
