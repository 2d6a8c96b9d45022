"""Admin pages of this context; Django's autodiscovery imports this."""

from apps.compute.admin import catalog, instances

__all__ = ["catalog", "instances"]
