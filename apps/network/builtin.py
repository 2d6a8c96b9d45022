"""What every installation has from the start, under ids that are the same everywhere. Pure data, no Django."""

import uuid

_SPACE = uuid.UUID("6c1f0d5e-0c10-4d51-8e7a-c10d5173f4e2")

# The host's own way out: the external network that routers have unless an operator makes another one the default.
OUTSIDE_ID = uuid.uuid5(_SPACE, "network:outside")
OUTSIDE_NAME = "outside"
# VNIs of tenants' networks. Those below are left to operators, who name them.
VXLAN_POOL_ID = uuid.uuid5(_SPACE, "segment_pool:vxlan")
VXLAN_POOL = (1000, 2**24 - 2)
# What every new project gets on first use has this name.
DEFAULT_NAME = "default"
# Outer Ethernet header, IPv4, UDP and VXLAN take so much of what the underlay carries.
VXLAN_OVERHEAD = 50
