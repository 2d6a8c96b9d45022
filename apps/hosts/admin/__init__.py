"""Admin pages of hosts, zones and aggregates."""

from apps.hosts.admin import aggregates, hosts, zones

__all__ = ["aggregates", "hosts", "zones"]
