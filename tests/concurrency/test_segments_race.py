"""Segments and default networks asked for by many at once: each once, all of them, and nobody waits for ever."""

from collections.abc import Callable
from functools import partial

import pytest

from apps.common.context import SYSTEM, Actor
from apps.common.errors import Conflict, InvalidState, NoCapacity, NotFound
from apps.identity.services import projects
from apps.network.models import Network, Router, RouterInterface, SecurityGroup, SegmentPool, Subnet
from apps.network.services import audit, defaults, networks, pools, subnets
from apps.quotas.services import audit as quotas
from tests.support.cloud import make_project, unlimited
from tests.support.identity import make_actor
from tests.support.postgres import Deadlocks
from tests.support.threads import errors, together, unexpected

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 64


@pytest.fixture
def actors() -> list[Actor]:
    unlimited()
    return [make_actor(make_project()) for _ in range(8)]


def vlan_pool() -> None:
    pools.add_wire(actor=SYSTEM, name="lab")
    pools.add(actor=SYSTEM, kind="vlan", physical_network="lab", first=100, last=149, position=1)
    SegmentPool.objects.filter(kind="vxlan").delete()


def vni_pool() -> None:
    SegmentPool.objects.filter(kind="vxlan").update(first=5000, last=5049)


@pytest.mark.parametrize(("define", "first"), [(vlan_pool, 100), (vni_pool, 5000)])
def test_a_pool_is_emptied_exactly(actors: list[Actor], deadlocks: Deadlocks, define: Callable[[], None], first: int) -> None:
    """64 ask for one of 50: each segment is given once, all are given, and the others are told that none is left."""
    define()
    asking = [partial(networks.create, actor=actors[number % 8], name=f"n{number}") for number in range(THREADS)]
    results = together(asking)
    assert unexpected(results, NoCapacity) == [], deadlocks.details()
    assert len(errors(results)) == THREADS - 50
    assert sorted(made.segment or 0 for made in results if isinstance(made, Network)) == list(range(first, first + 50))
    assert deadlocks() == 0, deadlocks.details()
    assert quotas.drifts() == []


def test_segments_that_are_freed_meanwhile_are_found(actors: list[Actor], deadlocks: Deadlocks) -> None:
    SegmentPool.objects.update(first=5000, last=5007)

    def churn(actor: Actor, number: int) -> None:
        for turn in range(6):
            made = networks.create(actor=actor, name=f"n{number}-{turn}")
            networks.delete(actor=actor, network_id=made.pk)

    results = together([partial(churn, actor, number) for number, actor in enumerate(actors)])
    assert errors(results) == [], deadlocks.details()
    assert deadlocks() == 0, deadlocks.details()


def test_a_named_segment_goes_to_one_of_those_who_name_it() -> None:
    asking = [partial(networks.create, actor=SYSTEM, name=f"n{number}", kind="vxlan", segment=7000, shared=True) for number in range(16)]
    results = together(asking)
    assert len(errors(results)) == 15
    assert {error.code for error in results if isinstance(error, Conflict)} == {"segment.taken"}


def test_pools_that_overlap_are_not_defined_at_once() -> None:
    SegmentPool.objects.all().delete()
    results = together([partial(pools.add, actor=SYSTEM, kind="vxlan", first=1, last=100 + number) for number in range(8)])
    assert len(errors(results)) == 7
    assert SegmentPool.objects.count() == 1


def test_subnets_that_overlap_are_not_made_at_once(actors: list[Actor]) -> None:
    made = networks.create(actor=actors[0], name="n")
    asking = [partial(subnets.create, actor=actors[0], network_id=made.pk, cidr=f"10.0.{number}.0/{16 if number == 0 else 24}") for number in range(8)]
    together(asking)
    found = list(Subnet.objects.values_list("cidr", flat=True))
    assert found == ["10.0.0.0/16"] or (len(found) == 7 and "10.0.0.0/16" not in found)


def test_64_first_uses_make_one_default_network(deadlocks: Deadlocks) -> None:
    actor = make_actor(make_project())
    results = together([partial(defaults.ensure, actor=actor)] * THREADS)
    assert errors(results) == [], deadlocks.details()
    assert len({made.pk for made in results}) == 1
    assert (Router.objects.count(), RouterInterface.objects.count(), SecurityGroup.objects.count()) == (1, 2, 1)
    assert deadlocks() == 0, deadlocks.details()
    assert [*audit.drifts(), *quotas.drifts()] == []


def test_a_project_is_deleted_with_its_defaults_or_somebody_uses_them(deadlocks: Deadlocks) -> None:
    for _ in range(6):
        project = make_project()
        actor = make_actor(project)
        made = defaults.ensure(actor=actor)
        calls: list[Callable[[], object]] = [
            partial(projects.delete_project, actor=SYSTEM, project_id=project.pk), partial(defaults.ensure, actor=actor),
            partial(networks.create, actor=actor, name="own"), partial(networks.update, actor=actor, network_id=made.pk, name="x"),
        ]
        results = together(calls)
        assert unexpected(results, Conflict, InvalidState, NotFound) == [], deadlocks.details()
        if results[0] is None:
            assert not Network.objects.filter(project_id=project.pk).exists()
    assert deadlocks() == 0, deadlocks.details()
