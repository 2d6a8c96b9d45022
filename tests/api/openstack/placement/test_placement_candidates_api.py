"""Allocation candidates over Placement: every parameter, and what each version shows. The search has tests of its own."""

import uuid
from typing import Any

import pytest

from tests.api.openstack.placement.speaker import Speaker, claims

pytestmark = pytest.mark.django_db
NOWHERE = "0badc0de-0000-4000-8000-000000000000"
AGGREGATES = tuple(f"{number}a99e9a7-0000-4000-8000-000000000000" for number in range(3))
SHARING = "MISC_SHARES_VIA_AGGREGATE"


@pytest.fixture
def keys(placement: Speaker) -> dict[str, str]:
    """Two hosts: `big` with two network cards below it, `small` with its disk at `store`, which shares with it."""
    for name in ("CUSTOM_RED", "CUSTOM_BLUE"):
        placement.put(f"traits/{name}").ok(201)
    big = placement.provider("big", traits=("HW_CPU_X86_AVX2",), aggregates=AGGREGATES[:1], VCPU=8, MEMORY_MB=4096, DISK_GB=100)
    left = placement.provider("left", parent=big, traits=("CUSTOM_RED",), SRIOV_NET_VF=4)
    right = placement.provider("right", parent=big, traits=("CUSTOM_BLUE",), SRIOV_NET_VF=4)
    small = placement.provider("small", aggregates=AGGREGATES[1:2], VCPU=4, MEMORY_MB=1024)
    store = placement.provider("store", traits=(SHARING,), aggregates=AGGREGATES[1:2], DISK_GB=1000)
    return {"big": big, "left": left, "right": right, "small": small, "store": store}


def candidates(placement: Speaker, query: str, **more: Any) -> Any:
    return placement.get(f"allocation_candidates?{query}", **more).ok()


def ways(placement: Speaker, keys: dict[str, str], query: str, **more: Any) -> list[str]:
    """Each candidate in one word: its providers by name, sorted."""
    names = {key: name for name, key in keys.items()}
    found = candidates(placement, query.format(**keys), **more)["allocation_requests"]
    return sorted("+".join(sorted(names[key] for key in each["allocations"])) for each in found)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("resources=VCPU:1", ["big", "small"]), ("resources=VCPU:5", ["big"]), ("resources=VCPU:9", []),
        ("resources=VCPU:1,DISK_GB:10", ["big", "small+store"]), ("resources=VCPU:1,DISK_GB:500", ["small+store"]),
        ("resources=VCPU:1,SRIOV_NET_VF:1", ["big+left", "big+right"]),
        ("resources=VCPU:1&required=HW_CPU_X86_AVX2", ["big"]), ("resources=VCPU:1&required=!HW_CPU_X86_AVX2", ["small"]),
        ("resources=VCPU:1,SRIOV_NET_VF:1&required=CUSTOM_RED", ["big+left"]), ("resources=VCPU:1&required=CUSTOM_RED", []),
        ("resources=SRIOV_NET_VF:1&required=in:CUSTOM_RED,CUSTOM_BLUE", ["left", "right"]),
        ("resources=SRIOV_NET_VF:1&required=in:CUSTOM_RED,CUSTOM_BLUE&required=!CUSTOM_RED", ["right"]),
        (f"resources=VCPU:1&member_of={AGGREGATES[0]}", ["big"]), (f"resources=VCPU:1&member_of=in:{AGGREGATES[0]},{AGGREGATES[1]}", ["big", "small"]),
        (f"resources=VCPU:1&member_of=!{AGGREGATES[0]}", ["small"]), (f"resources=VCPU:1&member_of=!in:{AGGREGATES[0]},{AGGREGATES[1]}", []),
        (f"resources=VCPU:1&member_of={AGGREGATES[0]}&member_of={AGGREGATES[1]}", []), (f"resources=SRIOV_NET_VF:1&member_of={AGGREGATES[0]}", ["left", "right"]),
        ("resources=VCPU:1&in_tree={left}", ["big"]), ("resources=VCPU:1,DISK_GB:10&in_tree={small}", []), (f"resources=VCPU:1&in_tree={NOWHERE}", []),
        ("resources1=SRIOV_NET_VF:1", ["left", "right"]), ("resources1=SRIOV_NET_VF:1&required1=CUSTOM_BLUE", ["right"]),
        ("resources1=SRIOV_NET_VF:1&required1=in:CUSTOM_BLUE,CUSTOM_RED&required1=!CUSTOM_BLUE", ["left"]),
        (f"resources1=SRIOV_NET_VF:1&member_of1={AGGREGATES[0]}", []), (f"resources1=VCPU:1&member_of1=!{AGGREGATES[0]}", ["small"]),
        ("resources=VCPU:1&resources1=DISK_GB:10&in_tree1={store}", ["small+store"]), ("resources1=VCPU:1&in_tree1={right}", ["big"]),
        ("resources=VCPU:1&resources_NET=SRIOV_NET_VF:1&required_NET=CUSTOM_RED", ["big+left"]),
        ("resources1=SRIOV_NET_VF:3&resources2=SRIOV_NET_VF:3&group_policy=none", ["left+right", "left+right"]),
        ("resources1=SRIOV_NET_VF:1&resources2=SRIOV_NET_VF:1&group_policy=none", ["left", "left+right", "left+right", "right"]),
        ("resources1=SRIOV_NET_VF:1&resources2=SRIOV_NET_VF:1&group_policy=isolate", ["left+right", "left+right"]),
        ("resources=VCPU:1&root_required=HW_CPU_X86_AVX2", ["big"]), ("resources=VCPU:1&root_required=!HW_CPU_X86_AVX2", ["small"]),
        ("resources=SRIOV_NET_VF:1&root_required=HW_CPU_X86_AVX2,!CUSTOM_RED", ["left", "right"]),
        ("resources_A=VCPU:1&resources_B=SRIOV_NET_VF:1&required_B=CUSTOM_RED&same_subtree=_A,_B&group_policy=none", ["big+left"]),
        ("resources_A=SRIOV_NET_VF:1&resources_B=SRIOV_NET_VF:1&same_subtree=_A,_B&group_policy=none", ["left", "right"]),
        ("resources_A=SRIOV_NET_VF:1&required_B=HW_CPU_X86_AVX2&same_subtree=_A,_B&group_policy=none", ["left", "right"]),
        ("resources_A=SRIOV_NET_VF:1&required_B=CUSTOM_BLUE&same_subtree=_A,_B&group_policy=none", ["right"]),
    ],
)
def test_candidates_are_what_was_asked_for(placement: Speaker, keys: dict[str, str], query: str, expected: list[str]) -> None:
    assert ways(placement, keys, query) == expected


def test_a_candidate_can_be_claimed_as_it_is(placement: Speaker, keys: dict[str, str]) -> None:
    [found] = candidates(placement, "resources=VCPU:1&resources1=SRIOV_NET_VF:1&required1=CUSTOM_RED")["allocation_requests"]
    assert found == {
        "allocations": {keys["big"]: {"resources": {"VCPU": 1}}, keys["left"]: {"resources": {"SRIOV_NET_VF": 1}}},
        "mappings": {"": [keys["big"]], "1": [keys["left"]]},
    }
    owner = {key: value for key, value in claims({}).items() if key != "allocations"}
    placement.put(f"allocations/{uuid.uuid4()}", {**found, **owner}).ok(204)


def test_summaries_tell_of_whole_trees(placement: Speaker, keys: dict[str, str]) -> None:
    placement.claim(keys["left"], SRIOV_NET_VF=1)
    answer = placement.get("allocation_candidates?resources=SRIOV_NET_VF:4")
    assert answer.ok()["provider_summaries"] == {
        keys["big"]: {
            "resources": {name: {"capacity": total, "used": 0} for name, total in (("VCPU", 8), ("MEMORY_MB", 4096), ("DISK_GB", 100))},
            "traits": ["HW_CPU_X86_AVX2"], "parent_provider_uuid": None, "root_provider_uuid": keys["big"],
        },
        keys["left"]: {
            "resources": {"SRIOV_NET_VF": {"capacity": 4, "used": 1}}, "traits": ["CUSTOM_RED"], "parent_provider_uuid": keys["big"],
            "root_provider_uuid": keys["big"],
        },
        keys["right"]: {
            "resources": {"SRIOV_NET_VF": {"capacity": 4, "used": 0}}, "traits": ["CUSTOM_BLUE"], "parent_provider_uuid": keys["big"],
            "root_provider_uuid": keys["big"],
        },
    }
    assert answer.headers["Cache-Control"] == "no-cache"
    assert candidates(placement, "resources=SRIOV_NET_VF:9") == {"allocation_requests": [], "provider_summaries": {}}


@pytest.mark.parametrize(
    ("version", "keys_of_summary", "classes"),
    [
        ("1.10", {"resources"}, {"VCPU"}), ("1.16", {"resources"}, {"VCPU"}), ("1.17", {"resources", "traits"}, {"VCPU"}),
        ("1.26", {"resources", "traits"}, {"VCPU"}), ("1.27", {"resources", "traits"}, {"VCPU", "MEMORY_MB", "DISK_GB"}),
        ("1.29", {"resources", "traits", "parent_provider_uuid", "root_provider_uuid"}, {"VCPU", "MEMORY_MB", "DISK_GB"}),
    ],
)
def test_each_version_tells_of_providers_what_it_knows(
    placement: Speaker, keys: dict[str, str], version: str, keys_of_summary: set[str], classes: set[str],
) -> None:
    found = candidates(placement, "resources=VCPU:5", at=version)
    assert set(found["provider_summaries"]) == ({keys["big"], keys["left"], keys["right"]} if version == "1.29" else {keys["big"]})
    summary = found["provider_summaries"][keys["big"]]
    assert set(summary) == keys_of_summary and set(summary["resources"]) == classes


@pytest.mark.parametrize(("version", "listed", "mapped"), [("1.10", True, False), ("1.11", True, False), ("1.12", False, False), ("1.33", False, False), ("1.34", False, True)])
def test_each_version_tells_of_claims_as_it_takes_them(placement: Speaker, keys: dict[str, str], version: str, listed: bool, mapped: bool) -> None:
    [found] = candidates(placement, "resources=VCPU:5", at=version)["allocation_requests"]
    big = keys["big"]
    allocations = [{"resource_provider": {"uuid": big}, "resources": {"VCPU": 5}}] if listed else {big: {"resources": {"VCPU": 5}}}
    assert found == {"allocations": allocations, **({"mappings": {"": [big]}} if mapped else {})}


def test_trees_give_together_since_1_29(placement: Speaker, keys: dict[str, str]) -> None:
    assert ways(placement, keys, "resources=VCPU:1,SRIOV_NET_VF:1", at="1.28") == []
    assert ways(placement, keys, "resources=VCPU:1,SRIOV_NET_VF:1", at="1.29") == ["big+left", "big+right"]
    assert ways(placement, keys, "resources=VCPU:1,DISK_GB:10", at="1.28") == ["big", "small+store"]


def test_a_limit_limits(placement: Speaker, keys: dict[str, str]) -> None:
    for limit, expected in (("1", 1), ("2", 2), ("1000", 2), ("9" * 18, 2)):
        found = candidates(placement, f"resources=VCPU:1&limit={limit}")
        assert len(found["allocation_requests"]) == expected
        used = {key for each in found["allocation_requests"] for key in each["allocations"]}
        assert used <= set(found["provider_summaries"])


def test_of_several_limits_and_policies_the_first_counts(placement: Speaker, keys: dict[str, str]) -> None:
    assert len(ways(placement, keys, "resources=VCPU:1&limit=2&limit=1")) == 2
    two = "resources1=SRIOV_NET_VF:1&resources2=SRIOV_NET_VF:1"
    assert len(ways(placement, keys, f"{two}&group_policy=isolate&group_policy=none")) == 2
    assert len(ways(placement, keys, f"{two}&group_policy=none&group_policy=isolate")) == 4


def test_space_around_an_amount_is_none(placement: Speaker, keys: dict[str, str]) -> None:
    assert ways(placement, keys, "resources=VCPU:%205%20,MEMORY_MB:1%20") == ["big"]


@pytest.mark.parametrize(
    ("since", "query"),
    [
        ("1.10", "resources=VCPU:1"), ("1.16", "resources=VCPU:1&limit=1"), ("1.17", "resources=VCPU:1&required=HW_CPU_X86_AVX2"),
        ("1.21", f"resources=VCPU:1&member_of={AGGREGATES[0]}"), ("1.22", "resources=VCPU:1&required=!HW_CPU_X86_AVX2"),
        ("1.24", f"resources=VCPU:1&member_of={AGGREGATES[0]}&member_of={AGGREGATES[1]}"), ("1.25", "resources1=VCPU:1"),
        ("1.25", "resources=VCPU:1&group_policy=none"), ("1.25", "resources1=VCPU:1&required1=HW_CPU_X86_AVX2"), ("1.25", f"resources1=VCPU:1&member_of1={AGGREGATES[0]}"),
        ("1.31", f"resources=VCPU:1&in_tree={NOWHERE}"), ("1.31", f"resources1=VCPU:1&in_tree1={NOWHERE}"), ("1.32", f"resources=VCPU:1&member_of=!{AGGREGATES[0]}"),
        ("1.32", f"resources1=VCPU:1&member_of1=!in:{AGGREGATES[0]},{AGGREGATES[1]}"), ("1.33", "resources_NET=VCPU:1"), ("1.33", "resources0=VCPU:1"),
        ("1.33", f"resources{'x' * 64}=VCPU:1"), ("1.35", "resources=VCPU:1&root_required=HW_CPU_X86_AVX2"), ("1.36", "resources1=VCPU:1&same_subtree=1"),
        ("1.36", "resources1=VCPU:1&required2=HW_CPU_X86_AVX2&same_subtree=1,2&group_policy=none"), ("1.39", "resources=VCPU:1&required=in:HW_CPU_X86_AVX2,HW_CPU_X86_SSE"),
    ],
)
def test_each_parameter_has_a_first_version(placement: Speaker, since: str, query: str) -> None:
    minor = int(since.partition(".")[2])
    placement.get(f"allocation_candidates?{query}", at=since).ok()
    placement.get(f"allocation_candidates?{query}", at=f"1.{minor - 1}").refused(404 if minor == 10 else 400, "placement.undefined_code" if minor > 23 else "")


@pytest.mark.parametrize(
    "query",
    [
        "resources=", "resources=VCPU", "resources=VCPU:x", "resources=VCPU:0", "resources=VCPU:-1", "resources=VCPU:1,", "resources=:1", "resources=NOTHING:1",
        "resources=CUSTOM_NOTHING:1", "resources=VCPU:1&nothing=1", "resources=VCPU:1&limit=0", "resources=VCPU:1&limit=-1", "resources=VCPU:1&limit=x",
        "resources=VCPU:1&limit=", "resources=VCPU:1&required=", "resources=VCPU:1&required=NOTHING", "resources=VCPU:1&required=!CUSTOM_NOTHING",
        "resources=VCPU:1&required=in:NOTHING,HW_CPU_X86_AVX", "resources=VCPU:1&required=in:!HW_CPU_X86_AVX", "resources=VCPU:1&required=HW_CPU_X86_AVX,!HW_CPU_X86_AVX",
        "resources=VCPU:1&required=in:HW_CPU_X86_AVX&required=!HW_CPU_X86_AVX", "resources=VCPU:1&member_of=x", "resources=VCPU:1&member_of=",
        f"resources=VCPU:1&member_of={AGGREGATES[0]},{AGGREGATES[1]}", "resources=VCPU:1&in_tree=x", "resources1=VCPU:1&in_tree1=", "resources1=VCPU:1&group_policy=",
        "resources1=VCPU:1&resources2=VCPU:1", "resources1=VCPU:1&resources2=VCPU:1&group_policy=other", "resources=VCPU:1&root_required=",
        "resources=VCPU:1&root_required=NOTHING", "resources=VCPU:1&root_required=in:HW_CPU_X86_AVX,HW_CPU_X86_SSE", f"resources{'x' * 65}=VCPU:1", "resources.1=VCPU:1",
        "resources_Ä=VCPU:1", "resources=VCPU:%00",
    ],
)
def test_a_query_that_says_nothing_sensible_is_refused(placement: Speaker, query: str) -> None:
    placement.get(f"allocation_candidates?{query}").refused(400)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "missing_value"), ("limit=1", "missing_value"), ("required=HW_CPU_X86_AVX2", "missing_value"), ("required1=HW_CPU_X86_AVX2&same_subtree=1", "missing_value"),
        ("resources=VCPU:1&required1=HW_CPU_X86_AVX2", "bad_value"), ("resources1=VCPU:1&required=HW_CPU_X86_AVX2", "bad_value"),
        ("resources1=VCPU:1&same_subtree=1,2", "bad_value"), ("resources1=VCPU:1&same_subtree=", "bad_value"), ("resources1=VCPU:1&same_subtree=1,", "bad_value"),
        ("resources=VCPU:1&root_required=HW_CPU_X86_AVX2,!HW_CPU_X86_AVX2", "bad_value"),
        ("resources=VCPU:1&root_required=HW_CPU_X86_AVX2&root_required=HW_CPU_X86_SSE", "duplicate_key"),
    ],
)
def test_what_does_not_go_together_is_told_by_its_code(placement: Speaker, query: str, code: str) -> None:
    placement.get(f"allocation_candidates?{query}").refused(400, f"placement.query.{code}")


@pytest.mark.parametrize(
    "query",
    ["limit=1", "required1=HW_CPU_X86_AVX2", "resources=VCPU:1&required1=HW_CPU_X86_AVX2", f"resources=VCPU:1&member_of1={AGGREGATES[0]}", f"resources=VCPU:1&in_tree1={NOWHERE}", ""],
)
def test_before_1_36_every_group_asks_for_something(placement: Speaker, query: str) -> None:
    placement.get(f"allocation_candidates?{query}", at="1.35").refused(400)


def test_before_1_25_there_is_one_group(placement: Speaker) -> None:
    placement.get("allocation_candidates?limit=1", at="1.24").refused(400)
