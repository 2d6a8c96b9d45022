"""What a project has without asking: made whole on first use, and gone with the project unless somebody uses it."""

import dataclasses

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.common.context import SYSTEM, Actor
from apps.identity.models import Project
from apps.identity.services import holdings, projects
from apps.network import builtin
from apps.network.models import (
    AddressSpan,
    Change,
    Network,
    Router,
    RouterInterface,
    SecurityGroup,
    SegmentPool,
    Subnet,
)
from apps.network.services import audit, defaults, floating, networks, ports, routers, subnets
from apps.quotas.services import audit as quotas
from apps.quotas.services import limits
from tests.support.cloud import make_project, refusal
from tests.support.identity import make_actor
from tests.support.routing import plug

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def actor(project: Project) -> Actor:
    return make_actor(project)


def test_the_first_use_makes_network_router_and_group(actor: Actor, project: Project) -> None:
    made = defaults.ensure(actor=actor)
    router, group = Router.objects.get(project_id=project.pk), SecurityGroup.objects.get(project_id=project.pk)
    assert {row.name for row in (made, router, group)} == {"default"}
    assert all(row.is_default for row in (made, router, group))
    four, six = Subnet.objects.order_by("family")
    assert (four.cidr, six.cidr[:2], six.cidr[-3:], six.ipv6_mode) == (settings.ENV.network_cidr, "fd", "/64", "dhcpv6")
    assert {each.subnet for each in router.interfaces.all()} == {four, six}
    assert (made.router, Network.objects.get(pk=made.pk).router) == (router, router)
    assert router.external_network_id == builtin.OUTSIDE_ID
    assert audit.drifts() == []
    assert quotas.drifts() == []


def test_later_uses_find_it_by_one_query(actor: Actor) -> None:
    made = defaults.ensure(actor=actor)
    with CaptureQueriesContext(connection, ) as asked:
        assert defaults.ensure(actor=actor) == made
    assert len(asked) == 1


def test_a_reader_finds_it_and_does_not_make_it(project: Project, actor: Actor) -> None:
    reader = make_actor(project, role="reader")
    assert refusal(defaults.ensure, actor=reader).kind == "forbidden"
    made = defaults.ensure(actor=actor)
    assert defaults.ensure(actor=reader) == made


def test_who_may_make_networks_gets_it_whole_without_a_role_for_routers(actor: Actor) -> None:
    defaults.ensure(actor=dataclasses.replace(actor, grants=frozenset({"network.network.create"})))
    assert RouterInterface.objects.count() == 2


def test_another_network_of_its_name_is_not_taken_for_it(actor: Actor) -> None:
    networks.create(actor=actor, name="default")
    error = refusal(defaults.ensure, actor=actor)
    assert (error.kind, error.code, error.field) == ("conflict", "network.no_default", "network_id")
    assert not Router.objects.exists()


def test_another_router_of_its_name_is_left_alone(actor: Actor) -> None:
    own = routers.create(actor=actor, name="default")
    made = defaults.ensure(actor=actor)
    assert made.router != own
    assert made.router is not None
    assert made.router.name.startswith("default-")


def test_made_anew_it_uses_the_router_that_is_left_unless_the_ranges_overlap(actor: Actor) -> None:
    def drop(network: Network) -> None:
        for interface in RouterInterface.objects.filter(subnet__network=network):
            routers.detach(actor=actor, router_id=interface.router_id, subnet_id=interface.subnet_id)
        networks.delete(actor=actor, network_id=network.pk)

    first = defaults.ensure(actor=actor)
    drop(first)
    second = defaults.ensure(actor=actor)
    assert second.router == first.router
    drop(second)
    other = networks.create(actor=actor, name="other")
    subnet = subnets.create(actor=actor, network_id=other.pk, cidr="10.64.8.0/24")
    assert first.router is not None
    routers.attach(actor=actor, router_id=first.router.pk, subnet_id=subnet.pk)
    third = defaults.ensure(actor=actor)
    assert third.router != first.router
    assert Router.objects.filter(is_default=True).count() == 1


def test_without_segments_or_quota_nothing_of_it_is_left(actor: Actor, project: Project) -> None:
    limits.set_limits(actor=SYSTEM, owner_id=project.pk, limits={"networks": 0})
    assert refusal(defaults.ensure, actor=actor).kind == "quota_exceeded"
    SegmentPool.objects.all().delete()
    assert refusal(defaults.ensure, actor=actor).code == "segment.exhausted"
    assert not Network.objects.filter(project_id=project.pk).exists()
    assert not Router.objects.exists()
    assert not SecurityGroup.objects.exists()


def test_ranges_that_the_way_out_has_are_told_as_such(actor: Actor) -> None:
    outside = networks.create(actor=SYSTEM, name="x", kind="vxlan", external=True)
    subnets.create(actor=SYSTEM, network_id=outside.pk, cidr="10.64.0.0/24")
    networks.update(actor=SYSTEM, network_id=builtin.OUTSIDE_ID, is_default=False)
    networks.update(actor=SYSTEM, network_id=outside.pk, is_default=True)
    assert refusal(defaults.ensure, actor=actor).code == "subnet.overlap"


def test_a_project_takes_its_unused_defaults_with_it(actor: Actor, project: Project) -> None:
    defaults.ensure(actor=actor)
    assert holdings.left_in([project.pk]) == ({}, set())
    projects.delete_project(actor=SYSTEM, project_id=project.pk)
    assert list(Network.objects.values_list("pk", flat=True)) == [builtin.OUTSIDE_ID]
    for model in (Router, SecurityGroup, Subnet, RouterInterface, AddressSpan):
        assert not model._default_manager.exists(), model
    assert Change.objects.filter(kind="domain").exists()


def test_a_project_whose_defaults_are_used_stays_whole(actor: Actor, project: Project) -> None:
    made = defaults.ensure(actor=actor)
    plug(made)
    assert holdings.left_in([project.pk])[0] == {"networks": 1, "ports": 1}
    error = refusal(projects.delete_project, actor=SYSTEM, project_id=project.pk)
    assert (error.code, error.facts["in_use"]) == ("project.in_use", {"networks": 1, "ports": 1})
    assert Network.objects.filter(pk=made.pk).exists()
    assert RouterInterface.objects.count() == 2


def test_a_project_stays_while_its_router_is_the_one_of_a_network_that_others_use(actor: Actor, project: Project) -> None:
    defaults.ensure(actor=actor)
    router = routers.create(actor=actor, name="r")
    shared = networks.create(actor=SYSTEM, name="shared", kind="vxlan", shared=True)
    subnet = subnets.create(actor=SYSTEM, network_id=shared.pk, cidr="10.9.0.0/24")
    routers.attach(actor=SYSTEM, router_id=router.pk, subnet_id=subnet.pk)
    assert holdings.left_in([project.pk]) == ({"routers": 1}, {project.pk})
    error = refusal(projects.delete_project, actor=SYSTEM, project_id=project.pk)
    assert (error.code, error.facts["in_use"]) == ("project.in_use", {"routers": 1})
    assert Router.objects.filter(project_id=project.pk).count() == 2
    assert RouterInterface.objects.count() == 3
    routers.detach(actor=SYSTEM, router_id=router.pk, subnet_id=subnet.pk)
    projects.delete_project(actor=SYSTEM, project_id=project.pk)
    assert not Router.objects.exists()
    assert list(Network.objects.exclude(pk=builtin.OUTSIDE_ID)) == [shared]


def test_a_project_stays_while_others_have_ports_in_its_network(actor: Actor, project: Project) -> None:
    other = make_project()
    made = networks.update(actor=SYSTEM, network_id=defaults.ensure(actor=actor).pk, shared=True)
    port = ports.create(actor=make_actor(other), network_id=made.pk)
    error = refusal(projects.delete_project, actor=SYSTEM, project_id=project.pk)
    assert error.facts["in_use"] == {"networks": 1}
    assert refusal(projects.delete_project, actor=SYSTEM, project_id=other.pk).facts["in_use"] == {"ports": 1}
    ports.delete(actor=make_actor(other), port_id=port.pk)
    projects.delete_project(actor=SYSTEM, project_id=other.pk)
    networks.update(actor=SYSTEM, network_id=made.pk, shared=False)
    projects.delete_project(actor=SYSTEM, project_id=project.pk)
    assert list(Network.objects.all()) == [Network.objects.get(pk=builtin.OUTSIDE_ID)]


def test_a_project_stays_while_it_has_an_address_outside_or_a_port_in_a_shared_network(actor: Actor, project: Project) -> None:
    subnets.create(actor=SYSTEM, network_id=builtin.OUTSIDE_ID, cidr="203.0.113.0/28")
    shared = networks.create(actor=SYSTEM, name="shared", kind="vxlan", shared=True, cidr="10.9.0.0/24")
    port, address = ports.create(actor=actor, network_id=shared.pk), floating.create(actor=actor)
    error = refusal(projects.delete_project, actor=SYSTEM, project_id=project.pk)
    assert error.facts["in_use"] == {"ports": 1, "floating_ips": 1}
    ports.delete(actor=actor, port_id=port.pk)
    floating.delete(actor=actor, floating_ip_id=address.pk)
    projects.delete_project(actor=SYSTEM, project_id=project.pk)
    assert not SecurityGroup.objects.exists()
    assert audit.drifts() == []
    assert quotas.drifts() == []


def test_a_network_that_somebody_made_keeps_its_project(actor: Actor, project: Project) -> None:
    defaults.ensure(actor=actor)
    networks.create(actor=actor, name="own")
    error = refusal(projects.delete_project, actor=SYSTEM, project_id=project.pk)
    assert error.facts["in_use"] == {"networks": 1}
    assert Network.objects.filter(project_id=project.pk).count() == 2
