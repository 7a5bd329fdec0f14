"""Routes of the log under `/api/v1`; the topics' own stand in `realtime`, which knows who may."""

from django.urls import path

from marketplace.events.views import AuditView

urlpatterns = [
    path("audit", AuditView.as_view()),
]
