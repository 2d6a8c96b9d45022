"""Addresses, below /api/v1/."""

from django.urls import path

from apps.placement.api import views

urlpatterns = [
    path("hosts/<uuid:host_id>", views.HostDetail.as_view()),
    path("resource-providers", views.ResourceProviderList.as_view()),
    path("resource-providers/<uuid:provider_id>", views.ResourceProviderDetail.as_view()),
]
