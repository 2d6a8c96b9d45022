"""Networks, wires and pools of segments: made, changed, deleted, and what is refused."""

import uuid
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction

from apps.audit.models import Record
from apps.common.context import SYSTEM, Actor
from apps.identity.models import Project
from apps.network import builtin, selectors
from apps.network.models import Change, FixedIP, Network, Port, Router, SegmentPool, Subnet
from apps.network.services import networks, pools, routers, subnets
from apps.quotas.models import Usage
from apps.quotas.services import limits
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
def wire() -> str:
    return pools.add_wire(actor=SYSTEM, name="lab", mtu=9000).name


def vlans(first: int, last: int, **fields: Any) -> SegmentPool:
    return pools.add(actor=SYSTEM, kind="vlan", first=first, last=last, **{"physical_network": "lab", **fields})


def provided(**fields: Any) -> Network:
    return networks.create(actor=SYSTEM, **{"name": f"n-{uuid.uuid4().hex[:8]}", "shared": True, **fields})


def used(project: Project) -> int:
    return Usage.objects.filter(pk=project.pk).values_list("networks", flat=True).first() or 0


# What every installation has.


def test_there_is_a_way_out_and_a_pool_of_vnis_from_the_start(actor: Actor) -> None:
    outside, pool = Network.objects.get(pk=builtin.OUTSIDE_ID), SegmentPool.objects.get(pk=builtin.VXLAN_POOL_ID)
    assert (outside.kind, outside.external, outside.shared, outside.is_default) == ("host", True, True, True)
    assert selectors.way_out() == outside
    assert (pool.kind, pool.first, pool.last, pool.for_tenants) == ("vxlan", 1000, 16777214, True)
    assert outside in selectors.networks(actor=actor)


# Tenants' networks.


def test_a_tenants_network_takes_the_next_vni_and_what_it_leaves_of_a_packet(actor: Actor, project: Project) -> None:
    one, two = (networks.create(actor=actor, name=name) for name in "ab")
    assert (one.kind, one.segment, one.mtu) == ("vxlan", 1000, settings.ENV.underlay_mtu - 50)
    assert two.segment == 1001
    assert used(project) == 2
    assert not Subnet.objects.exists()


def test_a_freed_segment_is_taken_last(actor: Actor) -> None:
    SegmentPool.objects.all().update(first=1000, last=1003)
    made = [networks.create(actor=actor, name=f"n{number}") for number in range(3)]
    networks.delete(actor=actor, network_id=made[1].pk)
    assert networks.create(actor=actor, name="x").segment == 1003
    assert networks.create(actor=actor, name="y").segment == 1001
    assert refusal(networks.create, actor=actor, name="z").code == "segment.exhausted"
    networks.delete(actor=actor, network_id=made[0].pk)
    assert networks.create(actor=actor, name="z").segment == 1000


def test_tenants_take_from_the_first_pool_that_has_one_left(actor: Actor, wire: str) -> None:
    vlans(10, 11, position=1)
    vlans(20, 29, position=0, for_tenants=False)
    made = [networks.create(actor=actor, name=f"n{number}") for number in range(3)]
    assert [(each.kind, each.segment) for each in made] == [("vlan", 10), ("vlan", 11), ("vxlan", 1000)]
    assert (made[0].physical_network.name, made[0].mtu) == (wire, 9000)


def test_without_a_segment_there_is_no_network_and_nothing_is_counted(actor: Actor, project: Project) -> None:
    SegmentPool.objects.all().delete()
    error = refusal(networks.create, actor=actor, name="n")
    assert (error.kind, error.code) == ("no_capacity", "segment.exhausted")
    assert used(project) == 0
    assert not Network.objects.filter(project_id=project.pk).exists()


def test_more_networks_than_the_quota_has_are_refused_and_leave_nothing(actor: Actor, project: Project) -> None:
    limits.set_limits(actor=SYSTEM, owner_id=project.pk, limits={"networks": 1})
    networks.create(actor=actor, name="a")
    assert refusal(networks.create, actor=actor, name="b").kind == "quota_exceeded"
    assert Network.objects.filter(project_id=project.pk).count() == used(project) == 1


def test_a_name_is_used_once_in_a_project_and_freely_in_others(actor: Actor) -> None:
    networks.create(actor=actor, name="n")
    networks.create(actor=make_actor(make_project()), name="n")
    error = refusal(networks.create, actor=actor, name="n")
    assert (error.code, error.field) == ("network.exists", "name")
    assert refusal(networks.create, actor=actor, name=" ").field == "name"


def test_a_project_has_one_default_network(actor: Actor) -> None:
    networks.create(actor=actor, name="a", is_default=True)
    error = refusal(networks.create, actor=actor, name="b", is_default=True)
    assert (error.code, error.field) == ("network.default_exists", "is_default")
    assert "is a already" in error.message
    with pytest.raises(IntegrityError), transaction.atomic():
        Network.objects.create(project_id=actor.project_id, name="c", segment=5, is_default=True)


@pytest.mark.parametrize("mtu", [1279, 1451, 0, -1])
def test_an_mtu_that_the_network_cannot_carry_is_refused(actor: Actor, mtu: int) -> None:
    error = refusal(networks.create, actor=actor, name="n", mtu=mtu)
    assert (error.code, error.field) == ("network.mtu", "mtu")
    assert networks.create(actor=actor, name="n", mtu=1400).mtu == 1400


@pytest.mark.parametrize("domain", ["-a", "a..b", "a b", "ä.example", "x" * 64, ".".join(["abc"] * 40)])
def test_a_dns_domain_is_one(actor: Actor, domain: str) -> None:
    assert refusal(networks.create, actor=actor, name="n", dns_domain=domain).code == "network.dns_domain"
    assert networks.create(actor=actor, name="n", dns_domain="Lab.Example.org.").dns_domain == "lab.example.org"


@pytest.mark.parametrize(
    "fields", [{"kind": "vxlan"}, {"segment": 7}, {"physical_network": "lab"}, {"shared": True}, {"external": True, "kind": "host"}]
)
def test_only_operators_say_how_frames_travel_and_who_shares(actor: Actor, fields: dict[str, Any]) -> None:
    error = refusal(networks.create, actor=actor, name="n", **fields)
    assert (error.kind, error.facts["permission"]) == ("forbidden", "network.network.provide")


# Operators' networks.


def test_an_operator_names_wire_and_segment(wire: str) -> None:
    vlans(10, 19)
    vlans(30, 39, for_tenants=False)
    made = provided(kind="vlan", physical_network=wire, segment=35)
    assert (made.project_id, made.kind, made.segment, made.mtu) == (None, "vlan", 35, 9000)
    assert provided(kind="vlan", physical_network=wire).segment == 10
    assert provided(kind="vxlan", segment=5000).segment == 5000
    assert provided(kind="flat", physical_network=wire, external=True).segment is None


def test_a_segment_outside_of_all_pools_is_refused_and_the_pools_are_told(wire: str) -> None:
    vlans(10, 19)
    vlans(30, 39)
    error = refusal(provided, kind="vlan", physical_network=wire, segment=20)
    assert (error.kind, error.code, error.field) == ("invalid", "segment.outside_pools", "segment")
    assert error.facts["pools"] == "10-19, 30-39"
    assert refusal(provided, kind="vxlan", segment=999).facts["pools"] == "1000-16777214"


def test_a_segment_that_is_taken_is_refused_with_its_holder(wire: str) -> None:
    vlans(10, 19)
    holder = provided(kind="vlan", physical_network=wire, segment=12)
    error = refusal(provided, kind="vlan", physical_network=wire, segment=12)
    assert (error.kind, error.code, error.facts["network_id"]) == ("conflict", "segment.taken", str(holder.pk))
    assert holder.name in error.message
    pools.add_wire(actor=SYSTEM, name="other")
    vlans(10, 19, physical_network="other")
    provided(kind="vlan", physical_network="other", segment=12)


def test_the_database_refuses_a_segment_twice(wire: str) -> None:
    vlans(10, 19)
    vlan, vxlan = provided(kind="vlan", physical_network=wire, segment=12), provided(kind="vxlan", segment=5000)
    flat = provided(kind="flat", physical_network=wire)
    for made in (vlan, vxlan, flat):
        with pytest.raises(IntegrityError), transaction.atomic():
            Network.objects.create(name="twin", kind=made.kind, physical_network=made.physical_network, segment=made.segment)


def test_a_wire_has_one_flat_network(wire: str) -> None:
    holder = provided(kind="flat", physical_network=wire)
    error = refusal(provided, kind="flat", physical_network=wire)
    assert (error.code, error.facts["network_id"]) == ("network.wire_taken", str(holder.pk))


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"kind": "ring"}, "network.kind", "kind"),
        ({"segment": 12}, "network.kind", "kind"),
        ({"physical_network": "lab"}, "network.kind", "kind"),
        ({"external": True}, "network.kind", "kind"),
        ({"kind": "host"}, "network.kind", "kind"),
        ({"kind": "host", "external": True, "physical_network": "lab"}, "network.wire", "physical_network"),
        ({"kind": "vxlan", "physical_network": "lab"}, "network.wire", "physical_network"),
        ({"kind": "vlan"}, "network.wire", "physical_network"),
        ({"kind": "flat"}, "network.wire", "physical_network"),
        ({"kind": "vlan", "physical_network": "none"}, "wire.not_found", "physical_network"),
        ({"kind": "flat", "physical_network": "lab", "segment": 3}, "network.segment", "segment"),
        ({"kind": "flat", "physical_network": "lab", "mtu": 9001}, "network.mtu", "mtu"),
        ({"kind": "vlan", "physical_network": "lab"}, "segment.exhausted", None),
        ({"shared": False}, "network.for_nobody", "shared"),
        ({"is_default": True}, "network.default", "is_default"),
        ({"kind": "host", "external": True, "is_default": True}, "network.default_exists", "is_default"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(wire: str, fields: dict[str, Any], code: str, field: str | None) -> None:
    error = refusal(provided, **fields)
    assert (error.code, error.field) == (code, field)
    assert not Network.objects.exclude(pk=builtin.OUTSIDE_ID).exists()


def test_an_operator_who_works_in_a_project_makes_networks_of_that_project(project: Project) -> None:
    made = networks.create(actor=make_actor(project, operator=True), name="n", kind="vxlan", segment=7000, shared=True)
    assert (made.project_id, used(project)) == (project.pk, 1)


# Who sees what.


def test_shared_and_external_networks_are_seen_by_all_and_changed_by_their_owner(actor: Actor) -> None:
    shared, own = provided(), networks.create(actor=actor, name="own")
    foreign = networks.create(actor=make_actor(make_project()), name="foreign")
    assert set(selectors.networks(actor=actor)) == {shared, own, Network.objects.get(pk=builtin.OUTSIDE_ID)}
    assert selectors.shown(actor=actor, network_id=shared.pk) == shared
    assert refusal(networks.update, actor=actor, network_id=shared.pk, name="x").code == "network.not_yours"
    assert refusal(networks.delete, actor=actor, network_id=shared.pk).code == "network.not_yours"
    assert refusal(subnets.create, actor=actor, network_id=shared.pk, cidr="10.0.0.0/24").code == "network.not_yours"
    for call in (networks.update, networks.delete):
        assert refusal(call, actor=actor, network_id=foreign.pk).code == "network.not_found"
        assert refusal(call, actor=actor, network_id=NOBODY).code == "network.not_found"


def test_ports_are_made_in_own_and_shared_networks_only(actor: Actor) -> None:
    shared, own = provided(), networks.create(actor=actor, name="own")
    assert selectors.network(actor=actor, network_id=shared.pk) == shared
    assert selectors.network(actor=actor, network_id=own.pk) == own
    assert refusal(selectors.network, actor=actor, network_id=builtin.OUTSIDE_ID).code == "network.no_ports"
    hidden = provided(kind="vxlan", external=True, shared=False)
    assert refusal(selectors.network, actor=actor, network_id=hidden.pk).code == "network.no_ports"


def test_a_projects_own_network_comes_before_a_shared_one_of_its_name(actor: Actor) -> None:
    shared = provided(name="lan")
    assert selectors.network_named(actor=actor, name="lan") == shared
    own = networks.create(actor=actor, name="lan")
    assert selectors.network_named(actor=actor, name="lan") == own
    assert refusal(selectors.network_named, actor=actor, name="none").code == "network.not_found"


def test_readers_may_look_and_not_touch(project: Project) -> None:
    reader = make_actor(project, role="reader")
    assert selectors.networks(actor=reader).exists()
    assert refusal(networks.create, actor=reader, name="n").kind == "forbidden"
    assert refusal(pools.add_wire, actor=reader, name="w").kind == "forbidden"
    assert refusal(selectors.pools, actor=reader).kind == "forbidden"


# Changed.


def test_what_changed_is_recorded_and_hosts_are_told_of_what_concerns_them(actor: Actor) -> None:
    made = networks.create(actor=actor, name="n")
    networks.update(actor=actor, network_id=made.pk, name="m", port_security=False)
    assert not Change.objects.exists()
    networks.update(actor=actor, network_id=made.pk, mtu=1400, name="m")
    assert list(Change.objects.values_list("kind", "ref")) == [("domain", made.pk)]
    made.refresh_from_db()
    assert (made.name, made.port_security, made.mtu) == ("m", False, 1400)
    assert Record.objects.filter(action="network.network.update").latest("pk").changes == {"mtu": [1450, 1400]}


def test_which_wire_and_segment_carries_a_network_is_in_no_projects_trail(actor: Actor, project: Project, wire: str) -> None:
    vlans(100, 199, for_tenants=False)
    operator = make_actor(project, operator=True)
    made = [
        networks.create(actor=actor, name="own"), networks.create_whole(actor=actor, name="whole")[0],
        networks.create(actor=operator, name="given", kind="vlan", physical_network=wire, segment=150), provided(name="shared"),
    ]
    said = {
        (row.name, row.project_id): {field: pair[1] for field, pair in row.changes.items()}
        for row in Record.objects.filter(action="network.network.create", resource_id__in=[str(each.pk) for each in made])
    }
    for name in ("own", "whole", "given"):
        assert not {"segment", "physical_network"} & said[name, project.pk].keys()
    assert said["own", project.pk] == {
        "kind": "vxlan", "mtu": made[0].mtu, "shared": False, "external": False, "is_default": False,
    }
    assert said["given", None] == {"segment": 150, "physical_network": "lab"}
    assert said["shared", None]["segment"] == made[-1].segment
    assert len(said) == 5


def test_hosts_of_a_router_are_told_of_its_networks(actor: Actor) -> None:
    made, _, router = networks.create_whole(actor=actor, name="n")
    Change.objects.all().delete()
    networks.update(actor=actor, network_id=made.pk, dns_domain="lab.example")
    assert list(Change.objects.values_list("ref", flat=True)) == [router.pk]


def test_a_change_to_what_cannot_be_is_refused(actor: Actor) -> None:
    made, other = (networks.create(actor=actor, name=name) for name in "ab")
    networks.update(actor=actor, network_id=other.pk, is_default=True)
    for wanted, code in (
        ({"name": "b"}, "network.exists"), ({"name": ""}, "name.invalid"), ({"mtu": 9000}, "network.mtu"),
        ({"dns_domain": "a b"}, "network.dns_domain"), ({"shared": True}, "policy.forbidden"), ({"is_default": True}, "network.default_exists"),
    ):
        assert refusal(networks.update, actor=actor, network_id=made.pk, **wanted).code == code
    networks.update(actor=actor, network_id=other.pk, is_default=False)
    assert networks.update(actor=actor, network_id=made.pk, is_default=True).is_default


def test_a_network_stays_shared_while_others_have_ports_in_it(project: Project) -> None:
    operator = make_actor(project, operator=True)
    made = networks.create(actor=operator, name="n", shared=True)
    plug(made)
    port = plug(made, project=make_project())
    error = refusal(networks.update, actor=operator, network_id=made.pk, shared=False)
    assert (error.code, error.facts["ports"], error.facts["in_the_way"]) == ("network.in_use", 1, {"ports": [str(port.pk)]})
    port.delete()
    assert not networks.update(actor=operator, network_id=made.pk, shared=False).shared


def test_a_network_stays_a_way_out_while_routers_have_it(actor: Actor) -> None:
    made = provided(kind="vxlan", external=True)
    router = routers.create(actor=actor, name="r", external_network_id=made.pk)
    error = refusal(networks.update, actor=SYSTEM, network_id=made.pk, external=False)
    assert (error.code, error.facts["in_the_way"]) == ("network.in_use", {"routers": [f"r {router.pk}"]})
    routers.delete(actor=actor, router_id=router.pk)
    assert not networks.update(actor=SYSTEM, network_id=made.pk, external=False).external
    assert refusal(networks.update, actor=SYSTEM, network_id=made.pk, shared=False).code == "network.for_nobody"
    assert refusal(networks.update, actor=SYSTEM, network_id=builtin.OUTSIDE_ID, external=False).code == "network.kind"


def test_an_inner_network_of_a_router_does_not_become_a_way_out(project: Project) -> None:
    operator = make_actor(project, operator=True)
    made, _, _ = networks.create_whole(actor=operator, name="n")
    assert refusal(networks.update, actor=operator, network_id=made.pk, external=True).code == "network.in_use"


# Deleted.


def test_deleting_gives_back_segment_and_quota(actor: Actor, project: Project) -> None:
    made = networks.create(actor=actor, name="n")
    subnets.create(actor=actor, network_id=made.pk, cidr="10.0.0.0/24")
    networks.delete(actor=actor, network_id=made.pk)
    assert used(project) == 0
    assert not Subnet.objects.exists()
    assert networks.create(actor=actor, name="n").segment == made.segment


def test_a_network_in_use_is_not_deleted_and_what_is_in_the_way_is_named(actor: Actor) -> None:
    made, _, router = networks.create_whole(actor=actor, name="n")
    held = [plug(made) for _ in range(7)]
    error = refusal(networks.delete, actor=actor, network_id=made.pk)
    assert (error.kind, error.code, error.facts["ports"], error.facts["routers"]) == ("invalid_state", "network.in_use", 7, 1)
    assert error.facts["in_the_way"] == {"ports": [str(port.pk) for port in held[:5]], "routers": [f"n {router.pk}"]}
    assert "7 ports" in error.message
    assert str(router.pk) in error.message
    Port.objects.all().delete()
    assert refusal(networks.delete, actor=actor, network_id=made.pk).facts["in_the_way"] == {"routers": [f"n {router.pk}"]}


def test_ports_of_other_projects_are_counted_and_not_named(project: Project) -> None:
    owner = make_actor(project)
    made = networks.create(actor=owner, name="n")
    Network.objects.filter(pk=made.pk).update(shared=True)
    own, foreign = plug(made), plug(made, project=make_project())
    error = refusal(networks.delete, actor=owner, network_id=made.pk)
    assert (error.facts["ports"], error.facts["in_the_way"]) == (2, {"ports": [str(own.pk)]})
    assert str(foreign.pk) not in error.message


def test_a_way_out_in_use_is_not_deleted(actor: Actor) -> None:
    router = routers.create(actor=actor, name="r")
    error = refusal(networks.delete, actor=SYSTEM, network_id=builtin.OUTSIDE_ID)
    assert error.facts["in_the_way"] == {"routers": [f"r {router.pk}"]}


def test_the_hosts_own_ports_go_with_their_network() -> None:
    made = provided(kind="vxlan", external=True)
    subnet = subnets.create(actor=SYSTEM, network_id=made.pk, cidr="203.0.113.0/24")
    plug(made, (subnet, "203.0.113.9"), device_kind="host_gateway")
    networks.delete(actor=SYSTEM, network_id=made.pk)
    assert not FixedIP.objects.exists()


# All at once.


def test_one_call_makes_network_subnets_and_router(actor: Actor, project: Project) -> None:
    made, ranges, router = networks.create_whole(actor=actor, name="n", dns=["9.9.9.9", "2620:fe::fe"])
    assert ranges[0].cidr == settings.ENV.network_cidr
    assert ranges[1].cidr.startswith("fd")
    assert [subnet.dns for subnet in ranges] == [["9.9.9.9"], ["2620:fe::fe"]]
    assert (router.name, router.external_network_id) == ("n", builtin.OUTSIDE_ID)
    assert {each.subnet for each in router.interfaces.all()} == set(ranges)
    assert Network.objects.get(pk=made.pk).router == router
    assert used(project) == 1


def test_one_call_can_use_a_router_that_is_there(actor: Actor) -> None:
    router = routers.create(actor=actor, name="r", external_network_id=None)
    made, (only,), joined = networks.create_whole(actor=actor, name="n", cidr="10.1.0.0/24", cidr6=None, router_id=router.pk)
    assert (joined, only.family, Network.objects.get(pk=made.pk).router) == (router, 4, router)
    error = refusal(networks.create_whole, actor=actor, name="m", cidr="10.1.0.0/16", router_id=router.pk)
    assert error.code == "subnet.overlap"
    assert not Network.objects.filter(name="m").exists()
    assert refusal(networks.create_whole, actor=actor, name="m", router_id=NOBODY).code == "router.not_found"


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"cidr": "nonsense"}, "subnet.cidr", "cidr"), ({"cidr": "fd12::/64"}, "subnet.family", "cidr"),
        ({"cidr6": "10.0.0.0/24"}, "subnet.family", "cidr6"), ({"name": "taken"}, "network.exists", "name"),
        ({"name": "r"}, "router.exists", "name"), ({"dns": ["x"]}, "subnet.dns", "dns"),
    ],
)
def test_one_call_makes_all_or_nothing(actor: Actor, fields: dict[str, Any], code: str, field: str) -> None:
    networks.create(actor=actor, name="taken")
    routers.create(actor=actor, name="r")
    error = refusal(networks.create_whole, **{"actor": actor, "name": "n", **fields})
    assert (error.code, error.field) == (code, field)
    assert (Network.objects.count(), Router.objects.count(), Subnet.objects.count()) == (2, 1, 0)


# Wires and pools.


def test_a_pool_says_which_segments_there_are(wire: str) -> None:
    vlans(1, 4094)
    pools.add(actor=SYSTEM, kind="vxlan", first=1, last=999)
    assert [str(pool) for pool in selectors.pools(actor=SYSTEM)] == ["vlan 1-4094", "vxlan 1-999", "vxlan 1000-16777214"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"first": 0}, "pool.range"), ({"last": 4095}, "pool.range"), ({"first": 20, "last": 10}, "pool.range"),
        ({"kind": "flat"}, "pool.kind"), ({"kind": "vxlan"}, "network.wire"), ({"physical_network": ""}, "network.wire"),
        ({"physical_network": "none"}, "wire.not_found"), ({"first": 15, "last": 25}, "pool.overlap"), ({"first": 12, "last": 12}, "pool.overlap"),
        ({"position": -1}, "pool.position"), ({"kind": "vxlan", "physical_network": "", "last": 2**24}, "pool.range"),
        ({"kind": "vxlan", "physical_network": "", "last": 1000}, "pool.overlap"),
    ],
)
def test_a_pool_that_cannot_be_is_refused(wire: str, fields: dict[str, Any], code: str) -> None:
    vlans(10, 19)
    assert refusal(pools.add, **{"actor": SYSTEM, "kind": "vlan", "physical_network": "lab", "first": 30, "last": 39, **fields}).code == code


def test_pools_and_wires_in_use_stay(wire: str) -> None:
    pool = vlans(10, 19)
    made = provided(kind="vlan", physical_network=wire, segment=12)
    error = refusal(pools.remove, actor=SYSTEM, pool_id=pool.pk)
    assert (error.code, error.facts["in_the_way"]) == ("pool.in_use", {"networks": [f"{made.name} {made.pk}"]})
    wire_id = pool.physical_network_id
    assert wire_id is not None
    assert refusal(pools.remove_wire, actor=SYSTEM, wire_id=wire_id).facts["segment_pools"] == 1
    networks.delete(actor=SYSTEM, network_id=made.pk)
    pools.remove(actor=SYSTEM, pool_id=pool.pk)
    pools.remove_wire(actor=SYSTEM, wire_id=wire_id)
    assert refusal(pools.remove, actor=SYSTEM, pool_id=pool.pk).code == "pool.not_found"
    assert refusal(pools.remove_wire, actor=SYSTEM, wire_id=wire_id).code == "wire.not_found"


def test_a_wires_name_is_one_that_agents_can_have_and_used_once(wire: str) -> None:
    assert refusal(pools.add_wire, actor=SYSTEM, name="lab").code == "wire.exists"
    for name in ("", "a b", "-a", "x" * 65):
        assert refusal(pools.add_wire, actor=SYSTEM, name=name).code == "wire.name"
    assert refusal(pools.add_wire, actor=SYSTEM, name="tiny", mtu=576).code == "network.mtu"
