"""Addresses, below /api/v1/."""

from django.urls import path

from apps.images.api import caches, contents, host_uploads, imports, members, views

urlpatterns = [
    path("images", views.ImageList.as_view()),
    path("images/<uuid:image_id>", views.ImageDetail.as_view()),
    path("images/<uuid:image_id>/import", imports.ImageImport.as_view()),
    path("images/<uuid:image_id>/convert", imports.ImageConvert.as_view()),
    path("images/<uuid:image_id>/actions", views.ImageActions.as_view()),
    path("images/<uuid:image_id>/members", members.ImageMemberList.as_view()),
    path("images/<uuid:image_id>/members/<uuid:project_id>", members.ImageMember.as_view()),
    path("images/<uuid:image_id>/content", contents.ImageContent.as_view()),
    path("images/<uuid:image_id>/file", contents.ImageFile.as_view()),
    path("images/<uuid:image_id>/blob", contents.ImageBlob.as_view()),
    path("images/<uuid:image_id>/saved", host_uploads.ImageSaved.as_view()),
    path("images/<uuid:image_id>/seed", caches.ImageSeed.as_view()),
    path("image-cache", caches.ImageCacheList.as_view()),
]
