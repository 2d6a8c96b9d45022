"""OpenStack Placement (what Placement speaks): one module per resource, each with its own `urlpatterns`."""

from apis.openstack.placement.service import API

__all__ = ["API"]
