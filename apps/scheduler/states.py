"""Policies of server groups."""

from enum import StrEnum


class GroupPolicy(StrEnum):
    """Whether members share a host. The soft ones prefer, the others insist."""

    AFFINITY = "affinity"
    ANTI_AFFINITY = "anti-affinity"
    SOFT_AFFINITY = "soft-affinity"
    SOFT_ANTI_AFFINITY = "soft-anti-affinity"
