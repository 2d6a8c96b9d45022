"""Admin pages of this context; Django's autodiscovery imports this."""

from apps.scheduler.admin import decisions, groups

__all__ = ["decisions", "groups"]
