"""Commands about resource providers, traits, resource classes and inventories."""

import pytest

from tests.support.cloud import Cloud
from tests.support.commands import as_json, run

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_trait_is_made_given_to_a_host_and_taken_back(cloud: Cloud) -> None:
    host = cloud.host("hv1")
    assert as_json("trait_create", "CUSTOM_GOLD") == {"name": "CUSTOM_GOLD", "new": True}
    assert run("trait_create", "CUSTOM_GOLD")[0] == 0
    assert as_json("trait_list", "--custom") == [{"name": "CUSTOM_GOLD", "standard": False, "used": False}]
    shown = as_json("provider_trait_set", "hv1", "--add", "CUSTOM_GOLD", "--add", "HW_CPU_X86_AVX")
    assert (shown["id"], shown["traits"]) == (str(host.id), ["CUSTOM_GOLD", "HW_CPU_X86_AVX"])
    assert [each["name"] for each in as_json("provider_list", "--trait", "CUSTOM_GOLD")] == ["hv1"]
    assert [each["name"] for each in as_json("trait_list", "--used")] == ["CUSTOM_GOLD", "HW_CPU_X86_AVX"]
    assert run("trait_delete", "CUSTOM_GOLD")[0] == 4
    code, text = run("provider_trait_set", str(host.id), "--remove", "CUSTOM_GOLD")
    assert code == 0 and "hv1 has HW_CPU_X86_AVX" in text
    assert run("trait_delete", "CUSTOM_GOLD")[0] == 0
    assert run("trait_delete", "CUSTOM_GOLD")[0] == 3
    assert run("provider_trait_set", "hv1")[0] == 2
    assert run("provider_trait_set", "nobody", "--add", "CUSTOM_GOLD")[0] == 3


def test_resource_classes_are_made_listed_and_deleted() -> None:
    assert as_json("resource_class_create", "CUSTOM_LICENSE")["new"]
    assert as_json("resource_class_list", "--custom") == [{"name": "CUSTOM_LICENSE", "standard": False}]
    assert "VCPU" in run("resource_class_list")[1]
    assert run("resource_class_delete", "CUSTOM_LICENSE")[0] == 0
    assert run("resource_class_create", "LICENSE")[0] == 2


def test_an_inventory_is_set_by_the_name_of_its_host(cloud: Cloud) -> None:
    cloud.host("hv1", VCPU=16)
    shown = as_json("inventory_set", "hv1", "VCPU", "--ratio", "2", "--reserved", "4", "--min", "2", "--max", "8", "--step", "2")
    assert (shown["capacity"], shown["min_unit"], shown["max_unit"], shown["step_size"]) == (24, 2, 8, 2)
    assert "0 of 48 VCPU claimed" in run("inventory_set", "hv1", "VCPU", "--ratio", "4")[1]
    assert run("inventory_set", "hv1", "VCPU")[0] == 2
    assert run("inventory_set", "hv1", "VCPU", "--ratio", "0")[0] == 2
    assert run("inventory_set", "hv1", "CUSTOM_X", "--ratio", "1")[0] == 3


def test_providers_are_listed_with_what_they_have(cloud: Cloud) -> None:
    cloud.host("hv1", VCPU=2)
    cloud.host("hv2")
    assert [each["name"] for each in as_json("provider_list", "--tree", "hv1")] == ["hv1"]
    text = run("provider_list")[1]
    assert "VCPU 0/8" in text and "hv2" in text
