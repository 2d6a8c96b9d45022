"""Addresses, below /api/v1/."""

from django.urls import path

from apps.identity.api import views

urlpatterns = [
    path("tokens", views.TokenList.as_view()),
    path("tokens/current", views.CurrentToken.as_view()),
    path("tokens/<uuid:token_id>", views.TokenDetail.as_view()),
    path("whoami", views.WhoAmI.as_view()),
    path("projects", views.ProjectList.as_view()),
    path("projects/<uuid:project_id>", views.ProjectDetail.as_view()),
    path("users", views.UserList.as_view()),
    path("role-assignments", views.AssignmentList.as_view()),
    path("role-assignments/<uuid:assignment_id>", views.AssignmentDetail.as_view()),
]
