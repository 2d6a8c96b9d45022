"""Capacity over the native API: what operators set of inventories, traits and resource classes."""

from typing import Any

import pytest

from tests.api.kit import Http
from tests.support.cloud import Cloud


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
    from apps.common.context import SYSTEM
    from apps.placement.services import providers

    host = cloud.host("hv1")
    cloud.host("hv2")
    child = providers.create(actor=SYSTEM, name="numa0", parent_id=host.id)
    listed = operator.get(f"resource-providers?in_tree={child.pk}").ok()["items"]
    assert {each["name"]: each["parent_id"] for each in listed} == {"hv1": None, "numa0": str(host.id)}


@pytest.mark.parametrize("path", ["traits", "resource-classes"])
def test_they_are_for_operators(ann: Http, path: str) -> None:
    ann.get(path).problem(403, "policy.forbidden")
    ann.post(path, {"name": "CUSTOM_X"}).problem(403, "policy.forbidden")
