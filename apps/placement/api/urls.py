"""Addresses, below /api/v1/."""

from django.urls import path

from apps.placement.api import catalog, views

urlpatterns = [
    path("hosts/<uuid:host_id>", views.HostDetail.as_view()),
    path("resource-classes", catalog.ResourceClassList.as_view()),
    path("resource-classes/<str:class_name>", catalog.ResourceClassDetail.as_view()),
    path("resource-providers", views.ResourceProviderList.as_view()),
    path("resource-providers/<uuid:provider_id>", views.ResourceProviderDetail.as_view()),
    path("resource-providers/<uuid:provider_id>/allocations", views.ProviderAllocations.as_view()),
    path("resource-providers/<uuid:provider_id>/inventories/<str:resource_class>", views.InventoryDetail.as_view()),
    path("resource-providers/<uuid:provider_id>/traits", views.ProviderTraits.as_view()),
    path("traits", catalog.TraitList.as_view()),
    path("traits/<str:trait_name>", catalog.TraitDetail.as_view()),
]
