"""Addresses of Identity: each resource module brings its own, relative to `/identity/v3/`."""

from django.urls import URLPattern, include, path

from apis.openstack.common import converters  # noqa: F401  (registers <id:…>)
from apis.openstack.identity import auth, tokens, versions

v3: list[URLPattern] = [
    *auth.urlpatterns,
    *tokens.urlpatterns,
]

urlpatterns = [
    path("identity", versions.Versions.as_view()),
    path("identity/v3", versions.Version.as_view()),
    path("identity/v3/", include(v3)),
]
