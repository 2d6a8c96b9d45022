"""Addresses of the web process."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView, SpectacularYAMLAPIView

from apps.common.api import problems
from apps.identity.api import schema  # noqa: F401  (tells OpenAPI of our ways of signing in)
from apps.identity.api.audit import RecordList
from cloudsite import health
from dashboard.account import signing_in

admin.autodiscover()

handler400 = "apps.common.api.problems.bad_request"
handler404 = "apps.common.api.problems.not_found"
handler500 = "apps.common.api.problems.server_error"

api: list[URLPattern | URLResolver] = [
    path("", include("apps.identity.api.urls")),
    path("audit-records", RecordList.as_view()),
    path("", include("apps.quotas.api.urls")),
    path("", include("apps.hosts.api.urls")),
    path("", include("apps.operations.api.urls")),
    path("", include("apps.placement.api.urls")),
    path("", include("apps.objects.api.urls")),
    path("", include("apps.images.api.urls")),
    path("", include("apps.network.api.urls")),
    path("", include("apps.scheduler.api.urls")),
    path("", include("apps.compute.api.urls")),
    path("openapi.json", SpectacularJSONAPIView.as_view(), name="openapi"),
    path("openapi.yaml", SpectacularYAMLAPIView.as_view()),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="openapi", template_name="cloudsite/swagger.html"), name="docs"),
]

urlpatterns = [
    path("", signing_in.home),
    path("favicon.ico", RedirectView.as_view(url=static("dashboard/favicon.svg"))),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("admin/", admin.site.urls),
    path("api/v1/", include(api)),
    path("account/", include("dashboard.account.urls")),
    path("api/session/", include("dashboard.account.browsable")),
    path("", include("apis.openstack.urls")),
    # Also in debug mode an unknown address of the API is a problem, not Django's page.
    re_path(r"^api(/|$)", problems.not_found),
]
