"""Addresses of Identity: each resource module brings its own, relative to `/identity/v3/`."""

from django.urls import URLPattern, include, path

from apis.openstack.common import converters  # noqa: F401  (registers <id:…>)
from apis.openstack.identity import (
    access_rules,
    application_credentials,
    auth,
    credentials,
    domains,
    ec2_credentials,
    endpoints,
    grants,
    groups,
    limits,
    policies,
    project_tags,
    projects,
    regions,
    registered_limits,
    role_assignments,
    role_inferences,
    roles,
    services,
    signed_tokens,
    tokens,
    trusts,
    users,
    versions,
)

v3: list[URLPattern] = [
    *access_rules.urlpatterns,
    *application_credentials.urlpatterns,
    *auth.urlpatterns,
    *credentials.urlpatterns,
    *domains.urlpatterns,
    *ec2_credentials.urlpatterns,
    *endpoints.urlpatterns,
    *grants.urlpatterns,
    *groups.urlpatterns,
    *limits.urlpatterns,
    *policies.urlpatterns,
    *project_tags.urlpatterns,
    *projects.urlpatterns,
    *regions.urlpatterns,
    *registered_limits.urlpatterns,
    *role_assignments.urlpatterns,
    *role_inferences.urlpatterns,
    *roles.urlpatterns,
    *services.urlpatterns,
    *signed_tokens.urlpatterns,
    *tokens.urlpatterns,
    *trusts.urlpatterns,
    *users.urlpatterns,
]

urlpatterns = [
    path("identity", versions.Versions.as_view()),
    path("identity/v3", versions.Version.as_view()),
    path("identity/v3/", include(v3)),
]
