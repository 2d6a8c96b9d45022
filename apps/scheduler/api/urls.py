"""Addresses, below /api/v1/."""

from django.urls import path

from apps.scheduler.api import groups

urlpatterns = [
    path("server-groups", groups.ServerGroupList.as_view()),
    path("server-groups/<uuid:server_group_id>", groups.ServerGroupDetail.as_view()),
]
