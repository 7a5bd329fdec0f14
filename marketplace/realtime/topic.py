"""What a socket may do on a topic: declared once, spoken in every dialect.

A topic consumer owns the names: one row per command that a client may give, one row per event that
it hears, with the shape of the payload for each way of speaking. Adapters know frames and no names;
documentation, AsyncAPI and the adapters of source systems are made from the same rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

from django.conf import settings
from django.utils.module_loading import import_string

from marketplace.core.context import new_request_id
from marketplace.core.errors import AppError, Forbidden

if TYPE_CHECKING:
    from accounts.models import User
    from marketplace.realtime.session import Session

P = ParamSpec("P")
T = TypeVar("T")
Shape = Callable[[dict[str, Any]], dict[str, Any]]

STANDARD = "standard"
JOINS_TOGETHER = 64
"""A read for so many is little longer than for one, and none of them waits long for the others."""


def as_recorded(payload: dict[str, Any]) -> dict[str, Any]:
    """The canonical shape: the log's payload as it is."""
    return payload


@dataclass(frozen=True, slots=True)
class Spoken:
    """An event in one way of speaking: its names, sent one after the other, and the shape."""

    names: tuple[str, ...]
    shape: Shape = as_recorded


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event or signal. `voices` holds what differs from `standard`; a silent voice is None."""

    log_name: str
    standard: Spoken
    summary: str
    voices: Mapping[str, Spoken | None] = field(default_factory=dict)
    durable: bool = True
    # Protocols that hear it; None = all.
    dialects: frozenset[str] | None = None

    def in_voice(self, voice: str, dialect: str) -> Spoken | None:
        """How this voice tells it, or None if it does not."""
        if self.dialects is not None and dialect not in self.dialects:
            return None
        return self.voices.get(voice, self.standard)


@dataclass(frozen=True, slots=True)
class CommandRow:
    """One command.

    method: name of the consumer's method. With `batch`, the method gives what is to be done and
    many connections' commands go to that service in one transaction; with `inline` it runs on the
    loop and touches no database; else it is awaited.
    answer: makes the reply of the service's outcome; bytes are JSON already. failure: the word that
    Phoenix clients of Realtime Market compare in `reason`; None = the code.
    """

    name: str
    method: str
    summary: str
    fields: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    voices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    batch: Callable[[Sequence[Any]], list[Any]] | None = None
    answer: Callable[[Any, str], dict[str, Any] | bytes] | None = None
    inline: bool = False
    failure: str | None = None
    # Words for single codes, before `failure`.
    failures: Mapping[str, str] = field(default_factory=dict)
    signal: bool = False

    def word_for(self, error: AppError) -> str | None:
        """The word that existing clients compare for this refusal, if they do."""
        return self.failures.get(error.code, self.failure)


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a dialect writes a topic: `prefix` + id. `own`: the one id that stands for oneself."""

    dialect: str
    prefix: str
    voice: str = STANDARD
    own: str | None = None
    # What follows the prefix is a secret: the consumer looks up what it leads to.
    is_secret: bool = False
    # Whether documents name it; a spelling that is only there to be refused is not.
    is_told: bool = True


@dataclass(frozen=True, slots=True)
class TopicRef:
    """A topic as one client named it. `secret`: a name that has to be looked up, or was."""

    consumer: type["TopicConsumer"]
    id: str
    spelled: str
    voice: str
    secret: str = ""

    @property
    def topic(self) -> str:
        """Its one name in the log."""
        kind = self.consumer.kind
        return kind if self.consumer.is_single else f"{kind}:{self.id}"


class Call:
    """One command of one connection."""

    __slots__ = ("_request_id", "payload", "ref", "session")

    def __init__(self, session: "Session", ref: TopicRef, payload: dict[str, Any]) -> None:
        self.session = session
        self.ref = ref
        self.payload = payload
        self._request_id = ""

    @property
    def request_id(self) -> str:
        """Its name in log, events and errors; made at first need, since most calls have none."""
        if not self._request_id:
            self._request_id = new_request_id()
        return self._request_id

    @property
    def actor(self) -> "User":
        """The signed-in user of the connection."""
        user = self.session.user
        if user is None:
            raise Forbidden
        return user


@dataclass(slots=True)
class Joined:
    """What a consumer gives to one who may join: state for the reply, pushes after it.

    `snapshot` names the key of `state` that a client takes after a reset.
    """

    state: dict[str, Any]
    history: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    snapshot: str = ""


@dataclass(frozen=True, slots=True)
class Joiner:
    """One who wants to join. latest_seq: where the log stood before his state was read."""

    actor: "User | None"
    ref: TopicRef
    with_history: bool
    latest_seq: int


class TopicConsumer:
    """Base of all topic consumers; one class per kind of topic, without instances."""

    kind: ClassVar[str]
    summary: ClassVar[str] = ""
    spellings: ClassVar[tuple[Spelling, ...]] = ()
    commands: ClassVar[tuple[CommandRow, ...]] = ()
    events: ClassVar[tuple[EventRow, ...]] = ()
    shows_presence: ClassVar[bool] = False
    # There is one topic of this kind, and its name has no id.
    is_single: ClassVar[bool] = False
    # Whoever connects to `/ws/` without signing in holds it from the start.
    is_for_guests: ClassVar[bool] = False
    # How many joins that wait at one moment `join_all` is called with at most.
    joins_together: ClassVar[int] = 1

    @classmethod
    def normal_id(cls, text: str, *, own: str | None) -> str | None:
        """The id in its one form, or None for text that names nothing. `own`: the asking user."""
        raise NotImplementedError

    @classmethod
    def authorise(cls, actor: "User | None", topic_id: str, action: str) -> None:
        """Return if the actor may do this on the topic; raises the AppError that tells why not."""
        raise NotImplementedError

    @classmethod
    def authorise_again(cls, actor: "User | None", ref: TopicRef) -> None:
        """Return if who has joined may hold the topic still; raises as `authorise`."""
        cls.authorise(actor, ref.id, "join")

    @classmethod
    def look_up(cls, ref: TopicRef, address: str) -> str:
        """The id behind `ref.secret`, in a thread with a database; raises why there is none.

        address: of the client, whose misses count.
        """
        raise NotImplementedError

    @classmethod
    def join(cls, actor: "User | None", ref: TopicRef, *, with_history: bool) -> Joined:
        """Authorise, and give the state of the topic. Runs in a thread with a database."""
        raise NotImplementedError

    @classmethod
    def join_all(cls, joiners: Sequence[Joiner]) -> list[Joined | AppError]:
        """`join` for each of these, or his refusal, in their order.

        A consumer that can read for many at once has this instead of `join`. What it raises is
        nobody's refusal: then each is asked for alone.
        """
        return [
            outcome_of(cls.join, one.actor, one.ref, with_history=one.with_history)
            for one in joiners
        ]

    @classmethod
    def refusal_reason(cls, error: AppError, voice: str) -> str:
        """The word in `reason` of a refused Phoenix join."""
        return error.code


def outcome_of(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T | AppError:
    """What this gives, or the refusal that it raises."""
    try:
        return function(*arguments, **named)
    except AppError as error:
        return error


@lru_cache(maxsize=1)
def consumers() -> dict[str, type[TopicConsumer]]:
    """Topic kind → consumer, as `marketplace/topics.py` declares them."""
    found: dict[str, type[TopicConsumer]] = import_string(settings.TOPIC_CONSUMERS)
    return found


@lru_cache(maxsize=8)
def _prefixes(dialect: str) -> list[tuple[str, type[TopicConsumer], Spelling]]:
    rows = [
        (spelling.prefix, consumer, spelling)
        for consumer in consumers().values()
        for spelling in consumer.spellings
        if spelling.dialect == dialect
    ]
    return sorted(rows, key=lambda row: -len(row[0]))


def guest_topics(dialect: str) -> list[str]:
    """What nobody in particular holds from the start, as this dialect writes it."""
    return [
        spelling.prefix
        for consumer in consumers().values()
        for spelling in consumer.spellings
        if consumer.is_for_guests and consumer.is_single and spelling.dialect == dialect
    ]


def parse_topic(text: str, *, dialect: str, own: str | None) -> TopicRef | None:
    """The topic that a client names, or None: then it is `unmatched topic`.

    own: public id of the asking user, for topics that are one's own. An id without a valid form
    gives a ref with an id that nothing has, so that it is refused like any unknown thing.
    """
    for prefix, consumer, spelling in _prefixes(dialect):
        if text.startswith(prefix):
            rest = text[len(prefix) :]
            if consumer.is_single:
                return None if rest else TopicRef(consumer, "", text, spelling.voice)
            if spelling.own is not None and rest == spelling.own:
                if own is None:
                    return TopicRef(consumer, "", text, spelling.voice)
                return TopicRef(consumer, own, text, spelling.voice)
            if spelling.is_secret:
                return TopicRef(consumer, "", text, spelling.voice, secret=rest)
            found = consumer.normal_id(rest, own=own)
            return TopicRef(consumer, found or "", text, spelling.voice)
    return None


_event_rows: dict[type[TopicConsumer], dict[str, EventRow]] = {}
_command_rows: dict[tuple[type[TopicConsumer], str], dict[str, CommandRow]] = {}


def event_rows(consumer: type[TopicConsumer]) -> dict[str, EventRow]:
    """Log name → row."""
    rows = _event_rows.get(consumer)
    if rows is None:
        rows = _event_rows[consumer] = {row.log_name: row for row in consumer.events}
    return rows


def command_rows(consumer: type[TopicConsumer], voice: str) -> dict[str, CommandRow]:
    """Every accepted name of a command in this voice → row."""
    rows = _command_rows.get((consumer, voice))
    if rows is None:
        rows = _command_rows[consumer, voice] = {
            name: row
            for row in consumer.commands
            for name in (row.name, *row.aliases, *row.voices.get(voice, ()))
        }
    return rows
