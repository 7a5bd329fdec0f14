"""`@status`: whether the parts of the system answer."""

from typing import Any

from chat.commands.registry import Call, Command, Reply, register
from marketplace.core import health

OK, OFF, DOWN = "ok", "off", "down"
WORDS = {health.OK: OK, health.LOCAL: OK, health.UNUSED: OFF, health.DOWN: DOWN}


def look() -> dict[str, Any]:
    """Ask the parts, before the transaction: one that is away may take a second to be so."""
    return health.check_parts()


def tell(call: Call) -> Reply:
    """One line for the whole, one for each part."""
    parts = {
        "database": WORDS[call.seen["database"]],
        "realtime": WORDS[call.seen["channel_layer"]],
        "bus": WORDS[call.seen["bus"]],
        # It is the one that says this.
        "assistant": OK,
    }
    whole = "degraded" if DOWN in parts.values() else OK
    return Reply(
        "\n".join([f"System status: {whole}", *(f"{part}: {word}" for part, word in parts.items())])
    )


register(Command(word="status", summary="Check system status", start=tell, look=look))
