"""Networks of the first release after an upgrade: they work as before, and are what new ones are."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from apps.common import clock
from apps.compute.models import Instance
from apps.network.models import AddressSpan, FixedIP, Network, Port, PortGroup, Router, Rule, SecurityGroup, Subnet
from apps.network.services import addresses, audit, defaults, groups
from apps.network.services.rules import Terms
from tests.support.cloud import make_project
from tests.support.identity import make_actor

pytestmark = pytest.mark.django_db(transaction=True)


def migrate(name: str) -> Any:
    """The tables as they were, or are, at this migration; its models."""
    executor = MigrationExecutor(connection)
    executor.migrate([("network", name)])
    return MigrationExecutor(connection).loader.project_state([("network", name)]).apps


@pytest.fixture
def old() -> Iterator[Any]:
    for model in (Network, Subnet):
        model.objects.all().delete()
    try:
        yield migrate("0001_initial")
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())


def old_network(old: Any, project_id: uuid.UUID, name: str, cidr: str, *, is_default: bool = False) -> Any:
    network = old.get_model("network", "Network").objects.create(project_id=project_id, name=name, kind="flat", is_default=is_default)
    start = cidr.rpartition(".")[0]
    old.get_model("network", "Subnet").objects.create(
        network=network, cidr=cidr, gateway=f"{start}.1", pool_start=f"{start}.2", pool_end=f"{start}.254", dns=["9.9.9.9"]
    )
    return network


def old_port(old: Any, network: Any, device_id: uuid.UUID, mac: str, address: str) -> None:
    port = old.get_model("network", "Port").objects.create(network=network, project_id=network.project_id, device_id=device_id, mac=mac)
    old.get_model("network", "FixedIP").objects.create(port=port, subnet=network.subnets.get(), address=address)


def test_networks_of_the_first_release_move_in(old: Any) -> None:
    project, other = make_project(), make_project()
    instance = Instance.objects.create(
        project_id=project.pk, name="Web 1.example", state="ACTIVE", host_id=uuid.uuid4(), host_name="h", flavor_id=uuid.uuid4(),
        image_id=uuid.uuid4(), network_id=uuid.uuid4(), created_at=clock.now(), vcpus=1, memory_mb=1, disk_gb=1,
    )
    default = old_network(old, project.pk, "lan", "10.64.0.0/24", is_default=True)
    second = old_network(old, project.pk, "default", "10.64.0.0/24")
    foreign = old_network(old, other.pk, "default", "10.64.0.0/24", is_default=True)
    old_port(old, default, instance.pk, "02:00:00:00:00:01", "10.64.0.2")
    old_port(old, default, uuid.uuid4(), "02:00:00:00:00:02", "10.64.0.77")
    old_port(old, foreign, uuid.uuid4(), "02:00:00:00:00:03", "10.64.0.2")

    migrate("0004_nothing_old")

    kinds = Network.objects.exclude(project_id=None).order_by("pk").values_list("name", "kind", "segment", "mtu")
    assert list(kinds) == [("lan", "vxlan", 1000, 1450), ("default", "vxlan", 1001, 1450), ("default", "vxlan", 1002, 1450)]
    assert {subnet.pools[0][0] for subnet in Subnet.objects.all()} == {"10.64.0.2"}
    assert set(Subnet.objects.values_list("project_id", "family", "ipv6_mode")) == {(project.pk, 4, ""), (other.pk, 4, "")}
    routers = {network.pk: network.router for network in Network.objects.exclude(project_id=None).select_related("router")}
    assert [(routers[key].name, routers[key].is_default) for key in (default.pk, foreign.pk)] == [("default", True)] * 2
    assert routers[second.pk].name == f"default-{second.pk.hex[-6:]}"
    assert {router.external_network.name for router in Router.objects.all()} == {"outside"}
    ours = Port.objects.get(device_id=instance.pk)
    assert (ours.host_id, ours.dns_name, ours.device_kind) == (instance.host_id, "web-1-example", "instance")
    assert PortGroup.objects.filter(group=SecurityGroup.objects.get(project_id=project.pk, is_default=True)).count() == 2
    assert PortGroup.objects.count() == 3
    moved, new = groups.ensure_default(project.pk), groups.ensure_default(make_project().pk)
    assert (_content(moved), moved.description) == (_content(new), new.description)
    assert defaults.ensure(actor=make_actor(project)).pk == default.pk
    assert audit.drifts() == []
    _the_rest_is_given(Subnet.objects.get(network_id=default.pk))


def _the_rest_is_given(subnet: Subnet) -> None:
    """Two addresses are taken; all others of the pool can be given, each once."""
    assert AddressSpan.objects.filter(subnet=subnet).count() > 32
    given = addresses.take({subnet: 251})[subnet.pk]
    taken = FixedIP.objects.filter(subnet=subnet).values_list("address", flat=True)
    assert len({*given, *taken}) == 253
    assert addresses.room(subnet).free == 0


def _content(group: SecurityGroup) -> set[tuple[Any, ...]]:
    rows = Rule.objects.filter(group=group)
    for row in rows:
        assert row.fingerprint == Terms(direction=row.direction, family=row.family, remote_group_id=row.remote_group_id).fingerprint
    return {(row.direction, row.family, row.protocol, row.cidr, row.remote_group_id == group.pk) for row in rows}


def test_an_empty_installation_gets_what_every_one_has(old: Any) -> None:
    migrate("0004_nothing_old")
    assert list(Network.objects.values_list("name", "kind", "external", "is_default")) == [("outside", "host", True, True)]
