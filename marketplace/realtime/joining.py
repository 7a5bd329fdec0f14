"""What joins and syncs read from the database: rights, the topic's state, what was missed.

Always for many: those who wait at the same moment are read for together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from accounts.models import User
from marketplace.core.errors import AppError
from marketplace.events.live import LiveEvent
from marketplace.events.replay import Had, Head, Replay, find_heads, replay_all
from marketplace.realtime.hub import stamp
from marketplace.realtime.topic import Joined, Joiner, TopicRef, event_rows


@dataclass(slots=True)
class Answer:
    """The reply to a join or a sync, and how far it brings the client."""

    latest_seq: int
    epoch: str
    recovered: bool
    missed: list[dict[str, Any]]
    has_more: bool
    last_sent: int
    state: dict[str, Any] = field(default_factory=dict)
    history: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    reset: dict[str, Any] | None = None

    def response(self) -> dict[str, Any]:
        """The reply as it stands on the wire."""
        return {
            "latest_seq": self.latest_seq,
            "epoch": self.epoch,
            "recovered": self.recovered,
            "missed": self.missed,
            "has_more": self.has_more,
            **(self.reset or {}),
            **self.state,
        }


@dataclass(frozen=True, slots=True)
class Wish:
    """What one connection wants to read of a topic; history comes with a join alone."""

    user: User | None
    ref: TopicRef
    dialect: str
    since: int | None
    epoch: str | None
    is_join: bool = True

    @property
    def had(self) -> Had:
        """What it has had of it."""
        return Had(self.ref.topic, self.since, self.epoch)

    def joiner(self, heads: Mapping[str, Head]) -> Joiner:
        """How its consumer is asked."""
        head = heads.get(self.ref.topic)
        with_history = self.is_join and self.dialect == "phoenix" and self.since is None
        return Joiner(self.user, self.ref, with_history, 0 if head is None else head.last_seq)


def read_topics(wishes: Sequence[Wish]) -> list[Answer | AppError]:
    """Rights, state and what was missed for each of these, all of one kind of topic, or a refusal.

    The heads are read first: what happens while the state is read may not be in it, so it comes
    live, and a snapshot holds everything up to the seq that it goes out with.
    """
    heads = find_heads({one.ref.topic for one in wishes})
    joined = wishes[0].ref.consumer.join_all([one.joiner(heads) for one in wishes])
    let_in = [one for one, state in zip(wishes, joined, strict=True) if isinstance(state, Joined)]
    replays = replay_all([one.had for one in let_in], heads=heads)
    told: dict[tuple[Had, str, str], list[dict[str, Any]]] = {}
    for one in let_in:
        key = (one.had, one.ref.voice, one.dialect)
        if key not in told:
            told[key] = missed(one.ref, one.dialect, replays[one.had].events)
    return [
        _answer(state, replays[one.had], told[one.had, one.ref.voice, one.dialect])
        if isinstance(state, Joined)
        else state
        for one, state in zip(wishes, joined, strict=True)
    ]


def _answer(joined: Joined, replayed: Replay, told: list[dict[str, Any]]) -> Answer:
    answer = Answer(
        latest_seq=replayed.latest_seq,
        epoch=replayed.epoch,
        recovered=replayed.recovered,
        missed=told,
        has_more=replayed.has_more,
        last_sent=replayed.latest_seq,
        state=joined.state,
        history=joined.history,
    )
    if replayed.has_more:
        answer.last_sent = replayed.events[-1].seq
    if replayed.reset is not None:
        answer.reset = {
            "reset": True,
            "reason": replayed.reset,
            "horizon": replayed.horizon,
            "snapshot": joined.state.get(joined.snapshot),
        }
    return answer


def missed(ref: TopicRef, dialect: str, events: list[LiveEvent]) -> list[dict[str, Any]]:
    """Events as this client's voice tells them; of two names the first."""
    rows = event_rows(ref.consumer)
    told = []
    for event in events:
        row = rows.get(event.name)
        spoken = None if row is None else row.in_voice(ref.voice, dialect)
        if spoken is not None:
            told.append(spoken.shape(event.payload) | stamp(event) | {"event": spoken.names[0]})
    return told
