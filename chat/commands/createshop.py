"""`@createshop`: a name, a place, a category, and the sender owns a shop."""

from chat.commands.registry import Call, Command, Reply, ask_again, register
from marketplace.core.errors import ValidationFailed
from shops.models import LABEL_CHARACTERS
from shops.selectors import find_shop_by_name
from shops.services.shops import LOCATION_CHARACTERS, checked_name, create_shop

ASK_NAME = "Let's create a shop! What should we name it?"
ASK_LOCATION = "Great name! Where is the shop located?"
ASK_CATEGORY = "What category is your shop? (e.g., food, clothing, electronics)"
NAME_TAKEN = "That name is already taken. What should we name it?"
NAME_LENGTH = "A shop name has 2 to 80 characters. What should we name it?"


def begin(call: Call) -> Reply:
    """Ask for the name."""
    return Reply(ASK_NAME, step="name")


def take_name(call: Call) -> Reply:
    """A name that is free."""
    try:
        name = checked_name(call.text)
    except ValidationFailed:
        return Reply(NAME_LENGTH, step="name")
    if find_shop_by_name(name) is not None:
        return Reply(NAME_TAKEN, step="name")
    return Reply(ASK_LOCATION, step="location", data={"shop_name": name})


def take_location(call: Call) -> Reply:
    """Where it is."""
    if not 1 <= len(call.text) <= LOCATION_CHARACTERS:
        return ask_again(call, ASK_LOCATION)
    return Reply(ASK_CATEGORY, step="category", data=call.data | {"location": call.text})


def take_category(call: Call) -> Reply:
    """What it sells; then it opens, by the service that REST calls."""
    if not 1 <= len(call.text) <= LABEL_CHARACTERS:
        return ask_again(call, ASK_CATEGORY)
    shop = create_shop(actor=call.actor, category=call.text, **call.data)
    return Reply(f"✅ Shop created successfully! ID: {shop.handle}")


register(
    Command(
        word="createshop",
        summary="Start shop creation wizard",
        start=begin,
        steps={"name": take_name, "location": take_location, "category": take_category},
        failure="❌ Failed to create shop",
    )
)
