"""What the log's own routes take and give."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from marketplace.core.clock import wire_time
from marketplace.core.inputs import InputSerializer
from marketplace.core.serializers import page_output
from marketplace.events.models import AuditEntry

AUDIT_EXAMPLE = {
    "id": "019ab0c6-2b1d-7f00-8a55-7b1c2d3e4f50",
    "actor_id": "019ab0c4-7d10-7cc1-8f6e-0a8d6d3e1b52",
    "action": "user.role_changed",
    "target": "user:019ab0c4-8e21-7d0a-9b7c-1f2e3d4c5b6a",
    "details": {"from": "user", "to": "employee"},
    "address": "192.0.2.7",
    "request_id": "01a1feec9e767188b01fa3729cce2a9c",
    "created_at": "2026-01-10T12:00:00.000Z",
}


class AuditFilters(InputSerializer):
    """Which entries; each compares whole values."""

    actor_id = serializers.CharField(required=False, max_length=128)
    action = serializers.CharField(required=False, max_length=64)
    target = serializers.CharField(required=False, max_length=160)


@extend_schema_serializer(examples=[OpenApiExample("A new role", AUDIT_EXAMPLE)])
class AuditEntryOutput(serializers.Serializer[Any]):
    """One act; `actor_id` is null for the system."""

    id = serializers.UUIDField()
    actor_id = serializers.CharField(allow_null=True)
    action = serializers.CharField()
    target = serializers.CharField(allow_null=True)
    details = serializers.DictField()
    address = serializers.CharField(allow_null=True)
    request_id = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()


AuditPageOutput = page_output(
    AuditEntryOutput, "A page of acts, the newest first.", name="AuditPageOutput"
)


def audit_entry_to_wire(entry: AuditEntry) -> dict[str, Any]:
    """An act as administrators see it."""
    return {
        "id": str(entry.id),
        "actor_id": entry.actor_id,
        "action": entry.action,
        "target": entry.target or None,
        "details": entry.details,
        "address": entry.address or None,
        "request_id": entry.request_id or None,
        "created_at": wire_time(entry.created_at),
    }
