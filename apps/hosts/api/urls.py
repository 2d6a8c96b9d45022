"""Addresses, below /api/v1/. One host with what it has is placement's to show, and so is its address."""

from django.urls import path

from apps.hosts.api import places, views

urlpatterns = [
    path("hosts", views.HostList.as_view()),
    path("hosts/<uuid:host_id>/actions", views.HostActions.as_view()),
    path("zones", places.ZoneList.as_view()),
    path("zones/<uuid:zone_id>", places.ZoneDetail.as_view()),
    path("aggregates", places.AggregateList.as_view()),
    path("aggregates/<uuid:aggregate_id>", places.AggregateDetail.as_view()),
    path("aggregates/<uuid:aggregate_id>/hosts/<uuid:host_id>", places.AggregateHosts.as_view()),
]
