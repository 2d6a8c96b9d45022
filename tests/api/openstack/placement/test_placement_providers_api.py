"""Resource providers over Placement: making, showing, changing, deleting them, and finding them by what they are and have."""

import uuid
from typing import Any

import pytest

from tests.api.openstack.placement.speaker import RED, Speaker

pytestmark = pytest.mark.django_db
NOWHERE = "0badc0de-0000-4000-8000-000000000000"
AGGREGATES = tuple(f"{number}a99e9a7-0000-4000-8000-000000000000" for number in range(4))


def found(placement: Speaker, query: str, **more: Any) -> list[str]:
    """Names of the providers that a query finds, sorted."""
    return sorted(each["name"] for each in placement.get(f"resource_providers?{query}", **more).ok()["resource_providers"])


def links(key: str, *names: str) -> list[dict[str, str]]:
    here = f"/placement/resource_providers/{key}"
    return [{"rel": "self", "href": here}, *({"rel": name, "href": f"{here}/{name}"} for name in names)]


def test_a_provider_is_made_shown_renamed_and_deleted(placement: Speaker) -> None:
    key = str(uuid.uuid4())
    answer = placement.post("resource_providers", {"name": "one", "uuid": key})
    made = answer.ok()
    assert made == {
        "uuid": key, "name": "one", "generation": 0, "parent_provider_uuid": None, "root_provider_uuid": key,
        "links": links(key, "inventories", "usages", "aggregates", "traits", "allocations"),
    }
    assert answer.headers["Location"] == f"http://127.0.0.1:8600/placement/resource_providers/{key}"
    assert "Last-Modified" in answer.headers and answer.headers["Cache-Control"] == "no-cache"
    assert placement.get(f"resource_providers/{key}").ok() == made
    assert placement.get("resource_providers").ok() == {"resource_providers": [made]}
    renamed = placement.put(f"resource_providers/{key}", {"name": "two"}).ok()
    assert renamed == {**made, "name": "two"} == placement.get(f"resource_providers/{key}").ok()
    gone = placement.delete(f"resource_providers/{key}")
    assert gone.status == 204 and gone.content == b""
    assert key in placement.get(f"resource_providers/{key}").refused(404)
    for method, body in (("DELETE", None), ("PUT", {"name": "x"})):
        placement(method, f"resource_providers/{key}", body).refused(404)


def test_before_1_20_a_new_provider_is_only_told_where_it_is(placement: Speaker) -> None:
    answer = placement.post("resource_providers", {"name": "one"}, at="1.19")
    assert answer.status == 201 and answer.content == b"" and "Content-Type" not in answer.headers
    key = answer.headers["Location"].rpartition("/")[2]
    assert placement.get(f"resource_providers/{key}").ok()["name"] == "one"


def test_an_id_without_dashes_is_the_same_id(placement: Speaker) -> None:
    key = uuid.uuid4()
    assert placement.post("resource_providers", {"name": "one", "uuid": key.hex}).ok()["uuid"] == str(key)
    assert placement.get(f"resource_providers/{key.hex}").ok()["uuid"] == str(key)


@pytest.mark.parametrize(
    ("version", "names", "trees"),
    [
        ("1.0", ("inventories", "usages"), False), ("1.1", ("inventories", "usages", "aggregates"), False),
        ("1.5", ("inventories", "usages", "aggregates"), False), ("1.6", ("inventories", "usages", "aggregates", "traits"), False),
        ("1.11", ("inventories", "usages", "aggregates", "traits", "allocations"), False),
        ("1.14", ("inventories", "usages", "aggregates", "traits", "allocations"), True),
    ],
)
def test_each_version_shows_what_it_knows(placement: Speaker, version: str, names: tuple[str, ...], trees: bool) -> None:
    key = placement.provider("one")
    shown = placement.get(f"resource_providers/{key}", at=version).ok()
    assert shown["links"] == links(key, *names)
    assert shown == placement.get("resource_providers", at=version).ok()["resource_providers"][0]
    assert shown == placement.put(f"resource_providers/{key}", {"name": "one"}, at=version).ok()
    assert (set(shown) - {"uuid", "name", "generation", "links"}) == ({"parent_provider_uuid", "root_provider_uuid"} if trees else set())


@pytest.mark.parametrize(
    "body",
    [
        {}, {"name": None}, {"name": 7}, {"name": "x" * 201}, {"name": "a\0b"}, {"name": "x", "uuid": "x"}, {"name": "x", "uuid": None},
        {"name": "x", "generation": 1}, {"name": "x", "parent_provider_uuid": "x"}, {"name": "x", "parent_provider_uuid": NOWHERE},
        {"name": "x", "uuid": NOWHERE, "parent_provider_uuid": NOWHERE},
    ],
)
def test_a_provider_that_cannot_be_is_refused(placement: Speaker, body: dict[str, Any]) -> None:
    placement.post("resource_providers", body).refused(400)
    key = placement.provider("there")
    placement.put(f"resource_providers/{key}", body).refused(400)
    assert [each["name"] for each in placement.get("resource_providers").ok()["resource_providers"]] == ["there"]


def test_names_and_ids_are_had_once(placement: Speaker) -> None:
    one, two = placement.provider("one"), placement.provider("two")
    assert "one" in placement.post("resource_providers", {"name": "one"}).refused(409, "placement.duplicate_name")
    assert one in placement.post("resource_providers", {"name": "three", "uuid": one}).refused(409, "placement.duplicate_name")
    assert "one" in placement.put(f"resource_providers/{two}", {"name": "one"}).refused(409, "placement.duplicate_name")


def test_a_provider_is_below_another_since_1_14(placement: Speaker) -> None:
    top = placement.provider("top")
    placement.post("resource_providers", {"name": "below", "parent_provider_uuid": top}, at="1.13").refused(400, "")
    below = placement.provider("below", parent=top)
    lowest = placement.provider("lowest", parent=below)
    shown = placement.get(f"resource_providers/{lowest}").ok()
    assert (shown["parent_provider_uuid"], shown["root_provider_uuid"]) == (below, top)
    assert placement.post("resource_providers", {"name": "alone", "parent_provider_uuid": None}).ok()["parent_provider_uuid"] is None
    placement.delete(f"resource_providers/{top}").refused(409, "placement.resource_provider.cannot_delete_parent")
    for key in (lowest, below, top):
        assert placement.delete(f"resource_providers/{key}").status == 204


def test_a_root_gets_a_parent_and_keeps_it_until_1_37(placement: Speaker) -> None:
    one, two, three = (placement.provider(name) for name in ("one", "two", "three"))
    placement.put(f"resource_providers/{two}", {"name": "two", "parent_provider_uuid": one}, at="1.13").refused(400, "")
    moved = placement.put(f"resource_providers/{two}", {"name": "two", "parent_provider_uuid": one}, at="1.14").ok()
    assert (moved["parent_provider_uuid"], moved["root_provider_uuid"]) == (one, one)
    for parent in (three, None):
        placement.put(f"resource_providers/{two}", {"name": "two", "parent_provider_uuid": parent}, at="1.36").refused(400)
    placement.put(f"resource_providers/{two}", {"name": "2", "parent_provider_uuid": one}, at="1.36").ok()
    assert placement.put(f"resource_providers/{two}", {"name": "two"}).ok()["parent_provider_uuid"] == one
    assert placement.put(f"resource_providers/{two}", {"name": "two", "parent_provider_uuid": three}).ok()["root_provider_uuid"] == three
    assert placement.put(f"resource_providers/{two}", {"name": "two", "parent_provider_uuid": None}).ok()["root_provider_uuid"] == two


def test_no_tree_bites_its_own_tail(placement: Speaker) -> None:
    top = placement.provider("top")
    below = placement.provider("below", parent=top)
    for parent in (top, below, NOWHERE):
        placement.put(f"resource_providers/{top}", {"name": "top", "parent_provider_uuid": parent}).refused(400)
    moved = placement.put(f"resource_providers/{below}", {"name": "below", "parent_provider_uuid": None}).ok()
    assert moved["root_provider_uuid"] == below
    placement.put(f"resource_providers/{top}", {"name": "top", "parent_provider_uuid": below}).ok()


def test_what_is_claimed_keeps_its_provider(placement: Speaker) -> None:
    key = placement.provider("one", VCPU=4)
    consumer = placement.claim(key, VCPU=1)
    placement.delete(f"resource_providers/{key}").refused(409, "placement.resource_provider.inuse")
    placement.delete(f"allocations/{consumer}").ok(204)
    assert placement.delete(f"resource_providers/{key}").status == 204


@pytest.fixture
def fleet(placement: Speaker) -> Speaker:
    """Four providers that differ; `below` is under `one`."""
    placement.put("traits/CUSTOM_GOLD").ok(201)
    one = placement.provider(
        "one", traits=("HW_CPU_X86_AVX2", "CUSTOM_GOLD"), aggregates=AGGREGATES[:1], VCPU={"total": 8, "reserved": 2, "max_unit": 4}, MEMORY_MB=1024
    )
    placement.provider(
        "two", traits=("HW_CPU_X86_AVX2",), aggregates=AGGREGATES[:2],
        VCPU={"total": 2, "allocation_ratio": 4.0, "min_unit": 2, "step_size": 2}, MEMORY_MB=2048,
    )
    placement.provider("three", traits=("CUSTOM_GOLD",), aggregates=AGGREGATES[1:3])
    placement.provider("below", parent=one)
    return placement


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("name=one", ["one"]), ("name=ONE", []), ("name=", []), ("name=nothing", []),
        ("resources=VCPU:1", ["one"]), ("resources=VCPU:4", ["one", "two"]), ("resources=VCPU:6", ["two"]), ("resources=VCPU:9", []),
        ("resources=VCPU:2,MEMORY_MB:2048", ["two"]), ("resources=DISK_GB:1", []),
        ("required=HW_CPU_X86_AVX2", ["one", "two"]), ("required=HW_CPU_X86_AVX2,CUSTOM_GOLD", ["one"]),
        ("required=!CUSTOM_GOLD", ["below", "two"]), ("required=HW_CPU_X86_AVX2,!CUSTOM_GOLD", ["two"]),
        ("required=in:HW_CPU_X86_AVX2,CUSTOM_GOLD", ["one", "three", "two"]),
        ("required=in:HW_CPU_X86_AVX2,CUSTOM_GOLD&required=!HW_CPU_X86_AVX2", ["three"]),
        ("required=CUSTOM_GOLD&required=HW_CPU_X86_AVX2", ["one"]), ("required=HW_CPU_X86_SSE", []),
        (f"member_of={AGGREGATES[0]}", ["one", "two"]), (f"member_of=in:{AGGREGATES[0]},{AGGREGATES[2]}", ["one", "three", "two"]),
        (f"member_of={AGGREGATES[0]}&member_of={AGGREGATES[1]}", ["two"]), (f"member_of={AGGREGATES[3]}", []),
        (f"member_of={AGGREGATES[0]}&member_of=in:{AGGREGATES[1]},{AGGREGATES[2]}", ["two"]),
        (f"member_of=!{AGGREGATES[1]}", ["below", "one"]), (f"member_of=!in:{AGGREGATES[0]},{AGGREGATES[2]}", ["below"]),
        (f"member_of={AGGREGATES[1]}&member_of=!{AGGREGATES[0]}", ["three"]),
        (f"member_of={AGGREGATES[0]}&member_of=!{AGGREGATES[0]}", []),
        (f"member_of=in:{AGGREGATES[0]},{AGGREGATES[1]}&member_of=!{AGGREGATES[0]}", ["three"]),
        (f"in_tree={NOWHERE}", []), (f"uuid={NOWHERE}", []),
        (f"name=two&resources=VCPU:2&required=HW_CPU_X86_AVX2&member_of={AGGREGATES[1]}", ["two"]),
    ],
)
def test_providers_are_found_by_what_they_are_and_have(fleet: Speaker, query: str, names: list[str]) -> None:
    assert found(fleet, query) == names


def test_providers_are_found_by_their_id_and_their_tree(fleet: Speaker) -> None:
    keys = {each["name"]: each["uuid"] for each in fleet.get("resource_providers").ok()["resource_providers"]}
    assert found(fleet, f"uuid={keys['two']}") == found(fleet, f"uuid={keys['two'].replace('-', '')}") == ["two"]
    for name in ("one", "below"):
        assert found(fleet, f"in_tree={keys[name]}") == ["below", "one"]
    assert found(fleet, f"in_tree={keys['below']}&resources=VCPU:1") == ["one"]


def test_what_is_claimed_is_not_found_again(fleet: Speaker) -> None:
    [one] = fleet.get("resource_providers?name=one").ok()["resource_providers"]
    fleet.claim(one["uuid"], VCPU=4, project=RED)
    assert found(fleet, "resources=VCPU:2") == ["one", "two"]
    assert found(fleet, "resources=VCPU:4") == ["two"]


@pytest.mark.parametrize(
    ("since", "query"),
    [
        ("1.3", f"member_of={AGGREGATES[0]}"), ("1.4", "resources=VCPU:1"), ("1.14", f"in_tree={NOWHERE}"), ("1.18", "required=HW_CPU_X86_AVX2"),
        ("1.22", "required=!HW_CPU_X86_AVX2"), ("1.24", f"member_of={AGGREGATES[0]}&member_of={AGGREGATES[1]}"),
        ("1.32", f"member_of=!{AGGREGATES[0]}"), ("1.32", f"member_of=!in:{AGGREGATES[0]},{AGGREGATES[1]}"),
        ("1.39", "required=in:HW_CPU_X86_AVX2,HW_CPU_X86_SSE"),
    ],
)
def test_each_way_to_ask_has_a_first_version(placement: Speaker, since: str, query: str) -> None:
    before = f"1.{int(since.partition('.')[2]) - 1}"
    placement.get(f"resource_providers?{query}", at=since).ok()
    placement.get(f"resource_providers?{query}", at=before).refused(400, "placement.undefined_code" if before >= "1.23" and len(before) > 3 else "")


def test_before_1_39_only_the_last_of_several_traits_counts(fleet: Speaker) -> None:
    query = "required=CUSTOM_GOLD&required=HW_CPU_X86_AVX2"
    assert found(fleet, query, at="1.38") == ["one", "two"] and found(fleet, query) == ["one"]


@pytest.mark.parametrize(
    "query",
    [
        "nothing=1", "Name=x", "uuid=x", "in_tree=x", "in_tree=", "limit=1", "name=%00", "resources=", "resources=VCPU", "resources=VCPU:", "resources=VCPU:x",
        "resources=VCPU:0", "resources=VCPU:-1", "resources=VCPU:1.5", "resources=:1", "resources=VCPU:1,", "resources=VCPU:1:2",
        "resources=NOTHING:1", "resources=CUSTOM_NOTHING:1", "required=", "required=,", "required=!", "required=HW_CPU_X86_AVX2,",
        "required=NOTHING", "required=!CUSTOM_NOTHING", "required=in:", "required=in:HW_CPU_X86_AVX2,!HW_CPU_X86_SSE", "required=in:NOTHING,HW_CPU_X86_SSE",
        "member_of=", "member_of=x", f"member_of={AGGREGATES[0]},{AGGREGATES[1]}", f"member_of=in:{AGGREGATES[0]},x", "member_of=in:", "member_of=!",
        f"member_of=in:{AGGREGATES[0]},!{AGGREGATES[1]}", f"member_of=!{AGGREGATES[0]},{AGGREGATES[1]}",
    ],
)
def test_a_query_that_says_nothing_sensible_is_refused(placement: Speaker, query: str) -> None:
    placement.get(f"resource_providers?{query}").refused(400)
