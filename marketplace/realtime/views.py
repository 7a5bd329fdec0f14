"""The log over HTTP: a page of a topic's events as JSON, or the live stream."""

from typing import Any, cast

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import BearerAuthentication, bearer_token, without_bearer
from accounts.models import User
from accounts.services import sessions, tokens
from accounts.services.tokens import Claims
from marketplace.core import limits
from marketplace.core.errors import AppError, NotFound, Unauthorized, Unavailable, ValidationFailed
from marketplace.core.http import ApiView
from marketplace.core.inputs import InputSerializer
from marketplace.core.pagination import page_limit
from marketplace.core.problems import error_response
from marketplace.events.live import LiveEvent
from marketplace.events.replay import Replay, event_to_wire, find_head, newest, replay
from marketplace.realtime.runtime import Runtime, runtime
from marketplace.realtime.sse import open_stream, stream
from marketplace.realtime.topic import TopicRef, parse_topic

LARGEST_PAGE = 200
STREAM_TYPE = "text/event-stream"


class FeedBounds(InputSerializer):
    """Where a page of events begins."""

    aliases = {"after": ("since",)}

    after = serializers.IntegerField(required=False, allow_null=True, min_value=0)
    epoch = serializers.CharField(required=False, allow_null=True, max_length=64)


class FeedEventOutput(serializers.Serializer[Any]):
    """One event, by its log name, with its canonical payload."""

    event_id = serializers.UUIDField()
    event_seq = serializers.IntegerField()
    event = serializers.CharField()
    created_at = serializers.DateTimeField()
    payload = serializers.DictField()


class FeedOutput(serializers.Serializer[Any]):
    """A page of a topic's events; `reset` says why the gap cannot be told."""

    topic = serializers.CharField()
    epoch = serializers.CharField()
    latest_seq = serializers.IntegerField()
    horizon = serializers.IntegerField()
    events = FeedEventOutput(many=True)
    has_more = serializers.BooleanField()
    reset = serializers.ChoiceField(choices=["horizon", "future", "epoch"], required=False)


class FeedAuthentication(BearerAuthentication):
    """The header, else `?token=`: an EventSource cannot set headers, and both forms are one URL."""

    def authenticate(self, request: Request) -> tuple[User, Claims] | None:
        """None without a token. Raises InvalidToken, TokenExpired, TokenRevoked."""
        found = super().authenticate(request)
        token = without_bearer(request.query_params.get("token", ""))
        if found is not None or not token:
            return found
        claims = tokens.read_access(token)
        return sessions.authenticate(claims), claims


class TopicEventsView(ApiView):
    """`GET /topics/{topic}/events` as JSON."""

    authentication_classes = [FeedAuthentication]

    @extend_schema(
        operation_id="topic_events", tags=["events"], summary="Events of a topic",
        description="Any topic that the caller may join; without `after` the newest page. With "
        "`Accept: text/event-stream` the same address is the live feed (`Last-Event-ID`).",
        parameters=[
            OpenApiParameter("after", OpenApiTypes.INT, description="The last seq seen"),
            OpenApiParameter("epoch", OpenApiTypes.STR),
            OpenApiParameter("limit", OpenApiTypes.INT, description="1-200, default 200"),
        ],
        responses={200: FeedOutput},
    )  # fmt: skip
    def get(self, request: Request, topic: str) -> Response:
        """A page of the log."""
        ref = topic_to_read(topic, user=cast(User, request.user))
        bounds = self.read_query(FeedBounds)
        limit = page_limit(request.query_params, default=LARGEST_PAGE, maximum=LARGEST_PAGE)
        after = bounds.get("after")
        if after is None:
            return Response(newest_page(ref, limit=limit))
        read = replay(ref.topic, since=after, epoch=bounds.get("epoch"), limit=limit)
        return Response(page_of(ref, read))


def topic_to_read(text: str, *, user: User) -> TopicRef:
    """The topic of this name, if the user may hear it. Raises NotFound, or its consumer's word."""
    ref = parse_topic(text, dialect="feed", own=user.public_id)
    if ref is None:
        raise NotFound("There is no such topic.")
    ref.consumer.authorise(user, ref.id, "join")
    return ref


def newest_page(ref: TopicRef, *, limit: int) -> dict[str, Any]:
    """The newest events, for a reader that has none yet."""
    head = find_head(ref.topic)
    events = newest(ref.topic, limit=limit)
    earliest = events[0].seq if events else 0
    horizon = 0 if head is None else head.horizon
    return _page(
        ref,
        events,
        latest_seq=0 if head is None else head.last_seq,
        epoch="" if head is None else head.epoch,
        horizon=horizon,
        has_more=earliest > horizon + 1,
    )


def page_of(ref: TopicRef, read: Replay) -> dict[str, Any]:
    """The events after a seq."""
    page = _page(
        ref,
        read.events,
        latest_seq=read.latest_seq,
        epoch=read.epoch,
        horizon=read.horizon,
        has_more=read.has_more,
    )
    return page if read.reset is None else page | {"reset": read.reset}


def _page(ref: TopicRef, events: list[LiveEvent], **where: Any) -> dict[str, Any]:
    return {"topic": ref.topic, **where, "events": [event_to_wire(event) for event in events]}


async def topic_events(request: HttpRequest, topic: str) -> HttpResponseBase:
    """JSON, or the stream for those who ask for one."""
    if request.method != "GET" or STREAM_TYPE not in request.headers.get("Accept", ""):
        answer: HttpResponseBase = await sync_to_async(TopicEventsView.as_view())(
            request, topic=topic
        )
        return answer
    here = runtime()
    try:
        return await _open_stream(request, topic, here)
    except AppError as error:
        return error_response(request, error)


async def _open_stream(request: HttpRequest, topic: str, here: Runtime) -> HttpResponseBase:
    if here.draining:
        raise Unavailable
    token = bearer_token(request.headers.get("Authorization", "")) or request.GET.get("token")
    if not token:
        raise Unauthorized
    claims = here.read_token(token)
    since, epoch = _bounds(request)
    user, ref = await here.run(_admit, claims, topic)
    membership = open_stream(
        here, user=user, claims=claims, ref=ref, address=limits.request_address(request)
    )
    return StreamingHttpResponse(
        stream(membership, since=since, epoch=epoch),
        content_type=STREAM_TYPE,
        headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
    )


def _admit(claims: Claims, topic: str) -> tuple[User, TopicRef]:
    user = sessions.authenticate(claims)
    limits.check("api", f"user:{user.public_id}")
    return user, topic_to_read(topic, user=user)


def _bounds(request: HttpRequest) -> tuple[int | None, str | None]:
    """`Last-Event-ID` wins, else `after`; without either live only. Raises ValidationFailed."""
    last = request.headers.get("Last-Event-ID")
    values = FeedBounds.read(request.GET)
    if not last:
        return values.get("after"), values.get("epoch")
    if not last.isdecimal() or len(last) > 18:
        raise ValidationFailed.for_fields({"Last-Event-ID": ["This must be a whole number."]})
    return int(last), values.get("epoch")


topic_events.cls = TopicEventsView  # type: ignore[attr-defined]  # how drf-spectacular finds the view behind
topic_events.csrf_exempt = True  # type: ignore[attr-defined]  # identity comes by header, never by cookie
topic_events.initkwargs = {}  # type: ignore[attr-defined]  # what it reads of every view
