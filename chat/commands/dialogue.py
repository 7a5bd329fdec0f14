"""What a message means for the dialogue of its sender in its room. Pure: no database, no clock."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from chat.commands.registry import Command, find_command, split_word
from chat.enums import RoomKind
from marketplace.core.clock import wire_time

CANCEL = "cancel"
CANCELLED = "Okay, cancelled."
UNKNOWN_WORD = "I didn't understand that command. Type @help for available commands."
# How long a question waits for its answer.
PATIENCE = timedelta(minutes=10)
HEARD_IN = frozenset({RoomKind.ASSISTANT, RoomKind.DIRECT, RoomKind.SHOP, RoomKind.GROUP})


@dataclass(frozen=True, slots=True)
class Wizard:
    """An open dialogue: whose step is to be answered, what was put by, when it was asked."""

    command: str
    step: str
    data: dict[str, Any]
    asked_at: datetime

    @classmethod
    def read(cls, kept: dict[str, Any] | None) -> "Wizard | None":
        """The dialogue that a membership keeps; None also where an update has taken its step."""
        if not kept:
            return None
        command = find_command(kept["command"])
        if command is None or kept["step"] not in command.steps:
            return None
        asked_at = datetime.fromisoformat(kept["asked_at"])
        return cls(command.word, kept["step"], kept["data"], asked_at)

    def kept(self) -> dict[str, Any]:
        """The form in which a membership keeps it."""
        return {
            "command": self.command,
            "step": self.step,
            "data": self.data,
            "asked_at": wire_time(self.asked_at),
        }

    def is_over(self, at: datetime) -> bool:
        """Whether something said at this instant comes too late for it."""
        return at - self.asked_at > PATIENCE


@dataclass(frozen=True, slots=True)
class Turn:
    """What is to be done about one message.

    command: call it, at its beginning or, with `step`, with the answer to that step. Without one
    say `text`, if there is any. keeps: the dialogue stays as it is.
    """

    text: str = ""
    command: Command | None = None
    step: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    keeps: bool = False


def turn_of(content: str, *, said_at: datetime, room_kind: str, wizard: Wizard | None) -> Turn:
    """What this message means where `wizard` is open."""
    if room_kind not in HEARD_IN:
        return Turn()
    word, rest = split_word(content)
    is_late = wizard is not None and wizard.is_over(said_at)
    if wizard is not None and (word == CANCEL or (not word and rest.casefold() == CANCEL)):
        return Turn(_too_late(wizard) if is_late else CANCELLED)
    command = find_command(word)
    if command is not None:
        return Turn(rest, command=command)
    if word and room_kind == RoomKind.ASSISTANT:
        return Turn(UNKNOWN_WORD, keeps=wizard is not None and not is_late)
    if wizard is None:
        return Turn()
    if is_late:
        return Turn(_too_late(wizard))
    return Turn(
        content.strip(), command=find_command(wizard.command), step=wizard.step, data=wizard.data
    )


def _too_late(wizard: Wizard) -> str:
    return f"That took too long, so I stopped. Send @{wizard.command} to start again."
