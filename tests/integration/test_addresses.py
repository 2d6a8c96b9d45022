"""Networks, MACs and addresses: claimed in the database, freed with their user."""

import ipaddress
import uuid

import pytest
from django.db import IntegrityError, transaction

from apps.common.errors import NoCapacity
from apps.compute.models import Instance
from apps.network.models import FixedIP, Network, Port, Subnet
from apps.network.services import networks, ports
from apps.network.services.ports import Wish
from tests.support.audit import assert_consistent, assert_nothing_is_claimed
from tests.support.cloud import Cloud, make_project, operation_of, refusal
from tests.support.identity import make_actor

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def small() -> Network:
    """13 addresses can be given: 16 without network, broadcast and gateway."""
    return networks.create(actor=make_actor(make_project()), name="small", cidr="10.9.9.0/28")


def wishes(network: Network, count: int) -> list[Wish]:
    return [Wish(uuid.uuid4(), network.project_id, network.pk) for _ in range(count)]


def test_every_address_of_the_range_is_given_once_and_then_it_is_full(small: Network) -> None:
    given = [claimed[0].address for wish in wishes(small, 13) for claimed in ports.claim([wish]).values()]
    hosts = [str(address) for address in ipaddress.IPv4Network("10.9.9.0/28").hosts()]
    assert sorted(given, key=ipaddress.IPv4Address) == hosts[1:]
    with pytest.raises(NoCapacity) as caught:
        ports.claim(wishes(small, 1))
    assert (caught.value.code, caught.value.facts) == ("network.full", {"free": 0, "asked": 1, "size": 13})


def test_all_at_once_is_the_same_as_one_by_one(small: Network) -> None:
    claimed = ports.claim(wishes(small, 13))
    assert len({each.address for group in claimed.values() for each in group}) == 13
    assert len(set(Port.objects.values_list("mac", flat=True))) == 13


def test_more_than_there_are_claims_none(small: Network) -> None:
    with pytest.raises(NoCapacity) as caught, transaction.atomic():
        ports.claim(wishes(small, 14))
    assert caught.value.facts["free"] == 13
    assert Port.objects.count() == 0


def test_a_freed_address_can_be_given_again(small: Network) -> None:
    everybody = wishes(small, 13)
    claimed = ports.claim(everybody)
    freed = claimed[everybody[4].device_id][0].address
    ports.release([everybody[4].device_id])
    ((again,),) = ports.claim(wishes(small, 1)).values()
    assert again.address == freed
    ports.release([everybody[4].device_id])
    assert FixedIP.objects.count() == 13


def test_a_network_that_vanished_counts_as_full() -> None:
    with pytest.raises(NoCapacity) as caught:
        ports.claim([Wish(uuid.uuid4(), uuid.uuid4(), uuid.uuid4())])
    assert caught.value.code == "network.full"


def test_the_database_refuses_an_address_or_a_mac_twice(small: Network) -> None:
    ((first,),) = ports.claim(wishes(small, 1)).values()
    with pytest.raises(IntegrityError), transaction.atomic():
        FixedIP.objects.create(subnet=first.subnet, port=first.port, address=first.address)
    with pytest.raises(IntegrityError), transaction.atomic():
        Port.objects.create(network=small, project_id=small.project_id, device_id=uuid.uuid4(), mac=first.port.mac)


def test_macs_are_local_and_unicast(small: Network) -> None:
    ports.claim(wishes(small, 5))
    for mac in Port.objects.values_list("mac", flat=True):
        assert int(mac[:2], 16) & 0b11 == 0b10


def test_a_mac_that_is_taken_is_drawn_again(small: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    ((first,),) = ports.claim(wishes(small, 1)).values()
    drawn = iter([first.port.mac, first.port.mac, "02:00:00:00:00:01"])
    monkeypatch.setattr(ports, "_new_mac", lambda: next(drawn))
    ((second,),) = ports.claim(wishes(small, 1)).values()
    assert second.port.mac == "02:00:00:00:00:01"
    assert FixedIP.objects.count() == 2


def test_an_instance_for_which_there_is_no_address_fails_and_the_others_go_on(cloud: Cloud) -> None:
    """The network is full after three; what was claimed of the host is given back."""
    cloud.host()
    small = networks.create(actor=cloud.actor, name="small", cidr="10.9.9.0/28")
    others = wishes(small, 10)
    ports.claim(others)
    cloud.create(count=5, network_id=small.pk)
    cloud.schedule()
    assert Instance.objects.filter(host_id__isnull=False).count() == 3
    failed = Instance.objects.filter(state="ERROR")
    assert {instance.error["code"] for instance in failed} == {"network.full"}
    assert all(operation_of(instance).state == "failed" for instance in failed)
    ports.release([wish.device_id for wish in others])
    assert_consistent()
    cloud.run()
    for instance in Instance.objects.all():
        cloud.delete(instance)
    cloud.run()
    assert_nothing_is_claimed()


# Networks.


def test_the_first_use_makes_one_default_network() -> None:
    project = make_project()
    actor = make_actor(project)
    assert networks.default_of(actor=actor).pk == networks.default_of(actor=actor).pk
    with pytest.raises(IntegrityError), transaction.atomic():
        Network.objects.create(project_id=project.pk, name="other", is_default=True)


@pytest.mark.parametrize("cidr", ["nonsense", "10.0.0.1/24", "10.0.0.0/29", "8.8.8.0/24", "10.0.0.0/7", "fd00::/64", "10.0.0.0/33"])
def test_a_range_that_cannot_be_used_is_refused_and_leaves_nothing(cidr: str) -> None:
    error = refusal(networks.create, actor=make_actor(make_project()), name="n", cidr=cidr)
    assert (error.code, error.field) == ("network.cidr", "cidr")
    assert Network.objects.count() == 0


def test_a_name_is_used_once_in_a_project_and_freely_in_others() -> None:
    one, two = make_actor(make_project()), make_actor(make_project())
    networks.create(actor=one, name="n")
    networks.create(actor=two, name="n")
    assert refusal(networks.create, actor=one, name="n").code == "network.exists"


def test_a_network_in_use_is_not_deleted(small: Network) -> None:
    actor = make_actor(make_project())
    Network.objects.filter(pk=small.pk).update(project_id=actor.project_id)
    ports.claim(wishes(small, 2))
    error = refusal(networks.delete, actor=actor, network_id=small.pk)
    assert (error.code, error.facts["ports"]) == ("network.in_use", 2)
    ports.release(Port.objects.values_list("device_id", flat=True))
    networks.delete(actor=actor, network_id=small.pk)
    assert Subnet.objects.count() == 0


def test_a_network_of_another_project_is_not_there(small: Network) -> None:
    assert refusal(networks.delete, actor=make_actor(make_project(), role="admin"), network_id=small.pk).kind == "not_found"
