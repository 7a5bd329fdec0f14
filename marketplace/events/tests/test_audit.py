"""Audit entries stand and fall with the act."""

import pytest

from marketplace.core.context import request_id
from marketplace.core.db import atomic
from marketplace.events.audit import record_audit
from marketplace.events.models import AuditEntry


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
