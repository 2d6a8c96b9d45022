"""What every installation has from the start, under ids that are the same everywhere: a domain, five roles, services.

`services/bootstrap.py` makes the rows; migrations made the first ones under these ids. Pure data, no Django.
"""

import enum
import uuid

_SPACE = uuid.UUID("6c1f0d5e-0c10-4d51-8e7a-c10d5173f4e2")


def _id(kind: str, name: str) -> uuid.UUID:
    return uuid.uuid5(_SPACE, f"{kind}:{name}")


class Role(enum.StrEnum):
    """READER looks. MEMBER makes, changes and deletes resources. OPERATOR runs what is there: power, consoles; on the
    system also hosts. ADMIN does all that and rules over who may do what. SERVICE stands beside them, for services of other
    clouds: on the system it keeps their books in Placement, in a project it is only a name."""

    READER = "reader"
    MEMBER = "member"
    OPERATOR = "operator"
    ADMIN = "admin"
    SERVICE = "service"


# Whoever has the first also has the second.
IMPLIED = (
    (Role.ADMIN, Role.MEMBER), (Role.ADMIN, Role.OPERATOR), (Role.MEMBER, Role.READER), (Role.OPERATOR, Role.READER),
)
ROLE_TEXTS = {
    Role.READER: "May look at everything in its scope and change nothing.",
    Role.MEMBER: "May create, change and delete the project's resources.",
    Role.OPERATOR: "May run what is there: power and consoles; on the system also hosts, flavors and capacity.",
    Role.ADMIN: "May do everything in its scope, and rules over who else may.",
    Role.SERVICE: "For services of other clouds: given on the system, they keep their books in Placement; nothing in a project.",
}
ROLE_IDS = {role: _id("role", role.value) for role in Role}

DEFAULT_DOMAIN_ID = _id("domain", "Default")
DEFAULT_DOMAIN_NAME = "Default"

REGION_ID = "RegionOne"
# OpenStack service type → name. A service is in the catalog once it has an endpoint.
SERVICES = {
    "identity": "keystone", "compute": "nova", "network": "neutron", "block-storage": "cinder", "image": "glance",
    "object-store": "s3", "placement": "placement",
}
SERVICE_IDS = {kind: _id("service", kind) for kind in SERVICES}
# Where those services are that this installation speaks.
ENDPOINTS = {"identity": "%(public_url)s/identity/v3", "placement": "%(public_url)s/placement"}
ENDPOINT_IDS = {kind: _id("endpoint", kind) for kind in ENDPOINTS}
