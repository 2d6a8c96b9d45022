"""Addresses of all OpenStack services, each below its path."""

from django.urls import include, path, re_path

from apis.openstack.identity import urls as identity
from apps.common.api import problems

urlpatterns = [
    path("", include(identity)),
    # Also in debug mode an unknown address is refused in the dialect's shape, not by Django's page.
    re_path(r"^identity(/|$)", problems.not_found),
]
