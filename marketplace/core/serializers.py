"""The kernel's own output shapes."""

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from marketplace.core.clock import wire_time, wire_time_or_none
from marketplace.core.models import Job


def job_to_wire(job: Job) -> dict[str, Any]:
    """A job as operators see it; its arguments are ids and stay inside."""
    return {
        "id": str(job.id),
        "key": job.key,
        "name": job.name,
        "state": job.state,
        "run_at": wire_time(job.run_at),
        "attempts": job.attempts,
        "last_error": job.last_error or None,
        "created_at": wire_time(job.created_at),
        "finished_at": wire_time_or_none(job.finished_at),
    }


def page_output(
    item: type[serializers.Serializer[Any]], description: str, *, name: str = ""
) -> type[serializers.Serializer[Any]]:
    """The shape of a page of such items, for the schema: `ShopOutput` gives `ShopPageOutput`."""
    fields = {
        "__module__": item.__module__,
        "__doc__": description,
        "items": item(many=True),
        "next_cursor": serializers.CharField(allow_null=True),
    }
    name = name or item.__name__.removesuffix("Output") + "PageOutput"
    return extend_schema_serializer(many=False)(type(name, (serializers.Serializer,), fields))


class JobOutput(serializers.Serializer[Any]):
    """The shape of `job_to_wire`, for the schema."""

    id = serializers.UUIDField()
    key = serializers.CharField()
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=["waiting", "running", "done", "dead"])
    run_at = serializers.DateTimeField()
    attempts = serializers.IntegerField()
    last_error = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


JobPageOutput = page_output(JobOutput, "A page of jobs.")


class TaskOutput(serializers.Serializer[Any]):
    """A task with its place in the schedule and its jobs that are not done."""

    name = serializers.CharField()
    schedule = serializers.CharField(allow_null=True)
    waiting = serializers.IntegerField()
    running = serializers.IntegerField()
    dead = serializers.IntegerField()


TaskListOutput = page_output(
    TaskOutput, "All tasks by name; the list is short and has one page.", name="TaskListOutput"
)


class HealthOutput(serializers.Serializer[Any]):
    """The process answers; no dependency is asked."""

    success = serializers.BooleanField()
    message = serializers.CharField()
    timestamp = serializers.DateTimeField()


class StatusHealthOutput(HealthOutput):
    """The same with a status word and a version."""

    status = serializers.CharField()
    version = serializers.CharField()


class PartsOutput(serializers.Serializer[Any]):
    """The state of the parts that this process needs."""

    status = serializers.ChoiceField(choices=["ok", "unavailable"])
    checks = serializers.DictField(child=serializers.CharField())
