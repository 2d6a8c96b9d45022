"""Traits, resource classes and aggregates over Placement."""

import uuid
from typing import Any

import os_resource_classes
import os_traits
import pytest

from tests.api.openstack.placement.speaker import Speaker

pytestmark = pytest.mark.django_db
AGGREGATES = [f"{number}a99e9a7-0000-4000-8000-000000000000" for number in range(3)]
WRONG = ["CUSTOM_", "CUSTOM_a", "custom_A", "HW_NEW", "CUSTOM_A-B", "CUSTOM_" + "A" * 249, "CUSTOM_Ä", "CUSTOM_A%0A", "CUSTOM_A%20"]


def test_a_trait_is_made_once_seen_and_deleted(placement: Speaker) -> None:
    placement.get("traits/CUSTOM_GOLD").refused(404)
    answer = placement.put("traits/CUSTOM_GOLD")
    assert answer.status == 201 and answer.content == b"" and answer.headers["Location"] == "http://127.0.0.1:8600/placement/traits/CUSTOM_GOLD"
    assert "Last-Modified" in answer.headers
    again = placement.put("traits/CUSTOM_GOLD")
    assert again.status == 204 and again.headers["Location"] == "http://127.0.0.1:8600/placement/traits/CUSTOM_GOLD"
    shown = placement.get("traits/CUSTOM_GOLD")
    assert shown.status == 204 and shown.content == b"" and "Last-Modified" in shown.headers
    assert placement.delete("traits/CUSTOM_GOLD").status == 204
    placement.delete("traits/CUSTOM_GOLD").refused(404)


def test_the_standard_traits_are_there_and_stay(placement: Speaker) -> None:
    assert set(placement.get("traits").ok()["traits"]) == set(os_traits.get_traits())
    placement.get("traits/HW_CPU_X86_AVX2").ok(204)
    placement.put("traits/HW_CPU_X86_AVX2").refused(400)
    placement.delete("traits/HW_CPU_X86_AVX2").refused(400)


@pytest.mark.parametrize("name", WRONG)
def test_a_trait_that_cannot_be_is_refused(placement: Speaker, name: str) -> None:
    placement.put(f"traits/{name}").refused(400)
    placement.get(f"traits/{name}").refused(404)
    placement.delete(f"traits/{name}").refused(404)


def test_a_trait_that_somebody_has_stays(placement: Speaker) -> None:
    placement.put("traits/CUSTOM_GOLD").ok(201)
    key = placement.provider("one", traits=("CUSTOM_GOLD",))
    placement.delete("traits/CUSTOM_GOLD").refused(409)
    placement.delete(f"resource_providers/{key}/traits").ok(204)
    placement.delete("traits/CUSTOM_GOLD").ok(204)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("name=startswith:CUSTOM_", ["CUSTOM_GOLD", "CUSTOM_LEAD"]), ("name=startswith:CUSTOM_G", ["CUSTOM_GOLD"]), ("name=startswith:NOTHING", []),
        ("name=in:CUSTOM_LEAD,HW_CPU_X86_AVX2,NOTHING", ["CUSTOM_LEAD", "HW_CPU_X86_AVX2"]), ("name=in:", []),
        ("associated=true", ["CUSTOM_GOLD", "HW_CPU_X86_AVX2"]), ("associated=True&name=startswith:HW_", ["HW_CPU_X86_AVX2"]),
        ("associated=false&name=startswith:CUSTOM_", ["CUSTOM_LEAD"]),
    ],
)
def test_traits_are_found_by_name_and_use(placement: Speaker, query: str, names: list[str]) -> None:
    for name in ("CUSTOM_GOLD", "CUSTOM_LEAD"):
        placement.put(f"traits/{name}").ok(201)
    placement.provider("one", traits=("CUSTOM_GOLD", "HW_CPU_X86_AVX2"))
    placement.provider("two", traits=("CUSTOM_GOLD",))
    assert sorted(placement.get(f"traits?{query}").ok()["traits"]) == names


@pytest.mark.parametrize("query", ["name=CUSTOM_GOLD", "associated=1", "associated=", "nothing=1", "name=%00"])
def test_a_query_for_traits_that_says_nothing_sensible_is_refused(placement: Speaker, query: str) -> None:
    placement.get(f"traits?{query}").refused(400)


def test_traits_of_a_provider_are_set_shown_and_taken_away(placement: Speaker) -> None:
    path = f"resource_providers/{placement.provider('one')}/traits"
    assert placement.get(path).ok() == {"traits": [], "resource_provider_generation": 0}
    answer = placement.put(path, {"traits": ["HW_CPU_X86_AVX2", "HW_CPU_X86_AVX"], "resource_provider_generation": 0})
    made = answer.ok()
    assert sorted(made["traits"]) == ["HW_CPU_X86_AVX", "HW_CPU_X86_AVX2"] and made["resource_provider_generation"] == 1
    assert "Last-Modified" in answer.headers
    assert placement.get(path).ok() == made
    placement.put(path, {"traits": [], "resource_provider_generation": 0}).refused(409, "placement.concurrent_update")
    assert placement.put(path, {"traits": ["HW_CPU_X86_AVX"], "resource_provider_generation": 1}).ok()["resource_provider_generation"] == 2
    assert placement.delete(path).status == 204
    assert placement.get(path).ok() == {"traits": [], "resource_provider_generation": 3}


@pytest.mark.parametrize(
    "body",
    [
        {"traits": ["HW_CPU_X86_AVX"]}, {"resource_provider_generation": 0}, {"traits": "HW_CPU_X86_AVX", "resource_provider_generation": 0},
        {"traits": ["NOTHING"], "resource_provider_generation": 0}, {"traits": ["CUSTOM_NOTHING"], "resource_provider_generation": 0},
        {"traits": [""], "resource_provider_generation": 0}, {"traits": [7], "resource_provider_generation": 0}, {"traits": ["A" * 256], "resource_provider_generation": 0},
        {"traits": ["A\0"], "resource_provider_generation": 0}, {"traits": [], "resource_provider_generation": "0"},
        {"traits": [], "resource_provider_generation": 0, "x": 1},
    ],
)
def test_traits_that_a_provider_cannot_have_are_refused(placement: Speaker, body: dict[str, Any]) -> None:
    path = f"resource_providers/{placement.provider('one')}/traits"
    placement.put(path, body).refused(400)
    assert placement.get(path).ok() == {"traits": [], "resource_provider_generation": 0}


def test_there_are_no_traits_before_1_6(placement: Speaker) -> None:
    key = placement.provider("one")
    for method, path in (
        ("GET", "traits"), ("GET", "traits/HW_CPU_X86_AVX"), ("PUT", "traits/CUSTOM_X"), ("DELETE", "traits/CUSTOM_X"),
        ("GET", f"resource_providers/{key}/traits"), ("PUT", f"resource_providers/{key}/traits"), ("DELETE", f"resource_providers/{key}/traits"),
    ):
        placement(method, path, at="1.5").refused(404, "")
    assert placement.get("traits", at="1.6").status == 200


def test_a_resource_class_is_made_shown_and_deleted(placement: Speaker) -> None:
    answer = placement.post("resource_classes", {"name": "CUSTOM_FPGA"})
    assert answer.status == 201 and answer.content == b"" and answer.headers["Location"] == "http://127.0.0.1:8600/placement/resource_classes/CUSTOM_FPGA"
    shown = {"name": "CUSTOM_FPGA", "links": [{"rel": "self", "href": "/placement/resource_classes/CUSTOM_FPGA"}]}
    assert placement.get("resource_classes/CUSTOM_FPGA").ok() == shown
    assert shown in placement.get("resource_classes").ok()["resource_classes"]
    placement.post("resource_classes", {"name": "CUSTOM_FPGA"}).refused(409)
    assert placement.delete("resource_classes/CUSTOM_FPGA").status == 204
    placement.delete("resource_classes/CUSTOM_FPGA").refused(404)
    placement.get("resource_classes/CUSTOM_FPGA").refused(404)


def test_the_standard_classes_are_there_and_stay(placement: Speaker) -> None:
    assert [each["name"] for each in placement.get("resource_classes").ok()["resource_classes"]] == list(os_resource_classes.STANDARDS)
    assert placement.get("resource_classes/VCPU").ok()["name"] == "VCPU"
    placement.post("resource_classes", {"name": "VCPU"}).refused(400)
    placement.put("resource_classes/VCPU").refused(400)
    placement.put("resource_classes/VCPU", {"name": "CUSTOM_X"}, at="1.6").refused(400, "")
    placement.delete("resource_classes/VCPU").refused(400)


@pytest.mark.parametrize("name", WRONG)
def test_a_class_that_cannot_be_is_refused(placement: Speaker, name: str) -> None:
    placement.post("resource_classes", {"name": name}).refused(400)
    placement.put(f"resource_classes/{name}").refused(400)
    placement.get(f"resource_classes/{name}").refused(404)


@pytest.mark.parametrize("body", [{}, {"name": None}, {"name": 7}, {"name": "CUSTOM_A", "x": 1}])
def test_a_class_needs_its_keys(placement: Speaker, body: dict[str, Any]) -> None:
    placement.post("resource_classes", body).refused(400)


def test_since_1_7_a_class_is_made_by_its_address(placement: Speaker) -> None:
    answer = placement.put("resource_classes/CUSTOM_FPGA", at="1.7")
    assert answer.status == 201 and answer.headers["Location"] == "http://127.0.0.1:8600/placement/resource_classes/CUSTOM_FPGA"
    assert placement.put("resource_classes/CUSTOM_FPGA").status == 204


def test_before_1_7_a_class_was_renamed(placement: Speaker) -> None:
    for name in ("CUSTOM_A", "CUSTOM_B"):
        placement.post("resource_classes", {"name": name}).ok(201)
    key = placement.provider("one", CUSTOM_A=4)
    placement.claim(key, CUSTOM_A=1)
    assert placement.put("resource_classes/CUSTOM_A", {"name": "CUSTOM_C"}, at="1.6").ok()["name"] == "CUSTOM_C"
    assert placement.get(f"resource_providers/{key}/usages").ok()["usages"] == {"CUSTOM_C": 1}
    placement.put("resource_classes/CUSTOM_C", {"name": "CUSTOM_B"}, at="1.6").refused(409, "")
    placement.put("resource_classes/CUSTOM_A", {"name": "CUSTOM_D"}, at="1.6").refused(404, "")
    placement.put("resource_classes/CUSTOM_C", {"name": "D"}, at="1.6").refused(400, "")
    placement.put("resource_classes/CUSTOM_C", b"{}", at="1.6", content_type="text/plain").refused(415, "")


def test_a_class_of_inventories_stays(placement: Speaker) -> None:
    placement.put("resource_classes/CUSTOM_FPGA").ok(201)
    key = placement.provider("one", CUSTOM_FPGA=4)
    placement.delete("resource_classes/CUSTOM_FPGA").refused(409)
    placement.delete(f"resource_providers/{key}/inventories").ok(204)
    placement.delete("resource_classes/CUSTOM_FPGA").ok(204)


def test_there_are_no_resource_classes_before_1_2(placement: Speaker) -> None:
    for method, path in (
        ("GET", "resource_classes"), ("POST", "resource_classes"), ("GET", "resource_classes/VCPU"), ("PUT", "resource_classes/CUSTOM_X"),
        ("DELETE", "resource_classes/CUSTOM_X"),
    ):
        placement(method, path, at="1.1").refused(404, "")
    assert placement.get("resource_classes", at="1.2").status == 200


def test_aggregates_of_a_provider_are_set_and_shown(placement: Speaker) -> None:
    path = f"resource_providers/{placement.provider('one')}/aggregates"
    assert placement.get(path).ok() == {"aggregates": [], "resource_provider_generation": 0}
    made = placement.put(path, {"aggregates": AGGREGATES[:2], "resource_provider_generation": 0})
    assert made.ok() == {"aggregates": AGGREGATES[:2], "resource_provider_generation": 1} == placement.get(path).ok()
    assert made.headers["Cache-Control"] == "no-cache"
    placement.put(path, {"aggregates": [], "resource_provider_generation": 0}).refused(409, "placement.concurrent_update")
    assert placement.put(path, {"aggregates": AGGREGATES[2:], "resource_provider_generation": 1}).ok()["aggregates"] == AGGREGATES[2:]
    assert placement.put(path, {"aggregates": [], "resource_provider_generation": 2}).ok() == {"aggregates": [], "resource_provider_generation": 3}


def test_before_1_19_aggregates_know_no_generation(placement: Speaker) -> None:
    key = placement.provider("one")
    path = f"resource_providers/{key}/aggregates"
    assert placement.put(path, AGGREGATES[:2], at="1.18").ok() == {"aggregates": AGGREGATES[:2]} == placement.get(path, at="1.18").ok()
    assert placement.generation(key) == 0
    placement.put(path, {"aggregates": [], "resource_provider_generation": 0}, at="1.18").refused(400, "")
    placement.put(path, [], at="1.19").refused(400, "")
    assert placement.put(path, [], at="1.1").ok() == {"aggregates": []}
    for method in ("GET", "PUT"):
        placement(method, path, [] if method == "PUT" else None, at="1.0").refused(404, "")


@pytest.mark.parametrize(
    "aggregates", [["x"], [7], AGGREGATES[0], [AGGREGATES[0], AGGREGATES[0]], [AGGREGATES[0], uuid.UUID(AGGREGATES[0]).hex], None],
)
def test_aggregates_that_cannot_be_are_refused(placement: Speaker, aggregates: Any) -> None:
    path = f"resource_providers/{placement.provider('one')}/aggregates"
    placement.put(path, {"aggregates": aggregates, "resource_provider_generation": 0}).refused(400)
    placement.put(path, aggregates if isinstance(aggregates, list) else {}, at="1.18").refused(400, "")
    placement.put(path, {"aggregates": AGGREGATES}).refused(400)
