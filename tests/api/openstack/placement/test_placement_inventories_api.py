"""Inventories and usages over Placement."""

import uuid
from typing import Any

import pytest

from tests.api.openstack.placement.speaker import BLUE, RED, Speaker

pytestmark = pytest.mark.django_db
NOWHERE = "0badc0de-0000-4000-8000-000000000000"
MAX_INT = 2**31 - 1
FULL = {"total": 8, "reserved": 1, "min_unit": 2, "max_unit": 6, "step_size": 2, "allocation_ratio": 1.5}
PLAIN = {"total": 8, "reserved": 0, "min_unit": 1, "max_unit": MAX_INT, "step_size": 1, "allocation_ratio": 1.0}


@pytest.fixture
def one(placement: Speaker) -> str:
    """A provider with nothing; the address of its inventories."""
    return f"resource_providers/{placement.provider('one')}/inventories"


def test_inventories_are_put_shown_and_taken_away(placement: Speaker, one: str) -> None:
    assert placement.get(one).ok() == {"inventories": {}, "resource_provider_generation": 0}
    answer = placement.put(one, {"inventories": {"VCPU": FULL, "MEMORY_MB": {"total": 8}}, "resource_provider_generation": 0})
    made = answer.ok()
    assert made == {"inventories": {"VCPU": FULL, "MEMORY_MB": PLAIN}, "resource_provider_generation": 1}
    assert "Last-Modified" in answer.headers
    assert placement.get(one).ok() == made
    assert placement.get(f"{one}/VCPU").ok() == {**FULL, "resource_provider_generation": 1}
    made = placement.put(one, {"inventories": {"DISK_GB": {"total": 8}}, "resource_provider_generation": 1}).ok()
    assert made == {"inventories": {"DISK_GB": PLAIN}, "resource_provider_generation": 2} == placement.get(one).ok()
    placement.get(f"{one}/VCPU").refused(404)
    assert placement.put(one, {"inventories": {}, "resource_provider_generation": 2}).ok()["inventories"] == {}


def test_one_inventory_is_added_changed_and_taken_away(placement: Speaker, one: str) -> None:
    answer = placement.post(one, {"resource_class": "VCPU", **FULL})
    assert answer.ok(201) == {**FULL, "resource_provider_generation": 1}
    assert answer.headers["Location"] == f"http://127.0.0.1:8600/placement/{one}/VCPU"
    placement.post(one, {"resource_class": "VCPU", "total": 1}).refused(409, "placement.concurrent_update")
    placement.post(one, {"resource_class": "DISK_GB", "total": 1, "resource_provider_generation": 0}).refused(409, "placement.concurrent_update")
    changed = placement.put(f"{one}/VCPU", {"total": 8, "resource_provider_generation": 1}).ok()
    assert changed == {**PLAIN, "resource_provider_generation": 2} == placement.get(f"{one}/VCPU").ok()
    placement.put(f"{one}/DISK_GB", {"total": 8, "resource_provider_generation": 2}).refused(400)
    assert placement.delete(f"{one}/VCPU").ok(204) is None
    placement.delete(f"{one}/VCPU").refused(404)
    assert placement.get(one).ok() == {"inventories": {}, "resource_provider_generation": 3}


def test_a_stale_generation_changes_nothing(placement: Speaker, one: str) -> None:
    placement.put(one, {"inventories": {"VCPU": FULL}, "resource_provider_generation": 0}).ok()
    before = placement.get(one).ok()
    for generation in (0, 2, 2**80):
        placement.put(one, {"inventories": {}, "resource_provider_generation": generation}).refused(409, "placement.concurrent_update")
        placement.put(f"{one}/VCPU", {"total": 1, "resource_provider_generation": generation}).refused(409, "placement.concurrent_update")
    assert placement.get(one).ok() == before


def test_all_are_deleted_at_once_since_1_5(placement: Speaker, one: str) -> None:
    placement.post(one, {"resource_class": "VCPU", "total": 1}).ok(201)
    answer = placement.delete(one, at="1.4")
    answer.refused(405, "")
    assert "GET" in answer.headers["Allow"]
    assert placement.delete(one, at="1.5").status == 204
    assert placement.get(one).ok()["inventories"] == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"total": 0}, {"total": -1}, {"total": 1.5}, {"total": "8"}, {"total": None}, {"total": MAX_INT + 1}, {"total": True}, {"reserved": -1}, {"reserved": 9},
        {"reserved": MAX_INT + 1}, {"min_unit": 0}, {"min_unit": MAX_INT + 1}, {"max_unit": 0}, {"max_unit": MAX_INT + 1}, {"step_size": 0},
        {"step_size": MAX_INT + 1}, {"allocation_ratio": "1"}, {"allocation_ratio": 1e39}, {"allocation_ratio": -1.0}, {"capacity": 9},
    ],
)
def test_an_inventory_that_cannot_be_is_refused(placement: Speaker, one: str, wrong: dict[str, Any]) -> None:
    placement.post(one, {"resource_class": "DISK_GB", "total": 8}).ok(201)
    record = {"total": 8, **wrong}
    placement.put(one, {"inventories": {"VCPU": record}, "resource_provider_generation": 1}).refused(400)
    placement.post(one, {"resource_class": "VCPU", **record}).refused(400)
    placement.put(f"{one}/DISK_GB", {**record, "resource_provider_generation": 1}).refused(400)
    assert placement.get(one).ok() == {"inventories": {"DISK_GB": PLAIN}, "resource_provider_generation": 1}


@pytest.mark.parametrize("body", [{"inventories": {}}, {"resource_provider_generation": 0}, {"inventories": [], "resource_provider_generation": 0}])
def test_inventories_need_their_keys(placement: Speaker, one: str, body: dict[str, Any]) -> None:
    placement.put(one, body).refused(400)
    placement.put(f"{one}/VCPU", {"total": 8}).refused(400)
    placement.post(one, {"total": 8}).refused(400)


@pytest.mark.parametrize("name", ["NOTHING", "CUSTOM_NOTHING", "vcpu", "A" * 256, "A B", ""])
def test_an_inventory_is_of_a_class_that_there_is(placement: Speaker, one: str, name: str) -> None:
    placement.put(one, {"inventories": {name: {"total": 8}}, "resource_provider_generation": 0}).refused(400)
    placement.post(one, {"resource_class": name, "total": 8}).refused(400)
    if name:
        placement.get(f"{one}/{name}").refused(404)
        placement.delete(f"{one}/{name}").refused(404)
        placement.put(f"{one}/{name}", {"total": 8, "resource_provider_generation": 0}).refused(400)


def test_all_may_be_reserved_since_1_26(placement: Speaker, one: str) -> None:
    record = {"total": 8, "reserved": 8}
    placement.post(one, {"resource_class": "VCPU", **record}, at="1.25").refused(400)
    assert placement.post(one, {"resource_class": "VCPU", **record}, at="1.26").ok(201)["reserved"] == 8
    for version, status in (("1.25", 400), ("1.26", 200)):
        generation = placement.get(one).ok()["resource_provider_generation"]
        assert placement.put(f"{one}/VCPU", {**record, "resource_provider_generation": generation}, at=version).status == status
        generation = placement.get(one).ok()["resource_provider_generation"]
        assert placement.put(one, {"inventories": {"VCPU": record}, "resource_provider_generation": generation}, at=version).status == status


def test_a_huge_ratio_is_no_accident(placement: Speaker, one: str) -> None:
    placement.post(one, {"resource_class": "VCPU", "total": MAX_INT, "allocation_ratio": 3e38}).ok(201)
    assert placement.get(f"{one}/VCPU").ok()["allocation_ratio"] == 3e38


def test_what_is_claimed_stays(placement: Speaker, one: str) -> None:
    placement.put(one, {"inventories": {"VCPU": {"total": 8}, "DISK_GB": {"total": 8}}, "resource_provider_generation": 0}).ok()
    placement.claim(one.split("/")[1], VCPU=3)
    generation = placement.get(one).ok()["resource_provider_generation"]
    assert generation == 2
    placement.put(one, {"inventories": {"DISK_GB": {"total": 8}}, "resource_provider_generation": generation}).refused(409, "placement.inventory.inuse")
    placement.delete(one).refused(409, "placement.inventory.inuse")
    placement.delete(f"{one}/VCPU").refused(409, "placement.inventory.inuse")
    placement.delete(f"{one}/DISK_GB").ok(204)
    # Less than what is claimed is possible: no more is claimed then.
    placement.put(f"{one}/VCPU", {"total": 1, "resource_provider_generation": generation + 1}).ok()
    assert placement.get(f"resource_providers/{one.split('/')[1]}/usages").ok()["usages"] == {"VCPU": 3}


@pytest.mark.parametrize("path", ["inventories", "inventories/VCPU", "usages", "aggregates", "traits", "allocations"])
def test_of_a_provider_that_is_not_there_nothing_is_found(placement: Speaker, path: str) -> None:
    assert NOWHERE in placement.get(f"resource_providers/{NOWHERE}/{path}").refused(404)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "inventories", {"inventories": {}, "resource_provider_generation": 0}), ("POST", "inventories", {"resource_class": "VCPU", "total": 1}),
        ("DELETE", "inventories", None), ("PUT", "inventories/VCPU", {"total": 1, "resource_provider_generation": 0}), ("DELETE", "inventories/VCPU", None),
        ("PUT", "aggregates", {"aggregates": [], "resource_provider_generation": 0}), ("PUT", "traits", {"traits": [], "resource_provider_generation": 0}),
        ("DELETE", "traits", None),
    ],
)
def test_of_a_provider_that_is_not_there_nothing_is_changed(placement: Speaker, method: str, path: str, body: Any) -> None:
    assert NOWHERE in placement(method, f"resource_providers/{NOWHERE}/{path}", body).refused(404)


def test_usages_of_a_provider_are_the_sums_of_its_allocations(placement: Speaker, one: str) -> None:
    usages = one.replace("inventories", "usages")
    assert placement.get(usages).ok() == {"usages": {}, "resource_provider_generation": 0}
    placement.put(one, {"inventories": {"VCPU": {"total": 8}, "DISK_GB": {"total": 8}}, "resource_provider_generation": 0}).ok()
    assert placement.get(usages).ok() == {"usages": {"VCPU": 0, "DISK_GB": 0}, "resource_provider_generation": 1}
    key = one.split("/")[1]
    first = placement.claim(key, VCPU=2, DISK_GB=1)
    placement.claim(key, VCPU=3)
    assert placement.get(usages).ok() == {"usages": {"VCPU": 5, "DISK_GB": 1}, "resource_provider_generation": 3}
    placement.delete(f"allocations/{first}").ok(204)
    assert placement.get(usages).ok() == {"usages": {"VCPU": 3, "DISK_GB": 0}, "resource_provider_generation": 4}


@pytest.fixture
def claimed(placement: Speaker) -> Speaker:
    """Claims of two projects, of instances, a migration, and something that did not say what it is."""
    key = placement.provider("one", VCPU=99, MEMORY_MB=9999)
    for _ in range(2):
        placement.claim(key, VCPU=2, MEMORY_MB=512)
    placement.claim(key, VCPU=4, kind="MIGRATION", user="other")
    placement.claim(key, VCPU=50, project=BLUE)
    body = {"allocations": {key: {"resources": {"VCPU": 8}}}, "project_id": RED, "user_id": "somebody", "consumer_generation": None}
    placement.put(f"allocations/{uuid.uuid4()}", body, at="1.37").ok(204)
    return placement


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"project_id={RED}", {"VCPU": 16, "MEMORY_MB": 1024}), (f"project_id={RED}&user_id=other", {"VCPU": 4}), (f"project_id={BLUE}", {"VCPU": 50}),
        (f"project_id={RED}&user_id=nobody", {}), ("project_id=nothing", {}), (f"user_id=other&project_id={BLUE}", {}),
    ],
)
def test_usages_of_a_project_and_a_user(claimed: Speaker, query: str, expected: dict[str, int]) -> None:
    for version in ("1.9", "1.37"):
        assert claimed.get(f"usages?{query}", at=version).ok() == {"usages": expected}
    claimed.get(f"usages?{query}", at="1.8").refused(404, "")


INSTANCES = {"VCPU": 4, "MEMORY_MB": 1024, "consumer_count": 2}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"INSTANCE": INSTANCES, "MIGRATION": {"VCPU": 4, "consumer_count": 1}, "unknown": {"VCPU": 8, "consumer_count": 1}}),
        ("&consumer_type=INSTANCE", {"INSTANCE": INSTANCES}), ("&consumer_type=unknown", {"unknown": {"VCPU": 8, "consumer_count": 1}}),
        ("&consumer_type=all", {"all": {"VCPU": 16, "MEMORY_MB": 1024, "consumer_count": 4}}), ("&consumer_type=NOTHING", {}),
        ("&consumer_type=all&user_id=other", {"all": {"VCPU": 4, "consumer_count": 1}}), ("&user_id=other", {"MIGRATION": {"VCPU": 4, "consumer_count": 1}}),
    ],
)
def test_usages_are_told_by_type_since_1_38(claimed: Speaker, query: str, expected: dict[str, Any]) -> None:
    assert claimed.get(f"usages?project_id={RED}{query}").ok() == {"usages": expected}


@pytest.mark.parametrize(
    "query", ["", "user_id=x", "project_id=", f"project_id={'x' * 256}", "project_id=x&user_id=", "project_id=x&y=z", "project_id=x&consumer_type=instance", "project_id=x&consumer_type="],
)
def test_usages_are_of_a_project(placement: Speaker, query: str) -> None:
    placement.get(f"usages?{query}").refused(400)
    placement.get("usages?project_id=x&consumer_type=INSTANCE", at="1.37").refused(400)
