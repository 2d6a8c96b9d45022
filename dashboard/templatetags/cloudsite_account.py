"""What templates of the account pages need beyond Django's own."""

from datetime import datetime

from django import template
from django.utils.safestring import SafeString

from apps.common.admin import drawing

register = template.Library()


@register.filter
def ago(moment: datetime | None) -> SafeString:
    """How long ago, or in how long; the moment itself on hovering."""
    return drawing.ago(moment)
