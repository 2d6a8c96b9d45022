"""Floating IPs: claimed, led to a port and away from it, given back; and which link is missing when nothing leads there."""

import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.audit.models import Record
from apps.common.context import SYSTEM, Actor
from apps.identity.models import Project
from apps.network import selectors
from apps.network.models import Change, FixedIP, FloatingIP, Network, Port, Router, Subnet
from apps.network.services import floating, plugs, ports, routers
from apps.quotas.models import Usage
from apps.quotas.services import limits
from tests.support.cloud import make_project, refusal
from tests.support.identity import NOBODY, make_actor
from tests.support.routing import add_subnet, inside, outside, plug

pytestmark = pytest.mark.django_db


@dataclass
class Site:
    """A project with a routed network, and a way out of it."""

    project: Project
    actor: Actor
    way: Network
    router: Router
    network: Network
    subnet: Subnet

    def port(self, number: int, **fields: Any) -> Port:
        return plug(self.network, (self.subnet, f"10.1.0.{number}"), **fields)

    def create(self, **given: Any) -> FloatingIP:
        return floating.create(actor=self.actor, **given)

    def associate(self, row: FloatingIP, port: Port, **given: Any) -> FloatingIP:
        return floating.associate(actor=self.actor, floating_ip_id=row.pk, port_id=port.pk, **given)


@pytest.fixture
def site() -> Site:
    Network.objects.all().delete()  # what every installation has from the start
    way, project = outside("203.0.113.0/28"), make_project()
    actor = make_actor(project)
    network, (subnet,) = inside(project, "10.1.0.0/24", name="lan")
    router = routers.create(actor=actor, name="r")
    routers.attach(actor=actor, router_id=router.pk, subnet_id=subnet.pk)
    return Site(project, actor, way, router, network, subnet)


def told() -> list[tuple[uuid.UUID, uuid.UUID | None]]:
    """Floating IPs, and the routers that lead or led to them, of which hosts are to be told since this was asked last."""
    found = sorted(Change.objects.filter(kind="floating_ip").values_list("ref", "domain"))
    Change.objects.all().delete()
    return found


def leads_to(row: FloatingIP) -> str | None:
    row.refresh_from_db()
    assert (row.fixed_ip is None) == (row.router is None)
    return str(row.fixed_ip.address) if row.fixed_ip else None


# Claimed and given back.


def test_any_address_comes_from_the_default_way_out(site: Site) -> None:
    row = site.create(description="for the office")
    assert (row.network, row.project_id, row.description) == (site.way, site.project.pk, "for the office")
    assert str(row.address).startswith("203.0.113.") and leads_to(row) is None
    assert (row.port.device_kind, row.port.device_id, row.port.project_id) == ("floating_ip", row.pk, site.project.pk)
    assert row.port.fixed_ips.get().address == row.address


def test_a_named_address_is_given_or_refused(site: Site) -> None:
    assert site.create(address="203.0.113.7").address == "203.0.113.7"
    error = refusal(site.create, address="203.0.113.7")
    assert (error.kind, error.code, error.field, error.facts["holder"]) == ("conflict", "address.taken", "address", "floating_ip")
    assert refusal(site.create, address="198.51.100.1").field == "address"
    assert refusal(site.create, address="nonsense").code == "address.invalid"
    assert (FloatingIP.objects.count(), Port.objects.count()) == (1, 1)


def test_addresses_come_from_external_networks_only(site: Site) -> None:
    error = refusal(site.create, network_id=site.network.pk)
    assert (error.kind, error.code, error.field) == ("invalid_state", "network.not_external", "network_id")
    assert refusal(site.create, network_id=NOBODY).code == "network.not_found"
    other = outside("198.51.100.0/28")
    assert site.create(network_id=other.pk).network == other


def test_without_a_default_way_out_one_must_be_named(site: Site) -> None:
    Network.objects.filter(pk=site.way.pk).update(is_default=False)
    error = refusal(site.create)
    assert (error.kind, error.code, error.field) == ("not_found", "network.no_default_external", "network_id")
    assert site.create(port_id=site.port(5).pk).network == site.way  # its router says which


def test_a_way_out_without_addresses_says_so(site: Site) -> None:
    empty = outside()
    error = refusal(site.create, network_id=empty.pk)
    assert (error.kind, error.code, error.field) == ("invalid_state", "floating_ip.no_addresses", "network_id")
    assert refusal(site.create, port_id=site.port(5).pk, fixed_address="fd00::1").code == "floating_ip.no_addresses"


def test_an_empty_pool_answers_so(site: Site) -> None:
    small = outside("198.51.100.0/30")
    given = {str(site.create(network_id=small.pk).address) for _ in range(2)}
    assert given == {"198.51.100.1", "198.51.100.2"}
    error = refusal(site.create, network_id=small.pk)
    assert (error.kind, error.code) == ("no_capacity", "network.full")


def test_floating_ips_count_against_the_quota_and_their_ports_do_not(site: Site) -> None:
    limits.set_limits(actor=SYSTEM, owner_id=site.project.pk, limits={"floating_ips": 1, "ports": 0})
    row = site.create()
    error = refusal(site.create)
    assert (error.code, error.facts["resource"]) == ("quota.exceeded", "floating_ips")
    usage = Usage.objects.get(pk=site.project.pk)
    assert (usage.floating_ips, usage.ports) == (1, 0)
    counted = selectors.usage([site.project.pk])[site.project.pk]
    assert (counted["floating_ips"], counted["ports"]) == (1, 0)
    floating.delete(actor=site.actor, floating_ip_id=row.pk)
    assert Usage.objects.get(pk=site.project.pk).floating_ips == 0
    site.create()


def test_deleting_gives_the_address_back_and_ends_what_it_stood_for(site: Site) -> None:
    row = site.create(address="203.0.113.7", port_id=site.port(5).pk)
    told()
    floating.delete(actor=site.actor, floating_ip_id=row.pk)
    assert told() == [(row.pk, site.router.pk)]
    assert (FloatingIP.objects.count(), FixedIP.objects.filter(address="203.0.113.7").count()) == (0, 0)
    assert site.create(address="203.0.113.7").address == "203.0.113.7"
    assert refusal(floating.delete, actor=site.actor, floating_ip_id=row.pk).code == "floating_ip.not_found"


# Led to a port, to another one, and to none.


def test_it_stands_for_the_ports_address_from_the_start(site: Site) -> None:
    row = site.create(port_id=site.port(5).pk)
    assert (leads_to(row), row.router, told()) == ("10.1.0.5", site.router, [(row.pk, site.router.pk)])


def test_a_missing_link_leaves_no_address_behind(site: Site) -> None:
    routers.detach(actor=site.actor, router_id=site.router.pk, subnet_id=site.subnet.pk)
    assert refusal(site.create, port_id=site.port(5).pk).code == "floating_ip.no_path"
    assert (FloatingIP.objects.count(), Port.objects.count()) == (0, 1)


def test_it_moves_to_another_port_in_one_call(site: Site) -> None:
    row = site.create()
    site.associate(row, site.port(5))
    told()
    assert leads_to(site.associate(row, site.port(6))) == "10.1.0.6"
    assert told() == [(row.pk, site.router.pk)]


def test_it_moves_between_routers_and_hosts_of_both_are_told(site: Site) -> None:
    network, (subnet,) = inside(site.project, "10.2.0.0/24")
    other = routers.create(actor=site.actor, name="other")
    routers.attach(actor=site.actor, router_id=other.pk, subnet_id=subnet.pk)
    row = site.create(port_id=site.port(5).pk)
    told()
    site.associate(row, plug(network, (subnet, "10.2.0.5")))
    assert (leads_to(row), row.router) == ("10.2.0.5", other)
    assert told() == sorted([(row.pk, site.router.pk), (row.pk, other.pk)])


def test_it_is_taken_away_and_again_is_no_error(site: Site) -> None:
    row = site.create(port_id=site.port(5).pk)
    told()
    for expected in ([(row.pk, site.router.pk)], []):
        floating.disassociate(actor=site.actor, floating_ip_id=row.pk)
        assert (leads_to(row), told()) == (None, expected)


def test_the_same_port_again_changes_nothing(site: Site) -> None:
    port = site.port(5)
    row = site.create(port_id=port.pk)
    told()
    records = Record.objects.count()
    site.associate(row, port)
    assert (told(), Record.objects.count()) == ([], records)


def test_a_fixed_address_has_one_floating_ip(site: Site) -> None:
    port = site.port(5)
    first, second = site.create(port_id=port.pk), site.create()
    for error in (refusal(site.associate, second, port), refusal(site.create, port_id=port.pk)):
        assert (error.kind, error.code, error.facts) == ("conflict", "floating_ip.fixed_taken", {"floating_ip_id": str(first.pk)})
        assert str(first.address) in error.message
    with pytest.raises(IntegrityError), transaction.atomic():
        FloatingIP.objects.filter(pk=second.pk).update(fixed_ip=first.fixed_ip, router=first.router)


def test_of_several_addresses_one_must_be_named(site: Site) -> None:
    port = plug(site.network, (site.subnet, "10.1.0.5"), (site.subnet, "10.1.0.6"))
    row = site.create()
    error = refusal(site.associate, row, port)
    assert (error.kind, error.code, error.field) == ("invalid", "floating_ip.fixed_address", "fixed_address")
    assert "10.1.0.5, 10.1.0.6" in error.message
    assert leads_to(site.associate(row, port, fixed_address="10.1.0.6")) == "10.1.0.6"
    assert leads_to(site.create(port_id=port.pk, fixed_address="10.1.0.5")) == "10.1.0.5"
    for wrong in ("10.1.0.7", "nonsense", "fd00::1"):
        assert refusal(site.associate, row, port, fixed_address=wrong).code == "floating_ip.fixed_address"


def test_of_several_addresses_the_only_one_that_is_routed_is_meant(site: Site) -> None:
    aside = add_subnet(site.network, "10.7.0.0/24")
    port = plug(site.network, (aside, "10.7.0.5"), (site.subnet, "10.1.0.5"))
    assert leads_to(site.create(port_id=port.pk)) == "10.1.0.5"


def test_families_go_together(site: Site) -> None:
    sixth = add_subnet(site.network, "fd00:1::/64")
    routers.attach(actor=site.actor, router_id=site.router.pk, subnet_id=sixth.pk)
    only_six, both = plug(site.network, (sixth, "fd00:1::5")), plug(site.network, (site.subnet, "10.1.0.5"), (sixth, "fd00:1::6"))
    assert refusal(site.create, port_id=only_six.pk).code == "floating_ip.fixed_address"
    add_subnet(site.way, "2001:db8::/64", gateway=None)
    assert leads_to(site.create(port_id=only_six.pk)) == "fd00:1::5"
    assert leads_to(site.create(port_id=both.pk)) == "10.1.0.5"
    assert leads_to(site.create(port_id=both.pk, fixed_address="fd00:1::6")) == "fd00:1::6"
    assert refusal(site.associate, site.create(), only_six).field == "fixed_address"
    assert str(site.create(address="2001:DB8:0::99").address) == "2001:db8::99"


# Which link is missing.


def missing(site: Site, port: Port) -> tuple[str, str]:
    """(fact, message)"""
    error = refusal(site.associate, site.create(network_id=site.way.pk), port)
    assert (error.kind, error.code, error.field) == ("invalid_state", "floating_ip.no_path", "port_id")
    return error.facts["missing"], error.message


def test_a_network_without_router_is_said_to_have_none(site: Site) -> None:
    network, (subnet,) = inside(site.project, "10.2.0.0/24", name="island")
    fact, message = missing(site, plug(network, (subnet, "10.2.0.5")))
    assert fact == "router" and "island has no router" in message and site.way.name in message


def test_a_subnet_that_is_not_attached_is_named(site: Site) -> None:
    aside = add_subnet(site.network, "10.7.0.0/24")
    fact, message = missing(site, plug(site.network, (aside, "10.7.0.5")))
    assert fact == "interface" and "10.7.0.0/24" in message and "router r" in message


def test_a_router_without_way_out_is_named(site: Site) -> None:
    port = site.port(5)
    routers.update(actor=site.actor, router_id=site.router.pk, external_network_id=None)
    fact, message = missing(site, port)
    assert fact == "external_network" and "router r has no way out" in message


def test_a_router_that_leads_elsewhere_is_named_with_where(site: Site) -> None:
    port, other = site.port(5), outside("198.51.100.0/28", name="elsewhere")
    routers.update(actor=site.actor, router_id=site.router.pk, external_network_id=other.pk)
    fact, message = missing(site, port)
    assert fact == "external_network" and "elsewhere" in message and site.way.name in message


# Ports that go.


def test_what_stood_for_a_port_that_goes_stands_for_nothing_and_hosts_are_told(site: Site) -> None:
    port, other = site.port(5), site.port(6)
    row, kept = site.create(port_id=port.pk), site.create(port_id=other.pk)
    told()
    floating.release_of_ports([port.pk])
    assert (leads_to(row), leads_to(kept), told()) == (None, "10.1.0.6", [(row.pk, site.router.pk)])


def test_the_trail_says_that_it_stands_for_nothing_any_more_and_who_took_the_port_or_its_address_away(site: Site) -> None:
    own, moved, of_instance = (
        site.port(number, keep=keep, **({"device_kind": "", "device_id": None} if keep else {}))
        for number, keep in ((5, True), (6, True), (7, False))
    )
    rows = [site.create(port_id=port.pk) for port in (own, moved, of_instance)]
    Usage.objects.filter(pk=site.project.pk).update(ports=3)
    seen = Record.objects.order_by("pk").last().pk
    ports.delete(actor=site.actor, port_id=own.pk)
    ports.update(actor=site.actor, port_id=moved.pk, fixed=[{"address": "10.1.0.60"}])
    assert of_instance.device_id is not None
    plugs.release([of_instance.device_id])
    said = Record.objects.order_by("pk").filter(pk__gt=seen, action="network.floating_ip.update")
    assert [(row.resource_id, row.project_id, row.user_name, row.changes) for row in said] == [
        (str(row.pk), site.project.pk, who, {"fixed_address": [address, None]})
        for row, who, address in zip(
            rows, (site.actor.user_name, site.actor.user_name, SYSTEM.user_name), ("10.1.0.5", "10.1.0.6", "10.1.0.7"), strict=True
        )
    ]


def test_a_port_that_outlives_its_instance_keeps_its_floating_ip(site: Site) -> None:
    port, other = site.port(5, keep=True), site.port(6)
    kept, freed = site.create(port_id=port.pk), site.create(port_id=other.pk)
    plugs.release([each.device_id for each in (port, other) if each.device_id])
    assert (leads_to(kept), leads_to(freed)) == ("10.1.0.5", None)


def test_ports_without_floating_ips_cost_one_query(site: Site) -> None:
    ports = [site.port(number) for number in range(5, 50)]
    with CaptureQueriesContext(connection) as asked:
        floating.release_of_ports([port.pk for port in ports])
        floating.release_of_ports([])
    assert len(asked) == 1


def test_an_address_that_a_port_gives_up_takes_its_floating_ip_along_only(site: Site) -> None:
    port = plug(site.network, (site.subnet, "10.1.0.5"), (site.subnet, "10.1.0.6"))
    first, second = (site.create(port_id=port.pk, fixed_address=address) for address in ("10.1.0.5", "10.1.0.6"))
    floating.release_of_addresses([port.fixed_ips.get(address="10.1.0.5")], actor=site.actor)
    assert (leads_to(first), leads_to(second)) == (None, "10.1.0.6")


# Whose they are.


def test_floating_ips_of_other_projects_are_not_there(site: Site) -> None:
    stranger, row = make_actor(make_project(), role="admin"), site.create()
    calls: list[tuple[Any, dict[str, Any]]] = [
        (selectors.floating_ip, {}), (floating.associate, {"port_id": site.port(5).pk}), (floating.disassociate, {}),
        (floating.update, {"description": "x"}), (floating.delete, {}),
    ]
    for call, given in calls:
        assert refusal(call, actor=stranger, floating_ip_id=row.pk, **given).code == "floating_ip.not_found"
    assert not selectors.floating_ips(actor=stranger, all_projects=True).exists()
    for address in (str(row.address), "nonsense"):
        assert refusal(selectors.floating_ip_at, actor=stranger, address=address).code == "floating_ip.not_found"
    assert selectors.floating_ip_at(actor=site.actor, address=str(row.address)) == row


def test_ports_of_other_projects_are_not_there(site: Site) -> None:
    stranger, port = make_actor(make_project()), site.port(5)
    assert refusal(floating.create, actor=stranger, port_id=port.pk).code == "port.not_found"
    row = floating.create(actor=stranger)
    for asked in (port.pk, NOBODY, site.create().port_id):
        error = refusal(floating.associate, actor=stranger, floating_ip_id=row.pk, port_id=asked)
        assert (error.code, error.field) == ("port.not_found", "port_id")
    operator = make_actor(None, operator=True)
    assert refusal(floating.associate, actor=operator, floating_ip_id=row.pk, port_id=port.pk).code == "port.not_found"


def test_an_address_is_taken_without_telling_by_whom(site: Site) -> None:
    site.create(address="203.0.113.7")
    error = refusal(floating.create, actor=make_actor(make_project()), address="203.0.113.7")
    assert (error.code, error.facts) == ("address.taken", {"holder": "floating_ip"})


def test_what_stands_for_an_address_is_not_itself_stood_for(site: Site) -> None:
    row = site.create()
    assert refusal(site.associate, row, row.port).code == "port.not_found"


def test_readers_read_and_change_nothing(site: Site) -> None:
    reader, row = make_actor(site.project, role="reader"), site.create()
    assert selectors.floating_ips(actor=reader).get() == row
    for call, given in [(floating.create, {}), (floating.delete, {"floating_ip_id": row.pk})]:
        assert refusal(call, actor=reader, **given).code == "policy.forbidden"


def test_every_change_is_in_the_trail(site: Site) -> None:
    seen, port = Record.objects.order_by("pk").last().pk, site.port(5)
    row = site.create(address="203.0.113.7")
    site.associate(row, port)
    floating.update(actor=site.actor, floating_ip_id=row.pk, description="x")
    floating.disassociate(actor=site.actor, floating_ip_id=row.pk)
    floating.delete(actor=site.actor, floating_ip_id=row.pk)
    rows = Record.objects.order_by("pk").filter(pk__gt=seen, project_id=site.project.pk, resource_id=str(row.pk), name="203.0.113.7")
    assert [(row.action, row.changes) for row in rows] == [
        ("network.floating_ip.create", {"address": [None, "203.0.113.7"], "network": [None, site.way.name]}),
        ("network.floating_ip.update", {"fixed_address": [None, "10.1.0.5"], "port_id": [None, str(port.pk)]}),
        ("network.floating_ip.update", {"description": ["", "x"]}),
        ("network.floating_ip.update", {"fixed_address": ["10.1.0.5", None]}),
        ("network.floating_ip.delete", {}),
    ]
