"""What every row has, and the kernel's own tables."""

from django.db import models

from marketplace.core.clock import now
from marketplace.core.ids import uuid7


class BaseModel(models.Model):
    """A row with a UUIDv7 key made in Python, so that migrations are the same on every database."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        abstract = True

    def save(self, *args: object, **kwargs: object) -> None:
        """Store the row; `updated_at` is this instant, also where only some fields are saved."""
        if not self._state.adding:
            self.updated_at = now()
            fields = kwargs.get("update_fields")
            if fields is not None:
                kwargs["update_fields"] = {*fields, "updated_at"}  # type: ignore[misc]  # iterable of names
        super().save(*args, **kwargs)  # type: ignore[arg-type]  # Django's own signature


class Counter(BaseModel):
    """A number that only rises: who takes the next one updates the row."""

    name = models.CharField(max_length=32, unique=True)
    value = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.name}: {self.value}"


class IdempotencyKey(BaseModel):
    """One POST under a client's key: running, or done with the answer that is given again."""

    scope = models.CharField(max_length=64)
    body_hash = models.CharField(max_length=64)
    run = models.UUIDField(default=uuid7)
    lease_until = models.DateTimeField()
    expires_at = models.DateTimeField()
    status = models.IntegerField(null=True, blank=True)
    content_type = models.CharField(max_length=100, blank=True, default="")
    body = models.TextField(blank=True, default="")

    class Meta:
        # As a constraint: a unique column of text has a second index on PostgreSQL.
        constraints = [models.UniqueConstraint(fields=["scope"], name="idempotency_scope")]

    def __str__(self) -> str:
        return f"{self.scope[:8]}: {self.status or 'running'}"


class JobState(models.TextChoices):
    """Where a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"


class Job(BaseModel):
    """A piece of later work, inserted in the transaction that needs it."""

    key = models.CharField(max_length=200, unique=True)
    name = models.CharField(max_length=64, db_index=True)
    arguments = models.JSONField(default=dict, blank=True)
    run_at = models.DateTimeField(default=now)
    attempts = models.IntegerField(default=0)
    state = models.CharField(max_length=16, choices=JobState.choices, default=JobState.WAITING)
    lease_until = models.DateTimeField(null=True, blank=True)
    run = models.UUIDField(null=True, blank=True)
    handed_over_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True, default="")
    request_id = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        indexes = [
            models.Index(fields=["state", "run_at"], name="job_due"),
            models.Index(fields=["state", "lease_until"], name="job_lease"),
            models.Index(fields=["state", "finished_at"], name="job_finished"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.state})"


class KeyFingerprint(BaseModel):
    """What a shared key looked like to the process that came first; never the key."""

    name = models.CharField(max_length=32, unique=True)
    fingerprint = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"{self.name}: {self.fingerprint[:8]}"
