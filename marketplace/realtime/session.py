"""One connection: who it is, what it hears, and the only bridge from async to the domain."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from accounts.models import User
from marketplace.core.context import new_request_id, request_id
from marketplace.core.errors import (
    AppError,
    Invalid,
    InvalidToken,
    RateLimited,
    ValidationFailed,
)
from marketplace.core.limits import LocalBucket
from marketplace.events.live import LiveEvent
from marketplace.realtime import codes
from marketplace.realtime.joining import Answer, Wish
from marketplace.realtime.outlet import DirectOutlet, Outlet
from marketplace.realtime.topic import (
    Call,
    CommandRow,
    TopicConsumer,
    TopicRef,
    command_rows,
    parse_topic,
)
from marketplace.realtime.wire import Ref, Wire

if TYPE_CHECKING:
    from marketplace.realtime.hub import Encoded, Lane
    from marketplace.realtime.runtime import Runtime

logger = structlog.get_logger(__name__)

HELD_EVENTS = 2000
INBOX = 256
PAGING_S = 10.0
SEQ_DIGITS = 19


class UnmatchedTopic(Invalid):
    """No such kind of topic, or a push on a topic that is not joined. Phoenix's own words."""

    code = "unmatched topic"
    default_message = "There is no such topic here, or it is not joined."


class UnknownEvent(Invalid):
    """The topic knows no such command. Phoenix's own words."""

    code = "unknown event"
    default_message = "This event is not known here."


class TooManyTopics(RateLimited):
    """One topic more than MAX_TOPICS. Phoenix's own words."""

    code = "too many channels joined"
    default_message = "Too many topics are joined on this connection."


class Membership:
    """One topic on one connection. `last`: the highest seq sent to it."""

    __slots__ = (
        "held",
        "is_given",
        "join_ref",
        "lane",
        "last",
        "paging_until",
        "presence",
        "ref",
        "session",
        "told",
    )

    lane: "Lane"

    def __init__(self, session: "Session", ref: TopicRef, join_ref: str | None) -> None:
        self.session = session
        self.ref = ref
        self.join_ref = join_ref
        self.last = 0
        # Live events wait here while a join or sync reads the log; None = nothing waits.
        self.held: list[LiveEvent] | None = []
        # The client has more pages to fetch until then; 0 = it has everything.
        self.paging_until = 0.0
        self.presence = False
        # Arrivals and departures up to this one stood in the answer to the join.
        self.told = 0
        # Held from the start, without a join.
        self.is_given = False

    def pass_on(self, event: LiveEvent) -> None:
        """Send one event that this member has not had, or keep it while he is catching up."""
        if self.held is not None:
            self.held.append(event)
            if len(self.held) > HELD_EVENTS:
                self.session.close(codes.TOO_SLOW)
        elif not self.paging_until and event.seq > self.last:
            self.last = event.seq
            texts = self.lane.texts(event)
            if texts:
                self.session.send(texts)


class Session:
    """One live connection of any protocol."""

    __slots__ = (
        "address", "auth_session_id", "buckets", "close_code", "closed", "connected_at",
        "expires_at", "expiry_told", "frames", "inbox", "key", "memberships", "out",
        "outstanding", "pending",
        "phase", "runtime", "settled", "strikes", "user", "user_id", "wire",
        "worker",
    )  # fmt: skip

    def __init__(
        self,
        runtime: "Runtime",
        wire: Wire,
        out: Outlet,
        *,
        user: User | None,
        auth_session_id: str | None,
        expires_at: float,
        address: str,
    ) -> None:
        self.runtime = runtime
        self.wire = wire
        self.out = out
        self.user = user
        self.user_id = None if user is None else user.public_id
        self.auth_session_id = auth_session_id
        self.expires_at = expires_at
        self.expiry_told = False
        self.address = address
        self.key = new_request_id()
        # When in each half minute this connection is sent its heartbeat.
        self.phase = hash(self.key) % 30
        self.memberships: dict[str, Membership] = {}
        self.frames = runtime.new_bucket("socket_frames")
        # The rarer limits of a connection are made at first need: most sockets only listen.
        self.buckets: dict[str, LocalBucket] = {}
        self.strikes = 0
        self.pending: list[bytes] = []
        self.outstanding = 0
        self.settled: asyncio.Future[None] | None = None
        self.inbox: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self.worker: asyncio.Task[None] | None = None
        self.connected_at = runtime.loop.time()
        self.closed = False
        self.close_code: int | None = None

    # -- in --------------------------------------------------------------------------------------

    def receive(self, data: str | bytes) -> None:
        """One frame of the client."""
        if self.closed:
            return
        if _size(data) > codes.LARGEST_FRAME:
            self.close(codes.TOO_LARGE)
            return
        if not self.frames.take(self.runtime.loop.time()):
            self._flooding(data)
            return
        try:
            self.wire.receive(self, data)
        except Exception:
            logger.exception("frame_failed", protocol=self.wire.name)
            self._say_fault(AppError())

    def misunderstood(self, error: AppError) -> None:
        """A frame that is none: tell it, and end after the tenth in a minute."""
        self._say_fault(error)
        if not self.takes("faults"):
            self.close(codes.NOT_UNDERSTOOD)

    def takes(self, name: str) -> bool:
        """Whether one more of this kind is within the limit of this connection."""
        bucket = self.buckets.get(name)
        if bucket is None:
            bucket = self.buckets[name] = self.runtime.new_bucket(name)
        return bucket.take(self.runtime.loop.time())

    def _flooding(self, data: str | bytes) -> None:
        self.strikes += 1
        if self.strikes >= codes.FLOOD_STRIKES:
            self.close(codes.FLOODING)
        else:
            self.wire.refuse(self, data, RateLimited())

    def _say_fault(self, error: AppError) -> None:
        text = self.wire.fault(error, request_id=new_request_id())
        if text is not None:
            self.send([text])

    def do(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call it now, or after what this client asked before; a coroutine is awaited in order."""
        if self.worker is None:
            result = function(*arguments)
            if result is not None:
                self.worker = self.runtime.loop.create_task(self._work(result))
            return
        if len(self.inbox) >= INBOX:
            self.close(codes.FLOODING)
            return
        self.inbox.append((function, arguments))

    async def _work(self, first: Awaitable[None]) -> None:
        waiting: Awaitable[None] | None = first
        while not self.closed:
            try:
                if waiting is not None:
                    await waiting
            except Exception:
                logger.exception("session_failed", protocol=self.wire.name)
                self._say_fault(AppError())
            if not self.inbox:
                break
            function, arguments = self.inbox.popleft()
            waiting = function(*arguments)
        self.worker = None

    # -- joining ---------------------------------------------------------------------------------

    async def join(
        self,
        spelled: str,
        ref: Ref,
        *,
        token: str | None,
        since: int | None,
        epoch: str | None,
    ) -> None:
        """Subscribe, read what was missed, answer, then go on live."""
        asked = new_request_id()
        request_id.set(asked)
        topic_ref: TopicRef | None = None
        try:
            if not self.takes("joins"):
                raise RateLimited
            # Named before the proof, so that a bad token is refused in the topic's own words.
            topic_ref = parse_topic(spelled, dialect=self.wire.dialect, own=self.user_id)
            if topic_ref is None:
                raise UnmatchedTopic
            if token:
                await self._prove(token)
                if self.closed:
                    return
                topic_ref = parse_topic(spelled, dialect=self.wire.dialect, own=self.user_id)
                if topic_ref is None:
                    raise UnmatchedTopic
            if topic_ref.secret:
                topic_ref = await self._look_up(topic_ref)
                if self.closed:
                    return
            self._make_room(spelled)
            membership = self._subscribe(topic_ref, ref.join_ref)
        except AppError as error:
            self._refuse_join(topic_ref, ref, error, asked)
            return
        await self._finish_join(membership, ref, since=since, epoch=epoch, asked=asked)

    async def _prove(self, token: str) -> None:
        """A token in the join names the connection's user, or signs an anonymous one in."""
        claims = self.runtime.read_token(token)
        if self.user_id is not None:
            if claims.user_id != self.user_id:
                raise InvalidToken
            return
        identity = await self.runtime.identify(claims)
        self.runtime.adopt(self, identity.user, claims)

    async def _look_up(self, ref: TopicRef) -> TopicRef:
        """The topic that a secret name leads to."""
        try:
            found = await self.runtime.run(ref.consumer.look_up, ref, self.address)
        except AppError:
            raise
        except Exception as error:
            logger.exception("join_failed", topic=ref.topic)
            raise AppError from error
        return replace(ref, id=found)

    def _make_room(self, spelled: str) -> None:
        if spelled not in self.memberships and len(self.memberships) >= self.runtime.max_topics:
            raise TooManyTopics

    def _subscribe(self, ref: TopicRef, join_ref: str | None) -> Membership:
        for older in list(self.memberships.values()):
            if older.ref.topic == ref.topic:
                told = self.wire.replaced(older, by=ref)
                if told is not None:
                    self.send([told])
                self._drop(older, announce=False)
        membership = Membership(self, ref, join_ref)
        self.memberships[ref.spelled] = membership
        self.runtime.hub.subscribe(membership)
        return membership

    async def _finish_join(
        self,
        membership: Membership,
        ref: Ref,
        *,
        since: int | None,
        epoch: str | None,
        asked: str,
    ) -> None:
        topic = membership.ref
        try:
            await self.runtime.bridge.subscribed(topic.topic)
            answer = await self.runtime.read_topic(
                Wish(self.user, topic, self.wire.dialect, since, epoch)
            )
            if self.memberships.get(topic.spelled) is not membership:
                return
            if topic.consumer.shows_presence and self.user is not None:
                await self.runtime.presence.enter(membership)
                if self.memberships.get(topic.spelled) is not membership:
                    return
                answer.state["online"] = self.runtime.presence.online(topic.topic)
        except AppError as error:
            self._drop(membership)
            self._refuse_join(topic, ref, error, asked)
            return
        except Exception:
            logger.exception("join_failed", topic=topic.topic)
            self._drop(membership)
            self._refuse_join(topic, ref, AppError(), asked)
            return
        self._answer(membership, ref, answer)
        pushes = [self.wire.push(membership, name, payload) for name, payload in answer.history]
        self.pending += [text for text in pushes if text is not None]
        if topic.consumer.shows_presence and self.user is not None:
            self.runtime.presence.welcome(membership)
        self.flush()
        self.runtime.hub.release(membership, latest_seq=answer.latest_seq)

    async def hold(self, spelled: str) -> None:
        """Hear a topic from the start, without having asked and without an answer."""
        ref = parse_topic(spelled, dialect=self.wire.dialect, own=self.user_id)
        if ref is None:
            return
        membership = self._subscribe(ref, None)
        membership.is_given = True
        try:
            await self.runtime.bridge.subscribed(ref.topic)
            answer = await self.runtime.read_topic(
                Wish(self.user, ref, self.wire.dialect, None, None)
            )
        except AppError:
            self._drop(membership)
            return
        if self.memberships.get(spelled) is membership:
            membership.last = answer.last_sent
            self.runtime.hub.release(membership, latest_seq=answer.latest_seq)

    def _answer(self, membership: Membership, ref: Ref, answer: Answer) -> None:
        membership.last = answer.last_sent
        membership.paging_until = self.runtime.loop.time() + PAGING_S if answer.has_more else 0.0
        # It leaves in one write with what follows at once.
        self.pending.append(self.wire.reply_ok(ref, orjson.dumps(answer.response())))

    def _refuse_join(self, topic: TopicRef | None, ref: Ref, error: AppError, asked: str) -> None:
        reason = error.code
        if topic is not None:
            reason = topic.consumer.refusal_reason(error, topic.voice)
        if not self.takes("join_failures"):
            error = RateLimited()
            reason = error.code
        self.send([self.wire.reply_error(ref, error, reason=reason, request_id=asked)])

    async def sync(self, membership: Membership, payload: dict[str, Any], ref: Ref) -> None:
        """Answer what the client says it has missed; live events wait until the reply is out."""
        asked = new_request_id()
        request_id.set(asked)
        try:
            since, epoch = since_of(payload)
        except AppError as error:
            self.reply_error(ref, error, None, asked)
            return
        self.runtime.hub.hold(membership)
        try:
            answer = await self.runtime.read_topic(
                Wish(self.user, membership.ref, self.wire.dialect, since, epoch, is_join=False)
            )
        except Exception as error:
            refusal = error if isinstance(error, AppError) else AppError()
            if refusal is not error:
                logger.exception("sync_failed", topic=membership.ref.topic)
            self.reply_error(ref, refusal, None, asked)
            self.runtime.hub.release(membership, latest_seq=membership.last)
            return
        if membership.presence:
            answer.state["online"] = self.runtime.presence.online(membership.ref.topic)
        answer.last_sent = max(answer.last_sent, membership.last if since is None else 0)
        self._answer(membership, ref, answer)
        self.flush()
        self.runtime.hub.release(membership, latest_seq=answer.latest_seq)

    def leave(self, spelled: str, ref: Ref) -> None:
        """The client wants to hear the topic no more."""
        membership = self.memberships.get(spelled)
        if membership is not None:
            self._drop(membership)
        self.send(self.wire.left(ref, membership))

    def remove(self, membership: Membership, reason: str) -> None:
        """The right to the topic has ended; a connection that is there for it alone ends too."""
        self._drop(membership)
        self.send([self.wire.removed(membership, reason)])
        if self.wire.one_topic:
            self.close(codes.ACCESS_ENDED)

    def crash(self, membership: Membership) -> None:
        """End a channel after a fault of ours, where the protocol can say so."""
        text = self.wire.crashed(membership)
        if text is not None:
            self._drop(membership)
            self.send([text])

    def _drop(self, membership: Membership, *, announce: bool = True) -> None:
        if self.memberships.get(membership.ref.spelled) is membership:
            del self.memberships[membership.ref.spelled]
        self.runtime.hub.unsubscribe(membership)
        if membership.presence:
            self.runtime.presence.leave(membership)

    def push(self, membership: Membership, name: str, payload: dict[str, Any]) -> None:
        """Tell this one member something on his topic."""
        text = self.wire.push(membership, name, payload)
        if text is not None:
            self.send([text])

    # -- commands --------------------------------------------------------------------------------

    def command(
        self, membership: Membership, name: str, payload: dict[str, Any], ref: Ref
    ) -> Awaitable[None] | None:
        """Run one command of the consumer and reply; a coroutine where it must be awaited."""
        topic = membership.ref
        if name == "sync":
            return self.sync(membership, payload, ref)
        if name == "access_token":
            return self.refresh(payload, ref)
        row = command_rows(topic.consumer, topic.voice).get(name)
        if row is None:
            self.reply_error(ref, UnknownEvent(), None, new_request_id())
            return None
        call = Call(self, topic, payload)
        if row.signal and not self.takes("signals"):
            self.reply_ok(ref, {})
            return None
        if row.batch is not None:
            self._submit(topic.consumer, row, call, ref)
            return None
        if row.inline:
            self._run_inline(topic.consumer, row, call, ref)
            return None
        return self._run(membership, row, call, ref)

    def _submit(self, consumer: type[TopicConsumer], row: CommandRow, call: Call, ref: Ref) -> None:
        service = row.batch
        if service is None:
            return
        try:
            command = getattr(consumer, row.method)(call)
        except AppError as error:
            self.reply_error(ref, error, row.word_for(error), call.request_id)
            return
        self.outstanding += 1

        def done(outcome: Any) -> None:
            self.outstanding -= 1
            if not self.outstanding and self.settled is not None:
                self.settled.set_result(None)
                self.settled = None
            if isinstance(outcome, AppError):
                self.reply_error(ref, outcome, row.word_for(outcome), call.request_id)
            elif row.answer is not None:
                self.reply_later(ref, row.answer(outcome, call.ref.voice))

        # The id tells topics of one service apart as well, and need not be put together.
        self.runtime.batcher(service).submit(call.ref.id, command, done)

    def _run_inline(
        self, consumer: type[TopicConsumer], row: CommandRow, call: Call, ref: Ref
    ) -> None:
        try:
            self.reply_ok(ref, getattr(consumer, row.method)(call))
        except AppError as error:
            self.reply_error(ref, error, row.word_for(error), call.request_id)

    async def _run(self, membership: Membership, row: CommandRow, call: Call, ref: Ref) -> None:
        await self.until_settled()
        request_id.set(call.request_id)
        try:
            response = await getattr(membership.ref.consumer, row.method)(call)
        except AppError as error:
            self.reply_error(ref, error, row.word_for(error), call.request_id)
        except Exception:
            logger.exception("command_failed", command=row.name, request_id=call.request_id)
            self.reply_error(ref, AppError(), None, call.request_id)
            self.crash(membership)
        else:
            self.reply_ok(ref, response)

    async def until_settled(self) -> None:
        """Wait until what this client sent before is stored: its commands keep their order."""
        if self.outstanding:
            if self.settled is None:
                self.settled = self.runtime.loop.create_future()
            await self.settled

    async def refresh(self, payload: dict[str, Any], ref: Ref) -> None:
        """Go on with a newer token of the same user; topics stay."""
        asked = new_request_id()
        request_id.set(asked)
        try:
            expires_at = await self.runtime.refresh(self, payload.get("token"))
        except AppError as error:
            self.reply_error(ref, error, None, asked)
        else:
            self.reply_ok(ref, {"expires_at": expires_at})

    # -- out -------------------------------------------------------------------------------------

    def reply_ok(self, ref: Ref, response: dict[str, Any]) -> None:
        """A request has been done."""
        self.send([self.wire.reply_ok(ref, orjson.dumps(response))])

    def reply_later(self, ref: Ref, response: dict[str, Any] | bytes) -> None:
        """A request has been done; its reply leaves with the events of the same commit."""
        if not self.closed:
            text = response if isinstance(response, bytes) else orjson.dumps(response)
            self.pending.append(self.wire.reply_ok(ref, text))
            self.runtime.hub.note_pending(self)

    def reply_error(self, ref: Ref, error: AppError, failure: str | None, asked: str) -> None:
        """A request has been refused. `failure` is the word that existing clients compare."""
        reason = failure if failure and error.code != "rate_limited" else error.code
        self.send(
            [self.wire.reply_error(ref, error, reason=reason, request_id=asked or new_request_id())]
        )

    def send(self, texts: list[bytes]) -> None:
        """Write these texts, after what is waiting."""
        if self.closed:
            return
        if self.pending:
            texts, self.pending = self.pending + texts, []
        if texts and not self.out.send_own(texts):
            self.close(codes.TOO_SLOW)

    def write(self, encoded: "Encoded") -> None:
        """Write what a whole lane is sent, together with what is waiting."""
        if self.closed:
            return
        out = self.out
        if not self.pending:
            kept_up = out.send(encoded)
        else:
            pending, self.pending = self.pending, []
            if isinstance(out, DirectOutlet):
                kept_up = out.send_both(pending, encoded)
            else:
                kept_up = out.send_own(pending + encoded.texts)
        if not kept_up:
            self.close(codes.TOO_SLOW)

    def flush(self) -> None:
        """Write what is waiting."""
        if self.pending and not self.closed:
            texts, self.pending = self.pending, []
            if not self.out.send_own(texts):
                self.close(codes.TOO_SLOW)

    def notice(self, name: str, payload: dict[str, Any]) -> None:
        """Tell the connection something of itself, where its protocol can."""
        text = self.wire.notice(name, payload)
        if text is not None:
            self.send([text])

    def close(self, code: int) -> None:
        """End the connection; its topics are left at once."""
        if not self.closed:
            self.flush()
            self.closed = True
            self.close_code = code
            self.out.close(code)
            self.end()

    def end(self) -> None:
        """The connection is gone: leave everything. Safe to call twice."""
        self.closed = True
        for membership in list(self.memberships.values()):
            self._drop(membership)
        self.inbox.clear()
        self.runtime.forget(self)


def _size(data: str | bytes) -> int:
    """Bytes on the wire."""
    if isinstance(data, bytes) or data.isascii():
        return len(data)
    return len(data.encode("utf-8", "surrogatepass"))


def since_of(payload: dict[str, Any]) -> tuple[int | None, str | None]:
    """`since` and `epoch` as any client of ours spells them. Raises ValidationFailed."""
    since: int | None = None
    for name in ("since", "last_seq", "lastSeq", "lastEventId"):
        value = payload.get(name)
        if value is None:
            continue
        if isinstance(value, str) and value.isdecimal() and len(value) <= SEQ_DIGITS:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
            raise ValidationFailed.for_fields({name: ["This must be a whole number from 0."]})
        since = value
        break
    epoch = payload.get("epoch")
    return since, epoch if isinstance(epoch, str) and epoch else None
