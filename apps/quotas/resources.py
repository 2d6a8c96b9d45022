"""What is counted, as data: names, units, and how much of it a project may have when nobody has said otherwise.

Pure data, no Django. Each name is a column of `models.Usage`, and a resource name in OpenStack's limits API.
"""

from collections.abc import Mapping
from dataclasses import dataclass

UNLIMITED = -1
# Nobody has more of anything in one request, or is allowed more: what JSON's numbers hold in every client.
MOST = 2**53 - 1
_GIB = 1024**3

Amounts = Mapping[str, int]


@dataclass(frozen=True)
class Resource:
    """`unit`: empty for things that are counted. `service`: type of the OpenStack service that it belongs to.

    `default`: the limit of a project as long as no operator has set another; enough for a small team.
    """

    name: str
    unit: str
    text: str
    service: str
    default: int


RESOURCES: dict[str, Resource] = {
    each.name: each
    for each in (
        Resource("instances", "", "instances, whatever state they are in, until they are gone", "compute", 20),
        Resource("vcpus", "", "virtual processors of all instances", "compute", 40),
        Resource("memory_mb", "MiB", "memory of all instances", "compute", 80 * 1024),
        Resource("disk_gb", "GiB", "disks of all instances, as their flavors say", "compute", 1000),
        Resource("server_groups", "", "server groups", "compute", 10),
        Resource("server_group_members", "", "instances in server groups, of all groups together", "compute", 100),
        Resource("ports", "", "network ports; an instance on a host has one", "network", 100),
        Resource("networks", "", "networks", "network", 10),
        Resource("floating_ips", "", "floating addresses", "network", 10),
        Resource("security_groups", "", "security groups", "network", 20),
        Resource("volumes", "", "volumes", "block-storage", 20),
        Resource("volume_gb", "GiB", "size of all volumes", "block-storage", 1000),
        Resource("images", "", "images of the project's own", "image", 50),
        Resource("image_bytes", "bytes", "content of these images, uploads under way included", "image", 200 * _GIB),
        Resource("buckets", "", "buckets", "object-store", 50),
        Resource("object_bytes", "bytes", "content of all objects", "object-store", 200 * _GIB),
    )
}


def known(name: str) -> Resource:
    """Raises KeyError, naming what there is: for names in code; what users write is checked where it comes in."""
    if name not in RESOURCES:
        raise KeyError(f"{name!r} is not counted; counted are {', '.join(RESOURCES)}")
    return RESOURCES[name]
