"""Addresses, below /api/v1/."""

from django.urls import path

from apps.network.api import views

urlpatterns = [
    path("networks", views.NetworkList.as_view()),
    path("networks/<uuid:network_id>", views.NetworkDetail.as_view()),
    path("ports", views.PortList.as_view()),
]
