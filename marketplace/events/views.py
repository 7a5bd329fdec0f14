"""The audit over REST."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from marketplace.core.http import ApiView, cursor_page, has_role
from marketplace.events.audit import list_audit
from marketplace.events.serializers import AuditFilters, AuditPageOutput, audit_entry_to_wire


class AuditView(ApiView):
    """`GET /audit`: for admins."""

    permission_classes = (has_role("admin"),)

    @extend_schema(
        operation_id="audit_list",
        tags=["operations"],
        summary="Who did what, newest first",
        parameters=[
            OpenApiParameter("actor_id", OpenApiTypes.STR, description="Who did it"),
            OpenApiParameter("action", OpenApiTypes.STR, description="Such as `user.role_changed`"),
            OpenApiParameter("target", OpenApiTypes.STR, description="Such as `user:<id>`"),
            OpenApiParameter("limit", OpenApiTypes.INT, description="1-100, default 20"),
            OpenApiParameter(
                "cursor", OpenApiTypes.STR, description="`next_cursor` of the page before"
            ),
        ],
        responses={200: AuditPageOutput},
    )
    def get(self, request: Request) -> Response:
        """A page of the audit."""
        entries = list_audit(**self.read_query(AuditFilters))
        return Response(cursor_page(entries, request=request, to_wire=audit_entry_to_wire))
