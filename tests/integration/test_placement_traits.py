"""Traits, resource classes and aggregates of providers: what operators say, and what hosts report."""

import uuid
from typing import Any

import pytest

from apps.common.context import SYSTEM
from apps.compute.services import audit
from apps.hosts.services import aggregates as aggregates_of_hosts
from apps.hosts.services import deltas
from apps.placement import selectors
from apps.placement.models import Allocation, Inventory, ProviderAggregate, ProviderTrait, ResourceProvider
from apps.placement.services import aggregates, classes, traits
from tests.support.cloud import Cloud, make_project, refusal
from tests.support.identity import make_actor
from tests.support.placement import generation, give, provider

pytestmark = pytest.mark.django_db(transaction=True)


def of(provider_id: uuid.UUID) -> dict[str, bool]:
    """Trait → whether it is reported."""
    return dict(ProviderTrait.objects.filter(provider_id=provider_id).values_list("name", "reported"))


def set_of(row: ResourceProvider, *names: str, **more: Any) -> ResourceProvider:
    return traits.set_of(actor=SYSTEM, provider_id=row.pk, names=names, **more)


def inside(provider_id: uuid.UUID) -> set[uuid.UUID]:
    return set(ProviderAggregate.objects.filter(provider_id=provider_id).values_list("aggregate_id", flat=True))


def test_a_trait_is_made_once() -> None:
    assert traits.create(actor=SYSTEM, name="CUSTOM_GOLD")
    assert not traits.create(actor=SYSTEM, name="CUSTOM_GOLD")
    for name in ("GOLD", "CUSTOM_gold", "HW_CPU_X86_AVX"):
        assert refusal(traits.create, actor=SYSTEM, name=name).code == "trait.name"


def test_a_trait_is_deleted_when_nobody_has_it() -> None:
    traits.create(actor=SYSTEM, name="CUSTOM_GOLD")
    row = provider()
    set_of(row, "CUSTOM_GOLD")
    assert refusal(traits.delete, actor=SYSTEM, name="CUSTOM_GOLD").code == "trait.in_use"
    set_of(row)
    traits.delete(actor=SYSTEM, name="CUSTOM_GOLD")
    assert refusal(traits.delete, actor=SYSTEM, name="CUSTOM_GOLD").kind == "not_found"
    assert refusal(traits.delete, actor=SYSTEM, name="HW_CPU_X86_AVX").code == "trait.standard"
    assert refusal(set_of, row, "CUSTOM_GOLD").code == "trait.unknown"


def test_traits_of_a_provider_are_replaced_and_the_generation_rises_only_if_anything_changes() -> None:
    row = provider()
    cursor = deltas.read(None).cursor
    changed = set_of(row, "HW_CPU_X86_AVX", "HW_CPU_X86_AVX2", generation=0)
    assert (changed.generation, generation(row)) == (1, 1)
    assert deltas.read(cursor).changed == {row.pk}
    assert set_of(row, "HW_CPU_X86_AVX", "HW_CPU_X86_AVX2", generation=1).generation == 1
    set_of(row, "HW_CPU_X86_AVX2", generation=1)
    assert of(row.pk) == {"HW_CPU_X86_AVX2": False}
    assert refusal(set_of, row, generation=1).code == "placement.concurrent_update"
    assert refusal(set_of, row, "NOT_ONE").code == "trait.unknown"
    assert refusal(traits.set_of, actor=SYSTEM, provider_id=uuid.uuid4(), names=[]).kind == "not_found"


def test_what_a_host_reports_is_the_hosts_to_take_back(cloud: Cloud) -> None:
    host = cloud.host()
    row = ResourceProvider.objects.get(pk=host.id)
    assert traits.report(provider_id=host.id, names=["HW_CPU_X86_AVX", "HW_CPU_X86_AVX2", "CUSTOM_HV", "NOT_ONE", "CUSTOM_no"])
    assert of(host.id) == {"HW_CPU_X86_AVX": True, "HW_CPU_X86_AVX2": True, "CUSTOM_HV": True}
    traits.create(actor=SYSTEM, name="CUSTOM_GOLD")
    set_of(row, "CUSTOM_GOLD", "HW_CPU_X86_AVX")
    assert of(host.id) == {"HW_CPU_X86_AVX": True, "HW_CPU_X86_AVX2": True, "CUSTOM_HV": True, "CUSTOM_GOLD": False}
    assert traits.report(provider_id=host.id, names=["HW_CPU_X86_AVX"])
    assert of(host.id) == {"HW_CPU_X86_AVX": True, "CUSTOM_GOLD": False}
    before = generation(row)
    assert not traits.report(provider_id=host.id, names=["HW_CPU_X86_AVX"])
    assert generation(row) == before
    assert "CUSTOM_HV" in selectors.traits(actor=SYSTEM)


def test_resource_classes_are_made_renamed_and_deleted() -> None:
    classes.create(actor=SYSTEM, name="CUSTOM_GOLD")
    assert refusal(classes.create, actor=SYSTEM, name="CUSTOM_GOLD").code == "resource_class.exists"
    assert not classes.ensure(actor=SYSTEM, name="CUSTOM_GOLD")
    assert classes.ensure(actor=SYSTEM, name="CUSTOM_SILVER")
    row = provider(CUSTOM_GOLD=4)
    consumer = give(row, CUSTOM_GOLD=1)
    assert refusal(classes.delete, actor=SYSTEM, name="CUSTOM_GOLD").code == "resource_class.in_use"
    assert refusal(classes.rename, actor=SYSTEM, name="CUSTOM_GOLD", new_name="CUSTOM_SILVER").code == "resource_class.exists"
    classes.rename(actor=SYSTEM, name="CUSTOM_GOLD", new_name="CUSTOM_BRONZE")
    assert Inventory.objects.get(provider=row).resource_class == "CUSTOM_BRONZE"
    assert Allocation.objects.get(consumer_id=consumer).resource_class == "CUSTOM_BRONZE"
    classes.delete(actor=SYSTEM, name="CUSTOM_SILVER")
    assert [each.name for each in selectors.resource_classes(actor=SYSTEM) if not each.standard] == ["CUSTOM_BRONZE"]


@pytest.mark.parametrize("name", ["VCPU", "GOLD", "CUSTOM_x"])
def test_only_custom_classes_are_made_and_changed(name: str) -> None:
    assert refusal(classes.create, actor=SYSTEM, name=name).code == "resource_class.name"
    assert refusal(classes.delete, actor=SYSTEM, name=name).kind == ("invalid" if name == "VCPU" else "not_found")
    assert refusal(classes.rename, actor=SYSTEM, name=name, new_name="CUSTOM_A").kind == ("invalid" if name == "VCPU" else "not_found")


def test_aggregates_of_a_provider_are_replaced() -> None:
    row, one, two = provider(), uuid.uuid4(), uuid.uuid4()
    cursor = deltas.read(None).cursor
    assert aggregates.set_of(actor=SYSTEM, provider_id=row.pk, generation=0, ids=[one, two]).generation == 1
    assert deltas.read(cursor).changed == {row.pk}
    assert refusal(aggregates.set_of, actor=SYSTEM, provider_id=row.pk, generation=0, ids=[]).code == "placement.concurrent_update"
    assert aggregates.set_of(actor=SYSTEM, provider_id=row.pk, ids=[two]).generation == 1
    assert inside(row.pk) == {two}


def test_hosts_are_in_their_aggregates_whatever_clients_say(cloud: Cloud) -> None:
    host = cloud.host()
    made = aggregates_of_hosts.create(actor=SYSTEM, name="fast")
    aggregates_of_hosts.add_host(actor=SYSTEM, aggregate_id=made.pk, host_id=host.id)
    assert inside(host.id) == {made.pk}
    shared, own = provider(), uuid.uuid4()
    aggregates.set_of(actor=SYSTEM, provider_id=shared.pk, ids=[made.pk])
    aggregates.set_of(actor=SYSTEM, provider_id=host.id, ids=[own])
    assert inside(host.id) == {made.pk, own}
    aggregates_of_hosts.remove_host(actor=SYSTEM, aggregate_id=made.pk, host_id=host.id)
    assert inside(host.id) == {own} and inside(shared.pk) == {made.pk}


def test_a_host_that_says_hello_later_is_in_its_aggregates(cloud: Cloud) -> None:
    from apps.hosts.services import enrol
    from apps.placement.services import inventories

    host = enrol.enrol(actor=SYSTEM, name="late").host
    made = aggregates_of_hosts.create(actor=SYSTEM, name="fast")
    aggregates_of_hosts.add_host(actor=SYSTEM, aggregate_id=made.pk, host_id=host.pk)
    inventories.report(provider_id=host.pk, name="late", totals={"VCPU": 1})
    assert inside(host.pk) == {made.pk}


def test_a_provider_that_is_not_where_its_host_is_is_found_and_mended(cloud: Cloud) -> None:
    host, own = cloud.host(), uuid.uuid4()
    made = aggregates_of_hosts.create(actor=SYSTEM, name="fast")
    aggregates_of_hosts.add_host(actor=SYSTEM, aggregate_id=made.pk, host_id=host.id)
    aggregates.set_of(actor=SYSTEM, provider_id=host.id, ids=[own])
    assert selectors.misjoined() == {}
    for wrong in (
        lambda: ProviderAggregate.objects.filter(reported=True).delete(),
        lambda: ProviderAggregate.objects.create(provider_id=host.id, aggregate_id=uuid.uuid4(), reported=True),
    ):
        wrong()
        found = [each for each in audit.run() if each.code == "provider.aggregates"]
        assert [each.subject for each in found] == [str(host.id)]
        audit.repair(found)
        assert selectors.misjoined() == {} and inside(host.id) == {made.pk, own}


def test_only_operators_change_them() -> None:
    actor, row = make_actor(make_project(), role="admin"), provider()
    for call, more in (
        (traits.create, {"name": "CUSTOM_A"}), (traits.delete, {"name": "CUSTOM_A"}), (classes.ensure, {"name": "CUSTOM_A"}),
        (classes.delete, {"name": "CUSTOM_A"}), (classes.rename, {"name": "CUSTOM_A", "new_name": "CUSTOM_B"}),
        (traits.set_of, {"provider_id": row.pk, "names": []}), (aggregates.set_of, {"provider_id": row.pk, "ids": []}),
    ):
        assert refusal(call, actor=actor, **more).kind == "forbidden"
