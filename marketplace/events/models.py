"""The one durable log: heads, events, positions of its readers, audit."""

from django.db import models

from marketplace.core.ids import uuid7
from marketplace.core.models import BaseModel


class TopicHead(BaseModel):
    """Where a topic stands. Its row lock makes commit order equal to seq order, without gaps."""

    topic = models.CharField(max_length=160)
    last_seq = models.BigIntegerField(default=0)
    epoch = models.CharField(max_length=32)
    # The highest seq that retention has removed; 0 = everything is still there.
    horizon = models.BigIntegerField(default=0)
    subscribers_pending = models.BooleanField(default=False)
    relay_pending = models.BooleanField(default=False)
    leased_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        # As a constraint: a unique column of text has a second index on PostgreSQL.
        constraints = [models.UniqueConstraint(fields=["topic"], name="head_topic")]
        indexes = [
            # In the order in which those that wait are served.
            models.Index(
                fields=["updated_at", "topic"],
                name="head_subscribers",
                condition=models.Q(subscribers_pending=True),
            ),
            models.Index(
                fields=["topic"], name="head_relay", condition=models.Q(relay_pending=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.topic} @ {self.last_seq}"


class Event(models.Model):
    """One fact that happened, at its place in its topic. Never changed, but for erasure."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # A copy on another topic keeps the event_id, so that clients can tell it is the same fact.
    event_id = models.UUIDField()
    topic = models.CharField(max_length=160)
    seq = models.BigIntegerField()
    name = models.CharField(max_length=64)
    payload = models.JSONField()
    actor_id = models.CharField(max_length=128, null=True, blank=True)
    request_id = models.CharField(max_length=64, blank=True, default="")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["topic", "seq"], name="event_topic_seq")]
        # Erasure asks by actor; age is read off the id, which rises with time. Events without an
        # actor need no entry, and whoever asks has to say `actor_id__gt=""`, too.
        indexes = [
            models.Index(
                fields=["actor_id"], name="event_actor", condition=models.Q(actor_id__gt="")
            )
        ]

    def __str__(self) -> str:
        return f"{self.topic} #{self.seq} {self.name}"


class Position(BaseModel):
    """How far a subscriber has come in a topic; moved in the transaction of its effect."""

    subscriber = models.CharField(max_length=64)
    topic = models.CharField(max_length=160)
    seq = models.BigIntegerField(default=0)
    failures = models.IntegerField(default=0)
    parked_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True, default="")

    class Meta:
        # A visit asks for everybody in its topics: by topic first.
        constraints = [
            models.UniqueConstraint(
                fields=["topic", "subscriber"], name="position_topic_subscriber"
            )
        ]

    def __str__(self) -> str:
        return f"{self.subscriber} in {self.topic} @ {self.seq}"


class AuditEntry(BaseModel):
    """Who did what to what, when, and in which request; written in the transaction of the act."""

    actor_id = models.CharField(max_length=128, null=True, blank=True)
    action = models.CharField(max_length=64, db_index=True)
    target = models.CharField(max_length=160, blank=True, default="")
    details = models.JSONField(default=dict, blank=True)
    request_id = models.CharField(max_length=64, blank=True, default="")
    address = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="audit_newest"),
            models.Index(fields=["actor_id", "-created_at"], name="audit_actor"),
            models.Index(fields=["target", "-created_at"], name="audit_target"),
        ]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor_id or 'the system'}"
