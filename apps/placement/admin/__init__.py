"""Admin pages of Placement."""

from apps.placement.admin import catalog
from apps.placement.admin.capacity import meter, meters

__all__ = ["catalog", "meter", "meters"]
