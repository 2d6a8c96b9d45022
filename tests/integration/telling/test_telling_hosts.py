"""Hosts are told what they need of networks, and no more."""

import uuid

import pytest

from apps.common.context import SYSTEM
from apps.network.models import Change, HostNetwork, Network, PhysicalNetwork, Port, Subnet
from apps.network.selectors import hosts as host_selectors
from apps.network.services.tell import tell
from contracts.network import v2
from tests.support.bus import FakeBus
from tests.support.routing import add_subnet, outside
from tests.support.telling import Site, World, committed, knows, nothing_new, settle

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_host_that_says_hello_is_told_its_whole_state_even_if_that_is_nothing(bus: FakeBus) -> None:
    site = Site(bus).start()
    tell()

    (state,) = site.take()

    assert isinstance(state, v2.State)
    assert state.generation == 1
    assert nothing_new(site)


def test_a_port_comes_to_its_host_with_its_network_and_groups_and_to_others_of_the_network_as_a_peer(world: World) -> None:
    first, second, third = world.hosts
    network, group = world.network(mtu=1400), world.group()
    one = world.port(network, first, group, dns_name="web")
    settle(world.hosts)

    two = world.port(network, second)
    tell()
    (change,) = first.take()
    settle(world.hosts)

    assert isinstance(change, v2.Change)
    assert [(port.id, port.here, port.host) for port in change.objects.ports] == [(str(two.pk), False, second.tunnel_address)]
    assert not change.objects.networks
    own = first.desired.ports[str(one.pk)]
    assert (own.here, own.host, own.name, own.groups, own.instance) == (True, "", "web", [str(group.pk)], str(one.device_id))
    assert [address.address for address in own.addresses] == ["10.0.0.2"]
    peer = second.desired.ports[str(one.pk)]
    assert (peer.here, peer.host, peer.groups) == (False, first.tunnel_address, [])
    assert second.desired.networks[str(network.pk)].mtu == 1400
    assert str(group.pk) in first.desired.groups
    assert not second.desired.groups
    assert not third.desired.ports
    assert not third.desired.networks


def test_a_routing_domain_comes_with_all_its_networks_and_goes_with_the_last_port(world: World) -> None:
    first, second, _ = world.hosts
    here, there, router = world.network(), world.network(), world.router()
    world.attach(router, here)
    world.attach(router, there)
    far = world.port(there, second)
    near = world.port(here, first)
    settle(world.hosts)

    assert set(first.desired.networks) == {str(here.pk), str(there.pk)}
    assert set(first.desired.ports) == {str(near.pk), str(far.pk)}
    assert first.desired.networks[str(here.pk)].router == str(router.pk)
    assert all(subnet.routed for network in first.desired.networks.values() for subnet in network.subnets)

    world.unplug(near)
    settle(world.hosts)

    assert not any(knows(first).values())
    assert set(second.desired.ports) == {str(far.pk)}


def test_ports_that_are_on_no_host_are_told_to_nobody(world: World) -> None:
    first, _, _ = world.hosts
    network = world.network()
    port = world.port(network, first)
    settle(world.hosts)

    idle = world.port(network, None)

    assert not Change.objects.exists()
    assert nothing_new(first)
    world.move(idle, first)
    settle(world.hosts)
    assert set(first.desired.ports) == {str(port.pk), str(idle.pk)}
    world.move(idle, None)
    settle(world.hosts)
    assert set(first.desired.ports) == {str(port.pk)}


def test_a_rule_goes_to_the_hosts_of_its_group_and_to_no_other(world: World) -> None:
    first, second, third = world.hosts
    network, group = world.network(), world.group()
    world.port(network, first, group)
    world.port(network, second, group)
    world.port(network, third)
    settle(world.hosts)

    world.rule(group, protocol=6, first=443, last=443, cidr="0.0.0.0/0")
    tell()

    for site in (first, second):
        (change,) = site.take()
        (rule,) = change.objects.groups[0].rules
        assert (rule.ingress, rule.protocol, rule.first, rule.last, rule.cidr) == (True, 6, 443, 443, "0.0.0.0/0")
        assert not change.objects.ports
    assert not third.take()


def test_members_of_a_group_that_rules_name_are_known_wherever_they_are(world: World) -> None:
    first, second, _ = world.hosts
    friends = world.group()
    own = world.group(friends)
    world.port(world.network(), first, own)
    friend = world.port(world.network(), second, friends)
    settle(world.hosts)

    assert first.desired.addresses_of(str(friends.pk)) == {str(friend.fixed_ips.get().address)}
    assert str(friend.pk) not in first.desired.ports

    world.regroup(friend)
    settle(world.hosts)
    assert not first.desired.addresses_of(str(friends.pk))

    world.regroup(friend, friends)
    settle(world.hosts)
    assert first.desired.addresses_of(str(friends.pk))

    world.unplug(friend)
    settle(world.hosts)
    assert not first.desired.members


def test_a_group_that_is_named_no_more_goes_with_its_members(world: World) -> None:
    first, second, _ = world.hosts
    friends, own = world.group(), world.group()
    rule = world.rule(own, remote_group=friends)
    world.port(world.network(), first, own)
    world.port(world.network(), second, friends)
    settle(world.hosts)
    assert first.desired.members

    world.unrule(rule)
    settle(world.hosts)

    assert not first.desired.members


def test_a_floating_ip_is_known_on_all_hosts_of_its_domain_and_moves_with_its_port(world: World) -> None:
    first, second, _ = world.hosts
    external = committed(outside, "203.0.113.0/24")
    network, router = world.network(), world.router(external_network=external)
    world.attach(router, network)
    one, two = world.port(network, first), world.port(network, second)
    settle(world.hosts)
    way_out = first.desired.routers[str(router.pk)].out
    assert way_out is not None
    assert (way_out.network.kind, way_out.addresses) == (v2.Kind.HOST, [])

    made = world.floating(external, one, "203.0.113.7")
    settle(world.hosts)
    for site in (first, second):
        tied = site.desired.floating[str(made.pk)]
        assert (tied.address, tied.fixed, tied.port, tied.router) == ("203.0.113.7", "10.0.0.2", str(one.pk), str(router.pk))

    world.lead(made, two)
    settle(world.hosts)
    assert first.desired.floating[str(made.pk)].port == str(two.pk)

    world.lead(made, None)
    settle(world.hosts)
    assert not first.desired.floating
    assert not second.desired.floating


def test_many_changes_in_one_domain_are_one_message_for_each_host(world: World) -> None:
    first, second, _ = world.hosts
    network = world.network()
    world.port(network, second)
    settle(world.hosts)

    for _ in range(5):
        world.port(network, first)
    tell()

    (for_first,), (for_second,) = first.take(), second.take()
    assert len(for_first.objects.ports) == 6
    assert len(for_second.objects.ports) == 5


# External networks.


def test_each_host_has_an_address_of_its_own_on_a_wire_that_leads_outside_until_the_last_router_goes(world: World) -> None:
    first, second, third = world.hosts
    external, _ = _wired(first, second)
    router, network = world.router(external_network=external), world.network()
    world.attach(router, network)
    one, _, _ = world.port(network, first), world.port(network, second), world.port(network, third)
    settle(world.hosts)

    ways = [site.desired.routers[str(router.pk)].out for site in world.hosts]
    assert ways[0] is not None
    assert ways[1] is not None
    assert ways[0].gateways == ["198.51.100.1"]
    assert ways[0].addresses[0].endswith("/24")
    assert ways[0].addresses != ways[1].addresses
    assert (ways[0].network.kind, ways[0].network.physical) == (v2.Kind.FLAT, "uplink")
    # The third is not plugged in.
    assert ways[2] is None
    assert host_selectors.host_network(actor=SYSTEM, host_id=third.id).lacking[0]["code"] == "wire.missing"
    assert _gateways() == {first.id, second.id}

    world.unplug(one)
    settle(world.hosts)

    assert _gateways() == {second.id}


def test_a_full_external_network_leaves_a_host_without_a_way_out_and_the_rest_in_order(world: World) -> None:
    first, second, _ = world.hosts
    external, subnet = _wired(first, second, cidr="198.51.100.0/30")
    router, network = world.router(external_network=external), world.network()
    world.attach(router, network)
    world.port(network, first)
    settle(world.hosts)
    assert first.desired.routers[str(router.pk)].out is not None

    world.port(network, second)
    settle(world.hosts)

    assert second.desired.routers[str(router.pk)].out is None
    assert second.desired.ports
    (lacking,) = HostNetwork.objects.get(pk=second.id).lacking
    assert lacking["object"] == str(external.pk)


def _wired(*sites: Site, cidr: str = "198.51.100.0/24") -> tuple[Network, Subnet]:
    wire = PhysicalNetwork.objects.create(name="uplink")
    external = Network.objects.create(name="wired", kind="flat", physical_network=wire, external=True, shared=True)
    subnet = committed(add_subnet, external, cidr)
    for site in sites:
        site.wires = ["uplink"]
        site.start()
    settle(sites)
    return external, subnet


def _gateways() -> set[uuid.UUID]:
    return {each for each in Port.objects.filter(device_kind="host_gateway").values_list("device_id", flat=True) if each}
