"""What a story was, as one number: the same for the same story, whenever and wherever it is told.

Ids, times and running numbers are different in every run; in their places stand the order in which
they first occur and the seconds since the beginning.
"""

import hashlib
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import orjson

from marketplace.events.models import Event

NAMES = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"  # ids
    r"|TRK-[0-9A-F]{12}|(?<=/track/)[A-Za-z0-9_-]{32}"
    r"|[0-9]{20}"  # the instant in people's names
)
# Running numbers of shops and orders; what they stand beside tells whose they are.
RUNNING = re.compile(r"(?<=shop_)[0-9]{5,}|(?<=#)[0-9]{5,}")
FIRST_NUMBER = 10_001
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z")
NUMBERS = frozenset({"number", "order_number"})


class Digest:
    """Takes events in the order of the log, gives their SHA-256.

    Only topics that begin with it count: what else is told meanwhile belongs to another story, and
    what all stories share, as `admins`, repeats what these tell.
    """

    def __init__(self, *, started_at: datetime) -> None:
        self._started_at = started_at
        self._aliases: dict[str, str] = {}
        self._topics: set[str] = set()
        self._hash = hashlib.sha256()
        self.events = 0

    def take(self, events: Iterable[Event]) -> None:
        """Go on with these."""
        for event in events:
            if event.seq == 1 and ":" in event.topic:
                self._topics.add(event.topic)
            elif event.topic not in self._topics:
                continue
            told = [self._text(event.topic), event.seq, event.name, self._plain(event.payload)]
            self._hash.update(orjson.dumps(told, option=orjson.OPT_SORT_KEYS))
            self.events += 1

    def hexdigest(self) -> str:
        """The number so far."""
        return self._hash.hexdigest()

    def _plain(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: self._plain(value[key], key) for key in sorted(value)}
        if isinstance(value, list):
            return [self._plain(one) for one in value]
        if name in NUMBERS and str(value).isdecimal() and int(value) >= FIRST_NUMBER:
            return "<number>"
        if isinstance(value, str):
            return self._text(value)
        return value

    def _text(self, text: str) -> str:
        told = RUNNING.sub("<number>", TIME.sub(lambda found: self._since(found[0]), text))
        return NAMES.sub(lambda found: self._alias(found[0]), told)

    def _since(self, text: str) -> str:
        return f"+{(datetime.fromisoformat(text) - self._started_at).total_seconds():.3f}"

    def _alias(self, name: str) -> str:
        return self._aliases.setdefault(name, f"<{len(self._aliases)}>")
