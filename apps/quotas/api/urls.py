"""Addresses, below /api/v1/."""

from django.urls import path

from apps.quotas.api import views

urlpatterns = [
    path("quotas", views.Quotas.as_view()),
    path("quotas/defaults", views.Defaults.as_view()),
    path("quotas/<uuid:owner_id>", views.QuotasOfOne.as_view()),
]
