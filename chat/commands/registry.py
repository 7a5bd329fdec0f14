"""The registry of commands, and what a command is: its word, how it begins, its steps.

A command knows its dialogue and nothing of messages, jobs or transactions: it is called with what
was said and tells what is to be said next. `chat.services.commands` does the rest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from accounts.models import User
from chat.models import Message, Room
from marketplace.core.errors import AppError

NOT_UNDERSTOOD = "I didn't understand that. Type @help for available commands."
FAILED = "❌ That did not work"


@dataclass(frozen=True, slots=True)
class Call:
    """One message that concerns a command.

    text: at the beginning what stands behind the `@word`, in a step the whole answer; without the
    blanks around it. data: what the steps before have put by. seen: what `Command.look` found.
    """

    actor: User
    room: Room
    message: Message
    text: str
    step: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the assistant says, and which step the sender's next message answers.

    step: empty = the dialogue is over. data: JSON types only, put by for the next step.
    """

    text: str
    step: str = ""
    data: dict[str, Any] = field(default_factory=dict)


Speaker = Callable[[Call], Reply]


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `start` and each step get a Call and give a Reply, in one transaction with it.

    summary: the rest of its line in `@help`. failure: how a refusal begins that ends the dialogue;
    the reason follows. look: called before the transaction, for what is not in the database.
    """

    word: str
    summary: str
    start: Speaker
    steps: Mapping[str, Speaker] = field(default_factory=dict)
    failure: str = FAILED
    look: Callable[[], dict[str, Any]] | None = None

    def refused(self, error: AppError) -> str:
        """The last line of a dialogue whose effect was refused."""
        return f"{self.failure}: {reason_of(error)}"


_commands: dict[str, Command] = {}


def register(command: Command) -> Command:
    """Enter a command. Raises ValueError for a second one with the same word."""
    if command.word in _commands:
        raise ValueError(f"The command @{command.word} is entered twice.")
    _commands[command.word] = command
    return command


def find_command(word: str) -> Command | None:
    """The command of this word, which is in lower case and without `@`."""
    return _commands.get(word)


def all_commands() -> list[Command]:
    """Every command, in the order in which they were entered."""
    return list(_commands.values())


def is_addressed(text: str) -> bool:
    """Whether the text begins with an `@`: all that storing a message has to look at."""
    return text.startswith("@") or text.lstrip().startswith("@")


def split_word(text: str) -> tuple[str, str]:
    """The word behind the `@` that a text begins with, in lower case, and the rest.

    The word is empty where the text begins otherwise, or with an `@` that stands alone.
    """
    if not is_addressed(text):
        return "", text.strip()
    first, *rest = text.split(None, 1)
    return first[1:].casefold(), rest[0].strip() if rest else ""


def ask_again(call: Call, question: str, *, because: str = NOT_UNDERSTOOD) -> Reply:
    """The same step once more, with what is wrong before its question."""
    return Reply(f"{because}\n{question}", step=call.step, data=call.data)


def reason_of(error: AppError) -> str:
    """A refusal as a person reads it: without the name of a field."""
    fields = error.details.get("fields")
    return str(next(iter(fields.values()))[0]) if fields else error.message
