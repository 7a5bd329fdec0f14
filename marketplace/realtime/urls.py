"""Routes of realtime under `/api/v1`."""

from django.urls import path

from marketplace.realtime.views import topic_events

urlpatterns = [path("topics/<str:topic>/events", topic_events)]
