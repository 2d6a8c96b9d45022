"""Services, endpoints, regions and policies over Identity v3."""

from typing import Any

import pytest

from apps.identity import builtin
from apps.identity.models import Endpoint, Project, Region, Service, StoredPolicy, User
from tests.api.openstack.kit import Answer, Keystone, of, signed_in
from tests.support.cloud import make_project
from tests.support.identity import NOBODY, give, make_user

pytestmark = pytest.mark.django_db
BASE = "http://127.0.0.1:8600/identity/v3"
SYSTEM = {"system": {"all": True}}
NOWHERE = str(NOBODY)


@pytest.fixture
def project() -> Project:
    return make_project("red")


@pytest.fixture
def ann(project: Project) -> User:
    return make_user("ann", project)


@pytest.fixture
def root() -> Keystone:
    """Whoever rules over the system."""
    return signed_in(make_user("root", operator=True), SYSTEM)


def make(client: Keystone, thing: str, **given: Any) -> Any:
    return client.post(plural(thing), {thing: given}).ok(201)[thing]


def plural(thing: str) -> str:
    return {"policy": "policies"}.get(thing, f"{thing}s")


def service(client: Keystone, **given: Any) -> Any:
    return make(client, "service", **{"type": "dns", **given})


def endpoint(client: Keystone, **given: Any) -> Answer:
    wanted = {"interface": "public", "url": "http://dns.example/", "region_id": builtin.REGION_ID, **given}
    return client.post("endpoints", {"endpoint": wanted})


def test_a_service_is_made_found_changed_and_deleted(root: Keystone) -> None:
    made = service(root, name="designate", description="names", unknown="is not looked at")
    path = f"services/{made['id']}"
    assert made == {
        "id": made["id"], "type": "dns", "name": "designate", "description": "names", "enabled": True, "links": {"self": f"{BASE}/{path}"},
    }
    assert root.get(path).ok() == {"service": made}
    assert root.get("services?type=dns").ok()["services"] == root.get("services?name=designate").ok()["services"] == [made]
    assert root.get("services?type=none").ok()["services"] == []
    assert root.patch(path, {"service": {"enabled": False, "description": None, "name": None}}).ok()["service"] == {
        **made, "enabled": False, "description": "", "name": "",
    }
    endpoint(root, service_id=made["id"]).ok(201)
    assert root.delete(path).status == 204
    assert root.get(path).refused(404) == f"Could not find service: {made['id']}."
    assert not Endpoint.objects.filter(service_id=made["id"]).exists()
    for method, body in (("DELETE", None), ("PATCH", {"service": {"name": "x"}})):
        root(method, path, body).refused(404)


@pytest.mark.parametrize("wrong", [{"type": ""}, {"type": None}, {"type": 7}, {"type": "x" * 256}, {"name": "x" * 256}, {"enabled": "true"}])
def test_a_service_that_cannot_be_is_refused(root: Keystone, wrong: dict[str, Any]) -> None:
    root.post("services", {"service": {"type": "dns", **wrong}}).refused(400)
    root.patch(f"services/{service(root)['id']}", {"service": wrong}).refused(400)
    assert Service.objects.filter(type="dns").count() == 1


def test_an_endpoint_is_made_found_changed_and_deleted(root: Keystone, ann: User, project: Project) -> None:
    about = service(root, name="designate")
    made = endpoint(root, service_id=about["id"], url="http://dns.example/$(project_id)s", name="one").ok(201)["endpoint"]
    path = f"endpoints/{made['id']}"
    assert made == {
        "id": made["id"], "service_id": about["id"], "interface": "public", "url": "http://dns.example/$(project_id)s",
        "region": builtin.REGION_ID, "region_id": builtin.REGION_ID, "enabled": True, "name": "one", "description": "",
        "links": {"self": f"{BASE}/{path}"},
    }
    assert root.get(path).ok() == {"endpoint": made}
    for query in (f"service_id={about['id']}", f"interface=public&service_id={about['id']}", f"region_id={builtin.REGION_ID}&service_id={about['id']}"):
        assert root.get(f"endpoints?{query}").ok()["endpoints"] == [made]
    for query in ("service_id=none", f"service_id={NOWHERE}", "interface=admin", "region_id=Mars"):
        assert root.get(f"endpoints?{query}").ok()["endpoints"] == []
    [shown] = [each for each in Keystone().sign_in(ann, of(project)).json["token"]["catalog"] if each["type"] == "dns"]
    assert shown["endpoints"][0]["url"] == f"http://dns.example/{project.pk}"
    changed = root.patch(path, {"endpoint": {"enabled": False, "url": "https://x.example", "interface": "internal", "region_id": None}})
    assert changed.ok()["endpoint"] == {
        **made, "enabled": False, "url": "https://x.example", "interface": "internal", "region": None, "region_id": None,
    }
    assert "dns" not in [each["type"] for each in Keystone().sign_in(ann, of(project)).json["token"]["catalog"]]
    assert root.delete(path).status == 204
    assert root.get(path).refused(404) == f"Could not find endpoint: {made['id']}."


@pytest.mark.parametrize(
    "wrong",
    [
        {"interface": "private"}, {"interface": None}, {"url": ""}, {"url": "nowhere"}, {"url": None}, {"url": "http://x/%(nothing)s"},
        {"url": "http://x/$(project_id"}, {"url": "http://x/%(project_id)d"}, {"url": "http://x/%20"}, {"url": "x" * 5000}, {"service_id": NOWHERE},
        {"service_id": "none"}, {"service_id": None}, {"region_id": "Mars"}, {"region_id": 7}, {"enabled": 1},
    ],
)
def test_an_endpoint_that_cannot_be_is_refused(root: Keystone, wrong: dict[str, Any]) -> None:
    about = service(root)["id"]
    there = endpoint(root, service_id=about).ok(201)["endpoint"]
    before = Endpoint.objects.count()
    endpoint(root, **{"service_id": about, **wrong}).refused(400)
    root.patch(f"endpoints/{there['id']}", {"endpoint": wrong}).refused(400)
    assert Endpoint.objects.count() == before


def test_the_older_name_of_the_region_makes_it(root: Keystone) -> None:
    about = service(root)["id"]
    made = endpoint(root, service_id=about, region_id=None, region="Mars").ok(201)["endpoint"]
    assert made["region_id"] == "Mars" and Region.objects.filter(pk="Mars").exists()
    again = endpoint(root, service_id=about, region_id=None, region="Mars").ok(201)["endpoint"]
    assert root.patch(f"endpoints/{again['id']}", {"endpoint": {"region": "Venus"}}).ok()["endpoint"]["region_id"] == "Venus"


def test_a_region_is_made_found_changed_and_deleted(root: Keystone) -> None:
    made = make(root, "region", id="Mars", description="red")
    assert made == {"id": "Mars", "description": "red", "parent_region_id": None, "links": {"self": f"{BASE}/regions/Mars"}}
    below = make(root, "region", id="Crater 7", parent_region_id="Mars")
    assert below["links"]["self"].endswith("/regions/Crater%207")
    assert root.get("regions/Crater%207").ok() == {"region": below}
    assert root.get("regions?parent_region_id=Mars").ok()["regions"] == [below]
    assert len(make(root, "region")["id"]) == 32
    assert root.put("regions/Venus", {"region": {"description": "hot", "id": "Venus"}}).ok(201)["region"]["id"] == "Venus"
    changed = root.patch("regions/Crater%207", {"region": {"parent_region_id": None, "description": None}}).ok()["region"]
    assert changed == {**below, "parent_region_id": None, "description": ""}
    root.patch("regions/Crater%207", {"region": {"parent_region_id": "Mars"}}).ok()
    assert root.delete("regions/Mars").status == 204
    for name in ("Mars", "Crater%207"):
        root.get(f"regions/{name}").refused(404)
    assert root.get("regions/Mars").json["error"]["message"] == "Could not find region: Mars."


def test_a_region_that_cannot_be_is_refused(root: Keystone) -> None:
    make(root, "region", id="Mars")
    make(root, "region", id="Crater", parent_region_id="Mars")
    assert "Duplicate ID, Mars." in root.post("regions", {"region": {"id": "Mars"}}).refused(409)
    root.put("regions/Mars", {"region": {}}).refused(409)
    root.post("regions", {"region": {"id": "Moon", "parent_region_id": "Nowhere"}}).refused(404)
    root.put("regions/Moon", {"region": {"id": "Sun"}}).refused(400)
    for wrong in ({"id": ""}, {"id": "x" * 256}, {"id": 7}, {"description": 7}, {"parent_region_id": 7}):
        root.post("regions", {"region": wrong}).refused(400)
    root.patch("regions/Mars", {"region": {"parent_region_id": "Crater"}}).refused(400)
    root.patch("regions/Mars", {"region": {"parent_region_id": "Mars"}}).refused(400)
    root.patch("regions/Mars", {"region": {"id": "Pluto"}}).refused(400)
    root.patch("regions/Nowhere", {"region": {"description": "x"}}).refused(404)
    assert "Nowhere" in root.patch("regions/Mars", {"region": {"parent_region_id": "Nowhere"}}).refused(404)
    root.delete("regions/Nowhere").refused(404)


def test_a_region_with_endpoints_stays(root: Keystone) -> None:
    make(root, "region", id="Mars")
    make(root, "region", id="Crater", parent_region_id="Mars")
    endpoint(root, service_id=service(root)["id"], region_id="Crater").ok(201)
    for name in ("Crater", "Mars"):
        root.delete(f"regions/{name}").refused(403)
    assert Region.objects.filter(pk="Mars").exists()


def test_what_is_built_in_stays_what_it_is(root: Keystone) -> None:
    identity = builtin.SERVICE_IDS["identity"]
    root.delete(f"services/{identity}").refused(403)
    root.patch(f"services/{identity}", {"service": {"type": "other"}}).refused(403)
    root.delete(f"endpoints/{builtin.ENDPOINT_IDS['identity']}").refused(403)
    root.patch(f"endpoints/{builtin.ENDPOINT_IDS['identity']}", {"endpoint": {"url": "http://evil.example"}}).refused(403)
    root.delete(f"regions/{builtin.REGION_ID}").refused(403)
    root.patch(f"services/{identity}", {"service": {"description": "ours"}}).ok()


def test_a_policy_is_made_found_changed_and_deleted(root: Keystone) -> None:
    made = make(root, "policy", type="application/json", blob='{"a": "role:b"}')
    path = f"policies/{made['id']}"
    assert made == {"id": made["id"], "type": "application/json", "blob": '{"a": "role:b"}', "links": {"self": f"{BASE}/{path}"}}
    assert root.get(path).ok() == {"policy": made}
    assert root.get("policies?type=application/json").ok()["policies"] == [made]
    assert root.get("policies?type=other").ok()["policies"] == []
    assert root.patch(path, {"policy": {"blob": "b"}}).ok()["policy"] == {**made, "blob": "b"}
    for wrong in ({}, {"blob": 7}, {"blob": {"a": 1}}, {"type": ""}, {"blob": "x" * 70000}):
        root.patch(path, {"policy": wrong}).refused(400)
        root.post("policies", {"policy": wrong}).refused(400)
    assert root.delete(path).status == 204
    assert root.get(path).refused(404) == f"Could not find policy: {made['id']}."
    assert not StoredPolicy.objects.exists()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("services", {"service": {"type": "dns"}}), ("endpoints", {"endpoint": {"service_id": NOWHERE, "interface": "public", "url": "http://x"}}),
        ("regions", {"region": {}}), ("policies", {"policy": {"type": "x", "blob": "y"}}),
    ],
)
def test_members_look_and_change_nothing(ann: User, project: Project, path: str, body: dict[str, Any]) -> None:
    auditor = make_user("auditor")
    give(auditor, "reader")
    domain_admin = make_user("dora")
    give(domain_admin, "admin", Project.objects.get(pk=builtin.DEFAULT_DOMAIN_ID))
    for client in (
        signed_in(ann, of(project)), signed_in(auditor, SYSTEM), signed_in(domain_admin, {"domain": {"id": "default"}}),
        signed_in(make_user("bob", project, "admin"), of(project)),
    ):
        assert client.get(path).status == client.head(path).status == 200
        client.post(path, body).refused(403)
        key = client.get(path).json[path][0]["id"] if client.get(path).json[path] else NOWHERE
        client.patch(f"{path}/{key}", {next(iter(body)): {"description": "x", "type": "x"}}).refused(403)
        client.delete(f"{path}/{key}").refused(403)
    Keystone().get(path).refused(401)


@pytest.mark.parametrize("path", ["services", "endpoints", "policies"])
def test_what_is_no_id_is_not_found(root: Keystone, path: str) -> None:
    for method in ("GET", "DELETE"):
        root(method, f"{path}/identity").refused(404)


@pytest.mark.parametrize(
    "path",
    [
        "OS-REVOKE/events", "OS-FEDERATION/identity_providers", "OS-OAUTH1/consumers", "OS-OAUTH2/token", "auth/tokens/OS-PKI/revoked",
        "OS-SIMPLE-CERT/ca", "OS-EP-FILTER/endpoint_groups", f"OS-EP-FILTER/projects/{NOWHERE}/endpoints",
        f"policies/{NOWHERE}/OS-ENDPOINT-POLICY/endpoints", f"endpoints/{NOWHERE}/OS-ENDPOINT-POLICY/policy",
        f"domains/{NOWHERE}/config", "users/ann/application_credentials", "access_rules_config",
    ],
)
def test_what_is_not_offered_is_not_found(root: Keystone, path: str) -> None:
    for client in (root, Keystone()):
        client.get(path).refused(404)
