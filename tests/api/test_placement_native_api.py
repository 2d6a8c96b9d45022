"""Capacity over the native API: what operators set of inventories, traits and resource classes."""

import uuid
from typing import Any

import pytest

from apps.common.context import SYSTEM
from apps.placement.models import ResourceProvider
from apps.placement.services import aggregates, classes, traits
from tests.api.kit import Http
from tests.support.cloud import Cloud
from tests.support.placement import PROJECT, USER, give, provider


def test_an_operator_says_how_much_of_a_host_may_be_claimed(cloud: Cloud, operator: Http) -> None:
    host = cloud.host(VCPU=16)
    address = f"resource-providers/{host.id}/inventories/VCPU"
    changed = operator.patch(address, {"allocation_ratio": 2, "reserved": 4, "min_unit": 2, "max_unit": 8, "step_size": 2}).ok()
    assert changed == {
        "resource_class": "VCPU", "total": 16, "reserved": 4, "min_unit": 2, "max_unit": 8, "step_size": 2, "allocation_ratio": 2.0,
        "capacity": 24, "used": 0, "reported": True,
    }
    shown = operator.get(f"resource-providers/{host.id}").ok()
    assert changed in shown["inventories"]
    operator.patch(address, {"reserved": 0, "generation": shown["generation"] - 1}).problem(409, "placement.concurrent_update", "generation")
    assert operator.patch(address, {"reserved": 0, "generation": shown["generation"]}).ok()["capacity"] == 32


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"reserved": 17}, "inventory.reserved", "reserved"), ({"allocation_ratio": 65}, "request.max_value", "allocation_ratio"),
        ({"allocation_ratio": "2"}, "request.type", "allocation_ratio"), ({"allocation_ratio": True}, "request.type", "allocation_ratio"),
        ({"min_unit": 0}, "request.min_value", "min_unit"), ({"total": 5}, "request.unknown_field", "total"),
    ],
    ids=["more than there is", "ratio too large", "ratio as text", "ratio as truth", "no unit", "the host's total"],
)
def test_what_an_inventory_cannot_be_is_refused(cloud: Cloud, operator: Http, body: dict[str, Any], code: str, field: str) -> None:
    host = cloud.host(VCPU=16)
    operator.patch(f"resource-providers/{host.id}/inventories/VCPU", body).problem(400, code, field)
    operator.patch(f"resource-providers/{host.id}/inventories/CUSTOM_NONE", {"reserved": 0}).problem(404, "inventory.not_found", "resource_class")


def test_traits_are_made_given_and_taken_back(cloud: Cloud, operator: Http) -> None:
    host = cloud.host()
    assert operator.post("traits", {"name": "CUSTOM_GOLD"}).ok(201) == {"name": "CUSTOM_GOLD", "standard": False}
    assert operator.get("traits?standard=false").ok()["items"] == [{"name": "CUSTOM_GOLD", "standard": False}]
    given = operator.put(f"resource-providers/{host.id}/traits", {"traits": ["CUSTOM_GOLD", "HW_CPU_X86_AVX"]}).ok()
    assert given["traits"] == ["CUSTOM_GOLD", "HW_CPU_X86_AVX"] and given["reported_traits"] == []
    stale = {"traits": [], "generation": given["generation"] - 1}
    operator.put(f"resource-providers/{host.id}/traits", stale).problem(409, "placement.concurrent_update", "generation")
    operator.delete("traits/CUSTOM_GOLD").problem(409, "trait.in_use", "name")
    assert operator.put(f"resource-providers/{host.id}/traits", {"traits": []}).ok()["traits"] == []
    operator.delete("traits/CUSTOM_GOLD").ok(204)
    operator.delete("traits/CUSTOM_GOLD").problem(404, "trait.not_found", "name")
    assert {"name": "HW_CPU_X86_AVX", "standard": True} in operator.get("traits?prefix=HW_CPU_X86_").ok()["items"]


def test_resource_classes_are_made_and_deleted(operator: Http) -> None:
    assert operator.post("resource-classes", {"name": "CUSTOM_LICENSE"}).ok(201)["name"] == "CUSTOM_LICENSE"
    assert operator.get("resource-classes?standard=false").ok()["items"] == [{"name": "CUSTOM_LICENSE", "standard": False}]
    assert operator.get("resource-classes").ok()["items"][0] == {"name": "VCPU", "standard": True}
    operator.delete("resource-classes/CUSTOM_LICENSE").ok(204)
    operator.delete("resource-classes/CUSTOM_LICENSE").problem(404, "resource_class.not_found", "name")
    assert operator.post("resource-classes", {"name": "LICENSE"}).json["code"] == "resource_class.name"


def test_a_tree_is_listed_by_any_of_its_providers(cloud: Cloud, operator: Http) -> None:
    host = cloud.host("hv1")
    cloud.host("hv2")
    child = provider("numa0", ResourceProvider.objects.get(pk=host.id))
    listed = operator.get(f"resource-providers?in_tree={child.pk}").ok()["items"]
    assert {each["name"]: each["parent_id"] for each in listed} == {"hv1": None, "numa0": str(host.id)}


def test_providers_are_listed_by_what_they_have(cloud: Cloud, operator: Http) -> None:
    cloud.host("hv1")
    classes.create(actor=SYSTEM, name="CUSTOM_DISKS")
    row, aggregate = provider("shelf", CUSTOM_DISKS=4, VCPU=1), uuid.uuid4()
    traits.set_of(actor=SYSTEM, provider_id=row.pk, names=["MISC_SHARES_VIA_AGGREGATE"])
    aggregates.set_of(actor=SYSTEM, provider_id=row.pk, ids=[aggregate])
    for query in ("trait=MISC_SHARES_VIA_AGGREGATE", "resource_class=CUSTOM_DISKS", f"aggregate_id={aggregate}", "name=shelf"):
        assert [each["name"] for each in operator.get(f"resource-providers?{query}").ok()["items"]] == ["shelf"], query
    assert operator.get("resource-providers?trait=CUSTOM_NONE").ok()["items"] == []
    assert len(operator.get("resource-providers?resource_class=VCPU").ok()["items"]) == 2


def test_who_holds_what_of_a_provider_is_listed_newest_first(cloud: Cloud, operator: Http, ann: Http) -> None:
    host = cloud.host("hv1")
    instance, _ = cloud.active()
    row = ResourceProvider.objects.get(pk=host.id)
    theirs = give(row, VCPU=2)
    address = f"resource-providers/{host.id}/allocations"
    assert operator.get(f"{address}?project_id={PROJECT}").ok() == {
        "items": [{
            "consumer_id": str(theirs), "consumer_generation": 1, "type": "INSTANCE", "project_id": PROJECT, "user_id": USER,
            "managed": False, "resource_class": "VCPU", "amount": 2,
        }],
        "next": None,
    }
    vcpus = operator.get(f"{address}?resource_class=VCPU").ok()["items"]
    assert [(each["consumer_id"], each["managed"]) for each in vcpus] == [(str(theirs), False), (str(instance.pk), True)]
    first = operator.get(f"{address}?limit=1").ok()
    assert first["items"] == vcpus[:1] and first["next"]
    operator.get(f"resource-providers/{uuid.uuid4()}/allocations").problem(404, "resource_provider.not_found")
    ann.get(address).problem(403, "policy.forbidden")


@pytest.mark.parametrize("path", ["traits", "resource-classes"])
def test_names_are_listed_page_by_page_each_once(operator: Http, path: str) -> None:
    for name in ("CUSTOM_B", "CUSTOM_A"):
        operator.post(path, {"name": name}).ok(201)
    everything = [each["name"] for each in operator.get(f"{path}?limit=1000").ok()["items"]]
    assert everything.index("CUSTOM_A") + 1 == everything.index("CUSTOM_B")
    seen, more = [], f"{path}?limit=7"
    while more:
        answer = operator.get(more).ok()
        seen += [each["name"] for each in answer["items"]]
        more = (answer["next"] or "").partition("/api/v1/")[2]
    assert seen == everything
    # Also behind one that is gone.
    assert [each["name"] for each in operator.get(f"{path}?standard=false&after=CUSTOM_AA").ok()["items"]] == ["CUSTOM_B"]


@pytest.mark.parametrize("path", ["traits", "resource-classes"])
def test_they_are_for_operators(ann: Http, path: str) -> None:
    ann.get(path).problem(403, "policy.forbidden")
    ann.post(path, {"name": "CUSTOM_X"}).problem(403, "policy.forbidden")
