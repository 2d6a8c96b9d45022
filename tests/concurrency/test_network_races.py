"""Routers, floating IPs and security groups while several change them at once: one wins, the others are told why, nothing is left over."""

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from django.db import transaction

from apps.audit.models import Record
from apps.common.context import SYSTEM, Actor
from apps.common.errors import CloudError, Conflict, InvalidState, NoCapacity, NotFound
from apps.identity.models import Project
from apps.identity.services import projects
from apps.network.models import (
    FixedIP,
    FloatingIP,
    Network,
    Port,
    PortGroup,
    Router,
    RouterInterface,
    Rule,
    SecurityGroup,
    Subnet,
)
from apps.network.services import floating, groups, ports, routers, subnets
from apps.quotas.models import Usage
from tests.support.bus import FakeBus
from tests.support.cloud import make_project, unlimited
from tests.support.identity import make_actor
from tests.support.postgres import Deadlocks
from tests.support.routing import inside, outside, plug
from tests.support.threads import errors, together, unexpected

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 8


@dataclass
class Site:
    """A project with a routed network and a way out."""

    project: Project
    actor: Actor
    way: Network
    router: Router
    network: Network
    subnet: Subnet

    def port(self, number: int, **fields: Any) -> Port:
        return plug(self.network, (self.subnet, f"10.1.0.{number}"), **fields)


@pytest.fixture
def site(bus: FakeBus, deadlocks: Deadlocks) -> Site:
    unlimited()
    Network.objects.all().delete()  # what every installation has from the start
    way, project = outside("203.0.113.0/24"), make_project()
    actor = make_actor(project)
    network, (subnet,) = inside(project, "10.1.0.0/24")
    router = routers.create(actor=actor, name="r")
    routers.attach(actor=actor, router_id=router.pk, subnet_id=subnet.pk)
    return Site(project, actor, way, router, network, subnet)


@pytest.fixture(autouse=True)
def _no_deadlock(deadlocks: Deadlocks) -> Any:
    yield
    assert deadlocks() == 0, deadlocks.details()


def race(*calls: Callable[[], Any]) -> tuple[list[Any], list[CloudError]]:
    """What the winners got, and what the others were told; nothing but refusals may come of it."""
    results = together(calls)
    assert unexpected(results, Conflict, InvalidState, NotFound, NoCapacity) == []
    return [result for result in results if not isinstance(result, BaseException)], errors(results)  # type: ignore[return-value]


# Floating IPs.


def test_of_two_floating_ips_for_one_fixed_address_one_gets_it(site: Site) -> None:
    for number in range(ROUNDS):
        port = site.port(10 + number)
        rows = [floating.create(actor=site.actor) for _ in range(3)]
        calls = [partial(floating.associate, actor=site.actor, floating_ip_id=row.pk, port_id=port.pk) for row in rows]
        won, lost = race(*calls, partial(floating.create, actor=site.actor, port_id=port.pk))
        assert len(won) == 1
        assert {error.code for error in lost} == {"floating_ip.fixed_taken"}
        assert FloatingIP.objects.filter(fixed_ip__port=port).count() == 1
    assert Usage.objects.get().floating_ips == FloatingIP.objects.count() == Port.objects.filter(device_kind="floating_ip").count()


def test_a_floating_ip_that_many_move_at_once_ends_where_one_of_them_wanted_it(site: Site) -> None:
    network, (subnet,) = inside(site.project, "10.2.0.0/24")
    other = routers.create(actor=site.actor, name="other")
    routers.attach(actor=site.actor, router_id=other.pk, subnet_id=subnet.pk)
    targets = [site.port(10 + number) for number in range(4)] + [plug(network, (subnet, f"10.2.0.{number}")) for number in range(10, 14)]
    row = floating.create(actor=site.actor)
    moves = [partial(floating.associate, actor=site.actor, floating_ip_id=row.pk, port_id=port.pk) for port in targets]
    for _ in range(3):
        won, lost = race(*moves, *[partial(floating.disassociate, actor=site.actor, floating_ip_id=row.pk)] * 2)
        assert (len(won), lost) == (10, [])
    row.refresh_from_db()
    assert row.fixed_ip is None or (row.fixed_ip.port in targets and row.router.networks.get() == row.fixed_ip.port.network)
    # Each has begun where another one had ended.
    records = Record.objects.filter(action="network.floating_ip.update", resource_id=str(row.pk))
    steps = [changes["fixed_address"] for changes in records.values_list("changes", flat=True)]
    ended = [None, *(after for _, after in steps)]
    assert Counter(ended) == Counter([*(before for before, _ in steps), row.fixed_ip.address if row.fixed_ip else None])


def test_a_port_that_goes_while_a_floating_ip_comes_leaves_it_standing_for_nothing(site: Site) -> None:
    for number in range(ROUNDS):
        port = site.port(10 + number, device_kind="", device_id=None)
        row = floating.create(actor=site.actor)
        won, lost = race(
            partial(floating.associate, actor=site.actor, floating_ip_id=row.pk, port_id=port.pk),
            partial(ports.delete, actor=site.actor, port_id=port.pk),
        )
        assert [error.code for error in lost] in ([], ["port.not_found"])
        row.refresh_from_db()
        assert (row.fixed_ip, row.router) == (None, None)
        assert not Port.objects.filter(pk=port.pk).exists()


def test_a_router_loses_nothing_that_a_floating_ip_has_just_come_to_need(site: Site) -> None:
    """Its subnet and its way out, at the moment in which a floating IP is led through them."""
    port, row = site.port(10), floating.create(actor=site.actor)
    for _ in range(ROUNDS):
        race(
            partial(floating.associate, actor=site.actor, floating_ip_id=row.pk, port_id=port.pk),
            partial(routers.detach, actor=site.actor, router_id=site.router.pk, subnet_id=site.subnet.pk),
            partial(routers.update, actor=site.actor, router_id=site.router.pk, external_network_id=None),
        )
        row.refresh_from_db()
        site.router.refresh_from_db()
        attached = RouterInterface.objects.filter(router=site.router, subnet=site.subnet).exists()
        if row.fixed_ip_id is not None:
            assert attached and site.router.external_network == site.way
        floating.disassociate(actor=site.actor, floating_ip_id=row.pk)
        routers.update(actor=site.actor, router_id=site.router.pk, external_network_id=site.way.pk)
        if not attached:
            routers.attach(actor=site.actor, router_id=site.router.pk, subnet_id=site.subnet.pk)


def test_the_last_floating_addresses_are_given_once_each_and_all_of_them(site: Site) -> None:
    small = outside("198.51.100.0/28")
    given, lost = race(*[partial(floating.create, actor=site.actor, network_id=small.pk)] * 24)
    assert len({str(row.address) for row in given}) == len(given) == 14
    assert {error.code for error in lost} == {"network.full"}
    assert Usage.objects.get().floating_ips == FixedIP.objects.filter(port__device_kind="floating_ip").count() == 14


def test_a_floating_ip_deleted_twice_is_given_back_once(site: Site) -> None:
    for _ in range(ROUNDS):
        row = floating.create(actor=site.actor, address="203.0.113.7", port_id=None)
        won, lost = race(*[partial(floating.delete, actor=site.actor, floating_ip_id=row.pk)] * 3)
        assert len(won) == 1
        assert {error.code for error in lost} == {"floating_ip.not_found"}
        assert Usage.objects.get().floating_ips == 0


# Routers.


def test_of_two_routers_for_one_network_one_gets_it(site: Site) -> None:
    for number in range(ROUNDS):
        network, pair = inside(site.project, f"10.{number + 2}.0.0/24", f"fd00:{number + 2}::/64")
        made = [routers.create(actor=site.actor, name=f"{number}-{which}") for which in range(2)]
        won, lost = race(*[
            partial(routers.attach, actor=site.actor, router_id=router.pk, subnet_id=subnet.pk) for router in made for subnet in pair
        ])
        assert {error.code for error in lost} <= {"network.routed", "router.attached"}
        interfaces = list(RouterInterface.objects.filter(subnet__network=network))
        network.refresh_from_db()
        assert {interface.router_id for interface in interfaces} == {network.router_id}
        assert len(won) == len(interfaces) == 2


def test_overlapping_subnets_do_not_come_to_one_router_at_once(site: Site) -> None:
    for number in range(ROUNDS):
        wanted = [inside(site.project, f"10.{number + 2}.0.0/24")[1][0] for _ in range(4)]
        won, lost = race(*[partial(routers.attach, actor=site.actor, router_id=site.router.pk, subnet_id=each.pk) for each in wanted])
        assert len(won) == 1
        assert {error.code for error in lost} == {"subnet.overlap"}


def test_the_same_addresses_do_not_come_to_both_sides_of_a_router_at_once(site: Site) -> None:
    for number in range(ROUNDS):
        _, (subnet,) = inside(site.project, f"10.{number + 2}.0.0/24")
        won, lost = race(
            partial(routers.attach, actor=site.actor, router_id=site.router.pk, subnet_id=subnet.pk),
            partial(subnets.create, actor=SYSTEM, network_id=site.way.pk, cidr=f"10.{number + 2}.0.0/20"),
        )
        assert len(won) == 1
        assert {error.code for error in lost} == {"subnet.overlap"}


def test_a_router_does_not_get_a_way_out_while_that_gets_the_addresses_of_its_inside(site: Site) -> None:
    for number in range(ROUNDS):
        router = routers.create(actor=site.actor, name=f"r{number}", external_network_id=None)
        _, (subnet,) = inside(site.project, f"10.{number + 2}.0.0/24")
        routers.attach(actor=site.actor, router_id=router.pk, subnet_id=subnet.pk)
        won, lost = race(
            partial(routers.update, actor=site.actor, router_id=router.pk, external_network_id=site.way.pk),
            partial(subnets.create, actor=SYSTEM, network_id=site.way.pk, cidr=f"10.{number + 2}.0.0/20"),
        )
        assert len(won) == 1
        assert {error.code for error in lost} == {"subnet.overlap"}


def test_a_router_that_changes_its_way_out_while_a_subnet_comes_never_leads_to_the_same_addresses(site: Site) -> None:
    _, (subnet,) = inside(site.project, "10.2.0.0/24")
    other = outside("10.2.0.0/20", is_default=False)
    attached = partial(routers.attach, actor=site.actor, router_id=site.router.pk, subnet_id=subnet.pk)
    for _ in range(ROUNDS):
        _, lost = race(attached, partial(routers.update, actor=site.actor, router_id=site.router.pk, external_network_id=other.pk))
        assert [error.code for error in lost] in (["subnet.overlap"], ["router.contended"])
        if RouterInterface.objects.filter(subnet=subnet).exists():
            routers.detach(actor=site.actor, router_id=site.router.pk, subnet_id=subnet.pk)
        routers.update(actor=site.actor, router_id=site.router.pk, external_network_id=site.way.pk)


def test_a_subnet_is_attached_or_deleted_and_not_both(site: Site) -> None:
    for number in range(ROUNDS):
        network, (subnet,) = inside(site.project, f"10.{number + 2}.0.0/24")
        won, lost = race(
            partial(routers.attach, actor=site.actor, router_id=site.router.pk, subnet_id=subnet.pk),
            partial(subnets.delete, actor=site.actor, subnet_id=subnet.pk),
        )
        attached = RouterInterface.objects.filter(subnet_id=subnet.pk).exists()
        assert [error.code for error in lost] == (["subnet.in_use"] if attached else ["subnet.not_found"])
        assert Subnet.objects.filter(pk=subnet.pk).exists() == attached
        network.refresh_from_db()
        assert network.router_id == (site.router.pk if attached else None)


def test_a_network_that_loses_its_subnets_while_others_come_knows_its_router(site: Site) -> None:
    network, pair = inside(site.project, "10.2.0.0/24", "10.3.0.0/24")
    for _ in range(ROUNDS):
        race(*[
            partial(call, actor=site.actor, router_id=site.router.pk, subnet_id=subnet.pk)
            for call in (routers.attach, routers.detach) for subnet in pair
        ])
        network.refresh_from_db()
        attached = RouterInterface.objects.filter(subnet__network=network).exists()
        assert network.router_id == (site.router.pk if attached else None)


def test_a_router_that_is_deleted_joins_nothing(site: Site) -> None:
    for number in range(ROUNDS):
        network, (subnet,) = inside(site.project, f"10.{number + 2}.0.0/24")
        router = routers.create(actor=site.actor, name=f"r{number}")
        race(
            partial(routers.attach, actor=site.actor, router_id=router.pk, subnet_id=subnet.pk),
            partial(routers.delete, actor=site.actor, router_id=router.pk),
        )
        network.refresh_from_db()
        there = Router.objects.filter(pk=router.pk).exists()
        assert RouterInterface.objects.filter(subnet=subnet).exists() == there == (network.router_id is not None)


# Security groups.


def test_a_project_that_is_deleted_leaves_no_router_whoever_makes_one_or_joins_something_to_one(site: Site) -> None:
    ends: Counter[bool] = Counter()
    for _ in range(ROUNDS):
        project = make_project()
        actor = make_actor(project)
        router = routers.create(actor=actor, name="r")
        shared, (subnet,) = inside(None, "10.9.0.0/24", shared=True)
        made, errors = race(
            partial(projects.delete_project, actor=SYSTEM, project_id=project.pk),
            *[partial(routers.create, actor=actor, name=f"r{number}") for number in range(3)],
            partial(routers.attach, actor=SYSTEM, router_id=router.pk, subnet_id=subnet.pk),
        )
        assert {error.code for error in errors} <= {"project.in_use", "project.not_found", "router.not_found"}
        gone = not Project.objects.filter(pk=project.pk).exists()
        shared.refresh_from_db()
        assert gone == (not Router.objects.filter(project_id=project.pk).exists()) == (shared.router_id is None)
        ends[gone] += 1
    assert ends.total() == ROUNDS


def test_a_group_is_joined_or_deleted_and_not_both(site: Site) -> None:
    members = [site.port(10 + number) for number in range(4)]
    for number in range(ROUNDS):
        group = groups.create(actor=site.actor, name=f"g{number}")
        won, lost = race(
            *[partial(groups.set_of_port, actor=site.actor, port_id=port.pk, group_ids=[group.pk]) for port in members],
            partial(groups.delete, actor=site.actor, group_id=group.pk),
        )
        there = SecurityGroup.objects.filter(pk=group.pk).exists()
        assert {error.code for error in lost} == ({"security_group.in_use"} if there else {"security_group.not_found"})
        assert PortGroup.objects.filter(group_id=group.pk).count() == (len(members) if there else 0)
    made = SecurityGroup.objects.filter(is_default=False).count()
    assert Usage.objects.get().security_groups == made


def test_a_group_is_named_by_a_rule_or_deleted_and_not_both(site: Site) -> None:
    naming = groups.create(actor=site.actor, name="naming")
    for number in range(ROUNDS):
        group = groups.create(actor=site.actor, name=f"g{number}")
        won, lost = race(
            partial(groups.add_rule, actor=site.actor, group_id=naming.pk, direction="ingress", remote_group_id=group.pk),
            partial(groups.delete, actor=site.actor, group_id=group.pk),
        )
        assert len(won) == len(lost) == 1
        there = SecurityGroup.objects.filter(pk=group.pk).exists()
        assert Rule.objects.filter(remote_group_id=group.pk).exists() == there


def test_two_groups_that_come_to_name_each_other_do_not_wait_for_each_other(site: Site) -> None:
    pair = [groups.create(actor=site.actor, name=name) for name in "ab"]
    for number in range(ROUNDS):
        calls = [
            partial(
                groups.add_rule, actor=site.actor, group_id=one.pk, direction="ingress", protocol="tcp", first=10 * number + port,
                remote_group_id=other.pk,
            )
            for port in range(1, 5) for one, other in (pair, reversed(pair))
        ]
        won, lost = race(*calls)
        assert (len(won), lost) == (8, [])


def test_the_same_rule_added_at_once_is_there_once(site: Site) -> None:
    group = groups.create(actor=site.actor, name="g")
    for port in range(1, ROUNDS + 1):
        won, lost = race(*[
            partial(groups.add_rule, actor=site.actor, group_id=group.pk, direction="ingress", protocol="tcp", first=port)
        ] * 4)
        assert {error.code for error in lost} == {"rule.exists"}
        assert {error.facts["rule_id"] for error in lost} == {str(won[0].pk)}
        assert len(won) == 1


def test_a_port_that_two_put_into_groups_at_once_is_in_those_of_one_of_them(site: Site) -> None:
    port = site.port(10)
    made = [groups.create(actor=site.actor, name=name).pk for name in "abcd"]
    for _ in range(ROUNDS):
        race(*[partial(groups.set_of_port, actor=site.actor, port_id=port.pk, group_ids=chosen) for chosen in (made[:2], made[2:], made[1:3])])
        now = set(PortGroup.objects.filter(port=port).values_list("group_id", flat=True))
        assert now in (set(made[:2]), set(made[2:]), set(made[1:3]))


def test_the_default_group_is_made_once_also_by_those_who_are_in_the_middle_of_something(bus: FakeBus) -> None:
    projects = sorted(make_project().pk for _ in range(ROUNDS))

    def ensure() -> list[uuid.UUID]:
        with transaction.atomic():
            return [groups.ensure_default(project_id).pk for project_id in projects]

    won, lost = race(*[ensure] * 6)
    assert lost == []
    assert won == [won[0]] * 6
    assert (SecurityGroup.objects.count(), Rule.objects.count()) == (ROUNDS, 4 * ROUNDS)
