"""Addresses, below /api/v1/."""

from django.urls import path

from apps.operations.api import views

urlpatterns = [
    path("operations", views.OperationList.as_view()),
    path("operations/<uuid:operation_id>", views.OperationDetail.as_view()),
    path("rejections", views.RejectionList.as_view()),
]
