"""Zones, aggregates and hosts' own facts over HTTP; flavors that ask for certain hosts."""

import uuid
from typing import Any

import pytest

from apps.placement.models import Trait
from tests.api.kit import Http
from tests.support.cloud import Cloud


def test_a_zone_comes_is_closed_and_goes(cloud: Cloud, operator: Http, ann: Http) -> None:
    made = operator.post("zones", {"name": "west", "description": "room 2"}).ok(201)
    assert (made["name"], made["description"], made["enabled"]) == ("west", "room 2", True)
    operator.post("zones", {"name": "west"}).problem(409, "zone.exists", "name")
    assert ann.get("zones?name=west").ok()["items"] == [made] and ann.get(f"zones/{made['id']}").ok() == made
    ann.patch(f"zones/{made['id']}", {"enabled": False}).problem(403, "policy.forbidden")
    closed = operator.patch(f"zones/{made['id']}", {"enabled": False}).ok()
    assert closed == {**made, "enabled": False}
    assert operator.get("zones?enabled=true&name=west").ok()["items"] == []
    cloud.host("hv1", zone="west")
    refused = operator.delete(f"zones/{made['id']}").problem(409, "zone.in_use")
    assert "hv1" in refused["detail"]
    ann.delete(f"zones/{made['id']}").problem(403, "policy.forbidden")


def test_a_host_moves_to_another_zone_and_is_taken_out_of_service(cloud: Cloud, operator: Http, ann: Http) -> None:
    host = cloud.host("hv1")
    zone = operator.post("zones", {"name": "west"}).ok(201)
    refused = operator.patch(f"hosts/{host.id}", {"zone": "nowhere"}).problem(400, "host.zone", "zone")
    assert "west" in refused["detail"] and "default" in refused["detail"]
    moved = operator.patch(f"hosts/{host.id}", {"zone": "west", "enabled": False, "reason": "new disk"}).ok()
    assert (moved["zone"], moved["enabled"], moved["disabled_reason"]) == ("west", False, "new disk")
    assert moved == operator.get(f"hosts/{host.id}").ok() and moved["inventories"]
    assert operator.patch(f"hosts/{host.id}", {"zone": "default"}).ok()["enabled"] is False
    operator.delete(f"zones/{zone['id']}").ok(204)
    operator.get(f"zones/{zone['id']}").problem(404, "zone.not_found", "zone_id")
    ann.patch(f"hosts/{host.id}", {"enabled": True}).problem(403, "policy.forbidden")
    operator.patch(f"hosts/{uuid.uuid4()}", {"enabled": True}).problem(404, "host.not_found", "host_id")


def test_an_aggregate_comes_gets_hosts_and_goes(cloud: Cloud, operator: Http, ann: Http) -> None:
    host = cloud.host("hv1")
    body = {"name": "fast", "metadata": {"disk": "nvme"}, "project_ids": [str(cloud.project.pk)]}
    made = operator.post("aggregates", body).ok(201)
    assert made.items() >= {**body, "host_ids": []}.items()
    place = f"aggregates/{made['id']}"
    for _ in range(2):
        assert operator.put(f"{place}/hosts/{host.id}", None).ok()["host_ids"] == [str(host.id)]
    assert operator.get(f"aggregates?host_id={host.id}").ok()["items"] == [operator.get(place).ok()]
    assert operator.get(f"aggregates?host_id={uuid.uuid4()}").ok()["items"] == []
    operator.delete(place).problem(409, "aggregate.in_use")
    changed = operator.patch(place, {"metadata": {"rack": "7"}}).ok()
    assert (changed["name"], changed["metadata"], changed["host_ids"]) == ("fast", {"rack": "7"}, [str(host.id)])
    operator.delete(f"{place}/hosts/{host.id}").ok(204)
    operator.delete(f"{place}/hosts/{host.id}").problem(404, "aggregate.no_such_host", "host_id")
    operator.delete(place).ok(204)
    operator.get(place).problem(404, "aggregate.not_found", "aggregate_id")
    ann.get("aggregates").problem(403, "policy.forbidden")


def test_a_host_says_how_busy_it_is(cloud: Cloud, operator: Http) -> None:
    host = cloud.host("hv1")
    host.heartbeat(load_percent=73)
    assert operator.get(f"hosts/{host.id}").ok()["load_percent"] == 73


SIZE = {"vcpus": 1, "memory_mb": 64, "disk_gb": 0}


def test_a_flavor_says_what_its_hosts_must_be_like(cloud: Cloud, operator: Http, ann: Http) -> None:
    Trait.objects.create(name="CUSTOM_FAST")
    needs = {
        "required_traits": ["CUSTOM_FAST", "HW_CPU_X86_AVX2"], "forbidden_traits": ["STORAGE_DISK_HDD"],
        "host_metadata": {"disk": "nvme"},
    }
    made = operator.post("flavors", {"name": "fast", **SIZE, **needs}).ok(201)
    assert made.items() >= needs.items()
    assert ann.get(f"flavors/{made['id']}").ok() == made
    plain = operator.post("flavors", {"name": "plain", **SIZE}).ok(201)
    assert (plain["required_traits"], plain["forbidden_traits"], plain["host_metadata"]) == ([], [], {})


@pytest.mark.parametrize(
    ("needs", "code", "field"),
    [
        ({"required_traits": ["HW_CPU_X86_AVX3"]}, "trait.unknown", "required_traits"),
        ({"forbidden_traits": ["CUSTOM_NOBODY_MADE"]}, "trait.unknown", "forbidden_traits"),
        ({"required_traits": ["HW_CPU_X86_AVX"], "forbidden_traits": ["HW_CPU_X86_AVX"]}, "flavor.traits", "forbidden_traits"),
    ],
    ids=["no-standard-one", "custom-unknown", "both"],
)
def test_a_flavor_asks_for_traits_that_there_are(operator: Http, needs: dict[str, Any], code: str, field: str) -> None:
    operator.post("flavors", {"name": "fast", **SIZE, **needs}).problem(400, code, field)
    assert operator.get("flavors?name=fast").ok()["items"] == []
