"""Domains over Identity v3."""

import uuid
from typing import Any

import pytest

from apps.identity import builtin
from apps.identity.models import Group, Project, User
from tests.api.openstack.kit import Keystone, signed_in
from tests.support.identity import make_domain, make_user

BASE = "http://127.0.0.1:8600/identity/v3"
DEFAULT = str(builtin.DEFAULT_DOMAIN_ID)


def make(client: Keystone, name: str, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = client.post("domains", {"domain": {"name": name, **more}}).ok(201)["domain"]
    return made


def names(client: Keystone, query: str = "") -> list[str]:
    return sorted(each["name"] for each in client.get(f"domains{query}").ok()["domains"])


def test_a_new_domain_is_shown_whole_and_the_same_afterwards(root: Keystone) -> None:
    made = make(root, "green", description=None, tags=["a"], colour="ignored")
    assert made == {
        "id": made["id"], "name": "green", "description": "", "enabled": True, "tags": ["a"], "options": {},
        "links": {"self": f"{BASE}/domains/{made['id']}"},
    }
    assert root.get(f"domains/{made['id']}").ok() == {"domain": made}
    assert root.head(f"domains/{made['id']}").status == 200
    shown = root.get(f"projects/{made['id']}").ok()["project"]
    assert (shown["is_domain"], shown["domain_id"], shown["parent_id"]) == (True, None, None)


def test_an_id_may_be_chosen_if_it_is_one(root: Keystone) -> None:
    key = uuid.uuid4()
    assert make(root, "green", explicit_domain_id=key.hex)["id"] == str(key)
    root.post("domains", {"domain": {"name": "grey", "explicit_domain_id": key.hex}}).refused(409)
    for wrong in ("default", "x" * 32, "abc", ""):
        message = root.post("domains", {"domain": {"name": "grey", "explicit_domain_id": wrong}}).refused(400)
        assert message == "Domain ID does not conform to required UUID format."


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "domain in request body"), ({"domain": {}}, "'name' is a required property"), ({"domain": {"name": "x" * 65}}, "domain.name"),
        ({"domain": {"name": 7}}, "domain.name"), ({"domain": {"name": "x", "enabled": "false"}}, "domain.enabled"),
        ({"domain": {"name": "x", "description": 7}}, "domain.description"), ({"domain": {"name": "x", "options": {"a": 1}}}, "option"),
        ({"domain": {"name": "x", "explicit_domain_id": None}}, "explicit_domain_id"),
    ],
)
def test_what_is_no_domain_is_refused(root: Keystone, body: dict[str, Any], said: str) -> None:
    assert said in root.post("domains", body).refused(400)
    assert Project.objects.filter(is_domain=True).count() == 1


def test_a_name_is_there_once(root: Keystone, blue: Project) -> None:
    assert root.post("domains", {"domain": {"name": "blue"}}).refused(409).startswith("Conflict occurred attempting to store domain - ")
    root.patch(f"domains/{DEFAULT}", {"domain": {"name": "blue"}}).refused(409)


def test_domains_are_found_by_name_and_state(root: Keystone, blue: Project) -> None:
    make(root, "off", enabled=False)
    assert names(root) == ["Default", "blue", "off"]
    assert names(root, "?name=blue") == ["blue"]
    assert names(root, "?name=nothing") == []
    assert names(root, "?enabled=false") == ["off"]
    assert names(root, "?enabled=True&name__icontains=L") == ["Default", "blue"]
    assert root.get("domains").json["links"] == {"self": f"{BASE}/domains", "next": None, "previous": None}
    assert root.get("domains/default").ok()["domain"]["id"] == DEFAULT
    root.get("domains/blue").refused(404)


def test_who_lives_in_a_disabled_domain_is_out_at_once(root: Keystone, blue: Project) -> None:
    client = signed_in(make_user("bob", domain=blue))
    client.get("auth/projects").ok()
    assert root.patch(f"domains/{blue.pk}", {"domain": {"enabled": False}}).ok()["domain"]["enabled"] is False
    client.get("auth/projects").refused(401)
    root.patch(f"domains/{blue.pk}", {"domain": {"enabled": True}}).ok()


def test_a_domain_goes_with_all_that_is_in_it_when_it_is_disabled(root: Keystone, blue: Project) -> None:
    path = f"domains/{blue.pk}"
    make_user("bob", domain=blue)
    root.post("groups", {"group": {"name": "ops", "domain_id": str(blue.pk)}}).ok(201)
    project = root.post("projects", {"project": {"name": "red", "domain_id": str(blue.pk)}}).ok(201)["project"]
    root.post("projects", {"project": {"name": "below", "parent_id": project["id"]}}).ok(201)
    root.post("roles", {"role": {"name": "own", "domain_id": str(blue.pk)}}).ok(201)
    assert root.delete(path).refused(403) == "Cannot delete a domain that is enabled, please disable it first."
    root.patch(path, {"domain": {"enabled": False}}).ok()
    answer = root.delete(path)
    assert answer.status == 204 and answer.content == b""
    assert root.get(path).refused(404) == f"Could not find domain: {blue.pk}."
    assert not User.objects.filter(username="bob").exists() and not Group.objects.exists()
    assert not Project.objects.exclude(pk=builtin.DEFAULT_DOMAIN_ID).exists()


def test_the_default_domain_stays(root: Keystone) -> None:
    root.patch("domains/default", {"domain": {"enabled": False}}).refused(403)
    root.delete("domains/default").refused(403)


def test_what_is_immutable_stays(root: Keystone) -> None:
    path = f"domains/{make(root, 'green', enabled=False, options={'immutable': True})['id']}"
    root.patch(path, {"domain": {"name": "grey"}}).refused(403)
    root.delete(path).refused(403)
    root.patch(path, {"domain": {"options": {"immutable": False}}}).ok()
    assert root.delete(path).status == 204


@pytest.mark.parametrize("body", [{}, {"domain": {}}, {"domain": {"id": "x"}}, {"domain": {"name": ""}}, {"domain": {"enabled": 0}}])
def test_what_is_no_change_is_refused(root: Keystone, blue: Project, body: dict[str, Any]) -> None:
    root.patch(f"domains/{blue.pk}", body).refused(400)


def test_tags_of_a_domain_are_under_its_id_as_a_project(root: Keystone, blue: Project) -> None:
    assert root.put(f"projects/{blue.pk}/tags", {"tags": ["a"]}).ok()["tags"] == ["a"]
    assert root.get(f"domains/{blue.pk}").ok()["domain"]["tags"] == ["a"]


def test_a_domain_sees_itself_and_its_admin_changes_nothing_of_it(ruler: Keystone, blue: Project) -> None:
    other = make_domain("green")
    assert names(ruler) == ["blue"]
    assert ruler.get(f"domains/{blue.pk}").ok()["domain"]["name"] == "blue"
    for key in (other.pk, DEFAULT):
        assert ruler.get(f"domains/{key}").refused(404) == f"Could not find domain: {key}."
    ruler.patch(f"domains/{blue.pk}", {"domain": {"name": "mine"}}).refused(403)
    ruler.delete(f"domains/{blue.pk}").refused(403)
    ruler.post("domains", {"domain": {"name": "x"}}).refused(403)


def test_a_member_sees_the_own_domain_and_lists_none(member: Keystone, blue: Project) -> None:
    assert member.get("domains/default").ok()["domain"]["name"] == "Default"
    member.get(f"domains/{blue.pk}").refused(404)
    member.get("domains").refused(403)
    member.post("domains", {"domain": {"name": "x"}}).refused(403)
    member.patch("domains/default", {"domain": {"name": "x"}}).refused(403)
    member.delete("domains/default").refused(403)


def test_a_reader_of_the_system_sees_all_and_changes_nothing(auditor: Keystone, blue: Project) -> None:
    assert names(auditor) == ["Default", "blue"]
    auditor.post("domains", {"domain": {"name": "x"}}).refused(403)
    auditor.patch(f"domains/{blue.pk}", {"domain": {"name": "x"}}).refused(403)
    auditor.delete(f"domains/{blue.pk}").refused(403)


@pytest.mark.parametrize(
    "path", [f"domains/{DEFAULT}/config", f"domains/{DEFAULT}/config/ldap", "domains/config/default", "domains/config/ldap/url/default"]
)
def test_configurations_of_domains_are_not_offered(root: Keystone, path: str) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        root(method, path).refused(404)
