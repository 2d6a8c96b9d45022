"""Registered limits and limits over Identity v3: those of our own resources are the quotas that are in force."""

from typing import Any

import pytest

from apps.common.context import SYSTEM
from apps.common.errors import QuotaExceeded
from apps.identity import builtin
from apps.identity.models import Project, User
from apps.identity.services import projects
from apps.quotas.models import Limit, RegisteredLimit
from apps.quotas.services import reservations
from tests.api.openstack.kit import Answer, Keystone, of, signed_in
from tests.support.cloud import make_project
from tests.support.identity import NOBODY, give, make_domain, make_user

pytestmark = pytest.mark.django_db
BASE = "http://127.0.0.1:8600/identity/v3"
COMPUTE = str(builtin.SERVICE_IDS["compute"])
NOWHERE = str(NOBODY)


@pytest.fixture
def project() -> Project:
    return make_project("red")


@pytest.fixture
def root() -> Keystone:
    """Whoever rules over the system."""
    return signed_in(make_user("root", operator=True), {"system": {"all": True}})


@pytest.fixture
def ann(project: Project) -> User:
    return make_user("ann", project)


def register(client: Keystone, **given: Any) -> Answer:
    wanted = {"service_id": COMPUTE, "resource_name": "instances", "default_limit": 3, **given}
    return client.post("registered_limits", {"registered_limits": [wanted]})


def limit(client: Keystone, **given: Any) -> Answer:
    wanted = {"service_id": COMPUTE, "resource_name": "instances", "resource_limit": 5, **given}
    return client.post("limits", {"limits": [wanted]})


def registered(client: Keystone, **given: Any) -> dict[str, Any]:
    [made] = register(client, **given).ok(201)["registered_limits"]
    return dict(made)


def limited(client: Keystone, **given: Any) -> dict[str, Any]:
    [made] = limit(client, **given).ok(201)["limits"]
    return dict(made)


def most(project: Project) -> int:
    """How many instances can be had in the project, by asking for them."""
    with pytest.raises(QuotaExceeded) as refused:
        reservations.check(project_id=project.pk, amounts={"instances": 2**40})
    return int(refused.value.facts["limit"])


def test_a_registered_limit_is_made_found_changed_and_deleted(root: Keystone) -> None:
    made = registered(root, description="machines")
    path = f"registered_limits/{made['id']}"
    assert made == {
        "id": made["id"], "service_id": COMPUTE, "region_id": None, "resource_name": "instances", "default_limit": 3,
        "description": "machines", "links": {"self": f"{BASE}/{path}"},
    }
    assert root.get(path).ok() == {"registered_limit": made}
    for query in ("", f"?service_id={COMPUTE}", "?resource_name=instances"):
        assert root.get(f"registered_limits{query}").ok()["registered_limits"] == [made]
    for query in ("service_id=none", f"service_id={NOWHERE}", "region_id=RegionOne", "resource_name=vcpus"):
        assert root.get(f"registered_limits?{query}").ok()["registered_limits"] == []
    changed = root.patch(path, {"registered_limit": {"default_limit": 7, "region_id": builtin.REGION_ID, "description": None}})
    assert changed.ok()["registered_limit"] == {**made, "default_limit": 7, "region_id": builtin.REGION_ID, "description": ""}
    assert root.delete(path).status == 204
    assert root.get(path).refused(404) == f"Could not find registered limit for {made['id']}."
    root.delete(path).refused(404)
    root.patch(path, {"registered_limit": {"default_limit": 1}}).refused(404)


def test_several_are_made_at_once_or_none(root: Keystone) -> None:
    rows = [{"service_id": COMPUTE, "resource_name": name, "default_limit": 1} for name in ("vcpus", "memory_mb")]
    content = root.post("registered_limits", {"registered_limits": rows}).ok(201)
    assert set(content) == {"registered_limits"} and len(content["registered_limits"]) == 2
    rows = [{**rows[0], "resource_name": "disk_gb"}, rows[1]]
    root.post("registered_limits", {"registered_limits": rows}).refused(409)
    assert not RegisteredLimit.objects.filter(resource_name="disk_gb").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"service_id": NOWHERE}, {"service_id": "none"}, {"service_id": None}, {"region_id": "Mars"}, {"region_id": 7},
        {"resource_name": ""}, {"resource_name": None}, {"resource_name": "x" * 256}, {"default_limit": -2}, {"default_limit": "7"},
        {"default_limit": 1.5}, {"default_limit": None}, {"default_limit": 2**60}, {"default_limit": True}, {"description": 7},
        {"description": "x" * 5000}, {"unknown": 1}, {"description": "a\x00b"},
    ],
)
def test_a_registered_limit_that_cannot_be_is_refused(root: Keystone, wrong: dict[str, Any]) -> None:
    register(root, **wrong).refused(400)
    assert not RegisteredLimit.objects.exists()
    root.patch(f"registered_limits/{registered(root)['id']}", {"registered_limit": wrong}).refused(400)


@pytest.mark.parametrize("thing", ["registered_limits", "limits"])
@pytest.mark.parametrize("body", [{}, [], {"registered_limits": {}, "limits": {}}, {"registered_limits": [], "limits": []}, {"more": 1}])
def test_a_body_without_any_is_refused(root: Keystone, thing: str, body: Any) -> None:
    if isinstance(body, dict) and thing in body:
        body = {thing: body[thing]}
    root.post(thing, body).refused(400)


def test_a_limit_is_made_found_changed_and_deleted(root: Keystone, project: Project) -> None:
    about = registered(root)
    made = limited(root, project_id=str(project.pk), description="more for them")
    path = f"limits/{made['id']}"
    assert made == {
        "id": made["id"], "project_id": str(project.pk), "domain_id": None, "service_id": COMPUTE, "region_id": None,
        "resource_name": "instances", "resource_limit": 5, "description": "more for them", "links": {"self": f"{BASE}/{path}"},
    }
    assert root.get(path).ok() == {"limit": made}
    for query in ("", f"?service_id={COMPUTE}", "?resource_name=instances", f"?project_id={project.pk}"):
        assert root.get(f"limits{query}").ok()["limits"] == [made]
    for query in ("service_id=none", "region_id=RegionOne", "resource_name=vcpus", f"project_id={NOWHERE}", f"domain_id={NOWHERE}"):
        assert root.get(f"limits?{query}").ok()["limits"] == []
    for change in ({"resource_name": "vcpus"}, {"service_id": str(builtin.SERVICE_IDS["network"])}, {"region_id": builtin.REGION_ID}):
        root.patch(f"registered_limits/{about['id']}", {"registered_limit": change}).refused(403)
    root.delete(f"registered_limits/{about['id']}").refused(403)
    root.patch(f"registered_limits/{about['id']}", {"registered_limit": {"default_limit": 1}}).ok()
    changed = root.patch(path, {"limit": {"resource_limit": -1, "description": None}})
    assert changed.ok()["limit"] == {**made, "resource_limit": -1, "description": ""}
    assert root.delete(path).status == 204
    assert root.get(path).refused(404) == f"Could not find limit for {made['id']}."
    root.delete(path).refused(404)
    assert root.delete(f"registered_limits/{about['id']}").status == 204


def test_what_is_set_here_is_what_goes(root: Keystone, project: Project) -> None:
    assert most(project) == 20
    about = registered(root, default_limit=3)
    assert most(project) == 3
    made = limited(root, project_id=str(project.pk), resource_limit=8)
    assert most(project) == 8
    root.patch(f"limits/{made['id']}", {"limit": {"resource_limit": 2}}).ok()
    assert most(project) == 2
    root.delete(f"limits/{made['id']}").ok(204)
    assert most(project) == 3
    root.delete(f"registered_limits/{about['id']}").ok(204)
    assert most(project) == 20
    registered(root, default_limit=30)
    limited(root, domain_id="default", resource_limit=4)
    reservations.check(project_id=project.pk, amounts={"instances": 4})
    with pytest.raises(QuotaExceeded, match="by all projects of the domain"):
        reservations.check(project_id=project.pk, amounts={"instances": 5})


@pytest.mark.parametrize(
    "wrong",
    [
        {"service_id": "none"}, {"service_id": None}, {"resource_name": ""}, {"resource_limit": -2}, {"resource_limit": "5"},
        {"resource_limit": None}, {"resource_limit": 2**60}, {"description": 7}, {"description": "x" * 5000}, {"unknown": 1},
        {"project_id": None}, {"domain_id": "default"}, {"project_id": 7}, {"region_id": 7},
    ],
)
def test_a_limit_that_cannot_be_is_refused(root: Keystone, project: Project, wrong: dict[str, Any]) -> None:
    registered(root)
    limit(root, **{"project_id": str(project.pk), **wrong}).refused(400)
    assert not Limit.objects.exists()


def test_a_change_of_a_limit_that_cannot_be_is_refused(root: Keystone, project: Project) -> None:
    registered(root)
    path = f"limits/{limited(root, project_id=str(project.pk))['id']}"
    for body in ({}, {"resource_limit": -2}, {"resource_limit": "1"}, {"project_id": NOWHERE}, {"resource_name": "vcpus"}, {"description": 7}):
        root.patch(path, {"limit": body}).refused(400)


def test_a_limit_needs_something_to_limit(root: Keystone, project: Project) -> None:
    text = limit(root, project_id=str(project.pk)).refused(403)
    assert text.startswith("Unable to create a limit that has no corresponding registered limit.")
    registered(root)
    limit(root, project_id=str(project.pk), region_id=builtin.REGION_ID).refused(403)
    limit(root, project_id=str(project.pk), service_id=NOWHERE).refused(403)
    for place in ({"project_id": NOWHERE}, {"project_id": "red"}, {"domain_id": NOWHERE}, {"domain_id": str(project.pk)}):
        limit(root, **place).refused(404)
    limited(root, project_id=str(project.pk))
    limit(root, project_id=str(project.pk)).refused(409)


def test_members_see_the_limits_of_their_project_and_set_none(root: Keystone, ann: User, project: Project) -> None:
    about = registered(root)
    mine, other = limited(root, project_id=str(project.pk)), limited(root, project_id=str(make_project("green").pk))
    bob = make_user("bob", project, "admin")
    for client in (signed_in(ann, of(project)), signed_in(bob, of(project))):
        assert client.get("limits").ok()["limits"] == [mine]
        assert client.get(f"limits/{mine['id']}").ok() == {"limit": mine}
        assert client.get("registered_limits").ok()["registered_limits"] == [about]
        for method, body in (("GET", None), ("PATCH", {"limit": {"resource_limit": 99}}), ("DELETE", None)):
            client(method, f"limits/{other['id']}", body).refused(404)
        limit(client, project_id=str(project.pk), resource_name="vcpus").refused(403)
        client.patch(f"limits/{mine['id']}", {"limit": {"resource_limit": 99}}).refused(403)
        client.delete(f"limits/{mine['id']}").refused(403)
        register(client, resource_name="vcpus").refused(403)
        client.patch(f"registered_limits/{about['id']}", {"registered_limit": {"default_limit": 99}}).refused(403)
        client.delete(f"registered_limits/{about['id']}").refused(403)
    assert most(project) == 5


def test_who_rules_over_a_domain_sets_limits_of_its_projects_and_not_its_own(root: Keystone, project: Project) -> None:
    blue = make_domain("blue")
    dora = make_user("dora")
    give(dora, "admin", blue)
    inside = projects.create_project(actor=SYSTEM, name="inside", domain_id=blue.pk)
    registered(root)
    of_domain, foreign = limited(root, domain_id=str(blue.pk)), limited(root, project_id=str(project.pk))
    client = signed_in(dora, {"domain": {"id": str(blue.pk)}})
    made = limited(client, project_id=str(inside.pk), resource_limit=2)
    assert {each["id"] for each in client.get("limits").ok()["limits"]} == {made["id"], of_domain["id"]}
    client.get(f"limits/{foreign['id']}").refused(404)
    limit(client, project_id=str(project.pk)).refused(404)
    client.patch(f"limits/{of_domain['id']}", {"limit": {"resource_limit": 99}}).refused(403)
    assert client.delete(f"limits/{made['id']}").status == 204


def test_the_model_is_told(ann: User) -> None:
    model = signed_in(ann).get("limits/model").ok()["model"]
    assert model["name"] == "flat" and model["description"]
    assert signed_in(ann).head("limits/model").status == 200
    Keystone().get("limits/model").refused(401)


@pytest.mark.parametrize("path", ["limits/instances", "registered_limits/instances", f"limits/{NOWHERE}", f"registered_limits/{NOWHERE}"])
def test_what_is_not_there_is_not_found(root: Keystone, path: str) -> None:
    root.get(path).refused(404)
    root.delete(path).refused(404)
