"""What a message means where a dialogue is open: pure, every case."""

from datetime import UTC, datetime, timedelta

import pytest

from chat.commands import registry
from chat.commands.choosing import is_same, numbered, read_number
from chat.commands.createproduct import read_amount, read_links, read_options
from chat.commands.dialogue import PATIENCE, Turn, Wizard, turn_of
from chat.commands.registry import Call, Command, Reply, is_addressed, reason_of, split_word
from marketplace.core.errors import Conflict, ValidationFailed

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
UNKNOWN = "I didn't understand that command. Type @help for available commands."
LATE = "That took too long, so I stopped. Send @count to start again."


def count_on(call: Call) -> Reply:
    return Reply("And then?", step="more", data=call.data | {"last": call.text})


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Command:
    """A command that goes on for ever."""
    monkeypatch.setattr(registry, "_commands", dict(registry._commands))
    return registry.register(
        Command(word="count", summary="Count", start=count_on, steps={"more": count_on})
    )


@pytest.fixture
def wizard(count: Command) -> Wizard:
    return Wizard("count", "more", {"last": "1"}, asked_at=NOON)


def turn(
    content: str,
    *,
    kind: str = "assistant",
    wizard: Wizard | None = None,
    after: timedelta = timedelta(0),
) -> Turn:
    return turn_of(content, said_at=NOON + after, room_kind=kind, wizard=wizard)


class TestWords:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("@createshop", ("createshop", "")),
            ("  @CreateShop  now please ", ("createshop", "now please")),
            ("@request Corner Lamp", ("request", "Corner Lamp")),
            ("@help\nme", ("help", "me")),
            ("mail me @ home", ("", "mail me @ home")),
            ("@", ("", "")),
            ("@ home", ("", "home")),
            ("", ("", "")),
            ("  \n", ("", "")),
        ],
    )
    def test_are_the_first_of_a_text(self, text: str, found: tuple[str, str]) -> None:
        assert split_word(text) == found

    @pytest.mark.parametrize(
        ("text", "yes"), [("@x", True), (" @x", True), ("x @y", False), ("", False), ("\t", False)]
    )
    def test_are_looked_for_cheaply(self, text: str, yes: bool) -> None:
        assert is_addressed(text) is yes


@pytest.mark.usefixtures("count")
class TestOutsideADialogue:
    @pytest.mark.parametrize("kind", ["assistant", "direct", "shop", "group"])
    def test_a_known_word_begins_one(self, kind: str) -> None:
        begun = turn("@Count from 1", kind=kind)

        assert begun.command is not None
        assert (begun.command.word, begun.step, begun.text) == ("count", "", "from 1")

    def test_an_unknown_word_is_answered_by_the_assistants_own_room_alone(self) -> None:
        assert turn("@asha hello") == Turn(UNKNOWN)
        for kind in ("direct", "shop", "group"):
            assert turn("@asha hello", kind=kind) == Turn()

    @pytest.mark.parametrize("text", ["hello", "cancel", "CANCEL", "@", "2 @count"])
    def test_anything_else_is_a_plain_message(self, text: str) -> None:
        assert turn(text) == Turn()

    def test_a_ticket_has_no_assistant(self) -> None:
        assert turn("@count", kind="ticket") == Turn()
        assert turn("@nothing", kind="ticket") == Turn()


class TestInADialogue:
    def test_a_plain_message_answers_the_step(self, wizard: Wizard) -> None:
        answer = turn("  two ", wizard=wizard, kind="group")

        assert answer.command is not None
        assert (answer.command.word, answer.step) == ("count", "more")
        assert (answer.text, answer.data) == ("two", {"last": "1"})

    @pytest.mark.parametrize("text", ["cancel", " Cancel ", "@cancel", "@CANCEL please"])
    def test_cancel_ends_it(self, wizard: Wizard, text: str) -> None:
        assert turn(text, wizard=wizard) == Turn("Okay, cancelled.")

    def test_another_command_takes_its_place(self, wizard: Wizard) -> None:
        begun = turn("@help", wizard=wizard)

        assert begun.command is not None
        assert (begun.command.word, begun.step) == ("help", "")

    def test_an_unknown_word_leaves_it_open(self, wizard: Wizard) -> None:
        assert turn("@nothing", wizard=wizard) == Turn(UNKNOWN, keeps=True)

    def test_elsewhere_an_unknown_word_is_an_answer(self, wizard: Wizard) -> None:
        answer = turn("@home", wizard=wizard, kind="direct")

        assert (answer.step, answer.text) == ("more", "@home")

    def test_waits_ten_minutes_and_no_longer(self, wizard: Wizard) -> None:
        late = PATIENCE + timedelta(milliseconds=1)

        assert turn("two", wizard=wizard, after=PATIENCE).step == "more"
        assert timedelta(minutes=10) == PATIENCE
        for text in ("two", "cancel", "@cancel"):
            assert turn(text, wizard=wizard, after=late) == Turn(LATE)

    def test_what_comes_too_late_may_begin_another(self, wizard: Wizard) -> None:
        late = PATIENCE * 2

        begun = turn("@count", wizard=wizard, after=late)
        assert begun.command is not None
        assert begun.step == ""
        assert turn("@nothing", wizard=wizard, after=late) == Turn(UNKNOWN)


class TestWizard:
    def test_is_kept_and_read(self, wizard: Wizard) -> None:
        kept = wizard.kept()

        assert kept["asked_at"] == "2026-01-10T12:00:00.000Z"
        assert Wizard.read(kept) == wizard

    def test_is_none_where_nothing_is_kept(self) -> None:
        assert Wizard.read(None) is None

    def test_is_none_where_an_update_has_taken_its_step(self, wizard: Wizard) -> None:
        assert Wizard.read(wizard.kept() | {"step": "gone"}) is None
        assert Wizard.read(wizard.kept() | {"command": "gone"}) is None


class TestRegistry:
    def test_refuses_a_second_command_of_one_word(self, count: Command) -> None:
        with pytest.raises(ValueError, match="@count"):
            registry.register(count)

    def test_tells_a_refusal_without_the_name_of_a_field(self) -> None:
        assert reason_of(ValidationFailed.for_fields({"price": ["Too much."]})) == "Too much."
        assert reason_of(Conflict("Taken.")) == "Taken."

    def test_never_reads_what_people_wrote_as_a_template(self) -> None:
        command = Command(word="x", summary="", start=count_on, failure="❌ No")

        told = command.refused(Conflict("{0.__class__} {{7*7}} %s"))

        assert told == "❌ No: {0.__class__} {{7*7}} %s"


class TestChoosing:
    @pytest.mark.parametrize(
        ("text", "number"),
        [("7", 7), ("#7", 7), (" # 10001 ", 10001), ("seven", None), ("7.5", None), ("-1", None)],
    )
    def test_reads_numbers(self, text: str, number: int | None) -> None:
        assert read_number(text) == number

    def test_compares_names_without_case(self) -> None:
        assert is_same(" corner   LAMP", "Corner Lamp")
        assert not is_same("Corner", "Corner Lamp")

    def test_numbers_lines(self) -> None:
        assert numbered(["a", "b"]) == "1. a\n2. b"


class TestReadAmount:
    @pytest.mark.parametrize(
        "text", ["49.90", "$49.90", "$ 49.90", "49.90 USD", "USD 49.90", "49.90$"]
    )
    def test_takes_an_amount_as_people_write_it(self, text: str) -> None:
        assert str(read_amount(text, currency="USD")) == "49.90"

    @pytest.mark.parametrize(
        "text",
        ["", "a lot", "-1", "1e3", "49,90", "1,000.00", "€49.90", "49.90 EUR", "٤٩", "4 9", ".5"],
    )
    def test_takes_nothing_else(self, text: str) -> None:
        assert read_amount(text, currency="USD") is None


class TestReadOptions:
    def test_reads_names_and_options(self) -> None:
        assert read_options("Size: S, M; Color: red;") == [
            {"name": "Size", "options": [" S", " M"]},
            {"name": " Color", "options": [" red"]},
        ]

    @pytest.mark.parametrize("text", ["none", "None", "skip", "no"])
    def test_takes_none(self, text: str) -> None:
        assert read_options(text) == []

    @pytest.mark.parametrize("text", ["S, M", ""])
    def test_wants_a_colon(self, text: str) -> None:
        with pytest.raises(ValidationFailed):
            read_options(text)


class TestReadLinks:
    def test_reads_several(self) -> None:
        assert read_links("https://a.example/1.jpg, https://a.example/2.mp4") == [
            {"url": "https://a.example/1.jpg"},
            {"url": "https://a.example/2.mp4"},
        ]

    def test_takes_none(self) -> None:
        assert read_links("NONE") == []

    def test_wants_something(self) -> None:
        with pytest.raises(ValidationFailed):
            read_links("")
