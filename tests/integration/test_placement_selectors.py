"""Looking for providers, and at who holds what."""

import uuid
from typing import Any

import pytest

from apps.common.context import SYSTEM
from apps.placement import selectors
from apps.placement.models import ResourceProvider
from apps.placement.services import aggregates, traits
from apps.placement.services.inventories import Facts
from tests.support.cloud import make_project, refusal
from tests.support.identity import make_actor
from tests.support.placement import PROJECT, USER, give, provider, put, wanted

pytestmark = pytest.mark.django_db(transaction=True)


def found(**asked: Any) -> set[str]:
    return {row.name for row in selectors.find(actor=SYSTEM, wanted=asked)}  # type: ignore[arg-type]


def tagged(name: str, *names: str, groups: tuple[uuid.UUID, ...] = (), parent: ResourceProvider | None = None) -> ResourceProvider:
    row = provider(name, parent)
    traits.set_of(actor=SYSTEM, provider_id=row.pk, names=names)
    aggregates.set_of(actor=SYSTEM, provider_id=row.pk, ids=groups)
    return row


def test_providers_are_found_by_name_id_and_tree() -> None:
    root = provider("root")
    child = provider("child", root)
    provider("other")
    assert found() == {"root", "child", "other"}
    assert found(name="root") == {"root"} and found(name="roo") == set()
    assert found(provider_id=child.pk) == {"child"}
    assert found(in_tree=child.pk) == found(in_tree=root.pk) == {"root", "child"}
    assert found(in_tree=uuid.uuid4()) == set()


def test_providers_are_found_by_traits() -> None:
    tagged("a", "HW_CPU_X86_AVX", "HW_CPU_X86_AVX2")
    tagged("b", "HW_CPU_X86_AVX")
    tagged("c")
    assert found(required=[{"HW_CPU_X86_AVX"}]) == {"a", "b"}
    assert found(required=[{"HW_CPU_X86_AVX"}, {"HW_CPU_X86_AVX2"}]) == {"a"}
    assert found(required=[{"HW_CPU_X86_AVX2", "HW_CPU_X86_SSE"}]) == {"a"}
    assert found(forbidden={"HW_CPU_X86_AVX2"}) == {"b", "c"}
    assert found(required=[{"HW_CPU_X86_AVX"}], forbidden={"HW_CPU_X86_AVX2"}) == {"b"}
    assert refusal(selectors.find, actor=SYSTEM, wanted={"required": [{"CUSTOM_NONE"}]}).code == "trait.unknown"


def test_providers_are_found_by_aggregates() -> None:
    one, two = uuid.uuid4(), uuid.uuid4()
    tagged("a", groups=(one, two))
    tagged("b", groups=(one,))
    tagged("c")
    assert found(member_of=[{one}]) == {"a", "b"}
    assert found(member_of=[{one}, {two}]) == {"a"}
    assert found(member_of=[{two, uuid.uuid4()}]) == {"a"}
    assert found(not_member_of={two}) == {"b", "c"}


def test_providers_are_found_by_what_could_be_claimed_of_them() -> None:
    provider("large", VCPU=8, DISK_GB=10)
    give(provider("full", VCPU=8), VCPU=7)
    provider("choosy", VCPU=Facts(100, min_unit=2, max_unit=6, step_size=2))
    provider("shared", VCPU=Facts(4, allocation_ratio=2.0))
    provider("none", DISK_GB=10)
    assert found(resources={"VCPU": 1}) == {"large", "full", "shared"}
    assert found(resources={"VCPU": 2}) == {"large", "choosy", "shared"}
    assert found(resources={"VCPU": 3}) == {"large", "shared"}
    assert found(resources={"VCPU": 8}) == {"large", "shared"}
    assert found(resources={"VCPU": 1, "DISK_GB": 10}) == {"large"}
    assert refusal(selectors.find, actor=SYSTEM, wanted={"resources": {"CUSTOM_NONE": 1}}).code == "resource_class.unknown"


def test_what_is_held_is_shown_by_consumer_and_by_provider() -> None:
    one, two = provider(VCPU=8), provider(DISK_GB=8)
    consumer, other = uuid.uuid4(), give(one, VCPU=1)
    put(wanted(consumer, (one, {"VCPU": 2}), (two, {"DISK_GB": 3})))
    of_consumer = selectors.allocations_of(actor=SYSTEM, consumer_id=consumer)
    assert {(row.provider.pk, row.resource_class, row.amount) for row in of_consumer} == {(one.pk, "VCPU", 2), (two.pk, "DISK_GB", 3)}
    from_provider = selectors.allocations_from(actor=SYSTEM, provider_id=one.pk)
    assert {(row.consumer.pk, row.amount) for row in from_provider} == {(consumer, 2), (other, 1)}
    assert selectors.allocations_of(actor=SYSTEM, consumer_id=None) == []


def test_usages_of_a_project_are_summed_by_class_and_by_type() -> None:
    row = provider(VCPU=100, DISK_GB=100)
    for kind, owner in (("INSTANCE", USER), ("INSTANCE", "bob"), ("MIGRATION", USER), (None, USER)):
        put(wanted(uuid.uuid4(), (row, {"VCPU": 2, "DISK_GB": 1}), type=kind, user_id=owner))
    put(wanted(uuid.uuid4(), (row, {"VCPU": 50}), project_id=str(uuid.uuid4())))
    assert selectors.usages(actor=SYSTEM, project_id=PROJECT) == {"VCPU": 8, "DISK_GB": 4}
    assert selectors.usages(actor=SYSTEM, project_id=uuid.UUID(PROJECT).hex, user_id="bob") == {"VCPU": 2, "DISK_GB": 1}
    assert selectors.usages_by_type(actor=SYSTEM, project_id=PROJECT) == {
        "INSTANCE": {"VCPU": 4, "DISK_GB": 2, "consumer_count": 2}, "MIGRATION": {"VCPU": 2, "DISK_GB": 1, "consumer_count": 1},
        "unknown": {"VCPU": 2, "DISK_GB": 1, "consumer_count": 1},
    }
    assert selectors.usages_by_type(actor=SYSTEM, project_id=PROJECT, consumer_type="all", user_id=USER) == {
        "all": {"VCPU": 6, "DISK_GB": 3, "consumer_count": 3}
    }
    assert list(selectors.usages_by_type(actor=SYSTEM, project_id=PROJECT, consumer_type="MIGRATION")) == ["MIGRATION"]
    assert selectors.usages_by_type(actor=SYSTEM, project_id="nobody's") == {}


def test_a_reader_sees_usages_of_its_own_project_only() -> None:
    project, other = make_project(), make_project()
    actor = make_actor(project, role="reader")
    assert selectors.usages(actor=actor, project_id=str(project.pk)) == {}
    for foreign in (str(other.pk), "opaque"):
        assert refusal(selectors.usages, actor=actor, project_id=foreign).kind == "forbidden"
    assert refusal(selectors.find, actor=actor, wanted={}).kind == "forbidden"


def test_schedulers_read_some_or_all() -> None:
    one, two = provider(VCPU=Facts(8, reserved=2, min_unit=2, max_unit=4, step_size=2)), provider(DISK_GB=1)
    traits.set_of(actor=SYSTEM, provider_id=one.pk, names=["HW_CPU_X86_SSE", "HW_CPU_X86_AVX"])
    give(one, VCPU=2)
    assert selectors.scheduling_stock([one.pk]) == [(one.pk, "VCPU", 6, 2, 2, 4, 2)]
    assert {row[0] for row in selectors.scheduling_stock()} == {one.pk, two.pk}
    assert {row[0] for row in selectors.scheduling_stock({two.pk} | {uuid.uuid4() for _ in range(1000)})} == {two.pk}
    expected = {one.pk: "HW_CPU_X86_AVX HW_CPU_X86_SSE"}
    assert selectors.scheduling_traits() == selectors.scheduling_traits([one.pk, two.pk]) == expected
    assert selectors.scheduling_traits([]) == {} and selectors.scheduling_stock([]) == []


def test_names_are_listed_as_asked_for() -> None:
    traits.create(actor=SYSTEM, name="CUSTOM_GOLD")
    traits.create(actor=SYSTEM, name="CUSTOM_SILVER")
    tagged("a", "CUSTOM_GOLD", "HW_CPU_X86_AVX")
    assert selectors.traits(actor=SYSTEM, prefix="CUSTOM_") == ["CUSTOM_GOLD", "CUSTOM_SILVER"]
    assert selectors.traits(actor=SYSTEM, associated=True) == ["CUSTOM_GOLD", "HW_CPU_X86_AVX"]
    assert selectors.traits(actor=SYSTEM, associated=False, prefix="CUSTOM_") == ["CUSTOM_SILVER"]
    assert selectors.traits(actor=SYSTEM, names=["CUSTOM_GOLD", "NOT_ONE"]) == ["CUSTOM_GOLD"]
    assert selectors.trait(actor=SYSTEM, name="CUSTOM_GOLD").updated_at is not None
    assert selectors.trait(actor=SYSTEM, name="HW_CPU_X86_AVX").updated_at is None
    assert refusal(selectors.trait, actor=SYSTEM, name="CUSTOM_NONE").kind == "not_found"
    assert refusal(selectors.resource_class, actor=SYSTEM, name="CUSTOM_NONE").kind == "not_found"
    assert selectors.resource_class(actor=SYSTEM, name="VCPU").standard
