"""What the processes hold at this moment: each is asked, nobody keeps a list."""

import asyncio
import os
import socket
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from marketplace.core.figures import process_figures
from marketplace.realtime.runtime import current

if TYPE_CHECKING:
    from marketplace.realtime.runtime import Runtime

WITHIN_S = 5.0


def holdings(runtime: "Runtime | None") -> dict[str, Any]:
    """This process: its figures, its connections by protocol, and who holds which topic.

    `topics`: topic → `{spelled: [names in use], people: {public id: connections}, guests}`.
    JSON types only, for other processes read it.
    """
    sessions = [] if runtime is None else list(runtime.sessions)
    spelled: dict[str, set[str]] = defaultdict(set)
    people: dict[str, Counter[str]] = defaultdict(Counter)
    for session in sessions:
        for membership in list(session.memberships.values()):
            topic = membership.ref.topic
            spelled[topic].add(membership.ref.spelled)
            people[topic][session.user_id or ""] += 1
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "figures": process_figures(),
        "sockets": dict(Counter(session.wire.name for session in sessions)),
        "people": sorted({s.user_id for s in sessions if s.user_id is not None}),
        "topics": {
            topic: {
                "spelled": sorted(spelled[topic]),
                "people": {user_id: n for user_id, n in counts.items() if user_id},
                "guests": counts.get("", 0),
            }
            for topic, counts in people.items()
        },
    }


def survey() -> list[dict[str, Any]]:
    """The holdings of this process and of all that answer in time. Not called on the loop."""
    here = current()
    if here is None or not here.loop.is_running():
        return [holdings(None)]
    return asyncio.run_coroutine_threadsafe(_survey(here), here.loop).result(timeout=WITHIN_S)


async def _survey(here: "Runtime") -> list[dict[str, Any]]:
    return [holdings(here), *await here.bridge.survey()]
