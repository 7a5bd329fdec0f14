"""The kernel's tables, as staff see them: jobs and idempotency keys.

They stand here and not in `core`, because their actions leave an audit entry, which lies above it.
"""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from marketplace.core.admin import ChoiceFilter, HistoryAdmin, column, operation
from marketplace.core.clock import now
from marketplace.core.db import transactional
from marketplace.core.jobs import schedule_lines
from marketplace.core.models import IdempotencyKey, Job, JobState
from marketplace.events.audit import record_audit

KEY_CHARACTERS = 40


class TaskFilter(ChoiceFilter):
    """Jobs of one task."""

    title = "task"
    parameter_name = "name"

    def choices_known(self) -> list[str]:
        """Every task of this version."""
        return [name for name, _ in schedule_lines()]


class AnsweredFilter(admin.SimpleListFilter):
    """Keys whose first request still runs, or has been answered."""

    title = parameter_name = "answered"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Yes or no."""
        return [("yes", "Yes"), ("no", "No")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """By whether there is an answer."""
        if self.value() is None:
            return queryset
        return queryset.filter(status__isnull=self.value() == "no")


@admin.register(Job)
class JobAdmin(HistoryAdmin):
    """Later work: what waits, what runs, what has failed for good."""

    list_display = (
        "name",
        "state_label",
        "attempts",
        "run_at",
        "finished_at",
        "short_key",
        "short_error",
    )
    list_filter = ("state", TaskFilter)
    ordering = ("-created_at", "-id")
    search_fields = ("key__exact", "name__startswith", "request_id__exact")
    search_help_text = "The beginning of a task's name, or a whole key, request or id."
    key_fields = ("pk",)
    text_key_fields = ("key", "request_id")
    actions = ("retry_dead", "run_at_once")

    @column(
        "State",
        ordering="state",
        colours={"waiting": "info", "running": "warning", "done": "success", "dead": "danger"},
    )
    def state_label(self, job: Job) -> str:
        """The state, in its colour."""
        return job.state

    @column("Key", ordering="key")
    def short_key(self, job: Job) -> str:
        """The beginning of the key: all of it would push the other columns together."""
        return job.key if len(job.key) <= KEY_CHARACTERS else f"{job.key[:KEY_CHARACTERS]}…"

    @column("Last error")
    def short_error(self, job: Job) -> str:
        """The last line of the last failure."""
        return (job.last_error.strip().splitlines() or ["-"])[-1][:120]

    @operation("Try the chosen dead jobs again")
    def retry_dead(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Dead jobs wait for their next run, with all their attempts."""
        count = _wake(queryset, from_state=JobState.DEAD, actor_id=self.actor_id(request))
        _tell(self, request, count, "job waits", "jobs wait", "Only dead jobs can be tried again.")

    @operation("Run the chosen waiting jobs now")
    def run_at_once(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Waiting jobs are due at once."""
        count = _wake(queryset, from_state=JobState.WAITING, actor_id=self.actor_id(request))
        _tell(self, request, count, "job is due", "jobs are due", "Only waiting jobs can be run.")


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(HistoryAdmin):
    """POSTs that came with a key. The stored answers are their callers' and are not shown."""

    list_display = ("scope", "status_label", "created_at", "lease_until", "expires_at")
    list_filter = (AnsweredFilter,)
    ordering = ("-created_at", "-id")
    search_fields = ("scope__exact",)
    search_help_text = "A whole scope or id."
    fields = (
        "scope",
        "status_label",
        "content_type",
        "run",
        "created_at",
        "lease_until",
        "expires_at",
    )
    readonly_fields = fields

    @column("Answer", ordering="status")
    def status_label(self, key: IdempotencyKey) -> str:
        """The status that was answered, while there is one."""
        return str(key.status) if key.status else "running"


def _wake(queryset: QuerySet[Job], *, from_state: str, actor_id: str) -> int:
    ids = list(queryset.order_by("pk").values_list("pk", flat=True))

    @transactional
    def wake() -> int:
        chosen = Job.objects.filter(pk__in=ids, state=from_state).order_by("pk")
        names = sorted(set(chosen.values_list("name", flat=True)))
        keys = list(chosen.values_list("pk", flat=True))
        at = now()
        count = Job.objects.filter(pk__in=keys, state=from_state).update(
            state=JobState.WAITING, attempts=0, run_at=at, finished_at=None, updated_at=at
        )
        if count:
            record_audit(
                actor_id=actor_id,
                action="jobs.retried" if from_state == JobState.DEAD else "jobs.hastened",
                target=f"job:{keys[0]}" if len(keys) == 1 else "jobs",
                details={"jobs": [str(key) for key in keys], "names": names},
            )
        return count

    return wake()


def _tell(
    page: ModelAdmin, request: HttpRequest, count: int, one: str, many: str, nothing: str
) -> None:
    if count:
        page.message_user(request, f"{count} {one if count == 1 else many}.", messages.SUCCESS)
    else:
        page.message_user(request, nothing, messages.WARNING)
