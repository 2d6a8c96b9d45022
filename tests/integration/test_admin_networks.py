"""Admin pages of networks: they make, change and delete through services, and show what is full and what is wrong."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from apps.common.context import SYSTEM
from apps.network.models import HostNetwork, Network, PhysicalNetwork, Rule, SecurityGroup, SegmentPool
from apps.network.services import groups, pools, tell
from tests.support.admin import address, signed_in, user
from tests.support.cloud import Cloud, make_network

Press = Callable[..., str]


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return signed_in(user("root", is_superuser=True, is_staff=True))


@pytest.fixture
def press(operator: Client) -> Press:
    """`press(row, "delete")`: confirm the button; the text of the page that follows."""

    def pressed(row: Model, button: str, **values: Any) -> str:
        answer = operator.post(address(row, "do", button), {"confirmed": "1", **values}, follow=True)
        assert answer.status_code == 200
        return answer.content.decode()

    return pressed


def test_a_network_of_a_project_is_made_whole(cloud: Cloud, operator: Client) -> None:
    page = reverse("admin:network_network_add")
    operator.post(page, {"name": "lan", "project": str(cloud.project.pk), "whole": "on", "cidr": "10.5.0.0/24"})
    network = Network.objects.get(name="lan")
    assert network.project_id == cloud.project.pk and network.router is not None and network.subnets.count() == 2
    again = operator.post(page, {"name": "lan", "project": str(cloud.project.pk)}).content.decode()
    assert "(network.exists)" in again


def test_a_network_of_the_operators_takes_a_segment_of_a_pool(cloud: Cloud, operator: Client) -> None:
    operator.post(reverse("admin:network_physicalnetwork_add"), {"name": "blue", "mtu": "1500"})
    wire = PhysicalNetwork.objects.get()
    wanted = {"kind": "vlan", "physical_network": str(wire.pk), "first": "100", "last": "103", "position": "1"}
    operator.post(reverse("admin:network_segmentpool_add"), wanted)
    pool = SegmentPool.objects.get(kind="vlan")
    assert "(pool.overlap)" in operator.post(reverse("admin:network_segmentpool_add"), wanted).content.decode()
    page = reverse("admin:network_network_add")
    body = {"name": "lab", "kind": "vlan", "physical_network": "blue", "shared": "on"}
    assert "(segment.outside_pools)" in operator.post(page, {**body, "segment": "300"}).content.decode()
    operator.post(page, {**body, "segment": "102"})
    assert Network.objects.get(name="lab").segment == 102
    shown = operator.get(address(SegmentPool)).content.decode()
    assert "1 / 4" in shown and "lab" in operator.post(address(pool, "do", "delete"), follow=True).content.decode()


def test_a_network_is_changed_and_gets_a_subnet_whose_fill_is_shown(cloud: Cloud, operator: Client, press: Press) -> None:
    network = make_network(cloud.actor, "lan", cidr="10.5.0.0/28")
    press(network, "change", name="wan", mtu="1400", port_security="on")
    network.refresh_from_db()
    assert (network.name, network.mtu, network.port_security) == ("wan", 1400, True)
    assert "(subnet.overlap)" in press(network, "add_subnet", cidr="10.5.0.0/24")
    press(network, "add_subnet", cidr="fd00:5::/64")
    assert network.subnets.count() == 2
    page = operator.get(address(network, "change")).content.decode()
    assert "0 / 13" in page and "fd00:5::/64" in page
    subnet = network.subnets.get(family=4)
    assert "(subnet.gateway_in_pool)" in press(subnet, "change", gateway="10.5.0.1", pools="10.5.0.1-10.5.0.9", dhcp="on")
    press(subnet, "change", gateway="10.5.0.1", pools="10.5.0.5-10.5.0.9", dns="9.9.9.9, 1.1.1.1", dhcp="on")
    subnet.refresh_from_db()
    assert (subnet.pools, subnet.dns) == ([["10.5.0.5", "10.5.0.9"]], ["9.9.9.9", "1.1.1.1"])


def test_rules_of_a_group_are_added_and_deleted(cloud: Cloud, operator: Client, press: Press) -> None:
    group = groups.create(actor=cloud.actor, name="web")
    press(group, "allow", direction="ingress", family="4", protocol="tcp", first="80", last="90")
    rule = Rule.objects.get(protocol=6)
    assert "tcp 80-90" in operator.get(address(group, "change")).content.decode()
    assert "(rule.ports)" in press(group, "allow", direction="ingress", family="4", protocol="tcp", first="90", last="80")
    press(group, "forbid", rule=str(rule.pk))
    assert not Rule.objects.filter(pk=rule.pk).exists()
    press(group, "delete")
    assert not SecurityGroup.objects.filter(pk=group.pk).exists()


def test_a_host_that_is_behind_or_in_trouble_shows_it_and_is_told_again(cloud: Cloud, operator: Client, press: Press) -> None:
    host = cloud.host("hv1")
    row, _ = HostNetwork.objects.update_or_create(
        host_id=host.id, defaults={"host_name": "hv1", "speaks": True, "generation": 7, "applied": 7, "full_due": False}
    )
    assert "current" in operator.get(address(row, "change")).content.decode()
    HostNetwork.objects.update(applied=6, problems=[{"code": "switch", "message": "no <bridge>", "object": ""}])
    for page in (address(row, "change"), address(HostNetwork)):
        text = operator.get(page).content.decode()
        assert "6 / 7" in text and "1 problem" in text and "no &lt;bridge&gt;" in text
    cloud.bus.wipe()
    press(row, "tell")
    tell.tell()
    row.refresh_from_db()
    assert row.generation == 8
    clerk = signed_in(user("clerk", is_staff=True))
    assert clerk.post(address(row, "do", "tell")).status_code == 403


def test_a_wire_with_pools_stays(cloud: Cloud, press: Press) -> None:
    wire = pools.add_wire(actor=SYSTEM, name="blue")
    pool = pools.add(actor=SYSTEM, kind="vlan", physical_network="blue", first=1, last=9)
    assert "1 segment pool" in press(wire, "delete")
    press(pool, "delete")
    press(wire, "delete")
    assert not PhysicalNetwork.objects.exists()
