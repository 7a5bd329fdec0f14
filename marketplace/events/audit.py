"""Who did what: one entry in the transaction of the act."""

from typing import Any

from django.db.models import QuerySet

from marketplace.core.context import request_id
from marketplace.core.db import in_transaction
from marketplace.core.models import Job
from marketplace.events.models import AuditEntry


def record_audit(
    *,
    actor_id: str | None,
    action: str,
    target: str = "",
    details: dict[str, Any] | None = None,
    address: str = "",
) -> AuditEntry:
    """Write down an act, so that both are there or neither is. Only inside `atomic()`.

    actor_id: public id, None for the system. action: `noun.past_tense`. target: what it was done
    to, such as `user:<id>`. details: ids and facts, JSON types only; never codes, tokens, secrets.
    address: of the client, as `core.limits.client_address` gives it.
    """
    if not in_transaction():
        raise RuntimeError("An audit entry is written inside atomic(), with the act it tells of.")
    return AuditEntry.objects.create(
        actor_id=actor_id,
        action=action,
        target=target,
        details=details or {},
        request_id=request_id.get(),
        address=address,
    )


def list_audit(
    *, actor_id: str | None = None, action: str | None = None, target: str | None = None
) -> QuerySet[AuditEntry]:
    """The entries that have all of these values, newest first."""
    wanted = {"actor_id": actor_id, "action": action, "target": target}
    given = {name: value for name, value in wanted.items() if value is not None}
    return AuditEntry.objects.filter(**given).order_by("-created_at", "-id")


def record_job_act(action: str, job: Job, actor_id: str | None) -> None:
    """What an operator did with a job, in the transaction that did it."""
    record_audit(
        actor_id=actor_id,
        action=action,
        target=f"job:{job.id}",
        details={"jobs": [str(job.id)], "names": [job.name]},
    )
