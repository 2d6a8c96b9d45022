"""What is asked of the scheduler, as plain data."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from apps.scheduler.states import GroupPolicy


@dataclass(frozen=True)
class Group:
    """A server group, locked by who asks. `hosts`: where members are, and how many; each choice for a member adds to it."""

    id: uuid.UUID
    policy: GroupPolicy
    max_per_host: int
    hosts: dict[uuid.UUID, int]


@dataclass(frozen=True)
class Request:
    """What an instance needs of its host. What is empty asks for nothing.

    `amounts`: by resource class in its units. `host_metadata`: text → text that aggregates of the host have. `architecture`,
    `hypervisor_type`: the image's, in lower case. `hosts`: on one of these only; `avoided`: on none of these; `excluded`: it
    failed there before. `wires`: names of the physical networks that the host must be plugged into. `alternates`: hosts that an
    earlier decision has left for a retry; the first that still fits is taken without weighing anew.
    """

    instance_id: uuid.UUID
    amounts: Mapping[str, int]
    project_id: uuid.UUID | None = None
    zone: str = ""
    required_traits: frozenset[str] = frozenset()
    forbidden_traits: frozenset[str] = frozenset()
    host_metadata: Mapping[str, str] = field(default_factory=dict)
    architecture: str = ""
    hypervisor_type: str = ""
    group: Group | None = None
    hosts: frozenset[uuid.UUID] = frozenset()
    avoided: frozenset[uuid.UUID] = frozenset()
    excluded: frozenset[uuid.UUID] = frozenset()
    wires: frozenset[str] = frozenset()
    alternates: tuple[uuid.UUID, ...] = ()
