"""Whether two ports can talk: read from the database of a little world, by people of several projects, at a fixed cost."""

import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext

from apps.common.context import SYSTEM, Actor
from apps.common.errors import Forbidden, NotFound
from apps.hosts.services import presence
from apps.identity.models import Project
from apps.network.models import HostNetwork, Network, Port, Router, SecurityGroup, Subnet
from apps.network.selectors.trace import trace
from apps.network.services import floating, groups, routers
from apps.network.trace import Hop, Trace
from tests.support.bus import FakeBus
from tests.support.cloud import make_project
from tests.support.commands import as_json, run
from tests.support.fixtures import Time
from tests.support.identity import make_actor
from tests.support.routing import inside, outside, plug
from tests.support.telling import Site, settle

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Town:
    """A project with two networks behind one router, and a port of each on a host of its own."""

    actor: Actor
    hosts: list[Site]
    router: Router
    networks: list[Network]
    subnets: list[Subnet]
    ports: list[Port]
    group: SecurityGroup

    def plug(self, number: int, at: int, host: int, *, name: str = "") -> Port:
        subnet = self.subnets[number]
        port = plug(self.networks[number], (subnet, subnet.cidr.replace("0/24", str(at))), host_id=self.hosts[host].id, dns_name=name)
        groups.set_of_port(actor=self.actor, port_id=port.pk, group_ids=[self.group.pk])
        return port

    def told(self) -> None:
        settle(self.hosts)
        for host in self.hosts:
            host.told()

    def ask(self, source: Port | str, target: Port | str, *, actor: Actor | None = None, **asked: Any) -> Trace:
        ends = [str(each.pk) if isinstance(each, Port) else each for each in (source, target)]
        return trace(actor=actor or self.actor, source=ends[0], target=ends[1], **asked)


@pytest.fixture
def town(bus: FakeBus) -> Town:
    Network.objects.all().delete()  # what every installation has from the start
    outside("203.0.113.0/24")
    project = make_project()
    actor = make_actor(project)
    router = routers.create(actor=actor, name="home")
    networks, subnets = [], []
    for number in (1, 2):
        network, (subnet,) = inside(project, f"10.{number}.0.0/24", name=f"net-{number}")
        routers.attach(actor=actor, router_id=router.pk, subnet_id=subnet.pk)
        networks.append(network)
        subnets.append(subnet)
    group = groups.create(actor=actor, name="web")
    made = Town(actor, [Site(bus, f"hv{n}").start() for n in (1, 2)], router, networks, subnets, [], group)
    made.ports = [made.plug(0, 11, 0, name="web-1"), made.plug(1, 12, 1, name="db-1")]
    made.told()
    return made


def hops(found: Trace) -> dict[str, Hop]:
    return {hop.name: hop for hop in found.hops}


def stopped(found: Trace) -> list[str]:
    return [hop.name for hop in found.hops if hop.ok is False]


def test_only_the_security_group_is_in_the_way_until_it_has_a_rule(town: Town) -> None:
    web, db = town.ports
    closed = town.ask(web, db, port=5432)
    assert closed.verdict == "closed" and stopped(closed) == ["ingress"]
    groups.add_rule(actor=town.actor, group_id=town.group.pk, direction="ingress", family=4, protocol="tcp", first=5432, last=5432)
    behind = town.ask(web, db, port=5432)
    assert behind.verdict == "unsure" and hops(behind)["told"].ok is None
    settle(town.hosts)
    assert [hop.name for hop in town.ask(web, db, port=5432).hops if hop.ok is None] == ["source.host", "target.host"]
    town.told()
    found = town.ask(web, db, port=5432)
    assert found.verdict == "open", found.summary
    assert "of the security group web" in hops(found)["ingress"].detail
    assert stopped(town.ask(web, db, port=5433)) == ["ingress"] and stopped(town.ask(web, db)) == ["ingress"]


def test_members_of_a_group_that_a_rule_names_are_let_in_as_long_as_they_are_members(town: Town) -> None:
    web, db = town.ports
    groups.add_rule(actor=town.actor, group_id=town.group.pk, direction="ingress", family=4, remote_group_id=town.group.pk)
    town.told()
    assert town.ask(web, db).verdict == "open"
    other = groups.create(actor=town.actor, name="other")
    groups.set_of_port(actor=town.actor, port_id=web.pk, group_ids=[other.pk])
    town.told()
    found = town.ask(web, db)
    assert stopped(found) == ["ingress"] and "10.1.0.11 is no member of web" in found.summary


def test_a_subnet_that_is_detached_is_named_as_the_missing_link(town: Town) -> None:
    routers.detach(actor=town.actor, router_id=town.router.pk, subnet_id=town.subnets[1].pk)
    assert hops(town.ask(*town.ports))["router"].fix == "Attach 10.2.0.0/24 to the router home."


def test_a_host_without_tunnel_address_or_heartbeat_shows(town: Town) -> None:
    HostNetwork.objects.filter(pk=town.hosts[1].id).update(tunnel_address=None)
    assert {"transport", "transport.back"} <= set(stopped(town.ask(*town.ports)))


def test_a_silent_host_makes_the_answer_doubtful(town: Town, time_machine: Time) -> None:
    groups.add_rule(actor=town.actor, group_id=town.group.pk, direction="ingress", family=4)
    town.told()
    time_machine.forward(3600)
    presence.mark_silent()
    assert [hop.name for hop in town.ask(*town.ports).hops if hop.ok is None] == ["source.host", "target.host"]


def test_the_way_out_and_the_way_in_by_a_floating_ip(town: Town) -> None:
    web, _ = town.ports
    assert town.ask(web, "198.51.100.7").verdict == "open"
    assert stopped(town.ask("198.51.100.7", web)) == ["floating", "ingress"]
    row = floating.create(actor=town.actor, port_id=web.pk)
    groups.add_rule(actor=town.actor, group_id=town.group.pk, direction="ingress", family=4, protocol="tcp", first=443, last=443)
    town.told()
    assert town.ask("198.51.100.7", web, port=443).verdict == "open"
    assert hops(town.ask(web, "198.51.100.7"))["nat"].detail == f"10.1.0.11 leaves as its floating IP {row.address}."
    through = town.ask(town.ports[1], str(row.address), port=443)
    assert through.verdict == "open" and "floating" in hops(through)


def test_an_address_of_a_port_behind_the_same_router_is_that_port(town: Town) -> None:
    web, _ = town.ports
    assert town.ask(web, "10.2.0.12").hops == town.ask(*town.ports).hops


def test_hosts_are_named_to_operators_only(town: Town) -> None:
    assert "hv1" not in str(town.ask(*town.ports)) and "192.0.2." not in str(town.ask(*town.ports))
    told = str(town.ask(*town.ports, actor=SYSTEM))
    assert "hv1" in told and "hv2" in told


def test_ports_of_another_project_are_not_there(town: Town) -> None:
    stranger = make_actor(make_project())
    for ends in (town.ports, [town.ports[0], "198.51.100.7"], ["198.51.100.7", town.ports[0]]):
        with pytest.raises(NotFound) as caught:
            town.ask(*ends, actor=stranger)
        assert caught.value.code == "port.not_found"
    own, (subnet,) = inside(None, "10.50.0.0/24", shared=True)
    mine = plug(own, (subnet, "10.50.0.9"), project=project_of(stranger))
    theirs = plug(own, (subnet, "10.50.0.10"), project=project_of(town.actor))
    found = town.ask(mine, "10.50.0.10", actor=stranger)
    assert str(theirs.mac) not in str(found) and "target" not in hops(found)


def project_of(actor: Actor) -> Project:
    return Project.objects.get(Q(pk=actor.project_id))


def test_a_role_that_may_not_ask_is_refused(town: Town) -> None:
    nobody = Actor(user_id=uuid.uuid4(), user_name="x", project_id=town.actor.project_id)
    with pytest.raises(Forbidden):
        town.ask(*town.ports, actor=nobody)


def test_the_cost_does_not_grow_with_ports_rules_and_members(town: Town) -> None:
    web, db = town.ports
    groups.add_rule(actor=town.actor, group_id=town.group.pk, direction="ingress", family=4, remote_group_id=town.group.pk)
    before = [_cost(town, web, db), _cost(town, web, "198.51.100.7")]
    for number in range(20):
        town.plug(0, 100 + number, number % 2)
        groups.add_rule(actor=town.actor, group_id=town.group.pk, direction="ingress", family=4, protocol="tcp", first=1000 + number)
    assert [_cost(town, web, db), _cost(town, web, "198.51.100.7")] == before
    assert max(before) <= 13


def _cost(town: Town, source: Port, target: Port | str) -> int:
    with CaptureQueriesContext(connection) as captured:
        town.ask(source, target)
    return len(captured)


# At the shell.


def test_at_the_shell_ports_go_by_the_names_of_their_instances(town: Town) -> None:
    code, text = run("network_trace", "web-1", "db-1", "--port", "5432")
    assert code == 1 and "NO" in text and "tcp port 5432 (IPv4): no." in text and "hv2" in text
    groups.add_rule(actor=town.actor, group_id=town.group.pk, direction="ingress", family=4, protocol="tcp", first=5432, last=5432)
    town.told()
    for source, target in (("web-1", "db-1"), (str(town.ports[0].pk), town.ports[1].mac), ("10.1.0.11", "10.2.0.12")):
        assert as_json("network_trace", source, target, "--port", "5432")["verdict"] == "open"


def test_at_the_shell_a_name_of_several_ports_and_one_of_none_are_refused(town: Town) -> None:
    town.plug(0, 99, 0, name="web-1")
    code, text = run("network_trace", "web-1", "db-1")
    assert code == 2 and "Several ports are called web-1" in text and str(town.ports[0].pk) in text
    code, text = run("network_trace", "nobody", "db-1")
    assert code == 2 and "No port of an instance is called nobody" in text
    assert run("network_trace", str(uuid.uuid4()), "db-1")[0] == 3
