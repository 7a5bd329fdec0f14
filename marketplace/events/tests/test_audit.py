"""Audit entries stand and fall with the act."""

import pytest

from accounts.models import User
from marketplace.core import jobs
from marketplace.core.context import request_id
from marketplace.core.db import atomic
from marketplace.core.models import Job, JobState
from marketplace.events.audit import record_audit
from marketplace.events.models import AuditEntry
from marketplace.tests.cast import signed_in


@pytest.mark.django_db(transaction=True)
class TestRecordAudit:
    def test_keeps_who_did_what_to_what_in_which_request(self) -> None:
        token = request_id.set("req-7")
        try:
            with atomic():
                record_audit(
                    actor_id="edith",
                    action="role.changed",
                    target="user:asha",
                    details={"to": "employee"},
                    address="192.0.2.7",
                )
        finally:
            request_id.reset(token)

        entry = AuditEntry.objects.get()
        assert (entry.actor_id, entry.action, entry.target) == (
            "edith",
            "role.changed",
            "user:asha",
        )
        assert (entry.details, entry.request_id) == ({"to": "employee"}, "req-7")
        assert entry.address == "192.0.2.7"

    def test_refuses_to_stand_outside_the_transaction_of_the_act(self) -> None:
        with pytest.raises(RuntimeError, match=r"inside atomic\(\)"):
            record_audit(actor_id=None, action="thing.done")

        assert AuditEntry.objects.count() == 0

    @pytest.mark.transactions
    def test_goes_with_an_act_that_fails(self) -> None:
        def act_and_fail() -> None:
            with atomic():
                record_audit(actor_id=None, action="thing.done")
                raise ValueError("the act")

        with pytest.raises(ValueError, match="the act"):
            act_and_fail()

        assert AuditEntry.objects.count() == 0


@pytest.mark.django_db
class TestJobActs:
    """What operators do with jobs over REST or by a command is written down too."""

    def test_names_the_operator(self, admin: User) -> None:
        dead = Job.objects.create(key="k", name="send_sms", state=JobState.DEAD)
        client = signed_in(admin)

        retried = client.post(f"/api/v1/jobs/dead/{dead.id}/retry")
        started = client.post("/api/v1/jobs/cleanup/run")

        assert (retried.status_code, started.status_code) == (200, 200)
        entries = AuditEntry.objects.order_by("created_at", "id")
        assert [(one.action, one.actor_id, one.target) for one in entries] == [
            ("jobs.retried", admin.public_id, f"job:{dead.id}"),
            ("jobs.started", admin.public_id, f"job:{started.json()['id']}"),
        ]
        assert entries[0].details == {"jobs": [str(dead.id)], "names": ["send_sms"]}
        assert entries[0].request_id == retried.headers["X-Request-ID"]

    def test_writes_nothing_down_where_nothing_was_done(self, admin: User, buyer: User) -> None:
        done = Job.objects.create(key="k", name="send_sms", state=JobState.DONE)

        assert signed_in(admin).post(f"/api/v1/jobs/dead/{done.id}/retry").status_code == 404
        assert signed_in(admin).post("/api/v1/jobs/nope/run").status_code == 404
        assert signed_in(buyer).post("/api/v1/jobs/cleanup/run").status_code == 403
        assert AuditEntry.objects.count() == 0

    @pytest.mark.transactions
    def test_does_nothing_that_cannot_be_written_down(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(**_: object) -> None:
            raise ValueError("no audit")

        monkeypatch.setattr(AuditEntry.objects, "create", fail)
        dead = Job.objects.create(key="k", name="send_sms", state=JobState.DEAD)

        with pytest.raises(ValueError, match="no audit"):
            jobs.retry_job(dead.id)

        dead.refresh_from_db()
        assert dead.state == JobState.DEAD
