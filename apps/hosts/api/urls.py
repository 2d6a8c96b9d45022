"""Addresses, below /api/v1/. One host with what it has is placement's to show."""

from django.urls import path

from apps.hosts.api import views

urlpatterns = [
    path("hosts", views.HostList.as_view()),
    path("hosts/<uuid:host_id>/actions", views.HostActions.as_view()),
]
