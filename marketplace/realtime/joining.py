"""What a join or a sync reads from the database: rights, the topic's state, what was missed."""

from dataclasses import dataclass, field, replace
from typing import Any

from accounts.models import User
from marketplace.events.live import LiveEvent
from marketplace.events.replay import Replay, find_head, replay
from marketplace.realtime.hub import stamp
from marketplace.realtime.topic import Joined, TopicRef, event_rows


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


def join_in_thread(
    user: User | None, ref: TopicRef, dialect: str, since: int | None, epoch: str | None
) -> Answer:
    """Authorise, read the state and what was missed. Raises the consumer's refusal."""
    with_history = dialect == "phoenix" and since is None
    return _read(user, ref, dialect, since, epoch, with_history=with_history)


def sync_in_thread(
    user: User | None, ref: TopicRef, dialect: str, since: int | None, epoch: str | None
) -> Answer:
    """The same without history; the right is asked again."""
    return _read(user, ref, dialect, since, epoch, with_history=False)


def _read(
    user: User | None,
    ref: TopicRef,
    dialect: str,
    since: int | None,
    epoch: str | None,
    *,
    with_history: bool,
) -> Answer:
    before = find_head(ref.topic) if since is None else None
    joined = ref.consumer.join(user, ref, with_history=with_history)
    replayed = replay(ref.topic, since=since, epoch=epoch)
    if before is not None:
        # What happened while the state was read may not be in it: it comes live, from here on.
        replayed = replace(replayed, latest_seq=min(before.last_seq, replayed.latest_seq))
    elif replayed.reset is not None:
        # The snapshot must hold everything up to the seq that it goes out with.
        joined = ref.consumer.join(user, ref, with_history=with_history)
    return _answer(ref, dialect, joined, replayed)


def _answer(ref: TopicRef, dialect: str, joined: Joined, replayed: Replay) -> Answer:
    answer = Answer(
        latest_seq=replayed.latest_seq,
        epoch=replayed.epoch,
        recovered=replayed.recovered,
        missed=missed(ref, dialect, replayed.events),
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
