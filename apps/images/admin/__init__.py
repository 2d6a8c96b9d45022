"""Admin pages of images."""

from apps.images.admin import images

__all__ = ["images"]
