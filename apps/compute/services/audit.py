"""The audit: proves from the database, the store and the hosts' last observations that nothing leaks, and repairs what does.

Each check is a small function that yields findings. They read one snapshot, so that what is under way while they run is not
taken for a leak; each repair looks again under lock before it changes anything, and goes through the ordinary services.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import groupby
from typing import Any

from django.db import transaction

from apps.audit.services import record
from apps.audit.services.record import Entry
from apps.common import clock
from apps.common.context import SYSTEM, Actor
from apps.common.sql import snapshot
from apps.compute.models import Instance, UnknownDomain
from apps.compute.services import mend
from apps.compute.services.needs import amounts_of
from apps.compute.states import InstanceState
from apps.images.services import contents, uploads
from apps.network import selectors as networks
from apps.network.services import addresses
from apps.network.services.audit import drifts as network_drifts
from apps.objects.services import scrub
from apps.operations import selectors as operations
from apps.placement import selectors as placement
from apps.placement.services import aggregates, allocations, inventories, providers
from apps.quotas.services import audit as quotas
from apps.scheduler import selectors as scheduler

log = logging.getLogger(__name__)
# Work that is past its deadline is the sweep's for so long.
GRACE = timedelta(seconds=60)
_IN_TRANSIT = (InstanceState.BUILD.value, InstanceState.DELETING.value)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: a stable code, what it is, and what `--fix` does about it (or somebody has to)."""

    code: str
    what: str
    fix: str
    subject: str
    repair: Callable[[], object] | None = field(default=None, compare=False, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """For output."""
        return {
            "code": self.code, "what": self.what, "fix": self.fix, "subject": self.subject, "repairable": self.repair is not None,
        }


@dataclass(frozen=True)
class Facts:
    """What all checks look at: the living instances, and what is being done to them."""

    living: Mapping[uuid.UUID, Instance]
    busy: Mapping[uuid.UUID, str]

    @property
    def placed(self) -> dict[uuid.UUID, Instance]:
        return {key: instance for key, instance in self.living.items() if instance.host_id is not None}


def run() -> list[Finding]:
    """All findings, in the order of the checks."""
    with snapshot():
        living = Instance.objects.exclude(state=InstanceState.DELETED).defer("user_data", "public_key").in_bulk()
        facts = Facts(living, operations.open_kinds())
        found = [finding for check in CHECKS for finding in check(facts)]
    return [*found, *_content(), *_objects()]


def repair(findings: list[Finding], *, actor: Actor = SYSTEM) -> None:
    """Repair what can be repaired; run again to see what is left. What hosts have to do takes its time."""
    # What was ordered: each repair decides under its own lock whether there is still anything to do.
    ordered = [Entry(resource_id=each.subject, name=each.what, changes={"finding": each.code, "repair": each.fix}) for each in findings if each.repair]
    with transaction.atomic():
        record.write_many(actor, "compute.leak.repair", "finding", ordered)
    for finding in findings:
        if finding.repair is None:
            continue
        try:
            finding.repair()
        except Exception:  # one that cannot be mended must not keep the others from it; it is found again
            log.exception("%s cannot be repaired: %s", finding.code, finding.what)


def _allocations(facts: Facts) -> Iterator[Finding]:
    """Capacity that is claimed by nobody, or not as it should be."""
    held = placement.allocations()
    for consumer in held.keys() - facts.placed.keys():
        yield Finding(
            "allocation.orphan", f"{_amounts(held[consumer])} claimed for {consumer}, which is on no host", "give it back",
            str(consumer), partial(mend.free, consumer),
        )
    for consumer in placement.empty_consumers() - facts.placed.keys():
        what = f"{consumer} is said to hold capacity and holds none"
        yield Finding("consumer.empty", what, "forget it", str(consumer), partial(allocations.forget, consumer))
    for key, instance in facts.placed.items():
        expected = {(instance.host_id, name): amount for name, amount in amounts_of(instance).items() if amount}
        if key not in held:
            what = f"instance {instance.name} is on {instance.host_name} and has claimed nothing there"
            yield Finding("instance.unclaimed", what, "claim it", str(key), partial(mend.claim_again, key))
        elif held[key] != expected:
            what = f"instance {instance.name} holds {_amounts(held[key])}, not what it takes of {instance.host_name}"
            yield Finding("allocation.wrong", what, "claim it anew", str(key), partial(mend.claim_again, key))


def _inventories(facts: Facts) -> Iterator[Finding]:
    """Inventories that do not add up."""
    for each in placement.mismatches():
        subject = f"{each.provider_id}/{each.resource_class}"
        if not each.exists:
            what = f"{each.allocated} {each.resource_class} allocated of {each.provider}, which has none"
            yield Finding("inventory.missing", what, "add the inventory again, or delete what is allocated of it", subject)
            continue
        yield Finding(
            "inventory.mismatch", f"{each.resource_class} of {each.provider}: {each.used} counted as used, {each.allocated} allocated",
            "count again", subject, partial(inventories.recount, each.provider_id, each.resource_class),
        )


def _providers(facts: Facts) -> Iterator[Finding]:
    """Resource providers that are not where they belong: in the tree of their parent, in the aggregates of their host."""
    for each in placement.astray():
        what = f"resource provider {each.name} is said to be in another tree than its parent"
        yield Finding("provider.root", what, "put it into its parent's", str(each.pk), providers.replant)
    for key, name in placement.misjoined().items():
        what = f"resource provider {name} is not in the same aggregates as its host"
        yield Finding("provider.aggregates", what, "put it where its host is", str(key), partial(aggregates.sync, [key]))


def _ports(facts: Facts) -> Iterator[Finding]:
    """Addresses of nobody, and instances that think they have others than they have."""
    addresses = networks.addresses()
    for device in addresses.keys() - facts.placed.keys():
        yield Finding(
            "port.orphan", f"{', '.join(sorted(addresses[device])) or 'a port'} claimed for {device}, which is on no host",
            "free it", str(device), partial(mend.free, device),
        )
    for key, instance in facts.placed.items():
        embedded = sorted(each["address"] for each in instance.addresses)
        if embedded != sorted(addresses.get(key, [])):
            what = f"instance {instance.name} is said to have {', '.join(embedded) or 'no address'}, its ports say otherwise"
            yield Finding("instance.addresses", what, "take over what the ports say", str(key), partial(mend.addresses_again, key))


def _networks(facts: Facts) -> Iterator[Finding]:
    """Networks whose tables do not agree."""
    for drift in network_drifts():
        if drift.subnet_id is None:
            yield Finding("network.drift", drift.what, "detach, or delete and make again, what is named", drift.what)
        else:
            what, subnet_id = "find out anew what is free", drift.subnet_id
            yield Finding("address.drift", drift.what, what, str(subnet_id), partial(addresses.recount, subnet_id))


def _members(facts: Facts) -> Iterator[Finding]:
    """Server groups with members that are gone, or elsewhere, and instances that are not in the group that they say."""
    there = scheduler.members()
    said = {key: instance.server_group_id for key, instance in facts.living.items() if instance.server_group_id is not None}
    for key in sorted(there.keys() | said.keys()):
        group_id, host_id = there.get(key, (None, None))
        if key not in said:
            what = f"{key} is said to be in the server group {group_id}, and is not"
        elif said[key] != group_id:
            what = f"instance {facts.living[key].name} is not in its server group {said[key]}"
        elif host_id != facts.living[key].host_id:
            what = f"instance {facts.living[key].name} is not on the host that its server group {group_id} counts it on"
        else:
            continue
        yield Finding("member.mismatch", what, "count it where it is", str(key), partial(mend.regroup, key))


def _stuck(facts: Facts) -> Iterator[Finding]:
    """Instances in transit that nobody works on."""
    for key, instance in facts.living.items():
        if instance.state in _IN_TRANSIT and key not in facts.busy:
            what = f"instance {instance.name} is {instance.state} and nobody works on it"
            yield Finding("instance.stuck", what, "take its way out", str(key), partial(mend.unstick, key))


def _late(facts: Facts) -> Iterator[Finding]:
    """Operations that the sweep should have looked into."""
    for each in operations.overdue_since(clock.now() - GRACE):
        what = f"{each.kind} {each.pk} is {each.state} and past its deadline since {each.deadline:%H:%M:%S}; is the ticker running?"
        yield Finding("operation.late", what, "look into it now", str(each.pk), partial(mend.look_into, each.pk))


def _pointless(facts: Facts) -> Iterator[Finding]:
    """Open operations on instances that are gone."""
    for resource_id in operations.open_resources("instance") - facts.living.keys():
        what = f"{facts.busy.get(resource_id, 'an operation')} is under way on {resource_id}, which is gone"
        yield Finding("operation.pointless", what, "cancel it", str(resource_id), partial(mend.cancel, resource_id))


def _domains(facts: Facts) -> Iterator[Finding]:
    """Machines on hosts that should not be there."""
    for each in UnknownDomain.objects.order_by("host_name", "instance_id"):
        left = each.power_state if each.power_state != "absent" else f"left {', '.join(each.residue)}"
        yield Finding(
            "domain.unknown", f"{each.host_name} had a machine of {each.instance_id} at {each.seen_at:%H:%M:%S} ({left})",
            "have the host remove it", str(each.instance_id), partial(mend.evict, each.pk),
        )


def _quotas(facts: Facts) -> Iterator[Finding]:
    """Projects that are said to use more or less than they have."""
    for project_id, drifts in groupby(quotas.drifts(), key=lambda drift: drift.project_id):
        yield Finding(
            "quota.mismatch", f"project {project_id}: {'; '.join(map(str, drifts))}", "count again", str(project_id),
            partial(quotas.recount, project_id),
        )


def _content() -> Iterator[Finding]:
    """The store of images against its rows: outside of the snapshot, since files are looked at."""
    for loss in contents.lost():
        what = f"the content of image {loss.name} ({loss.image_id}) is missing in the store"
        yield Finding("image.content_missing", what, "delete the image and upload it again", str(loss.image_id))
    for loss in uploads.interrupted():
        what = f"the upload of image {loss.name} ({loss.image_id}) broke off"
        yield Finding("image.interrupted", what, "let it wait for its data again", str(loss.image_id), partial(uploads.give_up, loss.image_id))
    for name in contents.unowned():
        what = f"the store holds {name}, which belongs to no image"
        yield Finding("image.content_orphan", what, "delete the file", name, partial(contents.sweep_out, name))


def _objects() -> Iterator[Finding]:
    """The object store against its rows; whether the bytes are still the same is for `object_scrub` to say."""
    for each in scrub.scrub(actor=SYSTEM, read=False).findings:
        subject = str(each.blob_id)
        if each.code == scrub.UNOWNED:
            what = f"the object store holds {each.blob_id}, which {each.detail}"
            yield Finding("object.content_orphan", what, "delete the file", subject, partial(scrub.remove_unowned, each.blob_id))
        else:
            yield Finding("object.content_missing", f"object {each}", "put it again, or `object_scrub --fix`", subject)


# Inventories first: what is counted wrongly cannot be given back or claimed. Quotas last: other repairs give back as well.
CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    _inventories, _allocations, _providers, _ports, _networks, _members, _stuck, _late, _pointless, _domains, _quotas,
)


def _amounts(held: Mapping[tuple[uuid.UUID, str], int]) -> str:
    return ", ".join(f"{amount} {name}" for (_, name), amount in sorted(held.items(), key=lambda item: item[0][1]))
