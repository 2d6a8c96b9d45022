"""The image's page: what image workers did or do for it, and how far that is."""

from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.common.admin import drawing
from apps.common.admin.pages import add_section
from apps.images.models import Image
from apps.operations import selectors as operations
from dashboard.pages import work


def register() -> None:
    """Called once by dashboard/admin.py."""
    add_section(Image, "Timeline", _timelines, place=15, permission="operations.operation.list")


def _timelines(request: HttpRequest, image: Image) -> SafeString:
    # Most images come by upload, and nothing is to be said of them.
    return work.timelines(image.pk) if operations.of_resource(image.pk).exists() else drawing.EMPTY
