"""Recounting: what the tables say of each other, worked out without the services that keep them."""

import ipaddress
from collections import Counter
from itertools import pairwise

from django.db.models import Sum

from apps.compute.models import Instance
from apps.compute.states import InstanceState
from apps.images.models import Image
from apps.network.models import FixedIP, FloatingIP, Network, Port, SecurityGroup, Subnet
from apps.operations.models import Operation
from apps.operations.states import OPEN_VALUES
from apps.placement.models import Allocation, Inventory
from apps.quotas.models import Usage
from apps.scheduler.models import GroupMember, ServerGroup


def discrepancies() -> list[str]:
    """Everything that is claimed without an owner, owned without a claim, counted wrongly, or waiting for nobody."""
    return [*_capacity(), *_claims(), *_addresses(), *_networks(), *_waiting(), *_groups(), *_quotas()]


def assert_consistent() -> None:
    assert discrepancies() == []


def assert_no_address_is_lost() -> None:
    """Every address of every pool is free or held, and none is both."""
    assert _networks() == []


def assert_nothing_is_claimed() -> None:
    """As after the last instance went."""
    assert Allocation.objects.count() == 0
    assert Port.objects.count() == 0
    assert FixedIP.objects.count() == 0
    assert_no_address_is_lost()
    assert Inventory.objects.exclude(used=0).count() == 0
    if not Instance.objects.exclude(state=InstanceState.DELETED).exists():
        assert Usage.objects.exclude(instances=0, vcpus=0, memory_mb=0, disk_gb=0, ports=0).count() == 0


def _capacity() -> list[str]:
    counted = {
        (provider, name): total
        for provider, name, total in Allocation.objects.values_list("provider_id", "resource_class").annotate(Sum("amount"))
    }
    found = []
    for row in Inventory.objects.all():
        if row.used != counted.get((row.provider_id, row.resource_class), 0):
            found.append(f"{row}: used {row.used}, allocated {counted.get((row.provider_id, row.resource_class), 0)}")
        if row.used > row.ceiling:
            found.append(f"{row}: overcommitted")
    return found


def _claims() -> list[str]:
    held: dict[object, Counter[tuple[object, str]]] = {}
    for row in Allocation.objects.all():
        held.setdefault(row.consumer_id, Counter())[row.provider_id, row.resource_class] += row.amount
    found = []
    for instance in Instance.objects.all():
        amounts = {"VCPU": instance.vcpus, "MEMORY_MB": instance.memory_mb, "DISK_GB": instance.disk_gb}
        on_host = instance.host_id is not None and instance.state != InstanceState.DELETED
        expected = Counter({(instance.host_id, name): amount for name, amount in amounts.items() if amount and on_host})
        if held.pop(instance.pk, Counter()) != expected:
            found.append(f"instance {instance.pk} ({instance.state}) does not hold what it should")
    return found + [f"allocation of nobody: {consumer}" for consumer in held]


def _addresses() -> list[str]:
    ports: dict[object, list[str]] = {}
    for row in FixedIP.objects.select_related("port").filter(port__device_kind="instance"):
        ports.setdefault(row.port.device_id, []).append(str(row.address))
    found = [f"port {port.pk} without address" for port in Port.objects.filter(fixed_ips=None, keep=False)]
    hosts: dict[object, object] = dict(Instance.objects.exclude(host_id=None).values_list("pk", "host_id"))
    for port in Port.objects.filter(device_kind="instance"):
        if port.host_id != hosts.get(port.device_id):
            found.append(f"port {port.pk} is said to be on the host {port.host_id}, its instance is on {hosts.get(port.device_id)}")
    for instance in Instance.objects.all():
        embedded = sorted(each["address"] for each in instance.addresses)
        if sorted(ports.pop(instance.pk, [])) != embedded:
            found.append(f"instance {instance.pk} ({instance.state}) has other addresses than its ports")
    return found + [f"port of nobody: {device}" for device in ports]


def _networks() -> list[str]:
    """Spans and addresses of each subnet together are its pools, each once."""
    found = []
    for subnet in Subnet.objects.all():
        base = int(ipaddress.ip_network(subnet.cidr).network_address)
        pools = [(int(ipaddress.ip_address(first)) - base, int(ipaddress.ip_address(last)) - base) for first, last in subnet.pools]
        held = [int(ipaddress.ip_address(row.address)) - base for row in subnet.fixed_ips.all()]
        free = sorted(subnet.spans.values_list("first", "last"))
        if any(before[1] >= after[0] for before, after in pairwise(free)):
            found.append(f"subnet {subnet.cidr} has spans that overlap")
        if any(first <= offset <= last for offset in held for first, last in free):
            found.append(f"subnet {subnet.cidr} has an address that is held and free")
        inside = sum(any(first <= offset <= last for first, last in pools) for offset in held)
        if sum(last - first + 1 for first, last in free) + inside != sum(last - first + 1 for first, last in pools):
            found.append(f"subnet {subnet.cidr} has lost addresses, or made some")
    return found


def _waiting() -> list[str]:
    busy = set(Operation.objects.filter(state__in=OPEN_VALUES).values_list("resource_id", flat=True))
    stuck = Instance.objects.filter(state__in=[InstanceState.BUILD, InstanceState.DELETING]).exclude(pk__in=busy)
    return [f"instance {pk} is {state} and nobody works on it" for pk, state in stuck.values_list("pk", "state")]


def _groups() -> list[str]:
    """Members are where their instances are, and as their policy wants it."""
    said = Instance.objects.exclude(state=InstanceState.DELETED).exclude(server_group_id=None)
    living = {pk: (group_id, host_id) for pk, group_id, host_id in said.values_list("pk", "server_group_id", "host_id")}
    there = {pk: (group_id, host_id) for pk, group_id, host_id in GroupMember.objects.values_list("pk", "group_id", "host_id")}
    found = [f"member {pk} is {there.get(pk)}, its instance says {living.get(pk)}" for pk in living.keys() | there.keys() if living.get(pk) != there.get(pk)]
    for group in ServerGroup.objects.all():
        hosts = Counter(host_id for group_id, host_id in there.values() if group_id == group.pk and host_id is not None)
        if group.policy == "affinity" and len(hosts) > 1:
            found.append(f"affinity group {group} is on {len(hosts)} hosts")
        if group.policy == "anti-affinity" and max(hosts.values(), default=0) > group.max_per_host:
            found.append(f"anti-affinity group {group} has {max(hosts.values())} on one host, {group.max_per_host} may be")
    return found


def _quotas() -> list[str]:
    there: dict[object, Counter[str]] = {}
    for instance in Instance.objects.exclude(state=InstanceState.DELETED):
        sizes = {"vcpus": instance.vcpus, "memory_mb": instance.memory_mb, "disk_gb": instance.disk_gb}
        there.setdefault(instance.project_id, Counter()).update(instances=1, **sizes)
    for network in Network.objects.exclude(project_id=None):
        there.setdefault(network.project_id, Counter()).update(networks=1)
    for port in Port.objects.filter(device_kind__in=["", "instance"]).exclude(project_id=None):
        there.setdefault(port.project_id, Counter()).update(ports=1)
    for floating_ip in FloatingIP.objects.all():
        there.setdefault(floating_ip.project_id, Counter()).update(floating_ips=1)
    for group in SecurityGroup.objects.filter(is_default=False):
        there.setdefault(group.project_id, Counter()).update(security_groups=1)
    for server_group in ServerGroup.objects.all():
        there.setdefault(server_group.project_id, Counter()).update(server_groups=1, server_group_members=server_group.members.count())
    for image in Image.objects.exclude(state="deleted").exclude(project_id=None):
        there.setdefault(image.project_id, Counter()).update(images=1, image_bytes=image.size_bytes or 0)
    names = ("instances", "vcpus", "memory_mb", "disk_gb", "networks", "ports", "floating_ips", "security_groups", "server_groups", "server_group_members", "images", "image_bytes")
    said = {row.project_id: Counter({name: getattr(row, name) for name in names}) for row in Usage.objects.all()}
    return [
        f"project {project_id} uses {there.get(project_id)}, its usage says {said.get(project_id)}"  # type: ignore[call-overload]
        for project_id in said.keys() | there.keys()
        if +there.get(project_id, Counter()) != +said.get(project_id, Counter())  # type: ignore[call-overload]
    ]
