"""Ports that projects make by themselves: checked whole, bound to instances, kept when these go."""

import uuid
from typing import Any

import pytest

from apps.audit.models import Record
from apps.common.context import Actor
from apps.compute.models import Instance
from apps.compute.services.cards import WantedCard
from apps.network.models import FixedIP, FloatingIP, Network, Port, PortGroup, SecurityGroup, Subnet
from apps.network.services import floating, groups, networks, plugs, ports, subnets
from apps.network.services.plugs import Wish
from apps.quotas.models import Usage
from tests.support.audit import assert_consistent, assert_no_address_is_lost
from tests.support.cloud import Cloud, make_network, make_project, operation_of, refusal
from tests.support.identity import make_actor

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def actor() -> Actor:
    return make_actor(make_project())


@pytest.fixture
def network(actor: Actor) -> Network:
    return make_network(actor)


def addresses_of(port: Port) -> list[str]:
    return [str(each) for each in FixedIP.objects.filter(port=port).order_by("pk").values_list("address", flat=True)]


def used(actor: Actor) -> int:
    return Usage.objects.get(project_id=actor.project_id or uuid.UUID(int=0)).ports


def test_a_port_gets_an_address_the_default_group_and_counts(actor: Actor, network: Network) -> None:
    port = ports.create(actor=actor, network_id=network.pk, name="spare")
    assert (port.device_kind, port.device_id, port.keep, port.port_security, port.admin_up) == ("", None, True, True, True)
    assert addresses_of(port)[0].startswith("10.9.9.")
    assert SecurityGroup.objects.get(memberships__port=port).is_default
    assert used(actor) == 1
    assert port.mac in Record.objects.get(action="network.port.create").changes["mac"]
    ports.delete(actor=actor, port_id=port.pk)
    assert (Port.objects.filter(pk=port.pk).exists(), used(actor)) == (False, 0)
    assert_no_address_is_lost()


def test_what_is_asked_for_is_what_it_gets(actor: Actor, network: Network) -> None:
    subnet = Subnet.objects.get(network=network)
    port = ports.create(
        actor=actor, network_id=network.pk, mac="52-54-00-AB-CD-EF", dns_name="Gate", admin_up=False,
        fixed=[{"address": "10.9.9.9"}, {"subnet_id": subnet.pk}], pairs=[{"cidr": "10.9.9.14", "mac": ""}, {"cidr": "10.0.0.0/24"}],
    )
    port.refresh_from_db()
    assert (port.mac, port.dns_name, port.admin_up) == ("52:54:00:ab:cd:ef", "gate", False)
    assert addresses_of(port)[0] == "10.9.9.9" and len(addresses_of(port)) == 2
    assert port.pairs == [{"cidr": "10.9.9.14/32", "mac": ""}, {"cidr": "10.0.0.0/24", "mac": ""}]
    none = ports.create(actor=actor, network_id=network.pk, fixed=[], group_ids=[])
    assert addresses_of(none) == []
    assert not PortGroup.objects.filter(port=none).exists()


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"mac": "nonsense"}, "port.mac", "mac"),
        ({"mac": "01:00:5e:00:00:01"}, "port.mac", "mac"),
        ({"mac": "00:00:00:00:00:00"}, "port.mac", "mac"),
        ({"fixed": [{"address": "10.9.8.1"}]}, "address.outside", "fixed.0.address"),
        ({"fixed": [{}, {}]}, "port.fixed", "fixed.0"),
        ({"fixed": [{"address": "10.9.9.1"}]}, "address.taken", "fixed.0.address"),
        ({"fixed": [{"subnet_id": uuid.UUID(int=7)}]}, "address.subnet", "fixed.0.address"),
        ({"fixed": [{"address": "10.9.9.5"}] * 17}, "port.fixed", "fixed"),
        ({"pairs": [{"cidr": "10.0.0.1/24"}]}, "port.pairs", "pairs.0.cidr"),
        ({"pairs": [{"cidr": "0.0.0.0/0"}]}, "port.pairs", "pairs.0.cidr"),
        ({"pairs": [{"cidr": "169.254.0.0/16"}]}, "port.pairs", "pairs.0.cidr"),
        ({"pairs": [{"cidr": "224.0.0.5"}]}, "port.pairs", "pairs.0.cidr"),
        ({"pairs": [{"cidr": "10.0.0.9", "mac": "ff:ff:ff:ff:ff:ff"}]}, "port.pairs", "pairs.0.mac"),
        ({"dns_name": "-gate"}, "port.dns_name", "dns_name"),
        ({"dns_name": "a.b"}, "port.dns_name", "dns_name"),
        ({"name": "x" * 65}, "name.invalid", "name"),
        ({"group_ids": [uuid.UUID(int=7)]}, "security_group.not_found", "security_groups"),
        ({"port_security": False, "pairs": [{"cidr": "10.0.0.9"}]}, "port.no_port_security", "pairs"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(actor: Actor, network: Network, fields: dict[str, Any], code: str, field: str) -> None:
    error = refusal(ports.create, actor=actor, network_id=network.pk, **fields)
    assert (error.code, error.field) == (code, field)
    assert Port.objects.count() == 0
    assert_no_address_is_lost()


def test_a_mac_is_used_once_in_the_whole_installation(actor: Actor, network: Network) -> None:
    port = ports.create(actor=actor, network_id=network.pk)
    other = make_actor(make_project())
    elsewhere = make_network(other)
    error = refusal(ports.create, actor=other, network_id=elsewhere.pk, mac=port.mac)
    assert (error.code, error.field) == ("port.mac_taken", "mac")
    mine = ports.create(actor=other, network_id=elsewhere.pk)
    assert refusal(ports.update, actor=other, port_id=mine.pk, mac=port.mac).code == "port.mac_taken"
    assert_no_address_is_lost()


def test_a_drawn_mac_that_is_taken_is_drawn_again(actor: Actor, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ports.create(actor=actor, network_id=network.pk)
    drawn = iter([first.mac, "02:00:00:00:00:01"])
    monkeypatch.setattr("apps.network.services.port_rows.new_mac", lambda: next(drawn))
    assert ports.create(actor=actor, network_id=network.pk).mac == "02:00:00:00:00:01"
    assert (FixedIP.objects.count(), used(actor)) == (2, 2)
    assert_no_address_is_lost()


def test_ports_are_made_in_ones_own_and_in_shared_networks_and_operators_use_external_ones(actor: Actor, network: Network) -> None:
    operator = make_actor(make_project(), operator=True)
    shared = networks.create(actor=operator, name="shared", kind="vxlan", segment=1007, shared=True)
    subnets.create(actor=operator, network_id=shared.pk, cidr="10.7.0.0/24")
    outside = networks.create(actor=operator, name="out", kind="vxlan", segment=1008, external=True)
    subnets.create(actor=operator, network_id=outside.pk, cidr="10.8.0.0/24")
    assert addresses_of(ports.create(actor=actor, network_id=shared.pk))[0].startswith("10.7.0.")
    assert refusal(ports.create, actor=actor, network_id=outside.pk).code == "network.no_ports"
    assert addresses_of(ports.create(actor=operator, network_id=outside.pk))[0].startswith("10.8.0.")
    stranger = make_actor(make_project())
    assert refusal(ports.create, actor=stranger, network_id=network.pk).code == "network.not_found"
    for fields in ({"pairs": [{"cidr": "10.7.0.9"}]}, {"port_security": False}):
        assert refusal(ports.create, actor=actor, network_id=shared.pk, **fields).code == "network.not_yours"


def test_a_port_of_another_project_is_not_there(actor: Actor, network: Network) -> None:
    port = ports.create(actor=actor, network_id=network.pk)
    stranger = make_actor(make_project(), role="admin")
    assert refusal(ports.update, actor=stranger, port_id=port.pk, name="x").code == "port.not_found"
    assert refusal(ports.delete, actor=stranger, port_id=port.pk).code == "port.not_found"


def test_readers_may_not_touch(actor: Actor, network: Network) -> None:
    port = ports.create(actor=actor, network_id=network.pk)
    reader = make_actor(None, role="reader")
    assert refusal(ports.create, actor=reader, network_id=network.pk).kind == "forbidden"
    assert refusal(ports.delete, actor=reader, port_id=port.pk).kind == "forbidden"


def test_a_changed_port_keeps_what_it_has_and_gets_what_is_new(actor: Actor, network: Network) -> None:
    port = ports.create(actor=actor, network_id=network.pk, fixed=[{"address": "10.9.9.5"}, {"address": "10.9.9.6"}])
    ports.update(
        actor=actor, port_id=port.pk, name="renamed", mac="02:00:00:00:00:09", admin_up=False, dns_name="x",
        fixed=[{"address": "10.9.9.6"}, {"address": "10.9.9.7"}], pairs=[{"cidr": "10.1.0.0/16"}],
    )
    port.refresh_from_db()
    assert addresses_of(port) == ["10.9.9.6", "10.9.9.7"]
    assert (port.name, port.mac, port.admin_up, port.dns_name) == ("renamed", "02:00:00:00:00:09", False, "x")
    told = Record.objects.get(action="network.port.update").changes
    assert told["addresses"] == ["10.9.9.5, 10.9.9.6", "10.9.9.6, 10.9.9.7"]
    ports.update(actor=actor, port_id=port.pk, name="renamed")
    assert Record.objects.filter(action="network.port.update").count() == 1
    assert_no_address_is_lost()


def test_without_port_security_groups_wait_until_it_is_back(actor: Actor, network: Network) -> None:
    port = ports.create(actor=actor, network_id=network.pk, port_security=False)
    assert not PortGroup.objects.filter(port=port).exists()
    assert refusal(groups.set_of_port, actor=actor, port_id=port.pk, group_ids=[groups.ensure_default(port.project_id).pk]).code == (  # type: ignore[arg-type]
        "port.no_port_security"
    )
    ports.update(actor=actor, port_id=port.pk, port_security=True)
    assert SecurityGroup.objects.get(memberships__port=port).is_default


def test_more_ports_than_the_quota_has_are_refused_and_leave_nothing(actor: Actor, network: Network) -> None:
    from apps.common.context import SYSTEM
    from apps.quotas.services import limits

    assert actor.project_id is not None
    limits.set_limits(actor=SYSTEM, owner_id=actor.project_id, limits={"ports": 1})
    ports.create(actor=actor, network_id=network.pk)
    assert refusal(ports.create, actor=actor, network_id=network.pk).code == "quota.exceeded"
    assert (Port.objects.count(), used(actor)) == (1, 1)
    assert_no_address_is_lost()


# Bound to instances.


def wish(actor: Actor, port: Port) -> Wish:
    assert actor.project_id is not None
    return Wish(uuid.uuid4(), actor.project_id, port_id=port.pk, host_id=uuid.uuid4(), name="Web 1")


def test_a_bound_port_is_kept_when_its_instance_goes_and_counts_once(actor: Actor, network: Network) -> None:
    port = ports.create(actor=actor, network_id=network.pk, fixed=[{"address": "10.9.9.5"}])
    wanted = wish(actor, port)
    ((claimed,),) = plugs.claim([wanted]).values()
    port.refresh_from_db()
    assert (port.device_kind, port.device_id, port.host_id, port.dns_name) == ("instance", wanted.device_id, wanted.host_id, "web-1")
    assert claimed.addresses == ["10.9.9.5"]
    assert used(actor) == 1
    plugs.release([wanted.device_id])
    port.refresh_from_db()
    assert (port.device_kind, port.device_id, port.host_id) == ("", None, None)
    assert (addresses_of(port), used(actor)) == (["10.9.9.5"], 1)


def test_a_port_in_use_is_neither_bound_again_nor_deleted_nor_moved(actor: Actor, network: Network) -> None:
    port = ports.create(actor=actor, network_id=network.pk)
    wanted = wish(actor, port)
    plugs.claim([wanted])
    for error in (
        refusal(plugs.claim, [wish(actor, port)]), refusal(ports.delete, actor=actor, port_id=port.pk),
        refusal(ports.update, actor=actor, port_id=port.pk, mac="02:00:00:00:00:09"),
        refusal(ports.update, actor=actor, port_id=port.pk, fixed=[]),
    ):
        assert (error.kind, error.code, error.facts["device_id"]) == ("invalid_state", "port.in_use", str(wanted.device_id))
        assert str(wanted.device_id) in error.message
    ports.update(actor=actor, port_id=port.pk, admin_up=False)


def test_a_port_of_another_project_cannot_be_bound(actor: Actor, network: Network) -> None:
    port = ports.create(actor=actor, network_id=network.pk)
    assert refusal(plugs.claim, [wish(make_actor(make_project()), port)]).code == "port.not_found"


def test_a_floating_ip_lets_go_of_a_port_that_goes(actor: Actor, network: Network) -> None:
    operator = make_actor(make_project(), operator=True)
    outside = Network.objects.get(external=True)
    subnets.create(actor=operator, network_id=outside.pk, cidr="203.0.113.0/24")
    port = ports.create(actor=actor, network_id=network.pk)
    row = floating.create(actor=actor, port_id=port.pk)
    ports.delete(actor=actor, port_id=port.pk)
    assert FloatingIP.objects.get(pk=row.pk).fixed_ip is None
    other = ports.create(actor=actor, network_id=network.pk)
    floating.associate(actor=actor, floating_ip_id=row.pk, port_id=other.pk)
    ports.update(actor=actor, port_id=other.pk, fixed=[{"address": "10.9.9.13"}])
    assert FloatingIP.objects.get(pk=row.pk).fixed_ip is None
    assert_no_address_is_lost()


# Instances with cards as asked for.


def test_an_instance_has_the_cards_that_it_was_asked_for_with(cloud: Cloud) -> None:
    host = cloud.host()
    back = make_network(cloud.actor, "back", cidr="10.7.0.0/24", cidr6="fd12:7::/64")
    web = groups.create(actor=cloud.actor, name="web")
    port = ports.create(actor=cloud.actor, network_id=cloud.network.pk, name="spare")
    instance = cloud.boot(
        networks=[WantedCard(port_id=port.pk), WantedCard(network_id=back.pk, address="10.7.0.9"), WantedCard(network_id=back.pk, security_groups=[])],
        security_groups=["web"],
    )
    cloud.schedule()
    command = host.command()
    instance.refresh_from_db()
    assert instance.network_id == cloud.network.pk
    first, second, third = command.body.cards
    assert first.id == str(port.pk)
    assert next(each.address for each in second.addresses) == "10.7.0.9"
    assert [[each["family"] for each in instance.addresses if each["port_id"] == card.id] for card in command.body.cards] == [[4], [4, 6], [4, 6]]
    assert [list(PortGroup.objects.filter(port_id=card.id).values_list("group_id", flat=True)) for card in (second, third)] == [[web.pk], []]
    assert_consistent()
    host.send(host.obey(command))
    cloud.delete(instance)
    cloud.run()
    assert list(Port.objects.filter(device_kind__in=["", "instance"])) == [port]
    assert_consistent()


def test_an_address_that_somebody_took_meanwhile_fails_that_instance_only(cloud: Cloud) -> None:
    cloud.host()
    card = WantedCard(network_id=cloud.network.pk, address="10.64.0.9")
    first, second, third = (cloud.boot(name=name, networks=[card] if name != "c" else []) for name in "abc")
    cloud.schedule()
    states = {instance.name: instance.state for instance in Instance.objects.all()}
    assert states == {"a": "BUILD", "b": "ERROR", "c": "BUILD"}
    second.refresh_from_db()
    assert (second.error or {})["code"] == "address.taken"
    assert operation_of(second).state == "failed"
    assert_consistent()


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"networks": [WantedCard()]}, "instance.networks", "networks.0.network_id"),
        ({"networks": [WantedCard(network_id=uuid.UUID(int=7))]}, "network.not_found", "networks.0.network_id"),
        ({"networks": [WantedCard(port_id=uuid.UUID(int=7))]}, "port.not_found", "networks.0.port_id"),
        ({"security_groups": ["nobody"]}, "security_group.not_found", "security_groups"),
        ({"security_groups": [str(uuid.UUID(int=7))]}, "security_group.not_found", "security_groups"),
    ],
)
def test_cards_that_cannot_be_are_refused_at_once(cloud: Cloud, fields: dict[str, Any], code: str, field: str) -> None:
    error = refusal(cloud.create, **fields)
    assert (error.code, error.field) == (code, field)
    assert Instance.objects.count() == 0


def test_what_there_is_once_is_not_for_several_instances(cloud: Cloud) -> None:
    port = ports.create(actor=cloud.actor, network_id=cloud.network.pk)
    for card in (WantedCard(port_id=port.pk), WantedCard(network_id=cloud.network.pk, address="10.64.0.9")):
        assert refusal(cloud.create, count=2, networks=[card]).code == "instance.networks"
    assert refusal(cloud.create, networks=[WantedCard(port_id=port.pk)] * 2).code == "instance.networks"
    card = WantedCard(network_id=cloud.network.pk)
    assert refusal(cloud.create, networks=[card], network_id=cloud.network.pk).code == "instance.networks"
    assert refusal(cloud.create, networks=[card] * 17).code == "instance.networks"
    assert refusal(cloud.create, networks=[WantedCard(network_id=cloud.network.pk, address="10.9.9.9")]).code == "address.outside"


def test_a_port_in_use_is_refused_before_anything_is_made(cloud: Cloud) -> None:
    cloud.host()
    port = ports.create(actor=cloud.actor, network_id=cloud.network.pk)
    cloud.active(networks=[WantedCard(port_id=port.pk)])
    error = refusal(cloud.create, networks=[WantedCard(port_id=port.pk)])
    assert (error.code, Instance.objects.count()) == ("port.in_use", 1)


def test_two_that_want_one_port_end_with_one_that_has_it(cloud: Cloud) -> None:
    cloud.host()
    port = ports.create(actor=cloud.actor, network_id=cloud.network.pk)
    cloud.boot(name="a", networks=[WantedCard(port_id=port.pk)])
    cloud.boot(name="b", networks=[WantedCard(port_id=port.pk)])
    cloud.run()
    assert sorted(Instance.objects.values_list("state", flat=True)) == ["ACTIVE", "ERROR"]
    assert_consistent()
