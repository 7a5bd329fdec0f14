"""`@help`: what can be asked."""

from chat.commands.registry import Call, Command, Reply, all_commands, register

# The line that clients of Realtime Market know, whole from the start: a command in it that is not
# there yet answers as an unknown one.
FIRST_LINE = (
    "Available commands: @createshop, @createproduct, @setupdelivery, @help, @status,"
    " @listproducts, @request, @deliveryto, @buy, @openticket, @confirm, @undo, @cancel"
)


def tell(call: Call) -> Reply:
    """The line of all, then a line for each command that is there."""
    return Reply("\n".join([FIRST_LINE, *(f"@{one.word} - {one.summary}" for one in in_order())]))


def in_order() -> list[Command]:
    """The commands that are there, in the order of the first line; those it lacks come last."""
    named = FIRST_LINE.replace(",", "").split()
    places = {word.removeprefix("@"): place for place, word in enumerate(named)}
    return sorted(all_commands(), key=lambda one: places.get(one.word, len(named)))


register(Command(word="help", summary="Show available commands", start=tell))
