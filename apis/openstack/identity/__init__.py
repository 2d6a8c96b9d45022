"""OpenStack Identity v3 (what Keystone speaks): one module per resource, each with its own `urlpatterns`."""

from apis.openstack.identity.service import API

__all__ = ["API"]
