"""Decisions over HTTP: operators see hosts, tenants the kinds of the reasons; and asking without deciding."""

import uuid
from typing import Any

import pytest

from apps.compute.models import Instance
from apps.placement.models import Allocation
from apps.scheduler.models import Decision
from tests.api.kit import Http
from tests.support.cloud import Cloud

pytestmark = pytest.mark.django_db(transaction=True)
HOST = "hypervisor-7"


@pytest.fixture
def refused(cloud: Cloud) -> Instance:
    """It asks for more than is free; one host that has it is disabled."""
    cloud.host(HOST, MEMORY_MB=256)
    instance = cloud.boot()
    cloud.schedule()
    instance.refresh_from_db()
    return instance


def wish(cloud: Cloud, **fields: Any) -> dict[str, Any]:
    return {"flavor_id": str(cloud.flavor.pk), **fields}


# Decisions.


def test_operators_page_through_decisions_and_filter_them(cloud: Cloud, ann: Http, operator: Http, refused: Instance) -> None:
    big = cloud.host("big")
    placed, *_ = cloud.active()
    found = operator.get("scheduling/decisions").ok()["items"]
    assert [(each["instance_id"], each["placed"], each["host_name"]) for each in found] == [
        (str(placed.pk), True, "big"), (str(refused.pk), False, ""),
    ]
    at = found[0]["at"]
    for query, expected in (
        (f"instance_id={refused.pk}", [refused]), ("host=big", [placed]), (f"host_id={big.id}", [placed]), ("outcome=no_host", [refused]),
        ("outcome=placed", [placed]), (f"since={at[:19]}Z", None), (f"project_id={placed.project_id}", [placed, refused]),
        ("until=2001-01-01T00:00:00Z", []), ("since=2001-01-01T00:00:00Z", [placed, refused]), (f"project_id={uuid.uuid4()}", []),
    ):
        items = operator.get(f"scheduling/decisions?{query}").ok()["items"]
        assert expected is None or [each["instance_id"] for each in items] == [str(each.pk) for each in expected], query
    first = operator.get("scheduling/decisions?limit=1").ok()
    assert len(first["items"]) == 1 and first["next"]
    ann.get("scheduling/decisions").problem(403, "policy.forbidden")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("outcome=maybe", "invalid_choice"), ("since=yesterday", "invalid"), ("until=x", "invalid"), ("instance_id=x", "invalid"),
        ("host_id=1", "invalid"), ("project_id=x", "invalid"), ("nonsense=1", "unknown_field"),
    ],
)
def test_a_filter_that_means_nothing_is_refused(operator: Http, query: str, code: str) -> None:
    operator.get(f"scheduling/decisions?{query}").problem(400, f"request.{code}", query.partition("=")[0])


def test_who_has_no_host_learns_the_kind_of_the_reason_and_operators_learn_it_all(ann: Http, mallory: Http, operator: Http, refused: Instance) -> None:
    decision = Decision.objects.get(instance_id=refused.pk)
    told = ann.get(f"scheduling/decisions/{decision.pk}").ok()
    assert (told["placed"], told["reasons"]) == (False, ["capacity"])
    assert told["summary"] == "No host has room for 1 vCPU, 512 MiB of memory and 5 GiB of disk at the moment."
    assert told == ann.get(f"instances/{refused.pk}/scheduling").ok()["decisions"][0]
    assert not {"counts", "steps", "nearest", "hosts", "request", "groups", "verdicts"} & set(told)
    assert HOST not in str(told) and "256" not in str(told)
    mallory.get(f"scheduling/decisions/{decision.pk}").problem(404, "decision.not_found")

    seen = operator.get(f"scheduling/decisions/{decision.pk}").ok()
    (miss,) = seen["nearest"]
    assert miss["text"] == f"memory: needs 512 MiB, best free 256 MiB on {HOST} in zone default"
    assert miss["fix"].startswith(f"free 256 MiB of memory on {HOST}")
    assert (seen["hosts"], seen["counts"]) == (1, {"MEMORY_MB": 1})
    assert {"filter": "MEMORY_MB", "before": 1, "after": 0} in seen["steps"]
    assert seen["verdicts"] == [{"host": HOST, "passed": False, "reason": "MEMORY_MB"}]
    assert refused.error is not None and "256" not in str(refused.error) and "hosts" not in str(refused.error)


# Asking without deciding.


def test_asking_claims_and_stores_nothing_and_agrees_with_what_then_happens(cloud: Cloud, ann: Http, operator: Http) -> None:
    cloud.host("small", MEMORY_MB=256)
    cloud.host("big")
    told = ann.post("scheduling/dry-run", wish(cloud)).ok()
    assert (told["placed"], told["count"], "host_names" in told) == (1, 1, False)
    assert told["decisions"][0]["summary"] == "a host was found for 1 vCPU, 512 MiB of memory and 5 GiB of disk"
    seen = operator.post("scheduling/dry-run", wish(cloud)).ok()
    assert seen["host_names"] == ["big"] and seen["decisions"][0]["counts"] == {"MEMORY_MB": 1, "passed": 1}
    assert (Allocation.objects.count(), Decision.objects.count(), Instance.objects.count()) == (0, 0, 0)
    made, *_ = cloud.active()
    made.refresh_from_db()
    assert made.host_name == "big"


def test_of_many_each_counts_for_the_next_and_afterwards_none(cloud: Cloud, ann: Http, operator: Http) -> None:
    cloud.host("one", MEMORY_MB=1024)
    for _ in range(2):
        seen = operator.post("scheduling/dry-run", wish(cloud, count=5)).ok()
        assert (seen["placed"], seen["host_names"]) == (2, ["one", "one"])
        assert [each["placed"] for each in seen["decisions"]] == [True, False]
    assert ann.post("scheduling/dry-run", wish(cloud, count=5)).ok()["placed"] == 2


def test_zone_traits_group_and_hosts_are_heeded(cloud: Cloud, ann: Http, operator: Http) -> None:
    cloud.host("east", zone="east")
    group = ann.post("server-groups", {"name": "apart", "policy": "anti-affinity"}).ok(201)["id"]
    for fields, placed in (
        ({"zone": "east"}, 1), ({"zone": "west"}, 0), ({"required_traits": ["CUSTOM_NOBODY_HAS_IT"]}, 0),
        ({"forbidden_traits": ["CUSTOM_NOBODY_HAS_IT"]}, 1), ({"server_group_id": group, "count": 3}, 1), ({"image_id": str(cloud.image.pk)}, 1),
        ({"image": cloud.image.name}, 1),
    ):
        assert ann.post("scheduling/dry-run", wish(cloud, **fields)).ok()["placed"] == placed, fields
    for fields, placed in (({"hosts": ["east"]}, 1), ({"avoided_hosts": ["east"]}, 0)):
        assert operator.post("scheduling/dry-run", wish(cloud, **fields)).ok()["placed"] == placed
        ann.post("scheduling/dry-run", wish(cloud, **fields)).problem(403, "policy.forbidden")
    assert operator.post("scheduling/dry-run", {"resources": {"VCPU": 1}}).ok()["placed"] == 1
    ann.post("scheduling/dry-run", {"resources": {"VCPU": 1}}).problem(403, "policy.forbidden")
    ann.post("scheduling/dry-run", wish(cloud, project_id=str(uuid.uuid4()))).problem(403, "policy.forbidden")


@pytest.mark.parametrize(
    ("fields", "status", "code", "field"),
    [
        ({}, 400, "scheduling.size", "flavor_id"),
        ({"flavor": "tiny", "resources": {"VCPU": 1}}, 400, "scheduling.size", "flavor_id"),
        ({"flavor": "none such"}, 404, "flavor.not_found", "flavor"),
        ({"flavor_id": str(uuid.UUID(int=7))}, 404, "flavor.not_found", "flavor_id"),
        ({"resources": {}}, 400, "scheduling.resources", "resources"),
        ({"resources": {"GOLD": 1}}, 400, "resource_class.unknown", "resources"),
        ({"resources": {"VCPU": 1}, "image": "a", "image_id": str(uuid.UUID(int=7))}, 400, "scheduling.image", "image_id"),
        ({"resources": {"VCPU": 1}, "image_id": str(uuid.UUID(int=7))}, 404, "image.not_found", "image_id"),
        ({"resources": {"VCPU": 1}, "network_ids": [str(uuid.UUID(int=7))]}, 404, "network.not_found", "network_ids.0"),
        ({"resources": {"VCPU": 1}, "required_traits": ["GOLDEN"]}, 400, "trait.unknown", "required_traits"),
        ({"resources": {"VCPU": 1}, "forbidden_traits": ["GOLDEN"]}, 400, "trait.unknown", "forbidden_traits"),
        ({"resources": {"VCPU": 1}, "server_group_id": str(uuid.UUID(int=7))}, 404, "server_group.not_found", "server_group_id"),
        ({"resources": {"VCPU": 1}, "hosts": ["nowhere"]}, 404, "host.not_found", "hosts"),
        ({"resources": {"VCPU": 1}, "avoided_hosts": ["nowhere"]}, 404, "host.not_found", "avoided_hosts"),
        ({"resources": {"VCPU": 0}}, 400, "request.min_value", "resources.VCPU"),
        ({"resources": {"VCPU": 1}, "count": 0}, 400, "request.min_value", "count"),
        ({"resources": {"VCPU": 1}, "count": 101}, 400, "request.max_value", "count"),
        ({"resources": {"VCPU": 1}, "zone": "a\nb"}, 400, "request.characters", "zone"),
        ({"resources": {"VCPU": 1}, "colour": "red"}, 400, "request.unknown_field", "colour"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(operator: Http, fields: dict[str, Any], status: int, code: str, field: str) -> None:
    operator.post("scheduling/dry-run", fields).problem(status, code, field)
