"""MACs and addresses: claimed in the database, freed with their user, given again after a rest."""

import dataclasses
import ipaddress
import uuid
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.common.errors import NoCapacity
from apps.compute.models import Instance
from apps.network.models import AddressSpan, FixedIP, Network, Port, PortGroup, SecurityGroup, Subnet
from apps.network.services import addresses, networks, plugs, port_rows, subnets
from apps.network.services.plugs import Wish
from apps.network.services.port_rows import Claimed
from tests.support.audit import assert_consistent, assert_no_address_is_lost, assert_nothing_is_claimed
from tests.support.cloud import Cloud, make_network, make_project, operation_of, refusal, unlimited
from tests.support.fixtures import Time
from tests.support.identity import make_actor

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def small() -> Network:
    """13 addresses can be given: 16 without network, broadcast and gateway."""
    return make_network(make_actor(make_project()))


@pytest.fixture
def rest(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """`rest(seconds)`: for so long freed addresses are given to nobody else."""
    yield lambda seconds: monkeypatch.setattr(settings, "ENV", dataclasses.replace(settings.ENV, address_rest_s=seconds))
    monkeypatch.undo()


def wishes(network: Network, count: int, **more: object) -> list[Wish]:
    assert network.project_id is not None
    return [Wish(uuid.uuid4(), network.project_id, network.pk, **more) for _ in range(count)]  # type: ignore[arg-type]


def claim(wanted: list[Wish]) -> list[Claimed]:
    return [each for claimed in plugs.claim(wanted).values() for each in claimed]


def dual(cidr6: str = "fd12::/64", mode: str = "") -> Network:
    actor = make_actor(make_project())
    network = networks.create(actor=actor, name="dual")
    subnets.create(actor=actor, network_id=network.pk, cidr="10.9.9.0/28")
    subnets.create(actor=actor, network_id=network.pk, cidr=cidr6, ipv6_mode=mode)
    return network


def test_every_address_of_the_range_is_given_once_and_then_it_is_full(small: Network) -> None:
    given = [each.addresses[0] for wish in wishes(small, 13) for each in claim([wish])]
    hosts = [str(address) for address in ipaddress.IPv4Network("10.9.9.0/28").hosts()]
    assert sorted(given, key=ipaddress.IPv4Address) == hosts[1:]
    with pytest.raises(NoCapacity) as caught:
        claim(wishes(small, 1))
    assert (caught.value.code, caught.value.facts) == ("network.full", {"free": 0, "asked": 1, "size": 13, "resting": 0})


def test_all_at_once_is_the_same_as_one_by_one(small: Network) -> None:
    claimed = claim(wishes(small, 13))
    assert len({each.addresses[0] for each in claimed}) == 13
    assert len(set(Port.objects.values_list("mac", flat=True))) == 13
    assert_no_address_is_lost()


def test_more_than_there_are_claims_none_also_if_the_transaction_goes_on(small: Network) -> None:
    with transaction.atomic():
        error = refusal(plugs.draw, wishes(small, 14))
        assert (error.code, error.facts["free"], error.facts["asked"]) == ("network.full", 13, 14)
    assert Port.objects.count() == 0
    assert_no_address_is_lost()
    claim(wishes(small, 13))


def test_a_freed_address_rests_and_can_be_given_then(small: Network, time_machine: Time) -> None:
    everybody = wishes(small, 13)
    freed = claim(everybody)[4].addresses[0]
    plugs.release([everybody[4].device_id])
    error = refusal(claim, wishes(small, 1))
    assert (error.code, error.facts["free"], error.facts["resting"]) == ("network.full", 0, 1)
    assert "rest" in error.message
    time_machine.forward(settings.ENV.address_rest_s + 1)
    (again,) = claim(wishes(small, 1))
    assert again.addresses == [freed]
    plugs.release([everybody[4].device_id])
    assert FixedIP.objects.count() == 13


def test_those_that_have_rested_longest_are_given_first(small: Network, rest: Callable[[int], None], time_machine: Time) -> None:
    rest(0)
    everybody = wishes(small, 13)
    held = {wish.device_id: each.addresses[0] for wish, each in zip(everybody, claim(everybody), strict=True)}
    for wish in (everybody[7], everybody[2], everybody[11]):
        time_machine.forward(5)
        plugs.release([wish.device_id])
    time_machine.forward(5)
    given = [claim(wishes(small, 1))[0].addresses[0] for _ in range(3)]
    assert given == [held[everybody[number].device_id] for number in (7, 2, 11)]


def test_freed_neighbours_become_one_span(rest: Callable[[int], None]) -> None:
    network = make_network(make_actor(make_project()), cidr="10.9.0.0/24")
    subnet = Subnet.objects.get(network=network)
    unlimited()
    everybody = wishes(network, 253)
    claim(everybody)
    assert AddressSpan.objects.count() == 0
    plugs.release([wish.device_id for wish in everybody])
    assert list(AddressSpan.objects.values_list("first", "last")) == [(2, 254)]
    assert addresses.room(subnet) == addresses.Room(free=0, resting=253, size=253)


def test_a_network_that_vanished_counts_as_full() -> None:
    with pytest.raises(NoCapacity) as caught:
        claim([Wish(uuid.uuid4(), uuid.uuid4(), uuid.uuid4())])
    assert caught.value.code == "network.full"


def test_the_database_refuses_an_address_or_a_mac_twice(small: Network) -> None:
    (first,) = claim(wishes(small, 1))
    with pytest.raises(IntegrityError), transaction.atomic():
        FixedIP.objects.create(subnet=first.fixed[0].subnet, port=first.port, address=first.addresses[0])
    with pytest.raises(IntegrityError), transaction.atomic():
        Port.objects.create(network=small, project_id=small.project_id, device_id=uuid.uuid4(), mac=first.port.mac)


def test_macs_are_local_and_unicast(small: Network) -> None:
    claim(wishes(small, 5))
    for mac in Port.objects.values_list("mac", flat=True):
        assert int(mac[:2], 16) & 0b11 == 0b10


def test_a_batch_costs_as_many_statements_as_one() -> None:
    network = make_network(make_actor(make_project()), cidr="10.9.0.0/20", cidr6="fd12::/64")
    claim(wishes(network, 1))  # makes the default security group
    figures = []
    for count in (1, 100):
        with transaction.atomic(), CaptureQueriesContext(connection) as captured:
            plugs.draw(wishes(network, count))
        figures.append(len(captured))
    # Subnets, groups, spans, their change, ports, addresses, memberships; SQLite looks for spans in each subnet.
    assert figures[0] <= (7 if connection.vendor == "postgresql" else 8)
    assert figures[1] <= figures[0] + 3, figures
    assert_no_address_is_lost()


# Requested addresses.


def test_an_address_that_is_asked_for_is_given_and_refused_to_the_next(small: Network) -> None:
    (first,) = claim(wishes(small, 1, addresses=("10.9.9.7",)))
    assert first.addresses == ["10.9.9.7"]
    error = refusal(claim, wishes(small, 1, addresses=("10.9.9.7",)))
    assert (error.kind, error.code, error.facts["holder"]) == ("conflict", "address.taken", "instance")
    assert error.facts["port_id"] == str(first.port.pk)
    assert "an instance" in error.message
    assert len(claim(wishes(small, 12))) == 12
    assert_no_address_is_lost()


def test_of_a_holder_in_another_project_only_the_kind_is_told(small: Network) -> None:
    claim(wishes(small, 1, addresses=("10.9.9.7",)))
    stranger = Wish(uuid.uuid4(), make_project().pk, small.pk, addresses=("10.9.9.7",))
    error = refusal(claim, [stranger])
    assert (error.code, error.facts) == ("address.taken", {"holder": "instance"})


def test_whoever_asks_for_a_resting_address_gets_it(small: Network) -> None:
    (wish,) = wishes(small, 1, addresses=("10.9.9.7",))
    claim([wish])
    plugs.release([wish.device_id])
    assert claim(wishes(small, 1, addresses=("10.9.9.7",)))[0].addresses == ["10.9.9.7"]
    assert_no_address_is_lost()


def test_an_address_outside_of_the_pools_is_given_and_comes_back_to_nobody() -> None:
    actor = make_actor(make_project())
    network = networks.create(actor=actor, name="n")
    subnets.create(actor=actor, network_id=network.pk, cidr="10.9.9.0/28", pools=[["10.9.9.8", "10.9.9.9"]])
    (wish,) = wishes(network, 1, addresses=("10.9.9.3",))
    assert claim([wish])[0].addresses == ["10.9.9.3"]
    assert refusal(claim, wishes(network, 1, addresses=("10.9.9.3",))).code == "address.taken"
    plugs.release([wish.device_id])
    assert_no_address_is_lost()
    assert sorted(each.addresses[0] for each in claim(wishes(network, 2))) == ["10.9.9.8", "10.9.9.9"]
    assert refusal(claim, wishes(network, 1)).code == "network.full"


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("10.9.9.1", "address.taken"), ("10.9.9.0", "address.unusable"), ("10.9.9.15", "address.unusable"),
        ("10.9.8.3", "address.outside"), ("fd00::1", "address.outside"), ("nonsense", "address.invalid"), ("10.9.9.3/28", "address.invalid"),
    ],
)
def test_what_no_port_can_have_is_refused(small: Network, address: str, code: str) -> None:
    assert refusal(claim, wishes(small, 1, addresses=(address,))).code == code
    assert Port.objects.count() == 0
    assert_no_address_is_lost()


def test_the_same_address_for_two_of_one_request_is_refused(small: Network) -> None:
    assert refusal(claim, wishes(small, 2, addresses=("10.9.9.7",))).code == "address.taken"
    assert_no_address_is_lost()


# Two families, several subnets.


def test_a_port_gets_one_address_of_each_family() -> None:
    network = dual()
    (port,) = claim(wishes(network, 1))
    assert [ipaddress.ip_address(address).version for address in port.addresses] == [4, 6]
    (other,) = claim(wishes(network, 1, addresses=("fd12::99",)))
    assert other.addresses[1] == "fd12::99"
    assert other.addresses[0].startswith("10.9.9.")
    assert_no_address_is_lost()


def test_addresses_of_a_large_ipv6_range_are_short(small: Network) -> None:
    claimed = claim(wishes(dual(), 13))
    assert len({each.addresses[1] for each in claimed}) == 13
    assert all(int(ipaddress.ip_address(each.addresses[1])) & 0xFFFF_FFFF_FFFF_FFFF < 2**22 for each in claimed)


def test_guests_of_a_slaac_subnet_have_the_address_that_they_make_of_their_mac() -> None:
    network = dual("fd12:0:0:7::/64", "slaac")
    (port,) = claim(wishes(network, 1))
    mac = bytes.fromhex(port.port.mac.replace(":", ""))
    assert ipaddress.ip_address(port.addresses[1]).packed[8:] == bytes([mac[0] ^ 2, *mac[1:3], 0xFF, 0xFE, *mac[3:]])
    assert refusal(claim, wishes(network, 1, addresses=("fd12:0:0:7::9",))).code == "address.slaac"
    assert AddressSpan.objects.filter(subnet__family=6).count() == 0
    assert port.port.device_id is not None
    plugs.release([port.port.device_id])
    assert AddressSpan.objects.filter(subnet__family=6).count() == 0


def test_the_second_subnet_of_a_family_is_used_when_the_first_is_full() -> None:
    actor = make_actor(make_project())
    network = networks.create(actor=actor, name="n")
    first = subnets.create(actor=actor, network_id=network.pk, cidr="10.9.8.0/30")
    second = subnets.create(actor=actor, network_id=network.pk, cidr="10.9.9.0/29")
    claimed = claim(wishes(network, 6))
    assert sorted(each.fixed[0].subnet.cidr for each in claimed) == [first.cidr, *[second.cidr] * 5]
    error = refusal(claim, wishes(network, 1))
    assert (error.code, error.facts["size"]) == ("network.full", 6)
    assert first.cidr in error.message and second.cidr in error.message
    assert_no_address_is_lost()


def test_if_one_family_is_full_nothing_of_the_other_is_claimed() -> None:
    network = dual()
    with transaction.atomic():
        assert refusal(plugs.draw, wishes(network, 14)).code == "network.full"
    assert FixedIP.objects.count() == 0
    assert_no_address_is_lost()


# Pools that change.


def test_reshaped_pools_give_what_is_new_and_keep_what_is_held_and_what_rests(small: Network) -> None:
    subnet = Subnet.objects.get(network=small)
    keeps, leaves = wishes(small, 1, addresses=("10.9.9.4",)), wishes(small, 1, addresses=("10.9.9.9",))
    claim(keeps), claim(leaves)
    plugs.release([leaves[0].device_id])
    with transaction.atomic():
        addresses.reshape(subnet, [["10.9.9.8", "10.9.9.10"], ["10.9.9.12", "10.9.9.12"]])
        Subnet.objects.filter(pk=subnet.pk).update(pools=[["10.9.9.8", "10.9.9.10"], ["10.9.9.12", "10.9.9.12"]])
    subnet.refresh_from_db()
    assert addresses.room(subnet) == addresses.Room(free=3, resting=1, size=4)
    assert sorted(each.addresses[0] for each in claim(wishes(small, 3))) == ["10.9.9.10", "10.9.9.12", "10.9.9.8"]
    plugs.release([keeps[0].device_id])
    assert_no_address_is_lost()


def test_arithmetic_of_ranges() -> None:
    assert addresses._without([(0, 9), (20, 29)], [(3, 4), (8, 21), (29, 40)]) == [(0, 2), (5, 7), (22, 28)]
    assert addresses._without([(0, 9)], []) == [(0, 9)]
    assert addresses._without([(0, 9)], [(0, 9)]) == []
    assert addresses._within([(0, 4), (6, 9), (12, 20)], 3, 13) == [(3, 4), (6, 9), (12, 13)]
    assert addresses._within([(0, 4), (6, 9)], 5, 5) == []
    assert addresses._runs([1, 2, 3, 7, 9, 10]) == [(1, 3), (7, 7), (9, 10)]
    pieces = addresses._cut([(2, 2**62)])
    assert pieces[0][0] == 2 and pieces[-1][1] == 2**62 and len(pieces) == 64
    assert all(before[1] + 1 == after[0] for before, after in pairwise(pieces))


# Security groups and ports that are there.


def test_a_port_is_in_the_default_group_or_in_those_named(small: Network) -> None:
    (port,) = claim(wishes(small, 1))
    assert SecurityGroup.objects.get(memberships__port=port.port).is_default
    other = SecurityGroup.objects.create(project_id=port.port.project_id or uuid.uuid4(), name="web")
    (named,) = claim(wishes(small, 1, groups=(other.pk,)))
    assert list(PortGroup.objects.filter(port=named.port).values_list("group_id", flat=True)) == [other.pk]
    (none,) = claim(wishes(small, 1, groups=()))
    assert not PortGroup.objects.filter(port=none.port).exists()


def test_a_group_of_another_project_is_not_there(small: Network) -> None:
    foreign = SecurityGroup.objects.create(project_id=make_project().pk, name="web")
    assert refusal(claim, wishes(small, 1, groups=(foreign.pk,))).code == "security_group.not_found"


def test_a_special_port_holds_addresses_and_nothing_else(small: Network) -> None:
    from apps.network.states import DeviceKind

    with transaction.atomic():
        port = port_rows.claim_special(
            network=small, device_kind=DeviceKind.HOST_GATEWAY, device_id=uuid.uuid4(), project_id=None, address="10.9.9.6"
        )
    assert list(port.fixed_ips.values_list("address", flat=True)) == ["10.9.9.6"]
    assert not port.memberships.exists()
    error = refusal(claim, wishes(small, 1, addresses=("10.9.9.6",)))
    assert (error.code, error.facts) == ("address.taken", {"holder": "host_gateway"})
    with transaction.atomic():
        port_rows.remove([port.pk])
    assert_no_address_is_lost()


# Instances.


def test_an_instance_for_which_there_is_no_address_fails_and_the_others_go_on(cloud: Cloud) -> None:
    """The network is full after three; what was claimed of the host is given back."""
    cloud.host()
    small = make_network(cloud.actor)
    others = wishes(small, 10)
    claim(others)
    cloud.create(count=5, network_id=small.pk)
    cloud.schedule()
    assert Instance.objects.filter(host_id__isnull=False).count() == 3
    failed = Instance.objects.filter(state="ERROR")
    assert {instance.error["code"] for instance in failed} == {"network.full"}
    assert all(operation_of(instance).state == "failed" for instance in failed)
    plugs.release([wish.device_id for wish in others])
    assert_consistent()
    assert_no_address_is_lost()
    cloud.run()
    for instance in Instance.objects.all():
        cloud.delete(instance)
    cloud.run()
    assert_nothing_is_claimed()
    assert_no_address_is_lost()
