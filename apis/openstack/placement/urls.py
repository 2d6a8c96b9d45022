"""Addresses of Placement: each resource module brings its own, relative to `/placement/`."""

from django.urls import URLPattern, include, path, re_path

from apis.openstack.common import converters  # noqa: F401  (registers <id:…>)
from apis.openstack.placement import (
    aggregates,
    allocations,
    candidates,
    inventories,
    reshaper,
    resource_classes,
    resource_providers,
    traits,
    usages,
    versions,
)
from apis.openstack.placement.service import Nothing

resources: list[URLPattern] = [
    *aggregates.urlpatterns,
    *allocations.urlpatterns,
    *candidates.urlpatterns,
    *inventories.urlpatterns,
    *reshaper.urlpatterns,
    *resource_classes.urlpatterns,
    *resource_providers.urlpatterns,
    *traits.urlpatterns,
    *usages.urlpatterns,
]

urlpatterns = [
    path("placement", versions.Versions.as_view()),
    path("placement/", include(resources)),
    re_path(r"^placement/", Nothing.as_view()),
]
