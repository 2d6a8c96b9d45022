"""Recounting: what the tables say of each other, worked out without the services that keep them."""

from collections import Counter

from django.db.models import Sum

from apps.compute.models import Instance
from apps.compute.states import InstanceState
from apps.images.models import Image
from apps.network.models import FixedIP, Network, Port
from apps.operations.models import Operation
from apps.operations.states import OPEN_VALUES
from apps.placement.models import Allocation, Inventory
from apps.quotas.models import Usage


def discrepancies() -> list[str]:
    """Everything that is claimed without an owner, owned without a claim, counted wrongly, or waiting for nobody."""
    return [*_capacity(), *_claims(), *_addresses(), *_waiting(), *_quotas()]


def assert_consistent() -> None:
    assert discrepancies() == []


def assert_nothing_is_claimed() -> None:
    """As after the last instance went."""
    assert Allocation.objects.count() == 0
    assert Port.objects.count() == 0
    assert FixedIP.objects.count() == 0
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
    for row in FixedIP.objects.select_related("port"):
        ports.setdefault(row.port.device_id, []).append(str(row.address))
    found = [f"port {port.pk} without address" for port in Port.objects.filter(fixed_ips=None)]
    for instance in Instance.objects.all():
        embedded = sorted(each["address"] for each in instance.addresses)
        if sorted(ports.pop(instance.pk, [])) != embedded:
            found.append(f"instance {instance.pk} ({instance.state}) has other addresses than its ports")
    return found + [f"port of nobody: {device}" for device in ports]


def _waiting() -> list[str]:
    busy = set(Operation.objects.filter(state__in=OPEN_VALUES).values_list("resource_id", flat=True))
    stuck = Instance.objects.filter(state__in=[InstanceState.BUILD, InstanceState.DELETING]).exclude(pk__in=busy)
    return [f"instance {pk} is {state} and nobody works on it" for pk, state in stuck.values_list("pk", "state")]


def _quotas() -> list[str]:
    there: dict[object, Counter[str]] = {}
    for instance in Instance.objects.exclude(state=InstanceState.DELETED):
        sizes = {"vcpus": instance.vcpus, "memory_mb": instance.memory_mb, "disk_gb": instance.disk_gb}
        there.setdefault(instance.project_id, Counter()).update(instances=1, **sizes)
    for network in Network.objects.all():
        there.setdefault(network.project_id, Counter()).update(networks=1)
    for port in Port.objects.all():
        there.setdefault(port.project_id, Counter()).update(ports=1)
    for image in Image.objects.exclude(state="deleted").exclude(project_id=None):
        there.setdefault(image.project_id, Counter()).update(images=1, image_bytes=image.size_bytes or 0)
    names = ("instances", "vcpus", "memory_mb", "disk_gb", "networks", "ports", "images", "image_bytes")
    said = {row.project_id: Counter({name: getattr(row, name) for name in names}) for row in Usage.objects.all()}
    return [
        f"project {project_id} uses {there.get(project_id)}, its usage says {said.get(project_id)}"  # type: ignore[call-overload]
        for project_id in said.keys() | there.keys()
        if +there.get(project_id, Counter()) != +said.get(project_id, Counter())  # type: ignore[call-overload]
    ]
