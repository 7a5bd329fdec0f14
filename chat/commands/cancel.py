"""`@cancel`: nothing is open here, else `dialogue.turn_of` would have closed it."""

from chat.commands.dialogue import CANCEL
from chat.commands.registry import Call, Command, Reply, register

NOTHING_OPEN = "There is nothing to cancel."


def tell(call: Call) -> Reply:
    """Say so."""
    return Reply(NOTHING_OPEN)


register(Command(word=CANCEL, summary="Stop what you have begun", start=tell))
