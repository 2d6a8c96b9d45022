"""Admin pages of buckets, what is in them, and uploads under way."""

from apps.objects.admin import buckets, content

__all__ = ["buckets", "content"]
