"""Creating instances: everything is checked, then rows are made in one transaction; the scheduler does the rest."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction

from apps.audit.services import record
from apps.audit.services.record import Entry
from apps.common import bus, clock
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import Invalid, NotFound
from apps.common.sql import insert_rows
from apps.compute import names, selectors
from apps.compute.models import Flavor, Instance, KeyPair
from apps.compute.services import cards, needs
from apps.compute.services.cards import Cards, WantedCard
from apps.identity import policy
from apps.images import selectors as images
from apps.images.states import BOOTABLE, ImageFormat
from apps.operations import selectors as operations_of
from apps.operations.services import idempotency, lifecycle
from apps.operations.services.idempotency import Claim
from apps.operations.services.lifecycle import Note
from apps.quotas.services import reservations
from apps.scheduler import selectors as scheduler
from apps.scheduler.services import groups
from contracts import topics

if TYPE_CHECKING:
    from apps.images.models import Image
    from apps.operations.models import Operation


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the user asks for. Flavor and image by id, or by name in `flavor` and `image`. `user_data` is base64.

    `networks`: its network cards in order; instead of one of them `network_id`, or neither for the project's default network.
    `security_groups`: names or ids, for all cards that name none. `server_group_id`: that they become members of.
    `required_traits`: beside those of flavor and image. `hosts`, `avoided_hosts`: names or ids, for operators.
    """

    name: str
    flavor_id: uuid.UUID | None = None
    flavor: str = ""
    image_id: uuid.UUID | None = None
    image: str = ""
    count: int = 1
    network_id: uuid.UUID | None = None
    networks: Sequence[WantedCard] = ()
    security_groups: Sequence[str] | None = None
    key_name: str = ""
    user_data: str = ""
    metadata: dict[str, str] | None = None
    zone: str = ""
    server_group_id: uuid.UUID | None = None
    required_traits: Sequence[str] = ()
    hosts: Sequence[str] = ()
    avoided_hosts: Sequence[str] = ()


@dataclass(frozen=True)
class Created:
    """The new instances with their operations; `repeated` if a client token brought an earlier answer back."""

    instances: list[Instance]
    operations: list[Operation]
    repeated: bool = False


def create(*, actor: Actor, wanted: Wanted, client_token: str = "") -> Created:
    """Accept one request for one or many equal instances.

    Raises Forbidden, Invalid, NotFound (flavor, image, network, port, security group, key, server group, host),
    InvalidState `port.in_use`, Conflict (client token), QuotaExceeded.
    """
    policy.require(actor, "compute.instance.create")
    return idempotency.once(
        actor=actor, token=client_token, request=wanted, make=partial(_create, actor, wanted), again=partial(_recalled, actor)
    )


def _create(actor: Actor, wanted: Wanted, claim: Claim) -> Created:
    project_id = policy.in_project(actor)
    flavor, image, plugged, key = _resolve(actor, wanted)
    _check(wanted, flavor, image)
    asked = needs.gather(
        actor=actor, flavor=flavor, image=image, required_traits=wanted.required_traits, hosts=wanted.hosts,
        avoided_hosts=wanted.avoided_hosts,
    )
    instances = _rows(actor, wanted, flavor, image, plugged, key, asked)
    operations = [_operation(actor, instance) for instance in instances]
    detail = f"{flavor.name}, {image.name}"
    ids = [instance.pk for instance in instances]
    with transaction.atomic():
        claim(ids)
        insert_rows(instances)
        lifecycle.insert_new(operations, [Note(operation.pk, "api", "accepted", detail) for operation in operations])
        if wanted.server_group_id is not None:
            groups.join(group_id=wanted.server_group_id, instance_ids=ids)
        _record(actor, instances)
        _ask_scheduler(operations)
        # Last, see reservations. Ports are taken when a host is found; whoever has no room for them need not begin.
        amounts = _amounts(wanted, flavor)
        reservations.reserve(project_id=project_id, amounts=amounts, room={"ports": wanted.count * plugged.new})
    return Created(instances, operations)


def _resolve(actor: Actor, wanted: Wanted) -> tuple[Flavor, Image, Cards, KeyPair | None]:
    if wanted.flavor_id is not None:
        flavor = selectors.flavor(actor=actor, flavor_id=wanted.flavor_id)
    else:
        flavor = selectors.flavor_named(actor=actor, name=wanted.flavor)
    if wanted.image_id is not None:
        image = images.image(actor=actor, image_id=wanted.image_id, field="image_id")
    else:
        image = images.image_named(actor=actor, name=wanted.image)
    plugged = cards.resolve(
        actor=actor, networks=wanted.networks, network_id=wanted.network_id, security_groups=wanted.security_groups, count=wanted.count
    )
    key = selectors.key_pair(actor=actor, name=wanted.key_name) if wanted.key_name else None
    if wanted.server_group_id is not None:
        group = scheduler.server_group(actor=actor, group_id=wanted.server_group_id)
        if group.project_id != actor.project_id:  # an operator sees those of others, too
            raise scheduler.no_group(group.pk)
    return flavor, image, plugged, key


def _check(wanted: Wanted, flavor: Flavor, image: Image) -> None:
    check_name(wanted.name)
    if not 1 <= wanted.count <= settings.ENV.max_batch:
        raise Invalid("instance.count", f"count: expected 1 to {settings.ENV.max_batch}.", field="count")
    if wanted.count > 1 and len(f"{wanted.name}-{wanted.count}") > 255:
        raise Invalid("instance.name", "name: too long to be numbered; names have at most 255 characters.", field="name")
    if not flavor.enabled:
        raise NotFound("flavor.not_found", f"The flavor {flavor.name} is not offered any more.", field="flavor_id")
    if image.state != "active":
        raise Invalid("image.state", f"The image is {image.state}; only an active one boots.", field="image_id", state=image.state)
    if image.disk_format not in BOOTABLE:
        raise Invalid("image.format", f"A {image.disk_format} image does not boot by itself.", field="image_id")
    if image.disk_format == ImageFormat.AMI and image.kernel_id is None:
        raise Invalid("image.kernel", "This image has no boot loader and names no kernel: set its kernel_id.", field="image_id")
    memory_mb = needs.least_memory_mb(image)
    if flavor.memory_mb < memory_mb:
        raise Invalid(
            "flavor.memory", f"The image needs {memory_mb} MiB of memory, the flavor has {flavor.memory_mb}.",
            field="flavor_id", needed=memory_mb, has=flavor.memory_mb,
        )
    smallest = max(image.min_disk_gb * 1024**3, image.virtual_size_bytes or 0)
    if flavor.disk_gb and flavor.disk_gb * 1024**3 < smallest:
        raise Invalid(
            "flavor.disk", f"The image needs a disk of {-(-smallest // 1024**3)} GiB, the flavor has {flavor.disk_gb}.",
            field="flavor_id", needed=-(-smallest // 1024**3), has=flavor.disk_gb,
        )


def _rows(
    actor: Actor, wanted: Wanted, flavor: Flavor, image: Image, plugged: Cards, key: KeyPair | None, asked: dict[str, Any]
) -> list[Instance]:
    now = clock.now()
    shared: dict[str, Any] = {
        "project_id": actor.project_id, "user_id": actor.user_id, "zone": wanted.zone, "generation": 1,
        "flavor_id": flavor.pk, "flavor_name": flavor.name, "vcpus": flavor.vcpus, "memory_mb": flavor.memory_mb,
        "disk_gb": flavor.disk_gb, "image_id": image.pk, "image_name": image.name, "network_id": plugged.network_id, "wanted_cards": plugged.stored,
        "key_name": key.name if key else "", "public_key": key.public_key if key else "",
        "user_data": wanted.user_data, "metadata": wanted.metadata or {}, "created_at": now,
        "needs": asked, "server_group_id": wanted.server_group_id,
    }
    if wanted.count == 1:
        return [Instance(name=wanted.name, **shared)]
    return [Instance(name=f"{wanted.name}-{number}", **shared) for number in range(1, wanted.count + 1)]


def _amounts(wanted: Wanted, flavor: Flavor) -> dict[str, int]:
    """What is counted of a project's quotas."""
    amounts = {"instances": wanted.count, **{name: wanted.count * getattr(flavor, name) for name in names.SIZES}}
    return amounts if wanted.server_group_id is None else {**amounts, "server_group_members": wanted.count}


def _operation(actor: Actor, instance: Instance) -> Operation:
    operation = lifecycle.prepare(
        actor=actor, kind=names.BUILD, resource_id=instance.pk, project_id=instance.project_id, generation=1
    )
    operation.queue, operation.task, operation.message = topics.SCHEDULER, topics.PLACE, str(operation.pk)
    return operation


def _record(actor: Actor, instances: Sequence[Instance]) -> None:
    first = instances[0]
    asked = {
        "flavor": first.flavor_name, "image": first.image_name, "image_id": first.image_id, "network_id": first.network_id,
        **{name: value for name in ("key_name", "zone", "metadata", "server_group_id", "needs") if (value := getattr(first, name))},
    }
    entries = (Entry(resource_id=each.pk, name=each.name, project_id=each.project_id, changes=asked) for each in instances)
    record.write_many(actor, "compute.instance.create", "instance", entries)


def _ask_scheduler(operations: Sequence[Operation]) -> None:
    """One message however many instances."""
    bus.send_after_commit([bus.Message(topics.SCHEDULER, topics.PLACE, tuple(operation.message for operation in operations))])


def _recalled(actor: Actor, ids: list[uuid.UUID]) -> Created:
    found = Instance.objects.filter(project_id=policy.in_project(actor)).in_bulk(ids)
    by_instance = {op.resource_id: op for op in operations_of.of_kind(kind=names.BUILD, resource_ids=ids)}
    kept = [key for key in ids if key in found and key in by_instance]
    return Created([found[key] for key in kept], [by_instance[key] for key in kept], repeated=True)
