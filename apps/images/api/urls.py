"""Addresses, below /api/v1/."""

from django.urls import path

from apps.images.api import views

urlpatterns = [
    path("images", views.ImageList.as_view()),
    path("images/<uuid:image_id>", views.ImageDetail.as_view()),
    path("images/<uuid:image_id>/file", views.ImageFile.as_view()),
    path("images/<uuid:image_id>/blob", views.ImageBlob.as_view()),
]
