"""Addresses, below /api/v1/."""

from django.urls import path

from apps.objects.api import buckets, objects

urlpatterns = [
    path("buckets", buckets.BucketList.as_view()),
    path("buckets/<str:bucket_name>", buckets.BucketDetail.as_view()),
    path("buckets/<str:bucket_name>/versioning", buckets.BucketVersioning.as_view()),
    path("buckets/<str:bucket_name>/policy", buckets.BucketPolicy.as_view()),
    path("buckets/<str:bucket_name>/objects", objects.ObjectList.as_view()),
    path("buckets/<str:bucket_name>/presign", objects.ObjectPresign.as_view()),
]
