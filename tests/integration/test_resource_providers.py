"""Resource providers and their trees."""

import uuid
from pathlib import Path

import pytest
from django.conf import settings

from apps.common.context import SYSTEM
from apps.compute.services import audit
from apps.hosts.services import deltas, enrol
from apps.placement.models import Inventory, ProviderTrait, ResourceProvider
from apps.placement.services import inventories, providers, traits
from tests.support.cloud import Cloud, make_project, refusal
from tests.support.identity import make_actor
from tests.support.placement import give, provider

pytestmark = pytest.mark.django_db(transaction=True)


def place_below(row: ResourceProvider, parent: ResourceProvider | None, *, may_move: bool = True) -> ResourceProvider:
    return providers.update(actor=SYSTEM, provider_id=row.pk, parent_id=None if parent is None else parent.pk, may_move=may_move)


def roots(*rows: ResourceProvider) -> list[uuid.UUID]:
    return [ResourceProvider.objects.get(pk=row.pk).root_id for row in rows]


def test_a_provider_is_the_root_of_its_own_tree_and_a_child_is_in_its_parents() -> None:
    root = provider("root")
    child = provider("child", root)
    grandchild = provider("grandchild", child)
    assert roots(root, child, grandchild) == [root.pk] * 3
    assert (root.generation, root.parent_id, grandchild.parent_id) == (0, None, child.pk)


def test_names_and_ids_are_taken_once() -> None:
    row = provider("one")
    assert refusal(providers.create, actor=SYSTEM, name="one").code == "placement.duplicate_name"
    twice = refusal(providers.create, actor=SYSTEM, name="two", provider_id=row.pk)
    assert (twice.kind, twice.code, twice.field) == ("conflict", "placement.duplicate_name", "id")
    other = provider("two")
    assert refusal(providers.update, actor=SYSTEM, provider_id=other.pk, name="one").code == "placement.duplicate_name"
    assert providers.update(actor=SYSTEM, provider_id=other.pk, name="three").name == "three"


@pytest.mark.parametrize("name", ["", " ", "x" * 201, "a\nb"], ids=["empty", "blank", "long", "two lines"])
def test_names_that_nobody_could_read_are_refused(name: str) -> None:
    assert refusal(providers.create, actor=SYSTEM, name=name).kind == "invalid"


def test_a_parent_must_be_there_and_be_another_one() -> None:
    key = uuid.uuid4()
    for parent in (key, uuid.uuid4()):
        assert refusal(providers.create, actor=SYSTEM, name="x", provider_id=key, parent_id=parent).code == "resource_provider.parent"
    row = provider()
    for parent in (row.pk, uuid.uuid4()):
        error = refusal(providers.update, actor=SYSTEM, provider_id=row.pk, parent_id=parent, may_move=True)
        assert (error.kind, error.code) == ("invalid", "resource_provider.parent")


def test_moving_a_provider_takes_all_below_it_along() -> None:
    here, there = provider("here"), provider("there")
    moved = provider("moved", here)
    below = provider("below", moved)
    stays = provider("stays", here)
    place_below(moved, there)
    assert roots(moved, below, stays) == [there.pk, there.pk, here.pk]
    place_below(moved, None)
    assert roots(moved, below, stays) == [moved.pk, moved.pk, here.pk]
    place_below(here, below)
    assert roots(here, stays, moved) == [moved.pk] * 3


def test_no_provider_is_below_itself() -> None:
    root = provider()
    child = provider("", root)
    grandchild = provider("", child)
    for parent in (root, child, grandchild):
        assert refusal(place_below, root, parent).code == "resource_provider.parent"


def test_old_clients_may_only_give_a_parent_to_a_root() -> None:
    root, other, lone = provider(), provider(), provider()
    child = provider("", root)
    for parent in (None, other):
        assert "not allowed" in refusal(place_below, child, parent, may_move=False).message
    assert place_below(child, root, may_move=False).parent_id == root.pk
    assert place_below(lone, child, may_move=False).root_id == root.pk


def test_a_provider_goes_with_all_that_it_has() -> None:
    row = provider(VCPU=4)
    traits.set_of(actor=SYSTEM, provider_id=row.pk, names=["HW_CPU_X86_AVX"])
    providers.delete(actor=SYSTEM, provider_id=row.pk)
    assert not ResourceProvider.objects.exists() and not Inventory.objects.exists() and not ProviderTrait.objects.exists()
    assert refusal(providers.delete, actor=SYSTEM, provider_id=row.pk).kind == "not_found"


def test_a_provider_with_children_or_claims_is_not_deleted() -> None:
    root = provider(VCPU=4)
    child = provider("", root, VCPU=4)
    assert refusal(providers.delete, actor=SYSTEM, provider_id=root.pk).code == "placement.resource_provider.cannot_delete_parent"
    give(child, VCPU=1)
    error = refusal(providers.delete, actor=SYSTEM, provider_id=child.pk)
    assert (error.kind, error.code) == ("conflict", "placement.resource_provider.inuse")
    assert Inventory.objects.filter(provider=child).exists()


def test_the_provider_of_a_host_is_the_hosts(cloud: Cloud) -> None:
    host = cloud.host("hv1")
    other = provider()
    for change in ({"name": "mine"}, {"parent_id": other.pk, "may_move": True}):
        assert refusal(providers.update, actor=SYSTEM, provider_id=host.id, **change).code == "resource_provider.of_host"
    assert refusal(providers.delete, actor=SYSTEM, provider_id=host.id).code == "resource_provider.of_host"
    assert providers.update(actor=SYSTEM, provider_id=host.id, name="hv1", parent_id=None).name == "hv1"
    assert providers.create(actor=SYSTEM, name="numa0", parent_id=host.id).root_id == host.id


def test_no_client_makes_the_provider_of_a_host_before_its_hello() -> None:
    host = enrol.enrol(actor=SYSTEM, name="hv1").host
    assert refusal(providers.create, actor=SYSTEM, name="mine", provider_id=host.pk).code == "resource_provider.of_host"
    inventories.report(provider_id=host.pk, name="hv1", totals={"VCPU": 4})
    assert refusal(providers.create, actor=SYSTEM, name="mine", provider_id=host.pk).code == "placement.duplicate_name"


def test_a_host_whose_name_a_client_has_taken_comes_up_all_the_same(cloud: Cloud) -> None:
    provider("hv1")
    host = cloud.host("hv1")
    row = ResourceProvider.objects.get(pk=host.id)
    assert row.name == f"hv1 {host.id}" and row.inventories.count() == 3
    assert cloud.active()[0].host_id == host.id


def test_schedulers_are_told_of_trees_that_change() -> None:
    root, other = provider(), provider()
    child = provider("", root)
    cursor = deltas.read(None).cursor
    place_below(child, other)
    assert deltas.read(cursor).changed == {root.pk, other.pk}


def test_a_provider_in_a_wrong_tree_is_found_and_put_into_its_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "MEDIA_ROOT", tmp_path)  # images that other tests left are no matter here
    root, other = provider(), provider()
    child = provider("child", root)
    below = provider("below", child)
    ResourceProvider.objects.filter(pk__in=[child.pk, below.pk]).update(root_id=other.pk)
    found = audit.run()
    assert [(each.code, each.subject) for each in found] == [("provider.root", str(child.pk))]
    audit.repair(found)
    assert roots(child, below) == [root.pk] * 2 and audit.run() == []


def test_only_operators_make_change_and_delete_providers() -> None:
    actor, row = make_actor(make_project(), role="admin"), provider()
    for call in (providers.update, providers.delete):
        assert refusal(call, actor=actor, provider_id=row.pk).kind == "forbidden"
    assert refusal(providers.create, actor=actor, name="x").kind == "forbidden"
