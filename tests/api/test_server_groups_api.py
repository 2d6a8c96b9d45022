"""Server groups over HTTP, and what a request says of hosts: tenants see their members, operators see where these are."""

import uuid
from typing import Any

import pytest

from apps.quotas.models import Usage
from tests.api.kit import Http
from tests.support.cloud import Cloud


def make(http: Http, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = http.post("server-groups", {"name": "web", "policy": "anti-affinity", **fields}).ok(201)
    return made


def instance(http: Http, cloud: Cloud, **fields: Any) -> dict[str, Any]:
    body = {"name": "a", "flavor_id": str(cloud.flavor.pk), "image_id": str(cloud.image.pk), **fields}
    made: dict[str, Any] = http.post("instances", body).ok(202)["instance"]
    return made


def test_a_group_is_made_found_and_deleted(cloud: Cloud, ann: Http) -> None:
    made = make(ann, max_per_host=2)
    assert {name: made[name] for name in ("name", "policy", "max_per_host", "members", "host_count")} == {
        "name": "web", "policy": "anti-affinity", "max_per_host": 2, "members": [], "host_count": 0,
    }
    assert made["project_id"] == str(cloud.project.pk) and made["user_id"]
    assert ann.get(f"server-groups/{made['id']}").ok() == made
    other = make(ann, name="db", policy="soft-affinity")
    assert ann.get("server-groups").ok()["items"] == [other, made]
    assert ann.get("server-groups?policy=anti-affinity&name=web").ok()["items"] == [made]
    assert ann.get("server-groups?name=none").ok()["items"] == []
    ann.delete(f"server-groups/{made['id']}").ok(204)
    ann.get(f"server-groups/{made['id']}").problem(404, "server_group.not_found", "server_group_id")


def test_a_group_that_is_asked_for_twice_with_one_key_is_one(cloud: Cloud, ann: Http) -> None:
    key, body = {"Idempotency-Key": "retry-me"}, {"name": "web", "policy": "anti-affinity", "max_per_host": 2}
    made = ann.post("server-groups", body, headers=key).ok(201)
    assert ann.post("server-groups", body, headers=key).ok(201) == made
    assert Usage.objects.get(pk=cloud.project.pk).server_groups == 1
    ann.post("server-groups", {**body, "max_per_host": 3}, headers=key).problem(409, "client_token.reused", "Idempotency-Key")
    ann.delete(f"server-groups/{made['id']}").ok(204)
    ann.post("server-groups", body, headers=key).problem(404, "server_group.not_found")


def test_tenants_see_members_and_operators_see_their_hosts(cloud: Cloud, ann: Http, operator: Http) -> None:
    hosts = {cloud.host().name for _ in range(2)}
    made = make(ann)
    ids = [instance(ann, cloud, server_group_id=made["id"])["id"] for _ in range(2)]
    cloud.run()
    waiting = instance(ann, cloud, server_group_id=made["id"])
    assert waiting["server_group_id"] == made["id"]
    seen = ann.get(f"server-groups/{made['id']}").ok()
    assert seen["members"] == [*({"instance_id": each, "placed": True} for each in ids), {"instance_id": waiting["id"], "placed": False}]
    assert seen["host_count"] == 2
    (listed,) = operator.get("server-groups?all_projects=true").ok()["items"]
    assert {each["host_name"] for each in listed["members"]} == {*hosts, ""}
    assert listed["members"][2] == {"instance_id": waiting["id"], "placed": False, "host_id": None, "host_name": ""}
    for text in hosts:
        assert text not in ann.get("server-groups").content.decode()


def test_a_group_with_members_is_not_deleted(cloud: Cloud, ann: Http) -> None:
    made = make(ann)
    member = instance(ann, cloud, server_group_id=made["id"])["id"]
    problem = ann.delete(f"server-groups/{made['id']}").problem(409, "server_group.in_use")
    assert problem["members"] == [member] and member in problem["detail"]
    ann.delete(f"instances/{member}").ok(202)
    ann.delete(f"server-groups/{made['id']}").ok(204)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"policy": "affinity"}, "name"), ({"name": "x"}, "policy"), ({"name": "x", "policy": "close"}, "policy"),
        ({"name": "x", "policy": "anti-affinity", "max_per_host": 0}, "max_per_host"),
        ({"name": "x", "policy": "anti-affinity", "max_per_host": "2"}, "max_per_host"),
        ({"name": "x", "policy": "affinity", "rules": {}}, "rules"),
    ],
    ids=["no-name", "no-policy", "unknown-policy", "none-per-host", "text", "unknown-field"],
)
def test_a_wrong_body_is_refused_where_it_is_wrong(cloud: Cloud, ann: Http, body: dict[str, Any], field: str) -> None:
    problem = ann.post("server-groups", body)
    assert problem.status == 400 and problem.json["field"] == field


def test_others_neither_see_nor_join_a_group(cloud: Cloud, ann: Http, mallory: Http) -> None:
    made = make(ann)
    assert mallory.get("server-groups").ok()["items"] == []
    mallory.get("server-groups?all_projects=true").ok()
    for method in ("GET", "DELETE"):
        mallory(method, f"server-groups/{made['id']}").problem(404, "server_group.not_found", "server_group_id")
    body = {"name": "a", "flavor_id": str(cloud.flavor.pk), "image_id": str(cloud.image.pk), "server_group_id": made["id"]}
    mallory.post("instances", body).problem(404, "server_group.not_found", "server_group_id")
    body["server_group_id"] = str(uuid.uuid4())
    ann.post("instances", body).problem(404, "server_group.not_found", "server_group_id")


def test_hosts_are_asked_for_by_operators_only(cloud: Cloud, ann: Http, operator: Http) -> None:
    wanted, other = cloud.host(), cloud.host()
    body = {"name": "a", "flavor_id": str(cloud.flavor.pk), "image_id": str(cloud.image.pk)}
    for wish in ("hosts", "avoided_hosts"):
        for name in (wanted.name, "nowhere"):
            ann.post("instances", {**body, wish: [name]}).problem(403, "policy.forbidden")
    operator.post("instances", {**body, "hosts": ["nowhere"]}).problem(404, "host.not_found", "hosts")
    for wishes in ({"hosts": [wanted.name]}, {"avoided_hosts": [str(other.id)]}):
        made = operator.post("instances", {**body, **wishes}).ok(202)["instance"]
        cloud.run()
        assert operator.get(f"instances/{made['id']}").ok()["host_name"] == wanted.name


def test_a_tenant_asks_for_traits(cloud: Cloud, ann: Http) -> None:
    cloud.host()
    body = {"name": "a", "flavor_id": str(cloud.flavor.pk), "image_id": str(cloud.image.pk)}
    ann.post("instances", {**body, "required_traits": ["HW_CPU_NONE_SUCH"]}).problem(400, "trait.unknown", "required_traits")
    made = ann.post("instances", {**body, "required_traits": ["CUSTOM_NOBODY_HAS_IT"]}).ok(202)["instance"]
    cloud.run()
    seen = ann.get(f"instances/{made['id']}").ok()
    assert (seen["state"], seen["error"]["code"]) == ("ERROR", "scheduler.no_host")
