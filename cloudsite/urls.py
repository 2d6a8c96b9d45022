"""Addresses of the web process."""

from django.contrib import admin
from django.urls import path

handler404 = "apps.common.api.problems.not_found"
handler500 = "apps.common.api.problems.server_error"

urlpatterns = [
    path("admin/", admin.site.urls),
]
