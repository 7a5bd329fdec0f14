"""Every durable event: its name, its fields, and which topics carry it.

A name that is not here cannot be recorded. Names per dialect and the shapes of payloads stand in
the topic consumers; this is what the log itself holds.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventKind:
    """One kind of fact: `fields` of its payload in the log."""

    name: str
    summary: str
    fields: tuple[str, ...]


_kinds: dict[str, EventKind] = {}


def declare(name: str, summary: str, *fields: str) -> EventKind:
    """Enter a kind; each app does it in its `events.py`. Raises ValueError for a second entry."""
    if name in _kinds:
        raise ValueError(f"The event {name} is declared twice.")
    kind = EventKind(name=name, summary=summary, fields=fields)
    _kinds[name] = kind
    return kind


def kind_of(name: str) -> EventKind:
    """The declared kind. Raises KeyError for a name that nobody declared."""
    return _kinds[name]


def all_kinds() -> list[EventKind]:
    """Every declared kind, by name."""
    return sorted(_kinds.values(), key=lambda kind: kind.name)
