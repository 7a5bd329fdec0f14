"""What docs/commands.md shows works as it is written there."""

import re
from collections.abc import Iterator

import pytest
from django.conf import settings

from accounts.models import User
from chat.commands import registry
from chat.commands.help import in_order
from chat.tests.factories import make_talk, talk

TEXT = (settings.BASE_DIR / "docs/commands.md").read_text()


@pytest.fixture
def _registered() -> Iterator[None]:
    """What the page registers is forgotten after it."""
    before = dict(registry._commands)
    yield
    registry._commands.clear()
    registry._commands.update(before)


@pytest.mark.django_db
class TestThePage:
    @pytest.mark.usefixtures("_registered")
    def test_shows_a_command_that_works(self, buyer: User) -> None:
        [code] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)

        exec(compile(code, "docs/commands.md", "exec"), {})  # noqa: S102  # the page's own words

        room = make_talk(buyer)
        told = talk(room, buyer, "@greet", "Asha")
        assert told == ["Whom shall I greet?", "Hello, Asha!"]
        assert "@greet - Greet somebody" in talk(room, buyer, "@help")[0]

    def test_shows_a_dialogue_as_it_is(self, buyer: User) -> None:
        [dialogue] = re.findall(r"```\n(User: @createshop.*?)```", TEXT, re.DOTALL)
        lines = [line[6:].strip() for line in dialogue.strip().split("\n")]

        assert talk(make_talk(buyer), buyer, *lines[::2]) == lines[1::2]

    def test_names_every_command(self) -> None:
        for command in in_order():
            assert f"`@{command.word}" in TEXT
