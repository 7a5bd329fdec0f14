"""Places where a fault test makes the process die, sleep or fail.

`FAILPOINT=<name>:<kill|sleep|raise>[:nth]`; production settings refuse the variable.
"""

import os
import signal
import time

from django.conf import settings

SLEEP_S = 2.0

_counts: dict[str, int] = {}


def reach(name: str) -> None:
    """Do what FAILPOINT asks for at this point, or nothing."""
    wanted = settings.FAILPOINT
    if wanted:
        _act(name, wanted)


def _act(name: str, wanted: str) -> None:
    point, action, *rest = wanted.split(":")
    if point != name:
        return
    _counts[name] = _counts.get(name, 0) + 1
    if rest and _counts[name] != int(rest[0]):
        return
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "sleep":
        time.sleep(SLEEP_S)
    elif action == "raise":
        raise RuntimeError(f"The fail-point {name} was reached.")
