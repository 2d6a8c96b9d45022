"""Addresses, below /api/v1/."""

from django.urls import path

from apps.scheduler.api import decisions, groups

urlpatterns = [
    path("scheduling/decisions", decisions.DecisionList.as_view()),
    path("scheduling/decisions/<uuid:decision_id>", decisions.DecisionDetail.as_view()),
    path("server-groups", groups.ServerGroupList.as_view()),
    path("server-groups/<uuid:server_group_id>", groups.ServerGroupDetail.as_view()),
]
