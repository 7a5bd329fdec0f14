"""Static files come from the packages, in both kinds of servers."""

import pytest
from django.test import AsyncClient, Client

SCRIPT = "/static/admin/js/theme.js"


class TestStaticFiles:
    def test_serves_a_file_of_a_package(self) -> None:
        response = Client().get(SCRIPT)

        assert response.status_code == 200
        assert response["Content-Type"] == 'text/javascript; charset="utf-8"'
        assert response.content

    async def test_serves_the_same_to_async_servers(self) -> None:
        response = await AsyncClient().get(SCRIPT)

        assert (response.status_code, response.content) == (200, Client().get(SCRIPT).content)

    def test_answers_an_unchanged_file_without_its_bytes(self) -> None:
        first = Client().get(SCRIPT)

        second = Client().get(SCRIPT, headers={"If-Modified-Since": first["Last-Modified"]})

        assert (second.status_code, second.content) == (304, b"")

    @pytest.mark.parametrize("path", ["/static/nothing.js", "/static/../manage.py"])
    def test_serves_nothing_else(self, path: str) -> None:
        assert Client().get(path).status_code == 404
