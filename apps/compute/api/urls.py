"""Addresses, below /api/v1/."""

from django.urls import path

from apps.compute.api import dry_run, instances, interfaces, records, snapshots, views

urlpatterns = [
    path("flavors", views.FlavorList.as_view()),
    path("flavors/<uuid:flavor_id>", views.FlavorDetail.as_view()),
    path("key-pairs", views.KeyPairList.as_view()),
    path("key-pairs/<str:name>", views.KeyPairDetail.as_view()),
    path("instances", instances.InstanceList.as_view()),
    path("instances/<uuid:instance_id>", instances.InstanceDetail.as_view()),
    path("instances/<uuid:instance_id>/actions", instances.InstanceActions.as_view()),
    path("instances/<uuid:instance_id>/snapshots", snapshots.InstanceSnapshots.as_view()),
    path("instances/<uuid:instance_id>/interfaces", interfaces.InterfaceList.as_view()),
    path("instances/<uuid:instance_id>/interfaces/<uuid:port_id>", interfaces.InterfaceDetail.as_view()),
    path("instances/<uuid:instance_id>/console-log", records.InstanceConsole.as_view()),
    path("instances/<uuid:instance_id>/scheduling", records.InstanceScheduling.as_view()),
    path("instances/<uuid:instance_id>/operations", records.InstanceOperations.as_view()),
    path("instances/<uuid:instance_id>/timeline", records.InstanceTimeline.as_view()),
    path("scheduling/dry-run", dry_run.SchedulingDryRun.as_view()),
]
