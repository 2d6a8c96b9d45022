"""Addresses of all OpenStack services, each below its path."""

from django.urls import include, path, re_path

from apis.openstack.identity import urls as identity
from apis.openstack.placement import urls as placement
from apps.common.api import problems

urlpatterns = [
    path("", include(identity)),
    path("", include(placement)),
    # Also in debug mode an unknown address is refused in the dialect's shape, not by Django's page.
    re_path(r"^identity(/|$)", problems.not_found),
]
