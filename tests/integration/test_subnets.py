"""Subnets: what they may be, what is free in them, what changes, and what keeps them from being deleted."""

import ipaddress
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apps.audit.models import Record
from apps.common.context import SYSTEM, Actor
from apps.identity.models import Project
from apps.network import builtin, selectors
from apps.network.models import AddressSpan, Change, FixedIP, Network, Port, Subnet
from apps.network.services import audit, networks, routers, subnets
from tests.support.cloud import make_project, refusal
from tests.support.identity import NOBODY, make_actor
from tests.support.routing import plug

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def actor(project: Project) -> Actor:
    return make_actor(project)


@pytest.fixture
def network(actor: Actor) -> Network:
    return networks.create(actor=actor, name="n")


def free(subnet: Subnet) -> int:
    return sum(span.last - span.first + 1 for span in AddressSpan.objects.filter(subnet=subnet))


# Made.


def test_a_subnet_gives_all_but_network_broadcast_and_gateway(actor: Actor, network: Network) -> None:
    made = subnets.create(actor=actor, network_id=network.pk, cidr="10.0.0.0/24", name="lan")
    assert (made.family, made.gateway, made.pools, made.dhcp, made.ipv6_mode) == (4, "10.0.0.1", [["10.0.0.2", "10.0.0.254"]], True, "")
    assert free(made) == 253
    assert made.project_id == network.project_id
    assert audit.drifts() == []


def test_an_ipv6_subnet_gives_exactly_the_databases_addresses_unless_guests_make_their_own(actor: Actor, network: Network) -> None:
    told = subnets.create(actor=actor, network_id=network.pk, cidr="fd12::/64")
    assert (told.family, told.gateway, told.ipv6_mode, free(told)) == (6, "fd12::1", "dhcpv6", 2**62)
    own = subnets.create(actor=actor, network_id=network.pk, cidr="fd13::/64", ipv6_mode="slaac")
    assert (own.pools, free(own)) == ([], 0)
    assert refusal(subnets.create, actor=actor, network_id=network.pk, cidr="fd14::/64", ipv6_mode="slaac", pools=[["fd14::5", "fd14::9"]]).code == (
        "subnet.pools"
    )


def test_pools_gateway_and_what_guests_are_told_can_be_named(actor: Actor, network: Network) -> None:
    made = subnets.create(
        actor=actor, network_id=network.pk, cidr="10.0.0.0/24", gateway="10.0.0.254", pools=[["10.0.0.10", "10.0.0.19"]],
        dns=["9.9.9.9"], routes=[{"destination": "10.9.0.0/16", "nexthop": "10.0.0.5"}], dhcp=False,
    )
    assert (made.gateway, made.pools, made.dns, made.dhcp) == ("10.0.0.254", [["10.0.0.10", "10.0.0.19"]], ["9.9.9.9"], False)
    assert free(made) == 10
    assert subnets.create(actor=actor, network_id=network.pk, cidr="10.0.1.0/24", gateway=None).pools == [["10.0.1.1", "10.0.1.254"]]


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"cidr": "nonsense"}, "subnet.cidr", "cidr"),
        ({"cidr": "10.0.0.0/31"}, "subnet.cidr", "cidr"),
        ({"cidr": "fd12::/96", "ipv6_mode": "slaac"}, "subnet.ipv6_mode", "ipv6_mode"),
        ({"ipv6_mode": "dhcpv6"}, "subnet.family", "ipv6_mode"),
        ({"gateway": "10.0.1.1"}, "subnet.gateway", "gateway"),
        ({"gateway": "fd12::1"}, "subnet.family", "gateway"),
        ({"pools": [["10.0.0.1", "10.0.0.9"]]}, "subnet.gateway_in_pool", "pools"),
        ({"pools": [["10.0.0.9", "10.0.0.5"]]}, "subnet.pools", "pools"),
        ({"pools": [["fd12::1", "fd12::5"]]}, "subnet.family", "pools"),
        ({"dns": ["fd12::1"]}, "subnet.family", "dns"),
        ({"routes": [{"destination": "10.9.0.0/16", "nexthop": "10.9.0.1"}]}, "subnet.routes", "routes"),
        ({"name": "x" * 65}, "name.invalid", "name"),
    ],
)
def test_a_subnet_that_cannot_be_is_refused_with_its_field(
    actor: Actor, network: Network, fields: dict[str, Any], code: str, field: str
) -> None:
    error = refusal(subnets.create, **{"actor": actor, "network_id": network.pk, "cidr": "10.0.0.0/24", **fields})
    assert (error.kind, error.code, error.field) == ("invalid", code, field)
    assert not Subnet.objects.exists()


@pytest.mark.parametrize("cidr", ["10.0.0.0/24", "10.0.0.0/16", "10.0.0.128/25"])
def test_subnets_of_a_network_do_not_overlap_and_the_other_one_is_named(actor: Actor, network: Network, cidr: str) -> None:
    present = subnets.create(actor=actor, network_id=network.pk, cidr="10.0.0.0/24", name="lan")
    error = refusal(subnets.create, actor=actor, network_id=network.pk, cidr=cidr)
    assert (error.kind, error.code, error.field) == ("conflict", "subnet.overlap", "cidr")
    assert error.facts == {"subnet_id": str(present.pk), "cidr": "10.0.0.0/24"}
    assert "10.0.0.0/24, the subnet lan" in error.message


def test_the_database_refuses_a_range_twice_in_a_network(network: Network, actor: Actor) -> None:
    subnets.create(actor=actor, network_id=network.pk, cidr="10.0.0.0/24")
    with pytest.raises(IntegrityError), transaction.atomic():
        Subnet.objects.create(network=network, cidr="10.0.0.0/24")


def test_networks_of_different_projects_and_of_one_may_have_the_same_ranges(actor: Actor) -> None:
    for owner, name in ((actor, "a"), (actor, "b"), (make_actor(make_project()), "a")):
        made = networks.create(actor=owner, name=name)
        subnets.create(actor=owner, network_id=made.pk, cidr="10.0.0.0/24")
    assert Subnet.objects.count() == 3


def test_a_network_has_so_many_subnets_and_no_more(actor: Actor, network: Network) -> None:
    for number in range(32):
        subnets.create(actor=actor, network_id=network.pk, cidr=f"10.0.{number}.0/24")
    assert refusal(subnets.create, actor=actor, network_id=network.pk, cidr="10.1.0.0/24").code == "subnet.too_many"


def test_addresses_that_hosts_route_to_have_no_gateway() -> None:
    made = subnets.create(actor=SYSTEM, network_id=builtin.OUTSIDE_ID, cidr="203.0.113.0/28")
    assert (made.gateway, free(made)) == (None, 14)


def test_subnets_of_a_network_of_another_project_are_not_there(actor: Actor) -> None:
    owner = make_actor(make_project())
    made = networks.create(actor=owner, name="n")
    subnet = subnets.create(actor=owner, network_id=made.pk, cidr="10.0.0.0/24")
    assert refusal(subnets.create, actor=actor, network_id=made.pk, cidr="10.1.0.0/24").code == "network.not_found"
    for call in (subnets.update, subnets.delete, selectors.subnet):
        assert refusal(call, actor=actor, subnet_id=subnet.pk).code == "subnet.not_found"
        assert refusal(call, actor=actor, subnet_id=NOBODY).code == "subnet.not_found"
    assert not selectors.subnets(actor=actor).exists()


def test_subnets_of_shared_networks_are_seen(actor: Actor) -> None:
    shared = networks.create(actor=SYSTEM, name="s", shared=True)
    subnet = subnets.create(actor=SYSTEM, network_id=shared.pk, cidr="10.0.0.0/24")
    assert list(selectors.subnets(actor=actor)) == [subnet]
    assert selectors.subnet(actor=actor, subnet_id=subnet.pk).network == shared
    assert refusal(subnets.delete, actor=actor, subnet_id=subnet.pk).code == "network.not_yours"


# Changed.


@pytest.fixture
def subnet(actor: Actor, network: Network) -> Subnet:
    return subnets.create(actor=actor, network_id=network.pk, cidr="10.0.0.0/24", name="lan")


def test_new_pools_spare_what_is_taken(actor: Actor, network: Network, subnet: Subnet) -> None:
    plug(network, (subnet, "10.0.0.50"))
    subnets.update(actor=actor, subnet_id=subnet.pk, pools=[["10.0.0.100", "10.0.0.109"]])
    assert free(subnet) == 10
    subnets.update(actor=actor, subnet_id=subnet.pk, pools=[["10.0.0.2", "10.0.0.254"]])
    assert free(subnet) == 252
    assert audit.drifts() == []


def test_what_guests_are_told_is_changed_recorded_and_told_to_hosts(actor: Actor, network: Network, subnet: Subnet) -> None:
    Change.objects.all().delete()
    subnets.update(actor=actor, subnet_id=subnet.pk, dns=["9.9.9.9"], name="web")
    assert Record.objects.filter(action="network.subnet.update").latest("pk").changes == {"dns": [[], ["9.9.9.9"]], "name": ["lan", "web"]}
    assert list(Change.objects.values_list("kind", "ref")) == [("domain", network.pk)]
    Change.objects.all().delete()
    subnets.update(actor=actor, subnet_id=subnet.pk, dns=["9.9.9.9"])
    subnets.update(actor=actor, subnet_id=subnet.pk, name="db")
    assert not Change.objects.exists()


def test_a_gateway_moves_while_no_router_has_it(actor: Actor, network: Network, subnet: Subnet) -> None:
    change: dict[str, Any] = {"gateway": "10.0.0.254", "pools": [["10.0.0.1", "10.0.0.253"]]}
    router = routers.create(actor=actor, name="r")
    routers.attach(actor=actor, router_id=router.pk, subnet_id=subnet.pk)
    error = refusal(subnets.update, actor=actor, subnet_id=subnet.pk, **change)
    assert (error.code, error.facts["in_the_way"]) == ("subnet.in_use", {"routers": [f"r {router.pk}"]})
    routers.detach(actor=actor, router_id=router.pk, subnet_id=subnet.pk)
    assert subnets.update(actor=actor, subnet_id=subnet.pk, **change).gateway == "10.0.0.254"
    assert subnets.update(actor=actor, subnet_id=subnet.pk, gateway=None).gateway is None


def test_a_gateway_does_not_move_into_a_pool_or_onto_a_port(actor: Actor, network: Network, subnet: Subnet) -> None:
    assert refusal(subnets.update, actor=actor, subnet_id=subnet.pk, gateway="10.0.0.9").code == "subnet.gateway_in_pool"
    subnets.update(actor=actor, subnet_id=subnet.pk, pools=[["10.0.0.100", "10.0.0.109"]])
    plug(network, (subnet, "10.0.0.9"))
    assert refusal(subnets.update, actor=actor, subnet_id=subnet.pk, gateway="10.0.0.9").code == "address.taken"
    assert refusal(subnets.update, actor=actor, subnet_id=subnet.pk, pools=[["10.0.0.1", "10.0.0.9"]]).code == "subnet.gateway_in_pool"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"gateway": "10.1.0.1"}, "subnet.gateway"), ({"gateway": ""}, "subnet.gateway"), ({"dns": ["fd12::1"]}, "subnet.family"),
        ({"routes": [{}]}, "subnet.routes"), ({"pools": [["10.0.0.0", "10.0.0.9"]]}, "subnet.pools"), ({"name": "a\nb"}, "name.invalid"),
    ],
)
def test_a_change_to_what_cannot_be_is_refused(actor: Actor, subnet: Subnet, changes: dict[str, Any], code: str) -> None:
    assert refusal(subnets.update, actor=actor, subnet_id=subnet.pk, **changes).code == code


# Deleted.


def test_a_subnet_with_addresses_or_a_router_is_not_deleted(actor: Actor, network: Network, subnet: Subnet) -> None:
    port = plug(network, (subnet, "10.0.0.9"))
    router = routers.create(actor=actor, name="r")
    routers.attach(actor=actor, router_id=router.pk, subnet_id=subnet.pk)
    error = refusal(subnets.delete, actor=actor, subnet_id=subnet.pk)
    assert (error.kind, error.code) == ("invalid_state", "subnet.in_use")
    assert error.facts["in_the_way"] == {"ports": [str(port.pk)], "routers": [f"r {router.pk}"]}
    FixedIP.objects.all().delete()
    Port.objects.all().delete()
    routers.detach(actor=actor, router_id=router.pk, subnet_id=subnet.pk)
    subnets.delete(actor=actor, subnet_id=subnet.pk)
    assert not AddressSpan.objects.exists()


def test_a_way_out_keeps_its_subnet_while_routers_need_it(actor: Actor) -> None:
    outside = networks.create(actor=SYSTEM, name="x", kind="vxlan", external=True)
    subnet = subnets.create(actor=SYSTEM, network_id=outside.pk, cidr="203.0.113.0/24")
    plug(outside, (subnet, "203.0.113.9"), device_kind="host_gateway")
    router = routers.create(actor=actor, name="r", external_network_id=outside.pk)
    assert refusal(subnets.delete, actor=SYSTEM, subnet_id=subnet.pk).facts["in_the_way"] == {"routers": [f"r {router.pk}"]}
    routers.delete(actor=actor, router_id=router.pk)
    subnets.delete(actor=SYSTEM, subnet_id=subnet.pk)
    assert not FixedIP.objects.exists()


# What the audit finds.


def test_the_audit_finds_addresses_that_are_lost_doubled_or_strange(actor: Actor, network: Network, subnet: Subnet) -> None:
    assert audit.drifts() == []
    span = AddressSpan.objects.order_by("first").last()
    assert span is not None
    AddressSpan.objects.filter(pk=span.pk).update(first=span.first + 1)
    (lost,) = audit.drifts()
    assert "have 253 addresses, of which 252" in str(lost)
    AddressSpan.objects.filter(pk=span.pk).update(first=span.first)
    doubled = str(ipaddress.ip_address("10.0.0.0") + span.first)
    fixed = FixedIP.objects.create(subnet=subnet, port=plug(network), address=doubled)
    assert [f"{doubled} is free and taken" in str(line) for line in audit.drifts()] == [True, False]
    fixed.delete()
    AddressSpan.objects.create(subnet=subnet, first=span.first - 2, last=span.first + 5, rests_until=span.rests_until)
    assert sum("overlap" in str(line) for line in audit.drifts()) >= 1


def test_the_audit_finds_networks_and_routers_that_disagree(actor: Actor, network: Network, subnet: Subnet) -> None:
    router = routers.create(actor=actor, name="r")
    routers.attach(actor=actor, router_id=router.pk, subnet_id=subnet.pk)
    assert audit.drifts() == []
    Network.objects.filter(pk=network.pk).update(router=None)
    (line,) = audit.drifts()
    assert "said to have the router None" in str(line)
    Network.objects.filter(pk=network.pk).update(router=router)
    fixed = FixedIP.objects.create(subnet=subnet, port=plug(network), address="10.0.0.1")
    (line,) = audit.drifts()
    assert "10.0.0.1, which is its router's" in str(line)
    fixed.delete()
    assert router.external_network is not None
    way_out = Subnet.objects.create(network=router.external_network, cidr="10.0.0.128/25", pools=[])
    (line,) = audit.drifts()
    assert "its subnets 10.0.0.0/24 and 10.0.0.128/25 overlap" in str(line)
    way_out.delete()
    other = networks.create(actor=actor, name="other")
    FixedIP.objects.create(subnet=subnet, port=plug(other), address="10.0.0.255")
    (line,) = audit.drifts()
    assert "of another network's subnet" in str(line)
