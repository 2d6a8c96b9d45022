"""Allocations over Placement: of one consumer, of many at once, and moved together with inventories."""

import uuid
from typing import Any

import pytest

from tests.api.openstack.placement.speaker import BLUE, RED, USER, Speaker, claims

pytestmark = pytest.mark.django_db
NOWHERE = "0badc0de-0000-4000-8000-000000000000"
OWNER = {"project_id": RED, "user_id": USER}


@pytest.fixture
def one(placement: Speaker) -> str:
    return placement.provider("one", VCPU={"total": 10, "max_unit": 8}, MEMORY_MB={"total": 4096, "min_unit": 128, "step_size": 128})


@pytest.fixture
def two(placement: Speaker) -> str:
    return placement.provider("two", VCPU=10, DISK_GB=100)


@pytest.fixture
def consumer() -> str:
    return str(uuid.uuid4())


def used(placement: Speaker, provider: str) -> Any:
    return placement.get(f"resource_providers/{provider}/usages").ok()["usages"]


def test_a_consumer_claims_changes_and_gives_back(placement: Speaker, one: str, two: str, consumer: str) -> None:
    path = f"allocations/{consumer}"
    assert placement.get(path).ok() == {"allocations": {}}
    answer = placement.put(path, claims({one: {"VCPU": 2, "MEMORY_MB": 256}, two: {"DISK_GB": 5}}))
    assert answer.status == 204 and answer.content == b""
    shown = placement.get(path)
    assert shown.ok() == {
        "allocations": {
            one: {"generation": placement.generation(one), "resources": {"VCPU": 2, "MEMORY_MB": 256}},
            two: {"generation": placement.generation(two), "resources": {"DISK_GB": 5}},
        },
        **OWNER, "consumer_generation": 1, "consumer_type": "INSTANCE",
    }
    assert shown.headers["Cache-Control"] == "no-cache"
    assert placement.generation(one) == 2
    placement.put(path, claims({two: {"VCPU": 3}}, generation=1, project=BLUE, user="other", kind="MIGRATION")).ok(204)
    assert placement.get(path).ok() == {
        "allocations": {two: {"generation": placement.generation(two), "resources": {"VCPU": 3}}},
        "project_id": BLUE, "user_id": "other", "consumer_generation": 2, "consumer_type": "MIGRATION",
    }
    assert (used(placement, one), used(placement, two)) == ({"VCPU": 0, "MEMORY_MB": 0}, {"VCPU": 3, "DISK_GB": 0})
    assert placement.delete(path).status == 204
    assert placement.get(path).ok() == {"allocations": {}}
    assert "No allocations" in placement.delete(path).refused(404)
    assert used(placement, two) == {"VCPU": 0, "DISK_GB": 0}


def test_an_empty_claim_gives_everything_back_since_1_28(placement: Speaker, one: str, consumer: str) -> None:
    placement.claim(one, consumer, VCPU=1)
    placement.put(f"allocations/{consumer}", claims({}, generation=None)).refused(409, "placement.concurrent_update")
    placement.put(f"allocations/{consumer}", {"allocations": {}, **OWNER}, at="1.27").refused(400)
    placement.put(f"allocations/{consumer}", claims({}, generation=1)).ok(204)
    assert placement.get(f"allocations/{consumer}").ok() == {"allocations": {}} and used(placement, one)["VCPU"] == 0
    placement.put(f"allocations/{consumer}", claims({one: {"VCPU": 1}})).ok(204)  # it is new again


def test_the_generation_of_a_consumer_is_asked_for_since_1_28(placement: Speaker, one: str, consumer: str) -> None:
    path = f"allocations/{consumer}"
    assert "null" in placement.put(path, claims({one: {"VCPU": 1}}, generation=1)).refused(409, "placement.concurrent_update")
    placement.put(path, claims({one: {"VCPU": 1}})).ok(204)
    for stale in (None, 0, 2, 2**80):
        placement.put(path, claims({one: {"VCPU": 2}}, generation=stale)).refused(409, "placement.concurrent_update")
    assert used(placement, one)["VCPU"] == 1
    placement.put(path, {"allocations": {one: {"resources": {"VCPU": 2}}}, **OWNER}, at="1.27").ok(204)
    assert placement.get(path).ok()["consumer_generation"] == 2


def test_an_id_without_dashes_is_the_same_consumer(placement: Speaker, one: str, consumer: str) -> None:
    placement.put(f"allocations/{uuid.UUID(consumer).hex}", claims({one: {"VCPU": 1}})).ok(204)
    assert one in placement.get(f"allocations/{consumer}").ok()["allocations"]


@pytest.mark.parametrize(
    ("version", "keys"),
    [
        ("1.0", set()), ("1.11", set()), ("1.12", {"project_id", "user_id"}), ("1.27", {"project_id", "user_id"}),
        ("1.28", {"project_id", "user_id", "consumer_generation"}), ("1.37", {"project_id", "user_id", "consumer_generation"}),
        ("1.38", {"project_id", "user_id", "consumer_generation", "consumer_type"}),
    ],
)
def test_each_version_shows_of_a_consumer_what_it_knows(placement: Speaker, one: str, version: str, keys: set[str]) -> None:
    consumer = placement.claim(one, VCPU=1)
    assert set(placement.get(f"allocations/{consumer}", at=version).ok()) == {"allocations", *keys}
    assert placement.get(f"allocations/{NOWHERE}", at=version).ok() == {"allocations": {}}
    assert placement.get("allocations/nobody", at=version).ok() == {"allocations": {}}


def test_allocations_of_a_provider_are_told_by_consumer(placement: Speaker, one: str, two: str) -> None:
    first, second = placement.claim(one, VCPU=1, MEMORY_MB=128), placement.claim(one, VCPU=2)
    placement.claim(two, VCPU=2)
    path = f"resource_providers/{one}/allocations"
    assert placement.get(path).ok() == {
        "allocations": {
            first: {"resources": {"VCPU": 1, "MEMORY_MB": 128}, "consumer_generation": 1}, second: {"resources": {"VCPU": 2}, "consumer_generation": 1},
        },
        "resource_provider_generation": placement.generation(one),
    }
    assert placement.get(path, at="1.27").ok()["allocations"][second] == {"resources": {"VCPU": 2}}
    assert placement.get(f"resource_providers/{placement.provider('idle')}/allocations").ok() == {"allocations": {}, "resource_provider_generation": 0}


@pytest.mark.parametrize(
    ("resources", "status"),
    [
        ({"VCPU": 8}, 204), ({"VCPU": 9}, 409), ({"VCPU": 2**40}, 409), ({"VCPU": 2**70}, 409), ({"MEMORY_MB": 64}, 409), ({"MEMORY_MB": 192}, 409), ({"MEMORY_MB": 4096}, 204),
        ({"MEMORY_MB": 4224}, 409), ({"DISK_GB": 1}, 409), ({"NOTHING": 1}, 400), ({"CUSTOM_NOTHING": 1}, 400), ({"vcpu": 1}, 400), ({"VCPU": 0}, 400),
        ({"VCPU": -1}, 400), ({"VCPU": 1.5}, 400), ({"VCPU": "1"}, 400), ({}, 400),
    ],
)
def test_what_does_not_fit_is_not_claimed(placement: Speaker, one: str, consumer: str, resources: dict[str, Any], status: int) -> None:
    answer = placement.put(f"allocations/{consumer}", claims({one: resources}))
    if status == 204:
        answer.ok(204)
    else:
        answer.refused(status)
        assert placement.get(f"allocations/{consumer}").ok() == {"allocations": {}} and set(used(placement, one).values()) == {0}


def test_what_is_full_is_full(placement: Speaker, one: str, consumer: str) -> None:
    placement.claim(one, VCPU=7)
    assert "VCPU" in placement.put(f"allocations/{consumer}", claims({one: {"VCPU": 4}})).refused(409)
    placement.put(f"allocations/{consumer}", claims({one: {"VCPU": 3}})).ok(204)


def test_a_provider_that_is_not_there_makes_the_body_wrong(placement: Speaker, one: str, consumer: str) -> None:
    assert NOWHERE in placement.put(f"allocations/{consumer}", claims({one: {"VCPU": 1}, NOWHERE: {"VCPU": 1}})).refused(400)
    placement.put(f"allocations/{consumer}", claims({"nowhere": {"VCPU": 1}})).refused(400)
    placement.put("allocations/nobody", claims({one: {"VCPU": 1}})).refused(400)
    placement.delete("allocations/nobody").refused(404)


def body_at(version: tuple[int, int], provider: str) -> dict[str, Any]:
    """What that version takes, with nothing that it could do without."""
    body: dict[str, Any] = {"allocations": {provider: {"resources": {"VCPU": 1}}}}
    if version < (1, 12):
        body = {"allocations": [{"resource_provider": {"uuid": provider}, "resources": {"VCPU": 1}}]}
    if version >= (1, 8):
        body |= OWNER
    if version >= (1, 28):
        body["consumer_generation"] = None
    if version >= (1, 38):
        body["consumer_type"] = "INSTANCE"
    return body


BODIES = [(1, 0), (1, 7), (1, 8), (1, 11), (1, 12), (1, 27), (1, 28), (1, 33), (1, 34), (1, 37), (1, 38), (1, 39)]


@pytest.mark.parametrize("version", BODIES, ids=str)
def test_each_version_takes_its_own_body(placement: Speaker, one: str, consumer: str, version: tuple[int, int]) -> None:
    body, at = body_at(version, one), f"{version[0]}.{version[1]}"
    code = "placement.undefined_code" if version >= (1, 23) else ""
    for key in body:
        placement.put(f"allocations/{consumer}", {name: value for name, value in body.items() if name != key}, at=at).refused(400, code)
    later = {
        "mappings": {"": [one]}, "consumer_type": "INSTANCE", "consumer_generation": None, "project_id": RED, "user_id": USER, "x": 1,
    }
    for key, value in later.items():
        if key not in body and not (key == "mappings" and version >= (1, 34)):
            placement.put(f"allocations/{consumer}", {**body, key: value}, at=at).refused(400, code)
    placement.put(f"allocations/{consumer}", body, at=at).ok(204)
    kept = placement.get(f"allocations/{consumer}").ok()
    assert kept["allocations"][one]["resources"] == {"VCPU": 1}
    assert kept["consumer_type"] == ("INSTANCE" if version >= (1, 38) else "unknown")
    assert kept["project_id"] == (RED if version >= (1, 8) else "00000000-0000-0000-0000-000000000000")


@pytest.mark.parametrize(
    "wrong",
    [
        {"project_id": ""}, {"project_id": "x" * 256}, {"project_id": 7}, {"project_id": None}, {"project_id": "a\0"}, {"user_id": ""}, {"user_id": "x" * 256},
        {"consumer_generation": "1"}, {"consumer_generation": 1.5}, {"consumer_type": ""}, {"consumer_type": "instance"}, {"consumer_type": "A" * 256},
        {"consumer_type": None}, {"mappings": {}}, {"mappings": {"": []}}, {"mappings": {"": ["x"]}}, {"mappings": {"ä": [NOWHERE]}}, {"mappings": []},
        {"allocations": []}, {"allocations": {NOWHERE: {}}}, {"allocations": {NOWHERE: {"resources": {"VCPU": 1}, "x": 1}}},
        {"allocations": {NOWHERE: {"resources": {"VCPU": 1}, "generation": "1"}}}, {"allocations": None},
    ],
)
def test_a_claim_that_cannot_be_is_refused(placement: Speaker, one: str, consumer: str, wrong: dict[str, Any]) -> None:
    placement.put(f"allocations/{consumer}", {**claims({one: {"VCPU": 1}}), **wrong}).refused(400)
    placement.post("allocations", {consumer: {**claims({one: {"VCPU": 1}}), **wrong}}).refused(400)
    assert used(placement, one)["VCPU"] == 0


def test_what_get_shows_can_be_put(placement: Speaker, one: str, consumer: str) -> None:
    placement.claim(one, consumer, VCPU=1)
    shown = placement.get(f"allocations/{consumer}").ok()
    placement.put(f"allocations/{consumer}", {**shown, "mappings": {"_A-b7": [one]}}).ok(204)


@pytest.mark.parametrize("version", ["1.0", "1.11"])
def test_a_list_says_the_same(placement: Speaker, one: str, two: str, consumer: str, version: str) -> None:
    def item(provider: str, **resources: int) -> dict[str, Any]:
        return {"resource_provider": {"uuid": provider}, "resources": resources}

    owner = OWNER if version == "1.11" else {}
    path = f"allocations/{consumer}"
    placement.put(path, {"allocations": [item(one, VCPU=1), item(two, DISK_GB=2)], **owner}, at=version).ok(204)
    assert (used(placement, one)["VCPU"], used(placement, two)["DISK_GB"]) == (1, 2)
    wrongs: list[Any] = [[], {}, [{"resource_provider": {"uuid": one}}], [{"resources": {"VCPU": 1}}], [{**item(one, VCPU=1), "x": 1}], [item("x", VCPU=1)], [item(one)]]
    for wrong in wrongs:
        placement.put(path, {"allocations": wrong, **owner}, at=version).refused(400, "")


def test_many_consumers_claim_at_once_or_none(placement: Speaker, one: str, two: str) -> None:
    first, second, third = (str(uuid.uuid4()) for _ in range(3))
    placement.claim(one, first, VCPU=8)
    # What the first gives back, the second takes.
    placement.post("allocations", {
        first: claims({two: {"VCPU": 8}}, generation=1), second: claims({one: {"VCPU": 8}}), third: claims({two: {"DISK_GB": 1}}, kind="MIGRATION"),
    }).ok(204)
    assert (used(placement, one)["VCPU"], used(placement, two)) == (8, {"VCPU": 8, "DISK_GB": 1})
    refused = placement.post("allocations", {first: claims({}, generation=2), second: claims({one: {"VCPU": 9}}, generation=1)})
    refused.refused(409)
    placement.post("allocations", {first: claims({}, generation=2), second: claims({}, generation=7)}).refused(409, "placement.concurrent_update")
    assert (used(placement, one)["VCPU"], used(placement, two)["VCPU"]) == (8, 8)
    placement.post("allocations", {first: claims({}, generation=2), second: claims({}, generation=1), third: claims({}, generation=1)}).ok(204)
    assert (used(placement, one)["VCPU"], used(placement, two)) == (0, {"VCPU": 0, "DISK_GB": 0})


@pytest.mark.parametrize("version", [each for each in BODIES if each >= (1, 12)], ids=str)
def test_many_at_once_take_the_body_of_their_version(placement: Speaker, one: str, consumer: str, version: tuple[int, int]) -> None:
    at = f"{version[0]}.{max(version[1], 13)}"
    placement.post("allocations", {consumer: body_at(version, one)}, at=at).ok(204)
    wrong = placement.post("allocations", {consumer: {**body_at(version, one), "x": 1}}, at=at)
    wrong.refused(400, "placement.undefined_code" if version >= (1, 23) else "")
    generation = {"consumer_generation": 1} if version >= (1, 28) else {}
    placement.post("allocations", {consumer: {**body_at(version, one), "allocations": {}, **generation}}, at=at).ok(204)
    assert placement.get(f"allocations/{consumer}").ok() == {"allocations": {}}


@pytest.mark.parametrize("body", [{}, {"x": {}}, {NOWHERE: {}}, {NOWHERE: []}])
def test_many_at_once_are_somebody(placement: Speaker, body: dict[str, Any]) -> None:
    placement.post("allocations", body).refused(400)


def test_many_at_once_came_with_1_13(placement: Speaker, one: str, consumer: str) -> None:
    placement.post("allocations", {consumer: body_at((1, 12), one)}, at="1.12").refused(404, "")


def stock(placement: Speaker, provider: str, **totals: int) -> dict[str, Any]:
    return {"resource_provider_generation": placement.generation(provider), "inventories": {name: {"total": total} for name, total in totals.items()}}


def test_inventories_move_with_what_is_claimed_of_them(placement: Speaker, consumer: str) -> None:
    top = placement.provider("top", VCPU=8, DISK_GB=10)
    below = placement.provider("below", parent=top)
    placement.claim(top, consumer, VCPU=8, DISK_GB=1)
    body = {
        "inventories": {top: stock(placement, top, DISK_GB=10), below: stock(placement, below, VCPU=8)},
        "allocations": {consumer: claims({top: {"DISK_GB": 1}, below: {"VCPU": 8}}, generation=1)},
    }
    answer = placement.post("reshaper", body)
    assert answer.status == 204 and answer.content == b""
    assert (used(placement, top), used(placement, below)) == ({"DISK_GB": 1}, {"VCPU": 8})
    placement.post("reshaper", body).refused(409, "placement.concurrent_update")


@pytest.fixture
def tree(placement: Speaker, consumer: str) -> tuple[str, str]:
    top = placement.provider("top", VCPU=8)
    placement.claim(top, consumer, VCPU=8)
    return top, placement.provider("below", parent=top)


def test_what_is_not_moved_is_in_the_way(placement: Speaker, tree: tuple[str, str], consumer: str) -> None:
    top, below = tree
    inventories = {top: stock(placement, top), below: stock(placement, below, VCPU=8)}
    placement.post("reshaper", {"inventories": inventories, "allocations": {}}).refused(409, "placement.inventory.inuse")
    small = {top: stock(placement, top), below: stock(placement, below, VCPU=4)}
    moved = {consumer: claims({below: {"VCPU": 8}}, generation=1)}
    placement.post("reshaper", {"inventories": small, "allocations": moved}).refused(409)
    placement.post("reshaper", {"inventories": inventories, "allocations": {consumer: claims({}, generation=9)}}).refused(409, "placement.concurrent_update")
    lost = {NOWHERE: {"resource_provider_generation": 0, "inventories": {}}}
    assert NOWHERE in placement.post("reshaper", {"inventories": lost, "allocations": {}}).refused(400, "placement.resource_provider.not_found")
    wrong = {top: stock(placement, top), below: stock(placement, below, CUSTOM_NOTHING=1)}
    placement.post("reshaper", {"inventories": wrong, "allocations": moved}).refused(400)
    placement.post("reshaper", {"inventories": inventories, "allocations": {consumer: claims({NOWHERE: {"VCPU": 8}}, generation=1)}}).refused(400)
    assert (used(placement, top), used(placement, below)) == ({"VCPU": 8}, {})


def test_the_reshaper_takes_the_body_of_its_version(placement: Speaker, tree: tuple[str, str], consumer: str) -> None:
    top, below = tree
    inventories = {top: stock(placement, top), below: stock(placement, below, VCPU=8)}
    whole = {**claims({below: {"VCPU": 8}}, generation=1), "mappings": {"": [below]}}
    untyped = {key: value for key, value in whole.items() if key != "consumer_type"}
    plain = {key: value for key, value in untyped.items() if key != "mappings"}
    for version, good in (("1.30", plain), ("1.33", plain), ("1.34", untyped), ("1.37", untyped), ("1.38", whole), ("1.39", whole)):
        for body in (whole, untyped, plain):
            if body is not good and not (body is plain and good is untyped):
                placement.post("reshaper", {"inventories": inventories, "allocations": {consumer: body}}, at=version).refused(400)
    placement.post("reshaper", {"inventories": inventories, "allocations": {consumer: plain}}, at="1.29").refused(404)
    placement.post("reshaper", {"inventories": inventories, "allocations": {consumer: plain}}, at="1.30").ok(204)


@pytest.mark.parametrize("body", [{}, {"inventories": {}, "allocations": {}}, {"allocations": {}}, {"inventories": {NOWHERE: {}}, "allocations": {}}])
def test_the_reshaper_needs_its_keys(placement: Speaker, body: dict[str, Any]) -> None:
    placement.post("reshaper", body).refused(400)
