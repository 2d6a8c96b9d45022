"""Routers: what they join, what keeps them from it, and what hosts are told."""

import uuid
from typing import Any

import pytest

from apps.audit.models import Record
from apps.common.context import SYSTEM, Actor
from apps.identity.models import Project
from apps.network import selectors
from apps.network.models import Change, FloatingIP, Network, Port, Router, RouterInterface
from apps.network.services import routers, subnets
from tests.support.cloud import make_project, refusal
from tests.support.identity import NOBODY, make_actor
from tests.support.routing import add_subnet, inside, outside, plug

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_way_out(db: None) -> None:
    """The one that every installation has from the start would be the default."""
    Network.objects.all().delete()


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def actor(project: Project) -> Actor:
    return make_actor(project)


@pytest.fixture
def router(actor: Actor) -> Router:
    return routers.create(actor=actor, name="r", external_network_id=None)


def told() -> list[uuid.UUID]:
    """The routing domains of which hosts are to be told since this was asked last."""
    found = list(Change.objects.filter(kind="domain").values_list("ref", flat=True))
    Change.objects.all().delete()
    return found


def stands_for(port: Port, router: Router, network: Network, address: str = "203.0.113.9") -> FloatingIP:
    """A floating IP of that port's first address, as a row."""
    return FloatingIP.objects.create(
        project_id=router.project_id, network=network, address=address, fixed_ip=port.fixed_ips.first(), router=router,
        port=plug(network, device_kind="floating_ip", project=Project.objects.get(pk=router.project_id)),
    )


# Made, changed, deleted.


def test_a_router_leads_out_by_the_default_way_unless_told_otherwise(actor: Actor) -> None:
    assert routers.create(actor=actor, name="before").external_network is None
    default, other = outside(), outside()
    assert routers.create(actor=actor, name="a").external_network == default
    assert routers.create(actor=actor, name="b", external_network_id=other.pk, snat=False).external_network == other
    assert routers.create(actor=actor, name="c", external_network_id=None).external_network is None


def test_a_name_is_used_once_in_a_project(actor: Actor, router: Router) -> None:
    other = routers.create(actor=actor, name="other")
    for error in (
        refusal(routers.create, actor=actor, name="r"), refusal(routers.update, actor=actor, router_id=other.pk, name="r"),
    ):
        assert (error.kind, error.code, error.field) == ("conflict", "router.exists", "name")
    routers.create(actor=make_actor(make_project()), name="r")
    assert refusal(routers.create, actor=actor, name=" ").field == "name"


def test_only_external_networks_are_ways_out(actor: Actor, project: Project, router: Router) -> None:
    network, _ = inside(project)
    for call, given in [(routers.create, {"name": "x"}), (routers.update, {"router_id": router.pk})]:
        error = refusal(call, actor=actor, external_network_id=network.pk, **given)  # type: ignore[arg-type]
        assert (error.kind, error.code, error.field) == ("invalid_state", "network.not_external", "external_network_id")
        assert refusal(call, actor=actor, external_network_id=NOBODY, **given).code == "network.not_found"  # type: ignore[arg-type]


def test_what_hosts_do_for_a_router_is_told_when_it_changes(actor: Actor, router: Router) -> None:
    told()
    way = outside()
    routers.update(actor=actor, router_id=router.pk, name="r2")
    assert told() == []
    routers.update(actor=actor, router_id=router.pk, external_network_id=way.pk, snat=False, admin_up=False)
    assert told() == [router.pk]
    routers.update(actor=actor, router_id=router.pk, external_network_id=way.pk, snat=False)
    assert told() == []
    router.refresh_from_db()
    assert (router.name, router.external_network, router.snat, router.admin_up) == ("r2", way, False, False)


def test_a_router_with_subnets_is_not_deleted_and_they_are_named(actor: Actor, project: Project, router: Router) -> None:
    _, (one, two) = inside(project, "10.1.0.0/24", "10.2.0.0/24")
    for subnet in (one, two):
        routers.attach(actor=actor, router_id=router.pk, subnet_id=subnet.pk)
    error = refusal(routers.delete, actor=actor, router_id=router.pk)
    assert (error.kind, error.code, error.facts["subnets"]) == ("invalid_state", "router.in_use", 2)
    assert f"10.1.0.0/24 {one.pk}" in error.message
    for subnet in (one, two):
        routers.detach(actor=actor, router_id=router.pk, subnet_id=subnet.pk)
    routers.delete(actor=actor, router_id=router.pk)
    assert not Router.objects.exists()


def test_the_way_out_stays_while_floating_ips_come_by_it_and_they_are_named(actor: Actor, project: Project) -> None:
    way, other = outside("203.0.113.0/24"), outside()
    router = routers.create(actor=actor, name="r")
    network, (subnet,) = inside(project, "10.1.0.0/24")
    routers.attach(actor=actor, router_id=router.pk, subnet_id=subnet.pk)
    floating = stands_for(plug(network, (subnet, "10.1.0.5")), router, way)
    for wanted in (None, other.pk):
        error = refusal(routers.update, actor=actor, router_id=router.pk, external_network_id=wanted)
        assert (error.code, error.facts["floating_ips"]) == ("router.in_use", 1)
        assert f"203.0.113.9 {floating.pk}" in error.message
    routers.update(actor=actor, router_id=router.pk, external_network_id=way.pk, snat=False)
    floating.delete()
    assert routers.update(actor=actor, router_id=router.pk, external_network_id=other.pk).external_network_id == other.pk


# Attached and detached.


def test_the_first_subnet_brings_its_network_to_the_router_and_the_last_one_takes_it_away(
    actor: Actor, project: Project, router: Router
) -> None:
    network, (one, two) = inside(project, "10.1.0.0/24", "fd00:1::/64")
    told()
    interface = routers.attach(actor=actor, router_id=router.pk, subnet_id=one.pk)
    assert (interface.router_id, interface.subnet_id, told()) == (router.pk, one.pk, [network.pk, router.pk])
    routers.attach(actor=actor, router_id=router.pk, subnet_id=two.pk)
    network.refresh_from_db()
    assert network.router == router
    told()
    routers.detach(actor=actor, router_id=router.pk, subnet_id=one.pk)
    assert told() == [network.pk, router.pk]
    network.refresh_from_db()
    assert network.router == router
    routers.detach(actor=actor, router_id=router.pk, subnet_id=two.pk)
    network.refresh_from_db()
    assert (network.router_id, RouterInterface.objects.count()) == (None, 0)


def test_a_subnet_is_attached_once(actor: Actor, project: Project, router: Router) -> None:
    _, (subnet,) = inside(project, "10.1.0.0/24")
    routers.attach(actor=actor, router_id=router.pk, subnet_id=subnet.pk)
    other = routers.create(actor=actor, name="other")
    for asked in (router, other):
        error = refusal(routers.attach, actor=actor, router_id=asked.pk, subnet_id=subnet.pk)
        assert (error.kind, error.code) == ("conflict", "router.attached")
        assert "the router r already" in error.message


def test_a_network_has_one_router(actor: Actor, project: Project, router: Router) -> None:
    _, (one, two) = inside(project, "10.1.0.0/24", "10.2.0.0/24")
    routers.attach(actor=actor, router_id=router.pk, subnet_id=one.pk)
    other = routers.create(actor=actor, name="other")
    error = refusal(routers.attach, actor=actor, router_id=other.pk, subnet_id=two.pk)
    assert (error.kind, error.code, error.facts) == ("conflict", "network.routed", {"router_id": str(router.pk)})


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        ("10.1.0.0/24", "10.1.0.0/24", True), ("10.1.0.0/16", "10.1.7.0/24", True), ("10.1.7.0/24", "10.1.0.0/16", True),
        ("fd00:1::/64", "fd00:1::/80", True), ("10.1.0.0/24", "10.1.1.0/24", False), ("10.1.0.0/24", "fd00:1::/64", False),
    ],
)
def test_subnets_of_a_router_do_not_overlap(
    actor: Actor, project: Project, router: Router, first: str, second: str, refused: bool
) -> None:
    _, (one,) = inside(project, first)
    _, (two,) = inside(project, second)
    routers.attach(actor=actor, router_id=router.pk, subnet_id=one.pk)
    if refused:
        error = refusal(routers.attach, actor=actor, router_id=router.pk, subnet_id=two.pk)
        assert (error.kind, error.code, error.field) == ("conflict", "subnet.overlap", "subnet_id")
        assert error.facts == {"cidr": one.cidr, "subnet_id": str(one.pk)}
    else:
        routers.attach(actor=actor, router_id=router.pk, subnet_id=two.pk)


def test_subnets_of_a_router_do_not_overlap_those_outside(actor: Actor, project: Project, router: Router) -> None:
    way = outside("203.0.113.0/24")
    _, (subnet,) = inside(project, "203.0.113.0/28")
    routers.attach(actor=actor, router_id=router.pk, subnet_id=subnet.pk)
    error = refusal(routers.update, actor=actor, router_id=router.pk, external_network_id=way.pk)
    assert (error.code, error.field, error.facts["cidr"]) == ("subnet.overlap", "external_network_id", "203.0.113.0/28")
    leading = routers.create(actor=actor, name="leading")
    _, (subnet,) = inside(project, "203.0.113.0/28")
    error = refusal(routers.attach, actor=actor, router_id=leading.pk, subnet_id=subnet.pk)
    assert (error.code, error.field, error.facts["cidr"]) == ("subnet.overlap", "subnet_id", "203.0.113.0/24")


def test_a_way_out_gets_no_addresses_that_are_inside_of_the_routers_that_lead_there(actor: Actor, project: Project) -> None:
    way, other = outside("203.0.113.0/24"), outside()
    leading = [routers.create(actor=each, name="r") for each in (actor, make_actor(make_project()), make_actor(make_project()))]
    for router, cidr in zip(leading, ("10.1.0.0/24", "10.1.0.0/24", "10.2.0.0/24"), strict=True):
        _, (subnet,) = inside(Project.objects.get(pk=router.project_id), cidr)
        routers.attach(actor=SYSTEM, router_id=router.pk, subnet_id=subnet.pk)
    inside(project, "10.1.16.0/24")  # nobody joins it, so it is in nobody's way
    error = refusal(subnets.create, actor=SYSTEM, network_id=way.pk, cidr="10.1.0.0/20")
    mine, foreign = (router.interfaces.get().subnet for router in leading[:2])
    assert (error.kind, error.code, error.field) == ("conflict", "subnet.overlap", "cidr")
    assert error.facts == {
        "subnets": 2, "routers": 2,
        "in_the_way": {
            "subnets": [f"10.1.0.0/24 {each.pk}" for each in (mine, foreign)], "routers": [f"r {each.pk}" for each in leading[:2]],
        },
    }
    assert f"2 subnets (10.1.0.0/24 {mine.pk}, " in error.message
    for network, cidr in ((way, "10.3.0.0/24"), (way, "fd00:1::/64"), (other, "10.1.0.0/20")):
        subnets.create(actor=SYSTEM, network_id=network.pk, cidr=cidr)


def test_what_is_inside_of_other_projects_routers_is_counted_and_not_named_to_a_project(actor: Actor, project: Project) -> None:
    way = outside()
    Network.objects.filter(pk=way.pk).update(project_id=project.pk, is_default=False)
    stranger = make_project()
    router = routers.create(actor=make_actor(stranger), name="r", external_network_id=way.pk)
    _, (subnet,) = inside(stranger, "10.1.0.0/24")
    routers.attach(actor=SYSTEM, router_id=router.pk, subnet_id=subnet.pk)
    error = refusal(subnets.create, actor=actor, network_id=way.pk, cidr="10.1.0.0/20")
    assert (error.code, error.facts["subnets"]) == ("subnet.overlap", 1)
    assert error.facts["in_the_way"] == {"subnets": [], "routers": []}
    assert str(subnet.pk) not in error.message and "10.1.0.0/24" not in error.message


def test_a_subnet_without_gateway_has_no_place_for_a_router(actor: Actor, project: Project, router: Router) -> None:
    network, _ = inside(project)
    subnet = add_subnet(network, "10.1.0.0/24", gateway=None)
    assert refusal(routers.attach, actor=actor, router_id=router.pk, subnet_id=subnet.pk).code == "subnet.no_gateway"


def test_a_gateway_address_that_a_port_has_is_not_the_routers(actor: Actor, project: Project, router: Router) -> None:
    network, (subnet,) = inside(project, "10.1.0.0/24")
    plug(network, (subnet, "10.1.0.1"))
    error = refusal(routers.attach, actor=actor, router_id=router.pk, subnet_id=subnet.pk)
    assert (error.code, error.field) == ("subnet.gateway_taken", "subnet_id")
    assert "10.1.0.1" in error.message


def test_external_networks_are_ways_out_and_nothing_to_be_joined(actor: Actor) -> None:
    way, operator = outside(), make_actor(make_project(), operator=True)
    subnet = add_subnet(way, "203.0.113.0/24")
    own = routers.create(actor=operator, name="own")
    assert refusal(routers.attach, actor=operator, router_id=own.pk, subnet_id=subnet.pk).code == "router.external_subnet"


def test_a_detached_subnet_is_named_when_it_was_not_attached(actor: Actor, project: Project, router: Router) -> None:
    _, (subnet,) = inside(project, "10.1.0.0/24")
    error = refusal(routers.detach, actor=actor, router_id=router.pk, subnet_id=subnet.pk)
    assert (error.kind, error.code, error.field) == ("not_found", "router.not_attached", "subnet_id")


def test_a_subnet_is_not_detached_while_a_floating_ip_needs_it(actor: Actor, project: Project) -> None:
    way = outside("203.0.113.0/24")
    router = routers.create(actor=actor, name="r")
    network, (one, two) = inside(project, "10.1.0.0/24", "10.2.0.0/24")
    for subnet in (one, two):
        routers.attach(actor=actor, router_id=router.pk, subnet_id=subnet.pk)
    floating = stands_for(plug(network, (one, "10.1.0.5")), router, way)
    error = refusal(routers.detach, actor=actor, router_id=router.pk, subnet_id=one.pk)
    assert (error.kind, error.code) == ("invalid_state", "router.in_use")
    assert f"203.0.113.9 {floating.pk}" in error.message
    routers.detach(actor=actor, router_id=router.pk, subnet_id=two.pk)


# Whose they are.


def test_routers_of_other_projects_are_not_there(project: Project, router: Router) -> None:
    stranger = make_actor(make_project(), role="admin")
    _, (subnet,) = inside(project, "10.1.0.0/24")
    calls: list[tuple[Any, dict[str, Any]]] = [
        (selectors.router, {}), (routers.update, {"name": "x"}), (routers.delete, {}), (routers.attach, {"subnet_id": subnet.pk}),
        (routers.detach, {"subnet_id": subnet.pk}),
    ]
    for call, given in calls:
        assert refusal(call, actor=stranger, router_id=router.pk, **given).code == "router.not_found"
    assert not selectors.routers(actor=stranger, all_projects=True).exists()
    assert refusal(selectors.router_named, actor=stranger, name="r").code == "router.not_found"
    own = routers.create(actor=stranger, name="own")
    error = refusal(routers.attach, actor=stranger, router_id=own.pk, subnet_id=subnet.pk)
    assert (error.code, error.field) == ("subnet.not_found", "subnet_id")


def test_a_shared_network_is_joined_by_nobody_but_its_owner(actor: Actor, router: Router) -> None:
    _, (subnet,) = inside(make_project(), "10.1.0.0/24", shared=True)
    assert refusal(routers.attach, actor=actor, router_id=router.pk, subnet_id=subnet.pk).code == "network.not_yours"


def test_not_even_operators_join_subnets_of_two_projects(project: Project, router: Router) -> None:
    operator = make_actor(make_project(), operator=True)
    _, (foreign,) = inside(make_project(), "10.1.0.0/24")
    error = refusal(routers.attach, actor=operator, router_id=router.pk, subnet_id=foreign.pk)
    assert (error.kind, error.code) == ("invalid_state", "router.other_project")
    _, (shared,) = inside(None, "10.2.0.0/24", shared=True)
    routers.attach(actor=operator, router_id=router.pk, subnet_id=shared.pk)


def test_readers_read_and_change_nothing(project: Project, router: Router) -> None:
    reader = make_actor(project, role="reader")
    assert selectors.routers(actor=reader).get() == router == selectors.router_named(actor=reader, name="r")
    for call, given in [(routers.create, {"name": "x"}), (routers.delete, {"router_id": router.pk})]:
        assert refusal(call, actor=reader, **given).code == "policy.forbidden"  # type: ignore[arg-type]


def test_every_change_is_in_the_trail(actor: Actor, project: Project, router: Router) -> None:
    _, (subnet,) = inside(project, "10.1.0.0/24")
    seen = Record.objects.order_by("pk").last().pk
    routers.attach(actor=actor, router_id=router.pk, subnet_id=subnet.pk)
    routers.update(actor=actor, router_id=router.pk, snat=False)
    routers.detach(actor=actor, router_id=router.pk, subnet_id=subnet.pk)
    routers.delete(actor=actor, router_id=router.pk)
    rows = Record.objects.order_by("pk").filter(pk__gt=seen, project_id=project.pk, resource_id=str(router.pk))
    assert [(row.action, row.changes) for row in rows] == [
        ("network.router.update", {"subnet": [None, "10.1.0.0/24"], "subnet_id": [None, str(subnet.pk)]}),
        ("network.router.update", {"snat": [True, False]}),
        ("network.router.update", {"subnet": ["10.1.0.0/24", None], "subnet_id": [str(subnet.pk), None]}),
        ("network.router.delete", {}),
    ]


def test_routers_go_with_their_project(actor: Actor, project: Project, router: Router) -> None:
    kept = routers.create(actor=make_actor(make_project()), name="kept")
    routers.forget([project.pk])
    assert list(Router.objects.all()) == [kept]
