"""What people ask of the assistant with an `@word`: a file per command, behind one registry.

Each file enters its command when it is imported; `enter_all` imports those of chat. An app above
chat enters its own with `registry.register` in its `ready()`: docs/commands.md shows one.
"""

from importlib import import_module

OWN = (
    "createshop",
    "createproduct",
    "setupdelivery",
    "help",
    "status",
    "listproducts",
    "request",
    "deliveryto",
    "cancel",
)


def enter_all() -> None:
    """Enter the commands of this app; called once, when the apps are ready."""
    for name in OWN:
        import_module(f"chat.commands.{name}")
