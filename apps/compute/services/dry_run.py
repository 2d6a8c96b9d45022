"""Asking the scheduler without deciding: which host an instance would get at this moment, and why. Nothing is claimed or stored."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apps.common import clock
from apps.common.context import Actor
from apps.common.errors import Invalid, NotFound
from apps.compute import selectors
from apps.compute.models import Flavor, Instance
from apps.compute.services import needs
from apps.identity import policy
from apps.images import selectors as images
from apps.network import selectors as networks
from apps.network.selectors import hosts as host_networks
from apps.placement.names import is_class
from apps.scheduler import selectors as scheduler

if TYPE_CHECKING:
    from apps.images.models import Image
    from apps.scheduler.models import Decision
    from apps.scheduler.request import Group

# A request names at most so many resource classes, and is asked for so many equal instances.
MOST_CLASSES, MOST_AT_ONCE = 16, 100


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What would be asked for. One of `flavor_id`, `flavor` (its name) and `resources` (resource class → amount).

    `resources`, `hosts`, `avoided_hosts` (names or ids) and `project_id` (in whose name, instead of the actor's project) are for
    operators.
    """

    flavor_id: uuid.UUID | None = None
    flavor: str = ""
    resources: Mapping[str, int] | None = None
    image_id: uuid.UUID | None = None
    image: str = ""
    network_ids: Sequence[uuid.UUID] = ()
    zone: str = ""
    required_traits: Sequence[str] = ()
    forbidden_traits: Sequence[str] = ()
    server_group_id: uuid.UUID | None = None
    hosts: Sequence[str] = ()
    avoided_hosts: Sequence[str] = ()
    project_id: uuid.UUID | None = None
    count: int = 1


def dry_run(*, actor: Actor, tried: Tried) -> list[Decision]:
    """The decisions as they would be, one per instance; they are not stored. Raises Forbidden, Invalid, NotFound (flavor, image, network, server group, host)."""
    # With numpy, which a web process that nobody asks this does not need.
    from apps.compute.services import place
    from apps.scheduler.services import choose

    policy.require(actor, "compute.instance.dry_run")
    _check(tried)
    project_id = _project(actor, tried)
    flavor, image, group = _resolve(actor, tried)
    asked = needs.gather(
        actor=actor, flavor=flavor, image=image, required_traits=tried.required_traits, forbidden_traits=tried.forbidden_traits,
        hosts=tried.hosts, avoided_hosts=tried.avoided_hosts,
    )
    size = {} if flavor is None else {"vcpus": flavor.vcpus, "memory_mb": flavor.memory_mb, "disk_gb": flavor.disk_gb}
    needed = host_networks.wires_needed(tried.network_ids) if tried.network_ids else {}
    wires = frozenset(wire for each in needed.values() for wire in each)
    request = place.request_of(Instance(zone=tried.zone, needs=asked, **size), wires=wires, group=group)
    amounts = request.amounts if tried.resources is None else dict(tried.resources)
    request = dataclasses.replace(request, project_id=project_id, amounts=amounts)
    decisions = [choose.row_of(None, choice) for choice in choose.choose([request] * tried.count, kept=False)]
    for decision in decisions:
        decision.at = clock.now()
    return decisions


def _check(tried: Tried) -> None:
    """One size, at most one image, and not too many."""
    if not 1 <= tried.count <= MOST_AT_ONCE:
        raise Invalid("scheduling.count", f"count: expected 1 to {MOST_AT_ONCE}, got {tried.count}.", field="count")
    if (tried.flavor_id is not None) + bool(tried.flavor) + (tried.resources is not None) != 1:
        text = "flavor_id: give one of flavor_id, flavor (its name) and resources."
        raise Invalid("scheduling.size", text, field="flavor_id")
    if tried.image_id is not None and tried.image:
        raise Invalid("scheduling.image", "image_id: give either image_id or image (its name).", field="image_id")
    if tried.resources is None:
        return
    if not 1 <= len(tried.resources) <= MOST_CLASSES:
        text = f"resources: expected 1 to {MOST_CLASSES} resource classes, got {len(tried.resources)}."
        raise Invalid("scheduling.resources", text, field="resources")
    for name in tried.resources:
        if not is_class(name):
            raise Invalid("resource_class.unknown", f"resources: there is no resource class {name[:64]!r}.", field="resources")


def _project(actor: Actor, tried: Tried) -> uuid.UUID | None:
    """In whose name; what only operators may ask for is refused to others."""
    if tried.resources is not None:
        policy.require_everywhere(actor, "placement.candidate.list")
    if tried.project_id is None or tried.project_id == actor.project_id:
        return actor.project_id
    policy.require_everywhere(actor, "compute.instance.dry_run")
    return tried.project_id


def _resolve(actor: Actor, tried: Tried) -> tuple[Flavor | None, Image | None, Group | None]:
    flavor = image = group = None
    if tried.flavor_id is not None:
        flavor = selectors.flavor(actor=actor, flavor_id=tried.flavor_id)
    elif tried.resources is None:
        flavor = selectors.flavor_named(actor=actor, name=tried.flavor)
    if tried.image_id is not None:
        image = images.image(actor=actor, image_id=tried.image_id, field="image_id")
    elif tried.image:
        image = images.image_named(actor=actor, name=tried.image)
    for number, network_id in enumerate(tried.network_ids):
        try:
            networks.network(actor=actor, network_id=network_id)
        except NotFound as error:
            error.field = f"network_ids.{number}"
            raise
    if tried.server_group_id is not None:
        row = scheduler.server_group(actor=actor, group_id=tried.server_group_id)
        group = scheduler.standing(row)
    return flavor, image, group
