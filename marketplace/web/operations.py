"""What runs, for administrators: live topics with their members, and all figures at a glance.

Asked of every process at this moment (`realtime.survey`); what a process does not answer in time is
left out.
"""

from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from drf_spectacular.utils import extend_schema_serializer as described
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from marketplace.core import health
from marketplace.core.clock import now, wire_time
from marketplace.core.figures import open_jobs
from marketplace.core.http import ApiView, has_role, page_limit
from marketplace.core.inputs import InputSerializer
from marketplace.core.pagination import make_cursor, read_cursor
from marketplace.core.serializers import page_output
from marketplace.events.models import Position, TopicHead
from marketplace.realtime.survey import survey
from marketplace.realtime.topic import STANDARD, consumers

MEMBERS_SHOWN = 100
ORDER = ("topic",)


@dataclass(slots=True)
class LiveTopic:
    """One topic that somebody holds now, over all processes."""

    topic: str
    names: set[str]
    people: Counter[str] = field(default_factory=Counter)
    guests: int = 0

    def is_called(self, pattern: str) -> bool:
        """Whether one of its names fits: `room:*`, `chat:*`, a whole name."""
        return any(fnmatchcase(name, pattern) for name in self.names)


def live_topics(pattern: str = "*") -> list[LiveTopic]:
    """The topics that fit, by name."""
    found: dict[str, LiveTopic] = {}
    for process in survey():
        for topic, held in process["topics"].items():
            one = found.get(topic)
            if one is None:
                one = found[topic] = LiveTopic(topic, _names(topic))
            one.names.update(held["spelled"])
            one.people.update(held["people"])
            one.guests += held["guests"]
    return [found[topic] for topic in sorted(found) if found[topic].is_called(pattern)]


def _names(topic: str) -> set[str]:
    """How the protocols write this topic; what is not the usual voice only where it is in use."""
    kind, _, key = topic.partition(":")
    consumer = consumers().get(kind)
    spellings = () if consumer is None else consumer.spellings
    return {topic, *(f"{one.prefix}{key}" for one in spellings if one.voice == STANDARD)}


def live_topic_to_wire(one: LiveTopic, *, latest_seq: int) -> dict[str, Any]:
    """A live topic as administrators see it."""
    members = sorted(one.people.items())[:MEMBERS_SHOWN]
    return {
        "topic": one.topic,
        "names": sorted(one.names),
        "latest_seq": latest_seq,
        "connections": one.people.total() + one.guests,
        "member_count": len(one.people),
        "guests": one.guests,
        "members": [{"user_id": user_id, "connections": n} for user_id, n in members],
    }


class TopicFilters(InputSerializer):
    """Which topics."""

    pattern = serializers.CharField(required=False, max_length=160)


class LiveMemberOutput(serializers.Serializer[Any]):
    """Somebody on a topic."""

    user_id = serializers.CharField()
    connections = serializers.IntegerField()


@described(
    examples=[
        OpenApiExample(
            "A room",
            {
                "topic": "room:019ab0c4-9a2e-7b0c-8f11-5c1d2e3f4a5b",
                "names": [
                    "chat:room_019ab0c4-9a2e-7b0c-8f11-5c1d2e3f4a5b",
                    "room:019ab0c4-9a2e-7b0c-8f11-5c1d2e3f4a5b",
                ],
                "latest_seq": 41,
                "connections": 3,
                "member_count": 1,
                "guests": 0,
                "members": [{"user_id": "019ab0c4-7d10-7cc1-8f6e-0a8d6d3e1b52", "connections": 3}],
            },
        )
    ]
)
class LiveTopicOutput(serializers.Serializer[Any]):
    """A topic that somebody holds now; `members` are the first 100 by id."""

    topic = serializers.CharField()
    names = serializers.ListField(child=serializers.CharField())
    latest_seq = serializers.IntegerField()
    connections = serializers.IntegerField()
    member_count = serializers.IntegerField()
    guests = serializers.IntegerField()
    members = LiveMemberOutput(many=True)


LiveTopicPageOutput = page_output(LiveTopicOutput, "A page of live topics, by name.")


class RequestFiguresOutput(serializers.Serializer[Any]):
    """HTTP since the start of the process; `failed` = answered with 5xx."""

    answered = serializers.IntegerField()
    failed = serializers.IntegerField()
    in_flight = serializers.IntegerField()
    mean_ms = serializers.FloatField(allow_null=True)


class QueryFiguresOutput(serializers.Serializer[Any]):
    """Database calls of HTTP requests."""

    made = serializers.IntegerField()
    mean_ms = serializers.FloatField(allow_null=True)


class EventFiguresOutput(serializers.Serializer[Any]):
    """Events written to the log, handed to connections, and read again to fill a gap."""

    recorded = serializers.IntegerField()
    published = serializers.IntegerField()
    gaps_filled = serializers.IntegerField()


class ProcessOutput(serializers.Serializer[Any]):
    """One server process."""

    host = serializers.CharField()
    pid = serializers.IntegerField()
    started_at = serializers.DateTimeField(allow_null=True)
    memory_bytes = serializers.IntegerField()
    cpu_s = serializers.FloatField()
    loop_lag_ms = serializers.FloatField()
    topics = serializers.IntegerField()
    sockets = serializers.DictField(child=serializers.IntegerField())
    requests = RequestFiguresOutput()
    queries = QueryFiguresOutput()
    events = EventFiguresOutput()


class OpenJobsOutput(serializers.Serializer[Any]):
    """Jobs that are not done."""

    waiting = serializers.IntegerField()
    running = serializers.IntegerField()
    dead = serializers.IntegerField()


class LogStateOutput(serializers.Serializer[Any]):
    """Topics with events that subscribers or the bus have not had, and readers that gave up."""

    subscribers_pending = serializers.IntegerField()
    relay_pending = serializers.IntegerField()
    parked = serializers.IntegerField()


class OverviewOutput(serializers.Serializer[Any]):
    """Everything at a glance, over all processes that answered."""

    at = serializers.DateTimeField()
    version = serializers.CharField()
    profile = serializers.CharField()
    database = serializers.CharField()
    parts = serializers.DictField(child=serializers.CharField())
    people = serializers.IntegerField()
    topics = serializers.IntegerField()
    sockets = serializers.DictField(child=serializers.IntegerField())
    jobs = OpenJobsOutput()
    log = LogStateOutput()
    processes = ProcessOutput(many=True)


class OperatorView(ApiView):
    """For admins."""

    permission_classes = (has_role("admin"),)


class LiveTopicsView(OperatorView):
    """`GET /ops/topics`."""

    @extend_schema(
        operation_id="ops_topics",
        tags=["operations"],
        summary="Live topics and who holds them, over all processes",
        parameters=[
            OpenApiParameter(
                "pattern",
                OpenApiTypes.STR,
                description="Such as `room:*`; a protocol's own spelling too: `chat:*`",
            ),
            OpenApiParameter("limit", OpenApiTypes.INT, description="1-100, default 20"),
            OpenApiParameter(
                "cursor", OpenApiTypes.STR, description="`next_cursor` of the page before"
            ),
        ],
        responses={200: LiveTopicPageOutput},
    )
    def get(self, request: Request) -> Response:
        """A page of what is live now."""
        limit = page_limit(request.query_params)
        filters = self.read_query(TopicFilters)
        cursor = request.query_params.get("cursor")
        after = read_cursor(cursor, ORDER)[0] if cursor else ""
        topics = [one for one in live_topics(filters.get("pattern", "*")) if one.topic > after]
        page = topics[:limit]
        seqs = dict(
            TopicHead.objects.filter(topic__in=[one.topic for one in page])
            .order_by("topic")
            .values_list("topic", "last_seq")
        )
        items = [live_topic_to_wire(one, latest_seq=seqs.get(one.topic, 0)) for one in page]
        following = make_cursor(page[-1], ORDER) if len(topics) > limit else None
        return Response({"items": items, "next_cursor": following})


class OverviewView(OperatorView):
    """`GET /ops/overview`."""

    @extend_schema(
        operation_id="ops_overview",
        tags=["operations"],
        summary="Processes, sockets, queues and queries at a glance",
        responses={200: OverviewOutput},
    )
    def get(self, request: Request) -> Response:
        """The figures of this moment."""
        processes = survey()
        return Response(
            {
                "at": wire_time(now()),
                "version": settings.SPECTACULAR_SETTINGS["VERSION"],
                "profile": settings.PROFILE,
                "database": settings.DATABASE_ENGINE,
                "parts": health.check_parts(),
                "people": len({user_id for one in processes for user_id in one["people"]}),
                "topics": len({topic for one in processes for topic in one["topics"]}),
                "sockets": dict(sum((Counter(one["sockets"]) for one in processes), Counter())),
                "jobs": open_jobs(),
                "log": _state_of_log(),
                "processes": [_process_to_wire(one) for one in processes],
            }
        )


def _state_of_log() -> dict[str, int]:
    heads = TopicHead.objects
    return {
        "subscribers_pending": heads.filter(subscribers_pending=True).count(),
        "relay_pending": heads.filter(relay_pending=True).count(),
        "parked": Position.objects.filter(parked_at__isnull=False).count(),
    }


def _process_to_wire(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "host": one["host"],
        "pid": one["pid"],
        "topics": len(one["topics"]),
        "sockets": one["sockets"],
        **one["figures"],
    }
